"""Trains two matrices in one eigenbasis, so that they commute, and composes them.

Each matrix is Q diag(values) Qᵀ with the same orthogonal Q. Stages, each measured:

- `bundled`: the two bundled matrices, which have different eigenbases.
- `projected`: Q is the eigenbasis of the first one; the second one's values are diag(Qᵀ B Q).
- `values`: the same Q; the second one's values are trained.
- `basis`: Q and both sets of values are trained, each for its own picture in turn. Q is the
  eigenbasis of A + B at first, so that the composition is that of the bundled matrices.
- `composed`: the same, and in every third turn the composition is trained for both changes.
- `free`: as `composed`, but both matrices are trained whole, so that their eigenbases may differ.

The composition is the article's, A + B - I. It has succeeded if its MSE is at most 1.5 times the
worse of both alone, and its centre moves less than 0.5 cells in 1,000 steps.
"""

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np
from compose import NAMES, AnyMatrix, apart, both_changes, look
from keras import ops

import tfnca
from tfnca.automata.perturbations import StatePerturbation
from tfnca.files import write_atomically
from tfnca.measures.lizard import grown_states
from tfnca.pictures import save_png, tile

STAGES = ("bundled", "projected", "values", "basis", "composed", "free")
TURN = 10
"""Training steps for one picture until the next one's turn."""


class Basis(keras.layers.Layer):
    """A trainable orthogonal matrix: the initial one, rotated by a Cayley transform."""

    def __init__(self, start):
        super().__init__()
        self.start = np.asarray(start, np.float32)
        self.rotation = self.add_weight(name="rotation", shape=start.shape, initializer="zeros")

    def value(self):
        skew, identity = self.rotation - ops.transpose(self.rotation), ops.eye(len(self.start))
        return ops.matmul(self.start, ops.solve(identity + skew, identity - skew))


class InBasis(StatePerturbation):
    """The symmetric matrix with given eigenvectors and trainable eigenvalues."""

    def __init__(self, basis, values):
        super().__init__(len(values))
        self.basis = basis
        self.values = self.add_weight(name="values", shape=(len(values),))
        self.values.assign(values)

    @property
    def matrix(self):
        basis = self.basis.value()
        return ops.matmul(basis * self.values, ops.transpose(basis))


class Sum(StatePerturbation):
    """The article's composition of two perturbations, A + B - I; it trains both."""

    def __init__(self, one, other):
        super().__init__(one.channels)
        self.one, self.other = one, other

    @property
    def matrix(self):
        return self.one.matrix + self.other.matrix - ops.eye(self.channels)


def trainer_of(perturbation, target, host, starts, options):
    """A compiled trainer, and its pool."""
    step = tfnca.Perturbed(host, perturbation)
    trainer = tfnca.Trainer(step, tfnca.TargetLoss(target), seed=1)
    rate = keras.optimizers.schedules.PiecewiseConstantDecay(
        [int(0.7 * options.updates)], [options.rate, options.rate / 10]
    )
    trainer.compile(tfnca.WhitenedAdam(rate))
    pool = tfnca.GrowingPool(
        starts,
        size=options.pool,
        batch_size=options.batch,
        restarts=1,
        reset_policy="any",
        reset_threshold=0.5 * float(np.square(target).mean()),
        damaged=1,
        seed=1,
    )
    return trainer, pool


def train(trainers, updates):
    """Trains each for some steps in turn, until each has had this many."""
    for done in range(0, updates, TURN):
        for trainer, pool in trainers:
            trainer.fit(pool, steps_per_epoch=min(TURN, updates - done), verbose=0)


def prepared(stage, matrices):
    """Both perturbations before the training of a stage."""
    if stage in ("bundled", "free"):
        return [tfnca.MatrixPerturbation(len(each), each) for each in matrices]
    fixed = stage in ("projected", "values")
    basis = Basis(np.linalg.eigh(matrices[0] if fixed else sum(matrices))[1])
    basis.trainable = not fixed
    q = basis.start.astype(float)
    return [InBasis(basis, np.diag(q.T @ each @ q)) for each in matrices]


