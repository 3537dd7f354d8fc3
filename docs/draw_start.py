"""Draws docs/images/start/ by running the tutorial: ``python docs/draw_start.py [--mine FOLDER]``.

The pictures are those that the tutorial's own Python writes. Its training takes a few minutes, or
give the folder of one that has run as --mine.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

import tfnca
from tfnca.files import write_atomically
from tfnca.pictures import (
    ADVERSARY,
    DIGIT_COLOURS,
    UNDECIDED,
    png_bytes,
    save_png,
    tile,
)

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs/images/start"
TUTORIAL = (ROOT / "docs/start/tutorial.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", TUTORIAL, flags=re.M | re.S)


def train(folder):
    """Runs the tutorial's training command, its pictures being in this folder."""
    (line,) = [line for line in "".join(blocks("")).splitlines() if "tfnca attack" in line]
    arguments = line.removeprefix("tfnca ").replace("out/mine_attack", str(folder)).split()
    subprocess.run([sys.executable, "-m", "tfnca", *arguments], check=True)


def own(folder):
    """The target, and the lizard while the attack that was trained runs."""
    target = tfnca.pad_target(tfnca.load_target(folder / "changed.png"), 16)
    step = tfnca.load_attack(folder / "mine")
    grown = tfnca.rollout(step.host, tfnca.seed_state(72), steps=200, seed=0)
    along = tfnca.trajectory(step, grown, steps=400, every=100, seed=0, step_offset=200)
    shown = [(number - 200, np.asarray(tfnca.to_rgb(state))[0]) for number, state in along]
    pictures = [tfnca.to_rgb(np.asarray(target)[None])[0], *(picture for _, picture in shown)]
    labels = ["target", *(f"step {number}" for number, _ in shown)]
    middle = np.stack([np.asarray(picture)[14:58, 14:58] for picture in pictures])
    save_png(OUT / "own.png", tile(middle, columns=6, scale=3, labels=labels))


def key():
    """The colours of digits, each with its meaning."""
    entries = [(str(digit), colour) for digit, colour in enumerate(DIGIT_COLOURS)]
    entries += [("adversary", ADVERSARY), ("undecided", UNDECIDED)]
    entries += [("misclassified digit", None)]
    font, columns, width, height = ImageFont.load_default(18), 5, 132, 44
    places = [(i % columns * width, i // columns * height) for i in range(10)]
    places += [(0, 2 * height), (width + 20, 2 * height), (2 * width + 50, 2 * height)]
    picture = Image.new("RGB", (columns * width, 3 * height), "white")
    drawing = ImageDraw.Draw(picture)
    for (text, colour), (x, y) in zip(entries, places, strict=True):
        fill = None if colour is None else tuple(round(255 * part) for part in colour)
        box = (x + 8, y + 8, x + 36, y + 36)
        drawing.rectangle(box, fill=fill, outline=(90, 90, 90), width=1 if fill else 3)
        drawing.text((x + 46, y + 11), text, fill=(40, 40, 40), font=font)
    write_atomically(OUT / "key.png", png_bytes(np.asarray(picture) / 255.0))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--mine", type=Path, help="folder of the tutorial's training, if it has run"
    )
    mine = parser.parse_args().mine
    OUT.mkdir(parents=True, exist_ok=True)
    matplotlib.use("Agg")
    with tempfile.TemporaryDirectory() as folder:
        if mine:
            (Path(folder) / "mine").symlink_to(mine.resolve())
        os.chdir(folder)
        namespace = {}
        for source in blocks("python"):
            exec(source, namespace)
        if not mine:
            train(Path(folder) / "mine")
        own(Path(folder))
        for path in Path(folder).glob("*.png"):
            if path.stem not in ("lizard", "changed"):
                with Image.open(path) as picture:
                    small = np.asarray(picture.convert("RGB")) / 255.0
                write_atomically(OUT / path.name, png_bytes(small))
    key()


if __name__ == "__main__":
    main()
