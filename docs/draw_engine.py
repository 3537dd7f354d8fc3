"""Draws docs/images/engine.png: which cells one step of the living-cells engine touches."""

import argparse

import numpy as np

import tfnca
from tfnca.automata import randomness
from tfnca.automata.perception import perceive, sobel_kernels
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD
from tfnca.pictures import save_png

IDLE, RESTS, FIRES, RING, ASKED = (
    np.array(colour) / 255
    for colour in ((236, 236, 236), (120, 190, 110), (60, 110, 200), (245, 190, 110), (210, 40, 40))
)


def neighbourhoods(cells):
    """Cells of which some cell of the 3×3 neighbourhood is in `cells`, ``(height, width)``."""
    padded = np.pad(cells, 1)
    height, width = cells.shape
    return np.any(
        [padded[r : r + height, c : c + width] for r in range(3) for c in range(3)], axis=0
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", required=True, help="a Growing CA in any format")
    parser.add_argument("--out", default="docs/images/engine.png")
    arguments = parser.parse_args()
    host = tfnca.load(arguments.host)
    index = 75
    state = tfnca.rollout(host, tfnca.seed_state(72), index, seed=0)
    fire = np.asarray(randomness.fire_mask((1, 72, 72), host.fire_rate, 0, index))[0, ..., 0]
    living = np.asarray(tfnca.living_mask(state))[0, ..., 0]

    update = np.asarray(perceive(state, sobel_kernels(host.angle)))
    for layer in host.update_layers:
        update = np.asarray(layer(update))
    alpha = np.asarray(state)[0, ..., ALPHA] + fire * update[0, ..., ALPHA]
    ring = neighbourhoods(living) & ~living
    kept = neighbourhoods((alpha > LIVING_THRESHOLD) & living)
    asked = ring & fire & neighbourhoods(living & ~kept)

    picture = np.empty((72, 72, 3))
    for cells, colour in (
        (np.ones_like(living), IDLE),
        (ring, RING),
        (asked, ASKED),
        (living & ~fire, RESTS),
        (living & fire, FIRES),
    ):
        picture[cells] = colour
    picture = picture[14:58, 14:58].repeat(12, 0).repeat(12, 1)
    picture[::12] = picture[:, ::12] = 1.0
    save_png(arguments.out, picture)
    print(
        f"{living.sum()} of {living.size} cells live, {(living & fire).sum()} of them fire, "
        f"{asked.sum()} of {ring.sum()} around them are asked"
    )


if __name__ == "__main__":
    main()
