"""Pictures: palettes, tiles, plots and videos."""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import imageio.v2 as imageio
import numpy as np
from keras import ops
from PIL import Image, ImageDraw, ImageFont

from tfnca.automata.checks import check_digit_state, check_integer, check_rate
from tfnca.automata.state import GREY, LIVING_THRESHOLD, NUM_CLASSES
from tfnca.files import write_atomically, writing
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
WRONG_FRAME = np.full(3, 90) / 255.0
ADVERSARY = np.array((1.0, 0.0, 0.0))


def digits_to_rgb(
    state: Array, labels: Array | None = None, mask: Array | None = None
) -> np.ndarray:
    """Draws an MNIST CA's state in the article's colours.

    Each cell of the stroke has the colour of its class, or black while all its logits are equal.
    Adversaries are red.

    Args:
        state: Array or tensor ``(batch, height, width, channels)``.
        labels: The true classes ``(batch,)``. A digit of which fewer than half of the cells are
            right gets a dark frame.
        mask: Positions of the adversaries, ``(batch, height, width)``.

    Returns:
        Array ``(batch, height, width, 3)`` in [0, 1].

    Raises:
        ValueError: If the state is not an MNIST CA's, or labels or mask do not fit it.
    """
    state = ops.convert_to_numpy(state)
    check_digit_state(state, NUM_CLASSES, labels, mask)
    alive = state[..., GREY] > LIVING_THRESHOLD
    logits = state[..., -NUM_CLASSES:]
    said = logits.argmax(-1)
    background = np.broadcast_to(BACKGROUND, (*alive.shape, 3)).copy()
    if labels is not None:
        right = ((said == np.asarray(labels)[:, None, None]) & alive).sum((1, 2))
        wrong = 2 * right < alive.sum((1, 2))
        edge = np.ones(alive.shape[1:], bool)
        edge[1:-1, 1:-1] = False
        background[wrong[:, None, None] & edge] = WRONG_FRAME
    undecided = np.ptp(logits, axis=-1) == 0
    cells = np.where(undecided[..., None], UNDECIDED, DIGIT_COLOURS[said])
    # As in the article, strokes fade into the background where the digit is faint.
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
    """Arranges pictures in a grid on a white background.

    Args:
        images: Array ``(count, height, width, 3)`` in [0, 1]; or bytes or RGBA, see `to_uint8`.
        columns: Pictures per row; about the number of rows by default.
        gap: Pixels between pictures, before scaling.
        scale: Screen pixels per side of a pixel.
        labels: A label for each picture, written above it.

    Returns:
        Array ``(height, width, 3)``.
    """
    images = np.asarray(images)
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(
            f"images must have shape (count, height, width, 3). Received: {images.shape}"
        )
    if images.dtype == np.uint8 or images.shape[-1] != 3:
        images = np.stack([on_white(image) / np.float32(255) for image in images])
    gap, scale = check_integer("gap", gap, 0), check_integer("scale", scale, 1)
    columns = None if columns is None else check_integer("columns", columns, 1)
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
    canvas = np.ones(shape, np.float32)
    for i, image in enumerate(images):
        y, x = (i // columns) * (height + gap), (i % columns) * (width + gap)
        canvas[y : y + height, x : x + width] = image
    return canvas.repeat(scale, 0).repeat(scale, 1)


def _digit_captions(state: Array, labels: Array) -> list[str]:
    """The label of each digit and the class that most of its cells choose: ``"7 as 8"``."""
    state = ops.convert_to_numpy(state)
    alive = state[..., GREY] > LIVING_THRESHOLD
    said = state[..., -NUM_CLASSES:].argmax(-1)
    most = [
        np.bincount(one[own], minlength=1).argmax() for one, own in zip(said, alive, strict=True)
    ]
    return [f"{label} as {digit}" for label, digit in zip(labels, most, strict=True)]


def draw_digits(state: Array, labels: Array, mask: Array | None = None) -> np.ndarray:
    """Draws digits, ten per row, each with its label and its class: see `digits_to_rgb`."""
    pictures = digits_to_rgb(state, labels, mask)
    return tile(pictures, columns=10, scale=3, labels=_digit_captions(state, labels))


def to_uint8(image: Array) -> np.ndarray:
    """Converts a picture to bytes.

    Args:
        image: Grey ``(height, width)``, RGB or RGBA ``(height, width, 3 or 4)``. Bytes are not
            changed. Floats must be in [0, 1]; if there is an alpha, their RGB is premultiplied,
            and that of the result is not. NaN becomes black.

    Returns:
        uint8 array of the same shape.

    Raises:
        ValueError: If it is not such a picture.
    """
    image = np.asarray(ops.convert_to_numpy(image))
    has_axes = image.ndim == 2 or (image.ndim == 3 and image.shape[-1] in (3, 4))
    has_type = image.dtype.kind in "fb" or image.dtype == np.uint8
    if not has_axes or not has_type or image.size == 0:
        raise ValueError(
            "A picture must have shape (height, width, 3), or (height, width, 4) with an alpha, "
            f"and floats in [0, 1] or bytes. Received: {image.dtype} of shape {image.shape}"
        )
    if image.dtype == np.uint8:
        return image
    image = np.nan_to_num(image if image.dtype.kind == "f" else image.astype(np.float32))
    if image.max() > _BRIGHTEST:
        raise ValueError(
            "A picture of floats must be in [0, 1]; divide bytes by 255. "
            f"Received: values up to {image.max():g}"
        )
    if image.ndim == 3 and image.shape[-1] == 4:
        colours = image[..., :3] / np.maximum(image[..., 3:], 1e-6)
        image = np.concatenate([colours, image[..., 3:]], axis=-1)
    return np.round(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)


_BRIGHTEST = 16.0
"""A picture in [0, 1] may overshoot 1, but not this value; a picture of bytes exceeds it."""


def on_white(image: Array) -> np.ndarray:
    """A picture (see `to_uint8`) on white, as RGB bytes ``(height, width, 3)``."""
    image = np.asarray(ops.convert_to_numpy(image))
    if image.dtype.kind == "f" and image.ndim == 3 and image.shape[-1] == 4:
        image = image[..., :3] + 1.0 - np.clip(image[..., 3:], 0.0, 1.0)
    image = to_uint8(image)
    if image.ndim == 2:
        return image[..., None].repeat(3, axis=-1)
    if image.shape[-1] == 3:
        return image
    alpha = image[..., 3:] / 255.0
    return np.round(image[..., :3] * alpha + 255.0 * (1.0 - alpha)).astype(np.uint8)


STILLS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
MOVING = {".webp": "WEBP", ".gif": "GIF"}
VIDEOS = (".mp4", ".mov", ".mkv")
"""The formats of pictures and moving pictures, by the file's ending."""


_OPTIONS: dict[str, dict[str, Any]] = {
    "PNG": {"optimize": True},
    "JPEG": {"quality": 95},
    "WEBP": {"lossless": True},
}


def _ending(path: str | Path, known: Iterable[str]) -> str:
    ending = Path(path).suffix.lower()
    if ending not in (known := tuple(known)):
        raise ValueError(f"The file must end with one of {', '.join(known)}. Received: {path}")
    return ending


def png_bytes(image: Array) -> bytes:
    """A picture (see `to_uint8`) as PNG bytes."""
    return _still(image, "PNG")


def _still(image: Array, kind: str) -> bytes:
    pixels = on_white(image) if kind == "JPEG" else to_uint8(image)
    options = _OPTIONS[kind]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def save_png(path: str | Path, image: Array) -> None:
    """Writes a picture as a PNG, or in another format of `STILLS` by the file's ending.

    Args:
        path: The file to write.
        image: See `to_uint8`. It may be a target, premultiplied RGBA. A JPEG is on white.

    Raises:
        ValueError: If the ending is unknown, or `image` is not a picture.
    """
    write_atomically(path, _still(image, STILLS[_ending(path, STILLS)]))


def save_video(path: str | Path, frames: Iterable[Array], fps: float = 20) -> None:
    """Writes frames as an mp4 that browsers can play.

    Args:
        path: The file to write. With an ending of `MOVING`, `save_animation` writes it.
        frames: An iterable of pictures of one size, see `on_white`.
        fps: Frames per second.

    Raises:
        ValueError: If the ending is unknown, if there are no frames, or if their sizes differ.
    """
    if Path(path).suffix.lower() in MOVING:
        save_animation(path, frames, fps)
        return
    _ending(path, (*VIDEOS, *MOVING))
    options: dict[str, Any] = {
        "codec": "libx264",
        "macro_block_size": 2,
        "pixelformat": "yuv420p",
        "quality": 7,
    }
    pictures = list(_frames(frames, fps))  # before ffmpeg starts, since it is slow to stop
    with writing(path) as temporary:
        writer: Any
        with imageio.get_writer(temporary, fps=fps, **options) as writer:
            for frame in pictures:
                writer.append_data(frame)


def save_animation(
    path: str | Path, frames: Iterable[Array], fps: float = 12, scale: int = 1
) -> None:
    """Writes frames as a looping animated WebP or GIF.

    Args:
        path: The file to write. With an ending of `VIDEOS`, `save_video` writes it.
        frames: An iterable of pictures of one size, see `on_white`.
        fps: Frames per second.
        scale: Screen pixels per side of a cell.

    Raises:
        ValueError: If the ending is unknown, if there are no frames, or if their sizes differ.
    """
    ending = _ending(path, (*MOVING, *VIDEOS))
    scale = check_integer("scale", scale, 1)
    scaled = (frame.repeat(scale, axis=0).repeat(scale, axis=1) for frame in _frames(frames, fps))
    if ending in VIDEOS:
        save_video(path, scaled, fps)
        return
    first, *others = map(Image.fromarray, scaled)
    buffer = io.BytesIO()
    options = {"save_all": True, "append_images": others, "loop": 0, "quality": 60, "method": 6}
    first.save(buffer, MOVING[ending], duration=int(1000 // fps), **options)
    write_atomically(path, buffer.getvalue())


def _frames(frames: Iterable[Array], fps: float) -> Iterator[np.ndarray]:
    """Frames as RGB bytes: at least one, and all of one size."""
    check_rate("fps", fps, 0.1, 1000.0)
    shape = None
    for frame in frames:
        picture = on_white(frame)
        shape = shape or picture.shape
        if picture.shape != shape:
            raise ValueError(
                f"Frames must be of one size. Received: {shape[:2]} and {picture.shape[:2]}"
            )
        yield picture
    if shape is None:
        raise ValueError("A moving picture needs at least one frame. Received: none")


def caption(image: np.ndarray, text: str, size: int = 16) -> np.ndarray:
    """A picture (see `on_white`) with a line of text above it, ``(height, width, 3)`` in [0, 1]."""
    image = on_white(image)
    height, width, _ = image.shape
    font = ImageFont.load_default(size)
    canvas = Image.new(
        "RGB", (max(width, int(font.getlength(text)) + 4), height + 2 * size), "white"
    )
    canvas.paste(Image.fromarray(image), (0, 2 * size))
    ImageDraw.Draw(canvas).text((2, size // 3), text, fill=(60, 60, 60), font=font)
    return np.asarray(canvas, np.float32) / 255.0