def run(stage, matrices, host, targets, starts, options):
    """Trains one stage: both perturbations and the seconds of processor time."""
    began = time.process_time()
    pair = prepared(stage, matrices)
    parts = {
        "values": [(pair[1], targets[1])],
        "basis": [*zip(pair, targets[:2], strict=True)],
        "composed": [*zip([*pair, Sum(*pair)], targets, strict=True)],
    }
    parts["free"] = parts["composed"]
    trainers = [trainer_of(*part, host, starts, options) for part in parts.get(stage, [])]
    train(trainers, options.updates)
    return pair, time.process_time() - began


def measured(pair, host, grown, targets, later):
    """Each perturbation, their composition and their product: costs, and pictures at step 500."""
    a, b = (ops.convert_to_numpy(each.matrix).astype(float) for each in pair)
    composed = {"first": a, "second": b, "sum": a + b - np.eye(len(a)), "product": a @ b}
    found, pictures = {"relative commutator": apart(a, b)[1]}, []
    for (name, matrix), target in zip(composed.items(), [*targets, targets[2]], strict=True):
        step = tfnca.Perturbed(host, AnyMatrix(matrix))
        found[name], picture = look(step, grown, target, later)
        pictures.append(picture)
    worse = max(found["first"]["error"], found["second"]["error"])
    for name in ("sum", "product"):
        found[name]["times worse"] = found[name]["error"] / worse
    return found, pictures, (a, b)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pair", nargs=2, choices=NAMES, default=("no_tail", "no_leg"))
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=STAGES)
    parser.add_argument("--updates", type=int, default=300, help="training steps per picture")
    parser.add_argument("--rate", type=float, default=1e-3, help="learning rate")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--pool", type=int, default=64)
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--size", type=int, default=72, help="side of the grid")
    parser.add_argument("--later", type=int, default=1000, help="steps behind the drift")
    parser.add_argument("--out", type=Path, default=Path("out/shared_basis"))
    options = parser.parse_args()
    if both_changes(*options.pair) is None:
        parser.error(f"--pair must not be two colours. Received: {' '.join(options.pair)}")
    options.out.mkdir(parents=True, exist_ok=True)
    host = tfnca.load("growing_lizard")
    matrices = [
        tfnca.load_attack(name).perturbation.to_array().astype(float) for name in options.pair
    ]
    pictures = [*map(tfnca.load_target, options.pair), both_changes(*options.pair)]
    targets = [tfnca.pad_target(each, (options.size - 40) // 2) for each in pictures]
    grown = np.asarray(grown_states(host, (options.size,) * 2, options.runs, seed=1))
    starts = np.concatenate([tfnca.seed_state(options.size), grown[:1]])
    results, shown, labels = {}, [], []
    print("| stage | commutator | first | second | sum: MSE | worst | times | drift |",
          "product: MSE | times | drift | seconds |")  # fmt: skip
    print("|---" * 12 + "|")
    for stage in options.stages:
        pair, seconds = run(stage, matrices, host, targets, starts, options)
        found, states, arrays = measured(pair, host, grown, targets, options.later)
        results[stage] = found | {"cpu_seconds": seconds}
        both, product = found["sum"], found["product"]
        print(
            f"| {stage} | {found['relative commutator']:.2f} | {found['first']['error']:.4f} |",
            f"{found['second']['error']:.4f} | {both['error']:.4f} | {both['worst']:.4f} |",
            f"{both['times worse']:.2f} | {both['drift']:.2f} | {product['error']:.4f} |",
            f"{product['times worse']:.2f} | {product['drift']:.2f} | {seconds:.0f} |",
            flush=True,
        )
        shown += states
        labels += [f"{stage}: {name}" for name in (*options.pair, "sum", "product")]
        stem = "_".join([*options.pair, stage])
        np.savez(options.out / f"{stem}.npz", first=arrays[0], second=arrays[1])
        write_atomically(options.out / f"{stem}.json", json.dumps(results[stage], indent=1))
    picture = tile(tfnca.to_rgb(np.stack(shown)), scale=3, labels=labels, columns=4)
    save_png(options.out / f"{'_'.join(options.pair)}.png", picture)


if __name__ == "__main__":
    main()
