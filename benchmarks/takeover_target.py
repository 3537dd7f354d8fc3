"""Draws the picture that a released adversary of Cavuoti et al. (2022) makes of its host.

Its own target is not released, so other adversaries of this host are trained and measured against
this picture: the mean of several lizards, 500 steps after the invasion. Prints the error of the
host and of the released adversary against it.
"""

import argparse
from pathlib import Path

import numpy as np
from takeover import ATTACKS, first_cell

import tfnca
from tfnca.measures.invasion import look_at
from tfnca.pictures import save_png


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with the released .pt files")
    parser.add_argument("--attack", choices=ATTACKS, default="red")
    parser.add_argument("--size", type=int, default=48, help="side of the grid")
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--out", type=Path, default=Path("out/takeover/red_target.png"))
    options = parser.parse_args()
    *names, side, age = ATTACKS[options.attack]
    host, adversary = (
        tfnca.load(options.folder / f"{name}.pt", convention="takeover") for name in names
    )
    start = first_cell(options.size, options.runs, host.channels)
    grown = tfnca.rollout(host, start, age, seed=0)
    step = tfnca.Invasion(host, adversary)
    cells = np.asarray(grown)[..., 3] > 0.1
    state = step.invade(grown, tfnca.random_patch(cells, side, seed=0))
    state = tfnca.rollout(step, state, 500, seed=0, step_offset=age)
    picture = np.asarray(step.seen(state))[..., :4].mean(0).clip(0, 1)
    picture[..., :3] = np.minimum(picture[..., :3], picture[..., 3:])
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_png(options.out, picture)
    target = tfnca.load_target(str(options.out), options.size)
    for name, found in (
        ("host", look_at(host, grown, target)),
        (options.attack, look_at(step, state, target)),
    ):
        print(f"{name}: error {np.median(found['error']):.4f}, worst {max(found['error']):.4f}")


if __name__ == "__main__":
    main()
