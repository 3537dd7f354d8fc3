"""Computes the weak spots of the page's digits: saved_models/mnist_adversary/influence.json.

For each digit: the effect of one adversary at each cell of the stroke, and the four cells that
greedy search chooses; by `tfnca.placement`, as in docs/beyond/digits.md. It takes a few minutes.
`prepare.py` puts the result into the page, unless the models have changed since.
"""

import argparse
import base64
import hashlib
import json
from pathlib import Path

import numpy as np
from prepare import DIGITS_PER_CLASS, ROOT, shown_digits

import tfnca
from tfnca.files import write_atomically
from tfnca.measures.digits import TARGET_DIGIT
from tfnca.placement import greedy, influence_maps
from tfnca.placement.trials import Trials
from tfnca.placement.work import on_screen

REPEATS, MOST = 2, 4


def fingerprint(models):
    """Checksums of the two models, to tell whether they have changed."""
    names = "mnist", "mnist_adversary"
    return [hashlib.sha256((models / n / "model.keras").read_bytes()).hexdigest() for n in names]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=ROOT / "saved_models")
    parser.add_argument("--per-class", type=int, default=DIGITS_PER_CLASS)
    options = parser.parse_args()
    host = tfnca.load(options.models / "mnist/model.keras")
    step = tfnca.Injected(host, tfnca.load(options.models / "mnist_adversary/model.keras"))
    digits = [images[: options.per_class] for images in shown_digits()]
    found = [[None] * len(images) for images in digits]
    places = [(k, i) for k in range(10) if k != TARGET_DIGIT for i in range(len(digits[k]))]
    images = np.stack([digits[k][i] for k, i in places])
    maps = influence_maps(step, images, TARGET_DIGIT, repeats=REPEATS, progress=on_screen)
    chosen = greedy(Trials(step, images, TARGET_DIGIT), MOST, [one.outcome.value for one in maps])
    for (k, i), one, best in zip(places, maps, chosen, strict=True):
        values = np.round(255 * one.outcome.value).astype(np.uint8)
        found[k][i] = {"weak": base64.b64encode(values.tobytes()).decode(), "best": best}
    path = options.models / "mnist_adversary/influence.json"
    about = {"models": fingerprint(options.models), "digits": found}
    write_atomically(path, json.dumps(about, separators=(",", ":")))
    print(f"Wrote {path}")


if __name__ == "__main__":
    main()
