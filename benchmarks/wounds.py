"""Does a wound stay? Attacks on a grown lizard that act for a while and are then removed.

For each host and kind of attack, prints the error 500 and 2,000 steps after the attack: against
the new picture, which should stay, and against the host's own. A run holds the new picture if its
MSE is below 0.003 and less than that against the host's own.

- `none`: nothing happens. The picture to hold is the host's own.
- `second`: one empty cell gets the host's seed, next to the lizard. The picture to hold is the
  lizard twice.
- `cut`: a fifth of the lizard is cleared, in each run on another side.
- `removed`: each bundled matrix, at strength 1 for 300 steps and at strength 2 for 100. The picture
  to hold is that of each run at the end of the attack.
- `nudge`: a vector for each of 1 % of the cells, added in each of 10 steps, and trained by gradient
  so that the states after that have a fifth less.
- `matrix`: a matrix on all cells for 32 steps, trained in the same way.

Hosts: `bundled`; `published`, the article's lizard, from the folder of its files in
TFNCA_ORIGINALS; and `persistent` and `growing`, from the files of Cavuoti et al. in
TFNCA_FOREIGN/takeover.
"""

import argparse
import itertools
import json
import os
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tfnca
from tfnca.automata.state import ALPHA
from tfnca.files import write_atomically
from tfnca.measures.task import bounded
from tfnca.pictures import save_png, tile

HOSTS = ("bundled", "published", "persistent", "growing")
KINDS = ("none", "second", "cut", "removed", "nudge", "matrix")
MATRICES = ("no_tail", "no_leg", "no_head", "no_arm", "red", "blue")
AGE, AT, HELD = 200, (500, 2000), 0.003
NUDGED, MATRIX_STEPS = 10, 32
FRACTION = 0.01
"""The largest fraction of the grid that a nudge may change."""


def load_host(name):
    """A host, and the state of a cell that grows its lizard."""
    if name == "bundled":
        host = tfnca.load("growing_lizard")
    else:
        variable = "TFNCA_ORIGINALS" if name == "published" else "TFNCA_FOREIGN"
        if variable not in os.environ:
            raise ValueError(f"{variable} must name the folder of the released files.")
        folder = Path(os.environ[variable])
        if name != "published":
            host = tfnca.load(folder / f"takeover/lizard_{name}.pt", convention="takeover")
            return host, np.eye(host.channels, dtype=np.float32)[ALPHA]
        host = tfnca.load(folder / "growing_ca_lizard.json")
    return host, np.asarray(tfnca.seed_state(3))[0, 1, 1]


