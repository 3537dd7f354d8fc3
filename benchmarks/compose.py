"""Composes the bundled matrices in pairs, without training: what it costs, and whether the
matrices themselves tell.

For each pair, prints how far its matrices are from commuting, how well their eigenbases are
aligned, and, for each way of composing them, the MSE against the picture with both changes, the
same after the best shift, and the drift. Rank correlations follow, with intervals from 10,000
resamplings of the pairs.

Ways of composing: `sum` is the article's at full strength, A + B - I; `half` the article's with
strengths that add up to 1, (A + B) / 2; `A B` and `B A` are the products, which are not symmetric;
`mean` is the mean of both products.
"""

import argparse
import itertools
import json
from pathlib import Path

import numpy as np
from scipy.stats import rankdata, spearmanr
from tqdm import tqdm

import tfnca
from tfnca.automata.perturbations import StatePerturbation
from tfnca.data.drawing import DRAWN
from tfnca.files import write_atomically
from tfnca.measures.lizard import grown_states, shifted_errors
from tfnca.measures.task import bounded
from tfnca.pictures import save_png, tile

NAMES = ("no_tail", "no_leg", "no_head", "no_arm", "red", "blue")
WAYS = {
    "sum": lambda a, b: a + b - np.eye(len(a)),
    "half": lambda a, b: (a + b) / 2,
    "A B": lambda a, b: a @ b,
    "B A": lambda a, b: b @ a,
    "mean": lambda a, b: (a @ b + b @ a) / 2,
}
SETTLED, JUDGED = 200, 500
"""The steps from which drift is measured, and at which the error is."""

COSTS = ("error", "times worse", "drift")
RESAMPLES = 10_000


class AnyMatrix(StatePerturbation):
    """A fixed matrix that need not be symmetric."""

    def __init__(self, matrix):
        super().__init__(len(matrix))
        self.fixed = np.asarray(matrix, np.float32)

    @property
    def matrix(self):
        return self.fixed


def both_changes(one, other, size=40):
    """The picture with the changes of two targets, or None for two colours."""
    parts = [DRAWN[name].parts for name in (one, other)]
    if all("color" in part for part in parts):
        return None
    if any("color" in part for part in parts):
        return tfnca.lizard(**parts[0], **parts[1], size=size)
    plain, first, second = (tfnca.load_target(name, size) for name in ("lizard", one, other))
    changes = [np.abs(picture - plain).max(-1, keepdims=True) for picture in (first, second)]
    return np.where(changes[0] >= changes[1], first, second)


def apart(a, b):
    """The Frobenius norm of the commutator, and the same divided by both distances from I."""
    identity = np.eye(len(a))
    norm = np.linalg.norm(a @ b - b @ a)
    return norm, norm / (np.linalg.norm(a - identity) * np.linalg.norm(b - identity))


def alignment(a, b):
    """How well the eigenvectors of two matrices match, in [0, 1]; 1 for a common eigenbasis.

    The squared overlap of each eigenvector with the nearest one of the other matrix. The mean is
    weighted by the distance of its eigenvalue from 1, since those near 1 hardly change anything.
    """
    (la, qa), (lb, qb) = (np.linalg.eigh(each) for each in (a, b))
    overlaps = np.square(qa.T @ qb)
    weights = np.abs(la - 1), np.abs(lb - 1)
    best = overlaps.max(1), overlaps.max(0)
    return float(np.mean([np.average(x, weights=w) for x, w in zip(best, weights, strict=True)]))


def chance_alignment(a, b, seed=0, draws=200):
    """The mean alignment if the second eigenbasis is random."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(draws):
        q = np.linalg.qr(random.normal(size=a.shape))[0]
        found.append(alignment(a, q @ b @ q.T))
    return float(np.mean(found))


def look(step, grown, target, later, seed=1):
    """A step's error at step 500, its drift in the steps after 200, and its picture at 500."""
    task = tfnca.PatternTask(np.zeros((*np.shape(grown)[1:3], 4)) if target is None else target)
    state, now, states = grown, 0, []
    for stop in (SETTLED, JUDGED, SETTLED + later):
        offset = {"seed": seed, "step_offset": 200 + now}
        state, now = tfnca.rollout(step, state, stop - now, **offset), stop
        states.append(bounded(state).astype(np.float32))
    early, judged, late = states
    moved = np.linalg.norm(task.centres(late) - task.centres(early), axis=1)
    errors = task.item_errors(judged, tfnca.Batch())
    return {
        "error": None if target is None else float(np.median(errors)),
        "worst": None if target is None else float(errors.max()),
        "shifted": None if target is None else float(np.median(shifted_errors(judged, target))),
        "drift": float(np.median(np.nan_to_num(moved, nan=np.inf))),
        "cells": float(np.median((late[..., 3] > 0.1).sum((1, 2)))),
        "dead": int((judged == 0).all((1, 2, 3)).sum()),
    }, judged[0]


