"""Draws docs/images/beyond/: what came of the study of placement, and of liars that are silenced.

The study's pictures are those that ``python -m tfnca.placement`` left in --study.
"""

import argparse
from pathlib import Path

import numpy as np

import tfnca
from tfnca.files import write_atomically
from tfnca.measures.digits import digit_mask
from tfnca.pictures import digits_to_rgb, save_png, tile


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", default="out/placement", help="default: %(default)s")
    parser.add_argument("--out", default="docs/images/beyond", help="default: %(default)s")
    arguments = parser.parse_args()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    digits = tfnca.load_digits("test", count=30)
    chosen = [int(np.flatnonzero(digits.labels == k)[0]) for k in (0, 1, 2, 3, 4, 5, 6, 7, 9)]
    digits = tfnca.Digits(digits.images[chosen], digits.labels[chosen], digits.source)
    host, adversary = tfnca.load("mnist"), tfnca.load("mnist_adversary")
    mask = digit_mask(digits, 0.1, seed=1)
    settled = tfnca.rollout(host, tfnca.digit_state(digits.images), 200, seed=1)
    attacked, verified = (
        tfnca.rollout(kind(host, adversary), settled, 200, mask=mask, seed=1, step_offset=200)
        for kind in (tfnca.Injected, tfnca.Verified)
    )
    rows = [
        digits_to_rgb(settled, digits.labels),
        digits_to_rgb(attacked, digits.labels, np.asarray(mask)),
        digits_to_rgb(verified, digits.labels, np.asarray(mask)),
    ]
    count = len(chosen)
    labels = [
        *["nobody lies"] * count,
        *["all are heard"] * count,
        *["liars silenced"] * count,
    ]
    picture = tile(np.concatenate(rows), columns=count, scale=4, labels=labels)
    save_png(out / "silenced.png", picture)
    for name in ("maps.png", "takeover.png"):
        write_atomically(out / name, (Path(arguments.study) / name).read_bytes())


if __name__ == "__main__":
    main()
