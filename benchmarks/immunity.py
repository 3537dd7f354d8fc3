"""Do defences stop an invasion? Each is judged by an adversary that was trained again against it.

For each defence of the takeover's lizard, the released red adversary gets scattered cells of the
grown lizard, then an adversary that was trained further against the defence. Prints the fraction of
its cells, the colour, and the mean squared errors against the adversary's target and the plain
lizard, and draws the first run; and the price, measured without an attack: the error of the plain
lizard after growing, after damage and after 2,000 steps. FOLDER and the target are as in
`takeover.py` and `takeover_target.py`.
"""

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np
from keras import ops
from takeover import between, first_cell

import tfnca
from tfnca.automata.step import freeze_copy
from tfnca.files import write_atomically
from tfnca.measures.invasion import look_at, measure_invasion
from tfnca.measures.task import circles
from tfnca.pictures import save_png, tile

AGE, HEALED, LATER = 200, 500, 2000
SPRAY = 0.1
TOLERANCE = 0.005
"""Largest deviation of an update that the deviation test allows; `Verified` has the same."""


class CarefulCA(tfnca.NeuralCA):
    """An adversary that passes the deviation test, because it clips its updates."""

    lawful: tfnca.NeuralCA

    def propose(self, state, context, cells=None):
        update, fires = super().propose(state, context, cells)
        expected, _ = self.lawful.propose(state, context, cells)
        most, least = expected + TOLERANCE, expected - TOLERANCE
        clipped = ops.maximum(ops.minimum(update, most), least)
        return update + ops.stop_gradient(clipped - update), fires


class TestedInvasion(tfnca.Invasion):
    """Silences an adversary's cell if its update deviates from the one that the host would make."""

    def advance(self, state, context):
        after = super().advance(state, context)
        belongs = self.belongs(state)
        own = belongs[..., 1:]
        alphas = [
            ops.where(belongs[..., number : number + 1], alpha, 0.0)
            for number, alpha in enumerate(self._alphas(state))
        ]
        alive = ops.any(belongs, axis=-1, keepdims=True)
        seen = self.seen(self._spread(ops.where(alive, state, 0.0), alphas))
        context = self._context(context, 1)
        update, fires = self.adversaries[0].propose(seen, context, own)
        expected, _ = self.host.propose(seen, context, own)
        far = ops.max(ops.abs(update - expected), axis=-1, keepdims=True) > 1.01 * TOLERANCE
        return ops.where(ops.logical_and(fires, far), 0.0, after)


class HostFirstInvasion(tfnca.Invasion):
    """A free cell with a host cell among its neighbours belongs to the host alone."""

    def belongs(self, state):
        belongs = super().belongs(state)
        host, others = belongs[..., :1], belongs[..., 1:]
        return ops.concatenate([host, ops.logical_and(others, ops.logical_not(host))], axis=-1)


class UndyingInvasion(tfnca.Invasion):
    """The alpha of a host cell never falls below the threshold, so that no host cell dies."""

    def advance(self, state, context):
        after = super().advance(state, context)
        mine = ops.expand_dims(self.owners(state) == 0, -1)
        alpha, *rest = self._alphas(after)
        kept = ops.maximum(alpha, 1.01 * self._alive.threshold)
        return self._spread(after, [ops.where(mine, kept, alpha), *rest])


class HostTraining(tfnca.Invasion):
    """Trains the host, and freezes the adversary."""

    def __init__(self, host, adversary):
        super().__init__(host, freeze_copy(adversary))
        self.host.trainable = True

    trained = property(lambda self: self.host)


DEFENCES = {
    "none": tfnca.Invasion,
    "deviation test": TestedInvasion,
    "trained host": tfnca.Invasion,
    "host first": HostFirstInvasion,
    "no host cell dies": UndyingInvasion,
}


def grown(host, size, runs, seed):
    return tfnca.rollout(host, first_cell(size, runs, host.channels), AGE, seed=seed)


def invaded(step, state, seed):
    cells = np.asarray(state)[..., 3] > 0.1
    return step.invade(state, tfnca.random_mask(cells, SPRAY, seed=seed))


