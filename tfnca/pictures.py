"""Pictures: palettes, tiles, plots and videos."""

import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
from keras import ops
from PIL import Image, ImageDraw, ImageFont

from tfnca.automata.state import GREY, LIVING_THRESHOLD, NUM_CLASSES
from tfnca.files import write_atomically
from tfnca.types import Array

DIGIT_COLOURS = np.array(
    [
        (128, 0, 0),
        (230, 25, 75),
        (70, 240, 240),
        (210, 245, 60),
        (250, 190, 190),
        (170, 110, 40),
        (170, 255, 195),
        (165, 163, 159),
        (0, 128, 128),
        (128, 128, 0),
    ]
) / 255.0  # fmt: skip
"""The article's colours of the classes 0 to 9."""

UNDECIDED = np.zeros(3)
BACKGROUND = np.ones(3)
WRONG_BACKGROUND = np.array((255, 204, 201)) / 255.0
ADVERSARY = np.array((1.0, 0.0, 0.0))


def digits_to_rgb(
    state: Array, labels: Array | None = None, mask: Array | None = None
) -> np.ndarray:
    """An MNIST CA's state in the article's colours.

    Each cell of the stroke has the colour of the class it says, black while all its logits are
    equal; adversaries are red.

    Args:
        state: Array or tensor ``(batch, height, width, channels)``.
        labels: The true classes ``(batch,)``: digits of which fewer than half of the cells are
            right get a red background.
        mask: Where adversaries stand, ``(batch, height, width)``.

    Returns:
        Array ``(batch, height, width, 3)`` in [0, 1].
    """
    state = ops.convert_to_numpy(state)
    alive = state[..., GREY] > LIVING_THRESHOLD
    logits = state[..., -NUM_CLASSES:]
    said = logits.argmax(-1)
    background = np.broadcast_to(BACKGROUND, (len(state), 1, 1, 3)).copy()
    if labels is not None:
        right = ((said == np.asarray(labels)[:, None, None]) & alive).sum((1, 2))
        background[2 * right < alive.sum((1, 2))] = WRONG_BACKGROUND
    undecided = np.ptp(logits, axis=-1) == 0
    cells = np.where(undecided[..., None], UNDECIDED, DIGIT_COLOURS[said])
    # Strokes fade into the background where the digit is faint, as they do in the article.
    grey = np.where(alive, np.clip(state[..., GREY], 0.0, 1.0), 0.0)[..., None]
    picture = cells * grey + background * (1.0 - grey)
    if mask is not None:
        picture = np.where(
            (np.asarray(mask) > 0.5)[..., None] & alive[..., None], ADVERSARY, picture
        )
    return picture


def tile(
    images: np.ndarray,
    columns: int | None = None,
    gap: int = 1,
    scale: int = 1,
    labels: Sequence[str] = (),
) -> np.ndarray:
    """Many pictures as one, on white.

    Args:
        images: Array ``(count, height, width, 3)``.
        columns: Pictures in a row; about as many as rows if not given.
        gap: Pixels between pictures, before scaling.
        scale: Side of a pixel's square.
        labels: What each picture shows, written above it.

    Returns:
        Array ``(height, width, 3)``.
    """
    images = np.asarray(images)
    if labels:
        images = images.repeat(scale, 1).repeat(scale, 2)
        named = [caption(image, text, 20) for image, text in zip(images, labels, strict=True)]
        width = max(picture.shape[1] for picture in named)
        images = np.ones((len(named), named[0].shape[0], width, 3), np.float32)
        for image, picture in zip(images, named, strict=True):
            image[:, : picture.shape[1]] = picture
        gap, scale = gap * scale, 1
    count, height, width, _ = images.shape
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    shape = rows * (height + gap) - gap, columns * (width + gap) - gap, 3
    sheet = np.ones(shape, np.float32)
    for i, image in enumerate(images):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        sheet[y : y + height, x : x + width] = image
    return sheet.repeat(scale, 0).repeat(scale, 1)


