"""Draws the pictures of the README, docs/images/front.webp and quick_start.png."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import tfnca
from tfnca.measures.digits import digit_mask
from tfnca.pictures import (
    ADVERSARY,
    DIGIT_COLOURS,
    digits_to_rgb,
    save_animation,
    tile,
    to_uint8,
)

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "saved_models"
FRAMES = 25
"""In each of the three phases: without an attack, under attack, without it again."""

DIGIT_STEPS, LIZARD_STEPS = 5, 8
"""CA steps from a frame to the next."""

TITLES = [
    ("1. Cells agree on the digit they form", "1. A lizard grows from one cell"),
    ("2. Attack: 10 % of the cells are adversaries", "2. Attack: every living cell is perturbed"),
    ("3. Attack removed: the digits recover", "3. Attack removed: the tail returns"),
]
KEY = [
    ("chosen 8", DIGIT_COLOURS[8]),
    ("adversary", ADVERSARY),
    ("misclassified digit", None),
]
SEED = 3


def load(name):
    return tfnca.load(MODELS / name / "model.keras")


def phases(host, attacked, state, steps, mask=None):
    """The states along the three phases, one for each frame."""
    now = 0
    for step, given in ((host, None), (attacked, mask), (host, None)):
        for _ in range(FRAMES):
            state = tfnca.rollout(step, state, steps, mask=given, seed=SEED, step_offset=now)
            now += steps
            yield state


def digit_frames():
    host = load("mnist")
    digits = tfnca.load_digits("test", count=30, source="sample")
    mask = np.asarray(digit_mask(digits, 0.1, SEED, at_least_one=True))
    attacked = tfnca.Injected(host, load("mnist_adversary"))
    start = tfnca.digit_state(digits.images)
    for number, state in enumerate(phases(host, attacked, start, DIGIT_STEPS, mask)):
        shown = mask if FRAMES <= number < 2 * FRAMES else None
        yield tile(digits_to_rgb(state, digits.labels, shown), columns=6, scale=2)


def lizard_frames():
    host = load("growing_lizard")
    attacked = tfnca.Perturbed(host, load("perturbation_no_tail"))
    for state in phases(host, attacked, tfnca.seed_state(60), LIZARD_STEPS):
        yield tile(tfnca.to_rgb(state), scale=5)


def frame(pictures, titles, gap=40, margin=16, size=18):
    """Two pictures side by side, a title above each and the colour key below the first."""
    row, width = 2 * size, sum(picture.shape[1] for picture in pictures) + 2 * margin + gap
    height = max(len(picture) for picture in pictures)
    page = Image.new("RGB", (width, height + 2 * margin + 2 * row), "white")
    drawing, font, left = ImageDraw.Draw(page), ImageFont.load_default(size), margin
    for picture, title in zip(pictures, titles, strict=True):
        drawing.text((left, margin), title, fill=(30, 30, 30), font=font)
        top = margin + row + (height - len(picture)) // 2
        page.paste(Image.fromarray(to_uint8(picture)), (left, top))
        left += picture.shape[1] + gap
    left, top = margin, margin + row + height + size
    for text, colour in KEY:
        box = (left, top, left + size, top + size)
        fill = None if colour is None else tuple(round(255 * part) for part in colour)
        drawing.rectangle(box, fill=fill, outline=(90, 90, 90), width=1 if fill else 2)
        drawing.text((left + size + 8, top - 2), text, fill=(30, 30, 30), font=font)
        left += size + 30 + int(drawing.textlength(text, font=font))
    return np.asarray(page, np.float32) / 255.0


def quick_start():
    """What the README's quick start draws."""
    source = (
        (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    )
    namespace = {}
    exec(source.replace('"quick_start.png"', f'"{ROOT}/docs/images/quick_start.png"'), namespace)


def main():
    pairs = zip(digit_frames(), lizard_frames(), strict=True)
    frames = [frame(pair, TITLES[i // FRAMES]) for i, pair in enumerate(pairs)]
    save_animation(ROOT / "docs/images/front.webp", frames, fps=12)
    quick_start()


if __name__ == "__main__":
    main()
