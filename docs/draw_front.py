"""Draws the pictures of the README, docs/images/front.webp and quick_start.png, with what ships."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

import tfnca
from tfnca.measures.digits import digit_mask
from tfnca.pictures import digits_to_rgb, save_animation, tile, to_uint8

ROOT = Path(__file__).parent.parent
MODELS = ROOT / "saved_models"
FRAMES = 25
"""In each of the three phases: left alone, attacked, left alone again."""

DIGIT_STEPS, LIZARD_STEPS = 5, 8
"""CA steps from a frame to the next."""

SAID = [
    ("Cells of a digit agree on what they are", "One cell grows into a lizard"),
    ("One cell in ten (red) talks them into an 8", "One matrix on every cell takes its tail"),
    ("Without the liars they recover", "Lifted, and the tail is back"),
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


def side_by_side(pictures, lines, gap=40, margin=16, size=17):
    """Two pictures with a line above each, as one picture in [0, 1]."""
    height = max(len(picture) for picture in pictures) + 2 * margin + 2 * size
    width = sum(picture.shape[1] for picture in pictures) + 2 * margin + gap
    sheet = Image.new("RGB", (width, height), "white")
    drawing, font, left = ImageDraw.Draw(sheet), ImageFont.load_default(size), margin
    for picture, line in zip(pictures, lines, strict=True):
        drawing.text((left, margin), line, fill=(50, 50, 50), font=font)
        top = margin + 2 * size + (height - 2 * margin - 2 * size - len(picture)) // 2
        sheet.paste(Image.fromarray(to_uint8(picture)), (left, top))
        left += picture.shape[1] + gap
    return np.asarray(sheet, np.float32) / 255.0


def quick_start():
    """What the README's quick start draws."""
    source = (
        (ROOT / "README.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    )
    namespace = {}
    exec(source.replace('"quick_start.png"', f'"{ROOT}/docs/images/quick_start.png"'), namespace)


def main():
    pairs = zip(digit_frames(), lizard_frames(), strict=True)
    frames = [side_by_side(pair, SAID[i // FRAMES]) for i, pair in enumerate(pairs)]
    save_animation(ROOT / "docs/images/front.webp", frames, fps=12)
    quick_start()


if __name__ == "__main__":
    main()