def correlation(xs, ys, seed=0):
    """Spearman's rank correlation, and its 95 % interval over resampled pairs."""
    pairs = np.stack([xs, ys]).astype(float)
    some = np.random.default_rng(seed).integers(pairs.shape[1], size=(RESAMPLES, pairs.shape[1]))
    # The ranks of a resampling must be its own, because some pairs are in it more than once.
    first, second = rankdata(pairs[:, some], axis=2)
    first, second = (ranks - ranks.mean(1, keepdims=True) for ranks in (first, second))
    with np.errstate(invalid="ignore"):
        found = (first * second).sum(1) / np.sqrt(
            np.square(first).sum(1) * np.square(second).sum(1)
        )
    return (float(spearmanr(*pairs)[0]), *np.nanpercentile(found, [2.5, 97.5]))


def measured(options):
    """All measures as a dictionary, and the pictures of the pairs with their labels."""
    host = tfnca.load("growing_lizard")
    padding = (options.size - 40) // 2
    grown = grown_states(host, (options.size,) * 2, options.runs, seed=1)
    matrices = {
        name: tfnca.load_attack(name).perturbation.to_array().astype(float)
        for name in options.names
    }
    pictures, labels = [], []
    found = {"alone": {}, "pairs": {}}
    for name, matrix in tqdm(matrices.items(), unit="matrix"):
        target = tfnca.pad_target(tfnca.load_target(name), padding)
        step = tfnca.Perturbed(host, AnyMatrix(matrix))
        found["alone"][name], _ = look(step, grown, target, options.later)
    plain = bounded(tfnca.rollout(host, grown, JUDGED, seed=1, step_offset=200))
    for one, other in tqdm(list(itertools.combinations(matrices, 2)), unit="pair"):
        a, b = matrices[one], matrices[other]
        picture = both_changes(one, other)
        target = None if picture is None else tfnca.pad_target(picture, padding)
        norm, relative = apart(a, b)
        alone = [found["alone"][name] for name in (one, other)]
        row = found["pairs"][f"{one}, {other}"] = {
            "commutator": norm,
            "relative commutator": relative,
            "alignment": alignment(a, b),
            "chance": chance_alignment(a, b),
            "distance": float(sum(np.linalg.norm(each - np.eye(len(a))) for each in (a, b))),
            "worse alone": max(each["error"] for each in alone),
            "baseline": None
            if target is None
            else float(np.median(np.square(plain[..., :4] - target).mean((1, 2, 3)))),
            "ways": {},
        }
        for way in options.ways:
            step = tfnca.Perturbed(host, AnyMatrix(WAYS[way](a, b)))
            cost, state = look(step, grown, target, options.later)
            if target is not None:
                cost["times worse"] = cost["error"] / row["worse alone"]
            row["ways"][way] = cost
            if way == options.ways[0]:
                pictures.append(state)
                labels.append(f"{one}, {other}")
    return found, (np.stack(pictures), labels)


def number(value, places=4):
    return "-" if value is None else f"{value:.{places}f}"


def table(found, ways):
    """The pairs as a table, most aligned first."""
    titles = ["commutator", "relative", "alignment", "baseline MSE", "worse alone"]
    titles += [f"{way}: {what}" for way in ways for what in ("MSE", "shifted", "drift", "died")]
    lines = [f"| pair | {' | '.join(titles)} |", "|---" * (1 + len(titles)) + "|"]
    for name, row in sorted(found["pairs"].items(), key=lambda item: -item[1]["alignment"]):
        cells = [number(row[key], 2) for key in ("commutator", "relative commutator", "alignment")]
        cells += [number(row["baseline"]), number(row["worse alone"])]
        for way in ways:
            cost = row["ways"][way]
            cells += [number(cost[key]) for key in ("error", "shifted")]
            cells += [number(cost["drift"], 2), f"{cost['dead']}"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def correlations(found, ways):
    """For each quantity of the matrices, way and cost: rank correlation and its interval."""
    result = {}
    for key in ("commutator", "relative commutator", "alignment", "distance"):
        for way, cost in itertools.product(ways, COSTS):
            pairs = [
                (row[key], row["ways"][way][cost])
                for row in found["pairs"].values()
                if row["ways"][way].get(cost) is not None
            ]
            result[f"{key} | {way} | {cost}"] = [*correlation(*zip(*pairs, strict=True)),
                                                 len(pairs)]  # fmt: skip
    return result


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--names", nargs="+", choices=NAMES, default=NAMES)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=[*WAYS])
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--size", type=int, default=72, help="side of the grid")
    parser.add_argument("--later", type=int, default=1000, help="steps behind the drift")
    parser.add_argument("--out", type=Path, default=Path("out/compose"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    found, (pictures, labels) = measured(options)
    write_atomically(options.out / "compose.json", json.dumps(found, indent=1))
    shown = tile(tfnca.to_rgb(pictures), scale=3, labels=labels, columns=5)
    save_png(options.out / "compose.png", shown)
    print("| matrix | MSE at 500 | worst | drift | cells |\n|---|---|---|---|---|")
    for name, row in found["alone"].items():
        print(f"| {name} | {row['error']:.4f} | {row['worst']:.4f} | {row['drift']:.2f} |",
              f"{row['cells']:.0f} |")  # fmt: skip
    print(table(found, options.ways))
    if len(found["pairs"]) < 3:
        return
    print("| matrices | way | cost | rank correlation | 95 % | pairs |\n|---|---|---|---|---|---|")
    for name, (rank, low, high, pairs) in correlations(found, options.ways).items():
        print(f"| {name} | {rank:.2f} | {low:.2f} to {high:.2f} | {pairs} |")


if __name__ == "__main__":
    main()
