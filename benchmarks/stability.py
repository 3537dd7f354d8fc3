"""Does a Lyapunov exponent tell which lizards last? For the bundled host and its attacks.

Each bundled perturbation runs at several strengths, each adversary at its own fraction. Prints the
leading exponent from step 500 on, and how much the picture changes from then to a later step. At
the end: how often the sign of the exponent tells whether it still is the same picture, and the rank
correlation of exponent and change.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from tqdm import tqdm

import tfnca
from tfnca.files import write_atomically
from tfnca.measures.lizard import grown_states
from tfnca.measures.lyapunov import lyapunov

ADVERSARIES = {"growing_adversary_no_tail": 0.3, "growing_adversary_red": 0.6}
SAME = 0.002
"""Mean squared difference of RGBA up to which two pictures count as the same lizard."""


def problems(strengths):
    """The host and each attack: name and step."""
    host = tfnca.load("growing_lizard")
    yield "the host", host
    for model in tfnca.models():
        if model.host != "growing_lizard" or not model.host_ships:
            continue
        attack = tfnca.load_attack(model.name)
        if attack.has_adversary:
            yield model.name, attack
            continue
        for strength in strengths:
            yield (
                f"{model.name}, strength {strength:g}",
                tfnca.Perturbed(host, attack.perturbation.scaled(strength)),
            )


def ranks(values):
    return np.argsort(np.argsort(values))


def look(name, step, grown, options):
    """Exponent at step 500, and the change from then to the later step, median over the runs."""
    given = {}
    if step.has_adversary:
        cells = np.asarray(grown)[..., 3] > 0.1
        given["mask"] = tfnca.random_mask(cells, ADVERSARIES[name], seed=1)
    path = {"seed": 1, **given}
    state = tfnca.rollout(step, grown, 300, step_offset=200, **path)
    found = lyapunov(step, state, options.steps, step_offset=500, **path)
    late = tfnca.rollout(step, state, options.later - 500, step_offset=500, **path)
    pictures = [np.nan_to_num(np.asarray(each)[..., :4], nan=1e6) for each in (state, late)]
    change = np.square(pictures[0].astype(np.float64) - pictures[1]).mean((1, 2, 3))
    return {"exponent": float(np.nanmedian(found)), "change": float(np.median(change))}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5, 1.0, 1.5, 2.0])
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--size", type=int, default=56, help="side of the grid")
    parser.add_argument("--steps", type=int, default=200, help="steps behind an exponent")
    parser.add_argument("--later", type=int, default=10_000, help="the later step")
    parser.add_argument("--out", type=Path, default=Path("out/stability.json"))
    options = parser.parse_args()
    grown = grown_states(tfnca.load("growing_lizard"), (options.size,) * 2, options.runs, seed=1)
    rows = {}
    print(f"| attack | exponent at 500 | change until {options.later:,} | same picture |")
    print("|---|---|---|---|")
    for name, step in tqdm(list(problems(options.strengths)), unit="attack"):
        rows[name] = row = look(name, step, grown, options)
        same = "yes" if row["change"] < SAME else "no"
        print(f"| {name} | {row['exponent']:.4f} | {row['change']:.5f} | {same} |", flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(options.out, json.dumps(rows, indent=1))
    exponents, changes = (
        np.array([row[key] for row in rows.values()]) for key in ("exponent", "change")
    )
    right = (exponents < 0) == (changes < SAME)
    best = max(((exponents < t) == (changes < SAME)).sum() for t in exponents)
    rank = np.corrcoef(ranks(exponents), ranks(changes))[0, 1]
    print(f"The sign is right for {right.sum()} of {len(right)}; rank correlation {rank:.2f}.")
    print(f"The best threshold, chosen afterwards, is right for {best}.")


if __name__ == "__main__":
    main()