def grown(host, cell, shape, runs):
    """Lizards that grew from a cell in the middle of the grid's first columns."""
    state = np.zeros((runs, *shape, host.channels), np.float32)
    state[:, shape[0] // 2, shape[0] // 2] = cell
    return np.asarray(tfnca.rollout(host, state, AGE, seed=1))


def rgba(states):
    return bounded(states)[..., : ALPHA + 1]


def cut_off(picture, angle):
    """The cells that a cut in a direction clears: a half-plane with a fifth of the living cells."""
    y, x = np.mgrid[: len(picture), : len(picture)] - (len(picture) - 1) / 2
    away = x * np.cos(angle) + y * np.sin(angle)
    return away > np.quantile(away[picture[..., ALPHA] > 0.1], 0.8)


def after(host, state, new, own, first):
    """A row for each step of AT: each run's errors; and the last state."""
    rows, now = [], 0
    for stop in AT:
        state = tfnca.rollout(host, state, stop - now, seed=1, step_offset=first + now)
        now, row = stop, {"step": stop}
        for key, picture in {"new": new, "own": own}.items():
            row[key] = np.square(rgba(state) - picture).mean((1, 2, 3)).tolist()
        rows.append(row)
    return rows, np.asarray(state)


def untrained(kind, name, options):
    """Label, rows and last state of each attack of a kind."""
    host, cell = load_host(name)
    shape = (options.size, options.size * (2 if kind == "second" else 1))
    state = grown(host, cell, shape, options.runs)
    own = rgba(state).mean(0)
    if kind == "removed":
        for attack, (strength, steps) in itertools.product(MATRICES, ((1, 300), (2, 100))):
            prefix = "on_published_lizard/" if name == "published" else ""
            matrix = tfnca.load_attack(prefix + attack, host).perturbation.scaled(strength)
            step = tfnca.Perturbed(host, matrix)
            ended = np.asarray(tfnca.rollout(step, state, steps, seed=1, step_offset=AGE))
            label = f"{attack} {strength} for {steps}"
            yield label, *after(host, ended, rgba(ended), own, AGE + steps)
        return
    new = own
    if kind == "second":
        state = state.copy()
        state[:, options.size // 2, options.size // 2 + options.size] += cell
        new = own + np.roll(own, options.size, axis=1)
    elif kind == "cut":
        state = state.copy()
        for run, angle in enumerate(2 * np.pi * np.arange(options.runs) / options.runs):
            state[run, cut_off(own, angle)] = 0.0
        new = rgba(state)
    yield kind, *after(host, state, new, own, AGE)


class Nudge:
    """Vectors that are added to few cells: those with the largest first gradient."""

    steps = NUDGED

    def __init__(self, shape):
        self.variable, self.allowed = keras.Variable(np.zeros(shape, np.float32)), None

    def step(self, host, state, **path):
        return tfnca.rollout(host, state + self.variable.value, 1, **path)

    def limited(self, gradient):
        if self.allowed is None:
            norms = np.linalg.norm(gradient, axis=-1)
            least = np.sort(norms, axis=None)[-int(FRACTION * norms.size)]
            self.allowed = (norms >= least)[..., None].astype(np.float32)
        return gradient * self.allowed


class Matrix:
    """A matrix that multiplies the state of every cell."""

    steps = MATRIX_STEPS

    def __init__(self, shape):
        self.variable = keras.Variable(np.eye(shape[-1], dtype=np.float32))

    def step(self, host, state, **path):
        return tfnca.rollout(host, tf.matmul(state, self.variable.value), 1, **path)

    def limited(self, gradient):
        return gradient


def attacked(host, attack, state, seed):
    for step in range(attack.steps):
        state = attack.step(host, state, seed=seed, step_offset=AGE + step)
    return state


def trained(kind, name, options):
    """Trains an attack that cuts the lizard, and measures it on lizards of the same age."""
    host, cell = load_host(name)
    state = grown(host, cell, (options.size, options.size), options.runs)
    own = rgba(state).mean(0)
    new = np.where(cut_off(own, options.angle)[..., None], 0.0, own).astype(np.float32)
    attack = {"nudge": Nudge, "matrix": Matrix}[kind](state.shape[1:])
    rate = {"nudge": 0.002, "matrix": 0.003}[kind]
    optimizer, random, losses = keras.optimizers.Adam(rate), np.random.default_rng(1), []
    for update in range(options.updates):
        some = state[random.choice(len(state), options.batch, replace=False)]
        steps, seed = int(random.integers(64, 160)), 100 + update
        with tf.GradientTape() as tape:
            ended = attacked(host, attack, some, seed)
            ended = tfnca.rollout(host, ended, steps, seed=seed, step_offset=AGE + attack.steps)
            loss = tf.reduce_mean(tf.square(ended[..., : ALPHA + 1] - new))
        gradient = attack.limited(tape.gradient(loss, attack.variable.value))
        optimizer.apply([gradient / (tf.norm(gradient) + 1e-8)], [attack.variable])
        losses.append(float(loss))
    losses = [np.mean(part) for part in (losses[:10], losses[-10:])]
    label = f"{kind}, training loss {losses[0]:.4f} to {losses[1]:.4f}"
    ended = attacked(host, attack, state, seed=1)
    yield label, *after(host, ended, new, own, AGE + attack.steps)


def row_of(name, row):
    """A table's row: medians, and how many runs hold the new picture and the host's own."""
    new, own = np.array(row["new"]), np.array(row["own"])
    held = int(((new < HELD) & (new <= own)).sum())
    return (
        f"| {name} | {row['step']:,} | {np.median(new):.4f} | {np.median(own):.4f} | "
        f"{held} of {len(new)} | {int((own < HELD).sum())} of {len(new)} |"
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", nargs="+", choices=HOSTS, default=["bundled"])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["none", "second", "cut"])
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--size", type=int, default=48, help="side of the grid")
    parser.add_argument("--angle", type=float, default=1.2, help="direction of a trained cut")
    parser.add_argument("--updates", type=int, default=100, help="of a training")
    parser.add_argument("--batch", type=int, default=4, help="runs per update")
    parser.add_argument("--out", type=Path, default=Path("out/wounds"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    print("| attack | steps after it | MSE, new picture | MSE, host's own | new held | own held |")
    print("|---|---|---|---|---|---|")
    for name, kind in itertools.product(options.hosts, options.kinds):
        began = time.process_time()
        look = trained if kind in ("nudge", "matrix") else untrained
        for label, rows, last in look(kind, name, options):
            for row in rows:
                print(row_of(f"{name}: {label}", row), flush=True)
            stem = f"{name}_{label.split(',')[0].replace(' ', '_')}"
            write_atomically(options.out / f"{stem}.json", json.dumps(rows, indent=1))
            picture = tile(tfnca.to_rgb(last[:4]), scale=3, columns=4)
            save_png(options.out / f"{stem}.png", picture)
        print(f"{time.process_time() - began:.0f} seconds of processor time", flush=True)


if __name__ == "__main__":
    main()
