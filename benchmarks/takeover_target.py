"""Draws a red lizard for the released host of Cavuoti et al. (2022), whose target is not released.

It is the host's own picture, the mean of several grown lizards, with red and green exchanged.
Prints how far the host, and the released red adversary after its takeover, are from it.
"""

import argparse
from pathlib import Path

import numpy as np
from takeover import first_cell

import tfnca
from tfnca.measures.invasion import look_at
from tfnca.pictures import save_png


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the released .pt files")
    parser.add_argument("--size", type=int, default=48, help="side of the grid")
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("out/takeover/red_target.png"))
    options = parser.parse_args()
    host, red = (
        tfnca.load(options.folder / f"{name}.pt", convention="takeover")
        for name in ("lizard_persistent", "lizard_to_red_2x2")
    )
    start = first_cell(options.size, options.runs, host.channels)
    grown = tfnca.rollout(host, start, 200, seed=0)
    picture = np.asarray(grown)[..., :4].mean(0)[..., [1, 0, 2, 3]].clip(0, 1)
    picture[..., :3] = np.minimum(picture[..., :3], picture[..., 3:])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_png(options.out, picture)
    target = tfnca.load_target(str(options.out), options.size)
    step = tfnca.Invasion(host, red)
    cells = np.asarray(grown)[..., 3] > 0.1
    state = step.invade(grown, tfnca.random_patch(cells, 2, seed=0))
    state = tfnca.rollout(step, state, 300, seed=0, step_offset=200)
    for name, found in (
        ("host", look_at(host, grown, target)),
        ("red", look_at(step, state, target)),
    ):
        print(f"{name}: error {np.median(found['error']):.4f}, worst {max(found['error']):.4f}")


if __name__ == "__main__":
    main()