def fit(step, loss, starts, updates, **pool):
    """Trains an invasion's adversary, or its host; returns the mean loss of the last steps."""
    trainer = tfnca.Trainer(step, loss, steps=(32, 48), seed=0)
    rate = keras.optimizers.schedules.PiecewiseConstantDecay([int(0.6 * updates)], [1e-3, 1e-4])
    trainer.compile(keras.optimizers.Adam(rate))
    pool = tfnca.GrowingPool(np.asarray(starts), size=16, seed=0, **pool)
    history = trainer.fit(pool, epochs=5, steps_per_epoch=updates // 5, verbose=0)
    return history.history["loss"][-1]


def trained_host(host, adversary, plain, updates):
    """A host trained to stay a plain lizard: from the seed, and with adversaries in part."""
    step = HostTraining(host, adversary)
    size = len(plain)
    ripe = invaded(step, grown(host, size, 2, seed=3), seed=3)
    nothing = np.zeros((1, size, size))
    young = step.invade(first_cell(size, 1, host.channels), nothing)
    starts = np.concatenate([young, step.invade(grown(host, size, 1, seed=3), nothing), ripe])
    aim = tfnca.InvasionLoss(plain)
    loss = fit(step, aim, starts, updates, batch_size=3, restarts=1, damaged=1)
    return freeze_copy(step.host), loss


def new_adversary(kind, host, adversary, target, updates):
    """A copy of the released adversary, trained further against a defence.

    Without a reward for cells, it would give up those that it has.
    """
    copy_of = CarefulCA if kind is TestedInvasion else tfnca.NeuralCA
    new = copy_of(**adversary.rule.config())
    new.set_weights(adversary.get_weights())
    if kind is TestedInvasion:
        new.lawful = freeze_copy(host)
    step = kind(host, new)
    starts = invaded(step, grown(host, len(target), 16, seed=5), seed=5)
    aim = tfnca.InvasionLoss(target, cell_cost=-1.0)
    return new, fit(step, aim, starts, updates, batch_size=2, restarts=1, damaged=0)


def attacked(step, target, plain, runs):
    """What each run is like after 500 steps, and the first picture."""
    state = invaded(step, grown(step.host, len(target), runs, seed=1), seed=1)
    (row,), (state,) = measure_invasion(step, state, [500], target, seed=1, first_step=AGE)
    row["plain"] = look_at(step, state, plain)["error"]
    return row, tfnca.to_rgb(step.seen(state[:1]))


def price(step, plain, runs):
    """Errors against the plain lizard without an attack: grown, healed and later."""
    shape = (runs, len(plain), len(plain))
    state = step.invade(first_cell(len(plain), runs, step.host.channels), np.zeros(shape))
    state = np.array(tfnca.rollout(step, state, AGE, seed=1))
    wounds = circles(step.seen(state).numpy()[..., 3] > 0.1, 0.4, np.random.default_rng(1))
    found = {"grown": look_at(step, state, plain)}
    for name, start, at in (
        ("wounded", np.where(wounds[..., None], 0.0, state), 1),
        ("healed", np.where(wounds[..., None], 0.0, state), HEALED - AGE),
        ("later", state, LATER - AGE),
    ):
        end = tfnca.rollout(step, start.astype("float32"), at, seed=1, step_offset=AGE)
        found[name] = look_at(step, end, plain)
    return {name: row["error"] for name, row in found.items()}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--target", required=True, help="the picture of takeover_target.py")
    parser.add_argument("--defences", nargs="+", choices=DEFENCES, default=[*DEFENCES])
    parser.add_argument("--updates", type=int, default=150, help="training steps per adversary")
    parser.add_argument("--host-updates", type=int, default=300)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--size", type=int, default=48, help="side of the grid")
    parser.add_argument("--out", type=Path, default=Path("out/immunity"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    released, adversary = (
        tfnca.load(options.folder / f"{name}.pt", convention="takeover")
        for name in ("lizard_persistent", "lizard_to_red_2x2")
    )
    target = tfnca.load_target(options.target, options.size)
    plain = np.asarray(grown(released, options.size, 16, seed=9))[..., :4].clip(0, 1).mean(0)
    plain = np.minimum(plain, plain[..., 3:])  # premultiplied
    print("| defence | adversary | share | red - green | of the host's | cells |", end="")
    print(" MSE, target | MSE, plain |\n|---|---|---|---|---|---|---|---|")
    pictures, labels = [], []
    for name in options.defences:
        began, kind, host = time.process_time(), DEFENCES[name], released
        if name == "trained host":
            host, loss = trained_host(released, adversary, plain, options.host_updates)
            print(f"Loss of the host's training: {loss:.4f}")
        new, loss = new_adversary(kind, host, adversary, target, options.updates)
        found = {"loss": loss}
        for title, each in (("released", adversary), ("trained", new)):
            row, picture = attacked(kind(host, each), target, plain, options.runs)
            values = [between(row["share"], True)]
            values += [between(row[key]) for key in ("red", "red_of_host", "cells")]
            values += [f"{np.median(row[key]):.4f}" for key in ("error", "plain")]
            print(f"| {name} | {title} |", " | ".join(values), "|", flush=True)
            found[title] = row
            pictures.append(picture)
            labels.append(f"{name}, {title}")
        found["price"] = price(kind(host, adversary), plain, options.runs // 2)
        errors = (f"{key} {np.median(value):.5f}" for key, value in found["price"].items())
        print(f"Price, {name}:", ", ".join(errors))
        found["cpu_seconds"] = time.process_time() - began
        stem = name.replace(" ", "_")
        write_atomically(options.out / f"{stem}.json", json.dumps(found, indent=1))
        picture = tile(np.concatenate(pictures), columns=2, scale=4, labels=labels)
        save_png(options.out / "immunity.png", picture)


if __name__ == "__main__":
    main()
