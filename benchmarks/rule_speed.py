"""Times one step of rules like those of other projects, and of an invasion, in both engines.

    python benchmarks/rule_speed.py [--batch 8] [--steps 20]

Times are in milliseconds. The weights are random and small, so the same cells live in every step;
in the invasion, a tenth of a grown lizard's cells belong to a copy of its rule. The engines run in
turn, and each figure is the fastest of several runs. Run nothing else meanwhile. The living-cells
engine runs each batch item on one core, the dense engine on all: a batch of one favours the dense
engine.
"""

import argparse
import time

import numpy as np

import tfnca
from tfnca.engines import sparse

RUNS = 7
FOUR = ("identity", "sobel_x", "sobel_y", "laplacian")
TEXTURE = {"channels": 12, "filters": FOUR, "hidden": 96, "padding": "circular"}
RULES = {
    "texture, 128x128x12": (128, {**TEXTURE, "network_clip": 2.0, "state_clip": 2.0}),
    "texture without clips, 128x128x12": (128, TEXTURE),
    "growing on a torus, 72x72x16": (72, {"alive": tfnca.Alpha(), "padding": "circular"}),
    "growing, every cell alive, 72x72x16": (72, {"hidden": 192}),
    "learned perception, 64x64x32": (
        64,
        {"channels": 32, "filters": None, "learned": {"filters": 96}, "fixed": 1},
    ),
    "two hidden layers and a clip, 72x72x16": (
        72,
        {"hidden": (64, 64), "alive": tfnca.Alpha(), "state_clip": 10.0},
    ),
}


def problem(size: int, rule: dict, batch: int) -> tuple[tfnca.NeuralCA, np.ndarray]:
    """A CA with random weights, and states in which a disc of a fifth of the grid is alive."""
    random, ca = np.random.default_rng(0), tfnca.NeuralCA(**rule)
    for weight in ca.weights:
        weight.assign(random.normal(scale=0.01, size=weight.shape))
    state = random.normal(scale=0.1, size=(batch, size, size, ca.channels)).astype(np.float32)
    if ca.alive is not None:
        rows, columns = np.indices((size, size)) - size / 2
        disc = rows**2 + columns**2 < 0.2 * size**2 / np.pi
        state *= disc[..., None]
        state[..., ca.alive.channel] = disc
    return ca, state


def invasion(batch: int) -> tuple[tfnca.Invasion, np.ndarray]:
    """The bundled lizard invaded by a copy of itself."""
    host = tfnca.load("growing_lizard")
    step = tfnca.Invasion(host, tfnca.load("growing_lizard"))
    grown = tfnca.rollout(host, tfnca.seed_state(72, batch), 200, seed=0)
    cells = tfnca.living_mask(grown)[..., 0]
    return step, np.asarray(step.invade(grown, tfnca.random_mask(cells, 0.1, seed=0)))


def living(ca: tfnca.Step, state: np.ndarray) -> float:
    """The fraction of the cells that live."""
    alive = ca.living(state)
    return 1.0 if alive is None else float(np.mean(alive))


def measure(ca: tfnca.Step, state: np.ndarray, steps: int) -> dict[str, float]:
    """Milliseconds per step by engine."""
    times: dict[str, list[float]] = {"dense": [], "sparse": []}
    for run in range(RUNS + 1):  # the first compiles
        for engine, found in times.items():
            began = time.perf_counter()
            np.asarray(tfnca.rollout(ca, state, steps, seed=run, engine=engine))
            found.append(1000 * (time.perf_counter() - began) / steps)
    return {engine: min(found[1:]) for engine, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8, help="batch items (default: 8)")
    parser.add_argument("--steps", type=int, default=20, help="CA steps of a run (default: 20)")
    arguments = parser.parse_args()
    print("| rule | living | dense, ms | living cells, ms | ratio |\n|---|---|---|---|---|")
    problems = {name: problem(*rule, arguments.batch) for name, rule in RULES.items()}
    problems["an invasion of the lizard, 72x72x17"] = invasion(arguments.batch)
    for name, (ca, state) in problems.items():
        assert sparse.supports(ca) is None
        before = living(ca, state)
        after = living(ca, np.asarray(tfnca.rollout(ca, state, arguments.steps, seed=0)))
        assert abs(after - before) < 0.05, (
            f"{name}: {before:.2f} of the cells live, then {after:.2f}"
        )
        found = measure(ca, state, arguments.steps)
        dense, ours = found["dense"], found["sparse"]
        print(
            f"| {name} | {before:.0%} | {dense:.2f} | {ours:.2f} | {ours / dense:.2f} |", flush=True
        )


if __name__ == "__main__":
    main()
