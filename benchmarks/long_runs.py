"""Checks that long runs do not use more memory or slow down: training, rollouts, a diverging state.

Each part is a process that is observed a hundred times. Its peak memory at the end must be within
5 % of the peak after a tenth of the run. The last tenth of the run may be at most a fifth slower
than the second tenth. The first tenth is for warming up.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

MOST_GROWTH, MOST_SLOWER = 1.05, 1.2


def watch(run, parts):
    """Calls ``run(number)`` for each part. Yields memory in MB and seconds after each."""
    memory, seconds = [], []
    for number in range(parts):
        began = time.perf_counter()
        run(number)
        seconds.append(time.perf_counter() - began)
        memory.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000)
    tenth = max(1, parts // 10)
    growth = memory[-1] / memory[tenth - 1]
    slower = sum(seconds[-tenth:]) / sum(seconds[tenth : 2 * tenth])
    return memory[-1], growth, slower


def train(steps, mnist):
    import keras

    import tfnca

    if mnist:
        digits = tfnca.load_digits("train", count=500, source="sample")
        step = tfnca.load_attack("mnist_adversary")
        trainer = tfnca.Trainer(step, tfnca.ClassLoss(digit=8), 20)
        pool = tfnca.DigitPool(digits, 64, 8, density=0.1)
    else:
        target = tfnca.pad_target(tfnca.load_target("lizard", 24), 8)
        trainer = tfnca.Trainer(tfnca.GrowingCA(), tfnca.TargetLoss(target), (24, 32))
        pool = tfnca.GrowingPool(tfnca.seed_state(40), 256, 8)
    trainer.compile(keras.optimizers.Adam(1e-3))
    each = max(1, steps // 100)
    return watch(
        lambda _: trainer.fit(pool, epochs=1, steps_per_epoch=each, verbose=0), steps // each
    )


def roll(steps, engine, size, k=None):
    import tfnca

    host = tfnca.load("growing_lizard")
    step = host
    if k is not None:
        attack = tfnca.load_attack("no_tail")
        step = tfnca.Perturbed(host, attack.perturbation.scaled(k))
    state, each = [tfnca.seed_state(size)], max(1, steps // 100)

    def run(number):
        state[0] = tfnca.rollout(
            step, state[0], each, step_offset=number * each, engine=engine, seed=0
        )

    found = watch(run, steps // each)
    values = np.asarray(state[0])
    if not np.isfinite(values).all():
        raise SystemExit("The state is no longer finite.")
    return *found, float(np.abs(values).max())


PARTS = {
    "training a Growing CA, 5,000 steps": lambda: train(5000, mnist=False),
    "training an adversary of digits, 5,000 steps": lambda: train(5000, mnist=True),
    "a lizard, 100,000 CA steps, living cells": lambda: roll(100_000, "sparse", 72),
    "a lizard, 100,000 CA steps, dense": lambda: roll(100_000, "dense", 40),
    "k = -1, 10,000 CA steps, living cells": lambda: roll(10_000, "sparse", 72, -1.0),
    "k = -1, 10,000 CA steps, dense": lambda: roll(10_000, "dense", 40, -1.0),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", help="run only this part, in this process")
    options = parser.parse_args()
    if options.part:
        print(*PARTS[options.part]())
        return
    print(
        "| run | peak, MB | compared with after a tenth | last tenth over second | largest value |"
    )
    print("|---|---|---|---|---|")
    good = True
    for name in PARTS:
        command = [sys.executable, __file__, "--part", name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"| {name} | failed: {done.stderr.strip().splitlines()[-1]} |")
            good = False
            continue
        peak, growth, slower, *largest = map(float, done.stdout.splitlines()[-1].split())
        shown = f"{largest[0]:.1f}" if largest else "-"
        print(f"| {name} | {peak:.0f} | {growth:.3f} | {slower:.2f} | {shown} |", flush=True)
        good &= growth <= MOST_GROWTH and slower <= MOST_SLOWER
    sys.exit(not good)


if __name__ == "__main__":
    main()