def _digit_captions(state: Array, labels: Array) -> list[str]:
    """What each digit is and what most of its cells say: ``"7 says 8"``.

    Args:
        state: An MNIST CA's, ``(batch, height, width, channels)``.
        labels: The true classes ``(batch,)``.
    """
    state = ops.convert_to_numpy(state)
    alive = state[..., GREY] > LIVING_THRESHOLD
    said = state[..., -NUM_CLASSES:].argmax(-1)
    most = [
        np.bincount(one[own], minlength=1).argmax() for one, own in zip(said, alive, strict=True)
    ]
    return [f"{label} says {digit}" for label, digit in zip(labels, most, strict=True)]


def draw_digits(state: Array, labels: Array, mask: Array | None = None) -> np.ndarray:
    """Digits side by side, ten in a row, each with what it is and says: see `digits_to_rgb`."""
    pictures = digits_to_rgb(state, labels, mask)
    return tile(pictures, columns=10, scale=3, labels=_digit_captions(state, labels))


def to_uint8(image: np.ndarray) -> np.ndarray:
    """A picture in [0, 1] as bytes."""
    return np.round(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)


def png_bytes(image: np.ndarray) -> bytes:
    """A picture ``(height, width, 3)`` in [0, 1] as a PNG file's bytes."""
    buffer = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def save_png(path: str | Path, image: np.ndarray) -> None:
    """Writes a picture ``(height, width, 3)`` in [0, 1], or a target, premultiplied RGBA."""
    if image.shape[-1] == 4:
        colours = image[..., :3] / np.maximum(image[..., 3:], 1e-6)
        image = np.concatenate([colours, image[..., 3:]], axis=-1)
    write_atomically(path, png_bytes(image))


def save_video(path: str | Path, frames: Iterable[np.ndarray], fps: int = 20) -> None:
    """Writes frames ``(height, width, 3)`` in [0, 1] as an mp4 that browsers play.

    Args:
        path: File to write.
        frames: An iterable of pictures of one size.
        fps: Frames per second.
    """
    path = Path(path)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    options: dict[str, Any] = {
        "codec": "libx264",
        "macro_block_size": 2,
        "pixelformat": "yuv420p",
        "quality": 7,
    }
    try:
        writer: Any
        with imageio.get_writer(temporary, fps=fps, **options) as writer:
            for frame in frames:
                writer.append_data(to_uint8(frame))
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def save_animation(
    path: str | Path, frames: Iterable[np.ndarray], fps: int = 12, scale: int = 1
) -> None:
    """Writes frames ``(height, width, 3)`` in [0, 1] as a looping animated WebP.

    Args:
        path: The file.
        frames: The frames.
        fps: Frames a second.
        scale: Pixels of a cell's side.
    """
    pixels = [to_uint8(frame).repeat(scale, axis=0).repeat(scale, axis=1) for frame in frames]
    first, *others = map(Image.fromarray, pixels)
    buffer = io.BytesIO()
    options = {"save_all": True, "append_images": others, "loop": 0, "quality": 70}
    first.save(buffer, "WEBP", duration=1000 // fps, **options)
    write_atomically(path, buffer.getvalue())


def caption(image: np.ndarray, text: str, size: int = 16) -> np.ndarray:
    """A picture ``(height, width, 3)`` in [0, 1] with a line of text above it."""
    height, width, _ = image.shape
    font = ImageFont.load_default(size)
    sheet = Image.new(
        "RGB", (max(width, int(font.getlength(text)) + 4), height + 2 * size), "white"
    )
    sheet.paste(Image.fromarray(to_uint8(image)), (0, 2 * size))
    ImageDraw.Draw(sheet).text((2, size // 3), text, fill=(60, 60, 60), font=font)
    return np.asarray(sheet, np.float32) / 255.0
