"""Draws previews of hosts and of the digits' adversaries that ship anew, whatever trained them."""

import argparse
from pathlib import Path

import numpy as np

import tfnca
from tfnca.automata.state import digit_state
from tfnca.commands import Parser, plain_errors
from tfnca.measures.digits import digit_mask
from tfnca.measures.settings import settings_beside
from tfnca.pictures import draw_digits, save_png, tile

HOSTS = ("mnist", "mnist_defended")


def preview(folder, seed=0):
    few, name = tfnca.load_digits("test", count=60, source="sample"), folder.name
    model, host = tfnca.load(folder / "model.keras"), None
    state = digit_state(few.images)
    if name in HOSTS:
        return draw_digits(tfnca.rollout(model, state, 200, seed=seed), few.labels)
    host = tfnca.load(folder.parent / name.removesuffix("_adversary") / "model.keras")
    mask = digit_mask(few, settings_beside(folder / "model.keras")["density"], seed)
    state = tfnca.rollout(host, state, 200, seed=seed)
    step = tfnca.Injected(host, model)
    state = tfnca.rollout(step, state, 200, mask=mask, seed=seed, step_offset=200)
    return draw_digits(state, few.labels, mask)


def grown(folder, seed=0):
    """A lizard that grows, is cut, and heals."""
    host, shown, state, now = tfnca.load(folder / "model.keras"), [], tfnca.seed_state(72), 0
    labels = []
    for step in (50, 100, 200, 300, 500):
        state = tfnca.rollout(host, state, step - now, seed=seed, step_offset=now)
        now = step
        shown.append(state)
        labels.append(f"step {step}")
    state = np.array(state)
    state[:, 40:] = 0
    for step in (0, 20, 50, 100, 500):
        state = tfnca.rollout(host, state, 500 + step - now, seed=seed, step_offset=now)
        now = 500 + step
        shown.append(state)
        labels.append(f"{step} steps after a cut" if step else "cut")
    pictures = np.concatenate([np.asarray(tfnca.to_rgb(state)) for state in shown])
    return tile(pictures, columns=5, scale=3, labels=labels)


def main():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--models", default="saved_models", help="folder of models (default: %(default)s)"
    )
    options = parser.parse_args()
    with plain_errors():
        folder = Path(options.models) / "growing_lizard"
        save_png(folder / "preview.png", grown(folder))
        print(f"Wrote {folder / 'preview.png'}")
        for host in HOSTS:
            for name in (host, f"{host}_adversary"):
                folder = Path(options.models) / name
                save_png(folder / "preview.png", preview(folder))
                print(f"Wrote {folder / 'preview.png'}")


if __name__ == "__main__":
    main()
