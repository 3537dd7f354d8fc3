"""Does a number tell which lizards last? For the bundled host and its attacks, and with
`--published FILE`, the article's lizard (growing_ca_lizard.json), for that and our attacks on it.

Each perturbation runs at several strengths, each adversary at its own fraction. From step 500 of
a run on, prints

- `exponent`: the leading Lyapunov exponent.
- `early`: how much the picture has changed 500 steps later (MSE of RGBA).
- `push`: how far the picture is from that of an undisturbed run with the same draws, 300 steps
  after a random push by a tenth of the state.
- `basin`: the largest radius, in cells, of a circle that the lizard repairs in 300 steps, in most
  runs: the circle is cleared around a random cell, and again compared with an undisturbed run.
- `change`: how much the picture has changed at a later step. This is what the others predict.

At the end: for how many the sign of the exponent tells whether it still is the same picture, and
the rank correlations of the others with the change, with 95 % intervals over resampled pairs. The
best threshold is chosen afterwards.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
from compose import correlation

import tfnca
from tfnca.automata.state import ALPHA
from tfnca.files import write_atomically
from tfnca.measures.lizard import grown_states
from tfnca.measures.lyapunov import lyapunov
from tfnca.measures.task import bounded, circles

FRACTIONS = {
    "growing_adversary_no_tail": 0.3,
    "growing_adversary_red": 0.6,
    "on_published_lizard/adversary_no_tail": 0.1,
    "on_published_lizard/adversary_no_tail_20": 0.2,
    "on_published_lizard/adversary_no_tail_30": 0.3,
    "on_published_lizard/adversary_red": 0.6,
}
SAME = 0.002
"""Mean squared difference of RGBA up to which two pictures count as the same lizard."""

LOOK, EARLY, WAIT = 500, 500, 300
PUSH, RADII = 0.1, (3, 6, 9, 12)
PREDICTORS = {"exponent": 1, "early": 1, "push": 1, "basin": -1}
"""What might predict the change, and whether it should be large (1) or small (-1) with it."""


def problems(host, of, strengths):
    """A host and each attack on it: name and step. `of` is the host's name or file."""
    yield of, host
    for model in tfnca.models():
        if model.host != of:
            continue
        attack = tfnca.load_attack(model.name, host)
        if isinstance(attack, tfnca.Invasion):  # it replaces the cells
            continue
        if attack.has_adversary:
            yield model.name, attack
            continue
        for strength in strengths:
            yield (
                f"{model.name}, strength {strength:g}",
                tfnca.Perturbed(host, attack.perturbation.scaled(strength)),
            )


def apart(state, other):
    """The MSE between the pictures of each run."""
    one, two = (bounded(each)[..., : ALPHA + 1].astype(np.float64) for each in (state, other))
    return np.square(one - two).mean((1, 2, 3))


def cleared(state, radius, random):
    """A circle around a random cell of each run is cleared. A dead run remains as it is."""
    cells = state[..., ALPHA] > 0.1
    alive = cells.any((1, 2))
    state = state.copy()
    if alive.any():
        hole = circles(cells[alive], 2 * radius / (cells.shape[1] - 1), random)
        state[alive] = np.where(hole[..., None], 0.0, state[alive])
    return state


def look(name, step, grown, options):
    """All measures of a host or an attack, medians over the runs."""
    given = {"seed": 1}
    if step.has_adversary:
        cells = np.asarray(grown)[..., ALPHA] > 0.1
        given["mask"] = tfnca.random_mask(cells, FRACTIONS[name], seed=1)

    def run(state, steps, first=LOOK):
        return np.asarray(tfnca.rollout(step, state, steps, step_offset=first, **given))

    state = run(grown, LOOK - 200, 200)
    found = lyapunov(step, state, options.steps, step_offset=LOOK, **given)
    undisturbed, random = run(state, WAIT), np.random.default_rng(1)
    noise = random.normal(size=state.shape) * (state[..., ALPHA : ALPHA + 1] > 0.1)
    sizes = [np.sqrt(np.square(each).sum((1, 2, 3), keepdims=True)) for each in (state, noise)]
    push = PUSH * noise * sizes[0] / np.maximum(sizes[1], 1e-9)
    basin = 0
    for radius in RADII:
        after = run(cleared(state, radius, random), WAIT)
        if not (apart(after, undisturbed) < SAME).mean() > 0.5:
            break
        basin = radius
    early = run(undisturbed, EARLY - WAIT, LOOK + WAIT)
    late = run(early, options.later - LOOK - EARLY, LOOK + EARLY)
    return {
        "exponent": float(np.nanmedian(found)),
        "early": float(np.median(apart(state, early))),
        "push": float(np.median(apart(run(state + push.astype(np.float32), WAIT), undisturbed))),
        "basin": basin,
        "change": float(np.median(apart(state, late))),
    }


def summary(rows):
    """What the exponent's sign tells, and each predictor's rank correlation with the change."""
    columns = {key: np.array([row[key] for row in rows]) for key in (*PREDICTORS, "change")}
    same = columns["change"] < SAME
    yield f"{same.sum()} of {len(same)} remain the same."
    yield f"The exponent's sign is right for {((columns['exponent'] < 0) == same).sum()}."
    yield "| predictor | rank correlation | 95 % | right with the best threshold |"
    yield "|---|---|---|---|"
    for key, sign in PREDICTORS.items():
        values = sign * np.nan_to_num(columns[key], nan=np.inf)
        rank, low, high = correlation(values, columns["change"])
        best = max(((values <= threshold) == same).sum() for threshold in values)
        yield f"| {key} | {sign * rank:.2f} | {sign * low:.2f}, {sign * high:.2f} | {best} |"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--published", type=Path, help="file of the article's lizard")
    parser.add_argument("--strengths", type=float, nargs="+", default=[0.5, 1.0, 1.5, 2.0])
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--size", type=int, default=56, help="side of the grid")
    parser.add_argument("--steps", type=int, default=200, help="steps behind an exponent")
    parser.add_argument("--later", type=int, default=10_000, help="the later step")
    parser.add_argument("--out", type=Path, default=Path("out/stability.json"))
    options = parser.parse_args()
    began, rows = time.process_time(), {}
    hosts = {"growing_lizard": tfnca.load("growing_lizard")}
    if options.published:
        hosts[options.published.name] = tfnca.load(options.published)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    print(f"| attack | exponent | early | push | basin | change until {options.later:,} |")
    print("|---|---|---|---|---|---|")
    for of, host in hosts.items():
        grown = grown_states(host, (options.size,) * 2, options.runs, seed=1)
        for name, step in problems(host, of, options.strengths):
            rows[name] = row = look(name, step, grown, options)
            numbers = (f"{row[key]:.5f}" for key in ("early", "push"))
            print(f"| {name} | {row['exponent']:.4f} | {' | '.join(numbers)} |",
                  f"{row['basin']} | {row['change']:.5f} |", flush=True)  # fmt: skip
            write_atomically(options.out, json.dumps(rows, indent=1))
    for line in summary(list(rows.values())):
        print(line)
    print(f"{time.process_time() - began:.0f} seconds of processor time")


if __name__ == "__main__":
    main()
