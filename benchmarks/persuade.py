"""How many adversaries does it take to change the host's own cells?

Measures adversaries of the takeover's lizard that get 10 % of its cells and may spread: the
released red one, and MODELS that `tfnca attack invasion --cell-cost` trained. Then the released one
in fixed places, without spreading. Prints the final fraction of adversaries, the number of cells,
the mean squared error against the target, and the fraction of host cells that are redder than
green. FOLDER and the target are as in `takeover.py` and `takeover_target.py`.
"""

import argparse
from pathlib import Path

import numpy as np
from takeover import between, first_cell

import tfnca
from tfnca.measures.invasion import look_at

AGE, STEPS = 200, 500


def redder(state, cells):
    """The fraction of these cells that are redder than green, over all runs."""
    return float(((state[..., 0] > state[..., 1]) & cells).sum() / max(cells.sum(), 1))


def show(name, share, state, of_host, error):
    cells = state[..., 3] > 0.1
    body = cells & of_host
    print(f"| {name} | {share} | {np.median(cells.sum((1, 2))):.0f} | {np.median(error):.4f} |",
          f"{100 * redder(state, body):.0f} % |" if body.any() else "no cell left |",
          flush=True)  # fmt: skip


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("models", nargs="*", metavar="MODELS")
    parser.add_argument("--target", required=True, help="the picture of takeover_target.py")
    parser.add_argument("--fixed", type=float, nargs="+", default=[0.1, 0.2, 0.4, 0.6])
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--size", type=int, default=48, help="side of the grid")
    options = parser.parse_args()
    host, released = (
        tfnca.load(options.folder / f"{name}.pt", convention="takeover")
        for name in ("lizard_persistent", "lizard_to_red_2x2")
    )
    target = tfnca.load_target(options.target, options.size)
    grown = tfnca.rollout(host, first_cell(options.size, options.runs, host.channels), AGE, seed=1)
    cells, path = np.asarray(grown)[..., 3] > 0.1, {"seed": 1, "step_offset": AGE}
    print(
        "| adversary | share | cells | MSE | host cells redder than green |\n|---|---|---|---|---|"
    )
    alone = np.asarray(tfnca.rollout(host, grown, STEPS, **path))
    show("none", "0 %", alone, True, look_at(host, alone, target)["error"])
    for name in ("released", *options.models):
        step = tfnca.Invasion(host, released if name == "released" else tfnca.load(name))
        state = step.invade(grown, tfnca.random_mask(cells, 0.1, seed=1))
        state = tfnca.rollout(step, state, STEPS, **path)
        found, of_host = look_at(step, state, target), np.asarray(step.owners(state)) == 0
        share = between(found["share"], True)
        show(name, share, np.asarray(step.seen(state)), of_host, found["error"])
    for density in options.fixed:
        mask = np.asarray(tfnca.random_mask(cells, density, seed=1))
        step = tfnca.Injected(host, released)
        state = np.asarray(tfnca.rollout(step, grown, STEPS, mask=mask, **path))
        error = look_at(host, state, target)["error"]
        of_body = (mask > 0.5)[state[..., 3] > 0.1].mean()
        show(f"fixed, {100 * density:.0f} %", f"{100 * of_body:.0f} %", state, mask < 0.5, error)


if __name__ == "__main__":
    main()
