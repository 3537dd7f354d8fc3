"""Targets, the pictures that a Growing CA grows: a drawn one by its name, any PNG, or any emoji.

A target is a float32 array ``(size, size, 4)``: RGB premultiplied by alpha, then alpha.
"""

import numbers
import os
import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps, features

from tfnca.automata.checks import check_integer, check_target
from tfnca.data.drawing import DRAWN, lizard

TARGETS = tuple(DRAWN)
"""Names of the drawn targets: the plain lizard and its mutations."""

_MOST_PIXELS = 40_000_000
"""The limit for a picture file, because a small file can claim to contain gigabytes."""

_EMOJI_FONTS = ("NotoColorEmoji*.ttf", "Apple Color Emoji.ttc")

_MAKES_EMOJI = {"\ufe0f", "\u20e3"}
"""Variation selector 16 and the combining keycap."""

_EMOJI_SIZES = (109, 160)
"""Bitmap fonts open only at the size of their bitmaps: Noto's, Apple's."""

_FONT_FOLDERS = ["/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts",
                 "/System/Library/Fonts"]  # fmt: skip


def load_target(spec: str | Path, size: int = 40) -> np.ndarray:
    """Loads a target by name, from a picture file, or from an emoji.

    Args:
        spec: A name from `TARGETS`; the path of a PNG (or of any picture that Pillow reads); or an
            emoji, if a colour-emoji font is installed. A picture without an alpha channel is
            opaque. A photograph is rotated as its metadata say. Grey values of 32 bits are scaled
            by the smallest sufficient number of bits (8, 16, 31 or 32). Floats are in [0, 1], or
            else in [0, 255].
        size: Side of the target, at least 1. A larger picture is shrunk to fit, keeping its aspect
            ratio, and centred.

    Returns:
        Array ``(size, size, 4)``: premultiplied RGBA in [0, 1].

    Raises:
        ValueError: If `spec` is none of these, if its picture cannot be read or is empty, or if
            `size` is not a positive integer.

    Example:

    >>> load_target("no_tail").shape
    (40, 40, 4)
    """
    size = check_integer("size", size, 1)
    if not isinstance(spec, str | Path):
        raise _refusal(spec, "it must be a string or a path")
    if spec in TARGETS:
        return lizard(size=size, **DRAWN[spec].parts)
    if _is_file(path := Path(os.path.expanduser(spec))):
        image = _open(path)
    elif not isinstance(spec, Path) and _is_emoji(spec):
        image = _emoji(spec)
    else:
        raise _refusal(spec, "there is no such name or file")
    # As in the article: first Lanczos, then RGB times alpha.
    if max(image.size) > size:
        image = image.convert("RGBa")  # Pillow before 13 gives a different thumbnail from RGBA
        image.thumbnail((size, size), Image.Resampling.LANCZOS)
        image = image.convert("RGBA")
    picture = np.asarray(image, np.float32) / 255.0
    if picture[..., 3].max() == 0:
        raise _refusal(spec, "the picture is empty")
    height, width = picture.shape[:2]
    top, left = (size - height) // 2, (size - width) // 2
    target = np.zeros((size, size, 4), np.float32)
    target[top : top + height, left : left + width] = picture
    target[..., :3] *= target[..., 3:]
    return target


def pad_target(target: np.ndarray, padding: int = 16) -> np.ndarray:
    """Adds empty cells around a target, to the size of the grid on which it grows.

    Args:
        target: Array ``(height, width, 4)``.
        padding: Number of cells to add on each side. The article uses 16, and 32 for the tailless
            adversary.

    Returns:
        Array ``(height + 2 * padding, width + 2 * padding, 4)``.

    Raises:
        ValueError: If the target is not a premultiplied RGBA picture, or the padding is negative
            or not an integer.

    Example:

    >>> pad_target(lizard()).shape
    (72, 72, 4)
    """
    if np.ndim(target) != 3 or np.shape(target)[-1] != 4:
        raise ValueError(
            f"target must be (height, width, 4). Received: target of shape {np.shape(target)}"
        )
    check_target("target", target)
    if isinstance(padding, numbers.Real) and padding < 0:
        raise ValueError(f"padding must not be negative. Received: padding={padding}")
    padding = check_integer("padding", padding, 0)
    return np.pad(np.asarray(target, np.float32), ((padding, padding), (padding, padding), (0, 0)))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # the name is too long
        return False


def _open(path: Path) -> Image.Image:
    """A picture file as an RGBA image, the right way up."""
    try:
        with Image.open(path) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise ValueError(f"{image.width} x {image.height} pixels, at most 40 million")
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "F" or upright.mode.startswith("I"):
                upright = Image.fromarray(_as_bytes(np.asarray(upright)))
            return upright.convert("RGBA")
    except Exception as error:  # Pillow may raise anything on a broken file
        if isinstance(error, OSError):
            reason = "the file is not a picture that Pillow can read"
        else:
            reason = f"the picture cannot be read: {error}"
        raise _refusal(path, reason) from error


def _as_bytes(grey: np.ndarray) -> np.ndarray:
    """Grey values of more than 8 bits as bytes; Pillow would clip and not scale them."""
    if grey.dtype.kind == "f":
        if not 0 <= grey.min() <= grey.max() <= 255:
            raise ValueError("floats must be in [0, 1], or else in [0, 255]")
        scale = 255 if grey.max() <= 1 else 1
        return np.round(grey * scale).astype(np.uint8)
    if grey.dtype.itemsize == 2:
        return (grey >> 8).astype(np.uint8)
    grey = grey.view(np.uint32)
    bits = next(bits for bits in (8, 16, 31, 32) if grey.max() < 2**bits)
    return (grey >> (bits - 8)).astype(np.uint8)


def _is_emoji(text: str) -> bool:
    """Whether a text is a symbol, or becomes one by its modifiers: 1 is a digit, 1️⃣ an emoji."""
    return unicodedata.category((text or " ")[0]) == "So" or not _MAKES_EMOJI.isdisjoint(text)


def _emoji(text: str) -> Image.Image:
    """An emoji as a cropped RGBA image."""
    if len(text.replace("\ufe0f", "")) > 1 and not features.check("raqm"):
        raise _refusal(text, "an emoji of several characters needs a Pillow with raqm")
    folders = [Path(os.path.expanduser(folder)) for folder in _FONT_FOLDERS]
    fonts = [font for folder in folders for name in _EMOJI_FONTS for font in folder.rglob(name)]
    for font in fonts:
        for font_size in _EMOJI_SIZES:
            try:
                face = ImageFont.truetype(font, font_size)
            except OSError:  # not this font's bitmap size
                continue
            image = Image.new("RGBA", (2 * font_size * (len(text) + 1), 2 * font_size))
            drawing = ImageDraw.Draw(image)
            drawing.text((font_size // 2, font_size // 2), text, font=face, embedded_color=True)
            if box := image.getbbox():
                return image.crop(box)
    if fonts:
        raise _refusal(text, f"{fonts[0]} has no picture of it")
    raise _refusal(
        text, "no colour-emoji font is installed (on Debian: apt install fonts-noto-color-emoji)"
    )


def _refusal(spec: object, reason: str) -> ValueError:
    return ValueError(
        f"spec must be one of {', '.join(TARGETS)}, the path of a PNG, or an emoji; {reason}. "
        f"Received: spec={spec!r}"
    )
