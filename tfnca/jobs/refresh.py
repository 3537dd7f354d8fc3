"""Rewrites the cards, exports and previews of the bundled models."""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfnca.automata.injection import Injected
from tfnca.automata.state import digit_state, seed_state, to_rgb
from tfnca.data.digits import load_digits
from tfnca.engines.rollout import rollout
from tfnca.export.shipped import refresh
from tfnca.formats.load import load
from tfnca.formats.names import shipped_folder
from tfnca.formats.settings import settings_beside
from tfnca.measures.digits import digit_mask
from tfnca.pictures import draw_digits, save_png, tile
from tfnca.zoo.cards import refresh_cards

HOSTS = ("mnist", "mnist_defended")


def preview(folder: Path, seed: int = 0) -> np.ndarray:
    """Sixty digits, classified by a digit host or under the attack on it."""
    few, name = load_digits("test", count=60, source="sample"), folder.name
    model, host = load(folder / "model.keras"), None
    state = digit_state(few.images)
    if name in HOSTS:
        return draw_digits(rollout(model, state, 200, seed=seed), few.labels)
    host = load(folder.parent / name.removesuffix("_adversary") / "model.keras")
    mask = digit_mask(few, settings_beside(folder / "model.keras")["density"], seed)
    state = rollout(host, state, 200, seed=seed)
    step = Injected(host, model)
    state = rollout(step, state, 200, mask=mask, seed=seed, step_offset=200)
    return draw_digits(state, few.labels, mask)


def grown(folder: Path, seed: int = 0) -> np.ndarray:
    """A lizard that grows, is cut in half, and heals."""
    host, shown, state, now = load(folder / "model.keras"), [], seed_state(72), 0
    labels = []
    for step in (50, 100, 200, 300, 500):
        state = rollout(host, state, step - now, seed=seed, step_offset=now)
        now = step
        shown.append(state)
        labels.append(f"step {step}")
    state = np.array(state)
    state[:, 40:] = 0
    for step in (0, 20, 50, 100, 500):
        state = rollout(host, state, 500 + step - now, seed=seed, step_offset=now)
        now = 500 + step
        shown.append(state)
        labels.append(f"{step} steps after a cut" if step else "cut")
    pictures = np.concatenate([np.asarray(to_rgb(state)) for state in shown])
    return tile(pictures, columns=5, scale=3, labels=labels)


def refresh_previews(root: str | Path) -> Iterator[Path]:
    """Draws the previews of the hosts and of the digits' adversaries; yields their paths."""
    lizard = Path(root) / "growing_lizard"
    save_png(lizard / "preview.png", grown(lizard))
    yield lizard / "preview.png"
    for host in HOSTS:
        for name in (host, f"{host}_adversary"):
            folder = Path(root) / name
            save_png(folder / "preview.png", preview(folder))
            yield folder / "preview.png"


REFRESH = {"cards": refresh_cards, "exports": refresh, "previews": refresh_previews}


def main(options: argparse.Namespace) -> None:
    """Rewrites one of them, for the scripts ``export/{cards,shipped,previews}.py``."""
    for written in REFRESH[options.what](options.folder or shipped_folder()):
        print(f"Wrote {written}")
