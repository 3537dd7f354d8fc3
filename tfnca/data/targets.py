"""Targets: the pictures a Growing CA grows into. A drawn one by its name, any PNG, any emoji.

A target is a float32 array ``(size, size, 4)``: RGB premultiplied by alpha, then alpha.
"""

import os
import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfnca.data.drawing import lizard

DRAWN = {
    "lizard": {},
    "no_tail": {"without": "tail"},
    "no_leg": {"without": "leg"},
    "no_head": {"without": "head"},
    "no_arm": {"without": "arm"},
    "red": {"color": "red"},
    "blue": {"color": "blue"},
}

TARGETS = tuple(DRAWN)
"""Names of the drawn targets: the plain lizard, and the article's six mutations of it."""

_EMOJI_FONTS = ("NotoColorEmoji*.ttf", "Apple Color Emoji.ttc")

_EMOJI_SIZES = (109, 160)
"""Bitmap fonts open at the size of their bitmaps only: Noto's, Apple's."""

_FONT_FOLDERS = ["/usr/share/fonts", "/usr/local/share/fonts", "~/.local/share/fonts", "~/.fonts",
                 "/System/Library/Fonts"]  # fmt: skip


def load_target(spec, size=40):
    """A target by name, from a picture file, or from an emoji.

    Args:
        spec: A name from `TARGETS`; the path of a PNG (or of any picture that Pillow reads), with
            an alpha channel or else opaque; or an emoji, where a colour-emoji font is installed.
        size: Side of the target. A larger picture is shrunk to fit, keeping its aspect; it stands
            in the middle.

    Returns:
        Array ``(size, size, 4)``: premultiplied RGBA in [0, 1].

    Raises:
        ValueError: If `spec` is none of these, or its picture cannot be read or is empty.

    Example:

    >>> load_target("no_tail").shape
    (40, 40, 4)
    """
    if not isinstance(spec, str | Path):
        raise _refusal(spec, "it must be a string or a path")
    if spec in TARGETS:
        return lizard(size=size, **DRAWN[spec])
    if Path(spec).is_file():
        image = _open(spec)
    elif not isinstance(spec, Path) and unicodedata.category((spec or " ")[0]) == "So":
        image = _emoji(spec)
    else:
        raise _refusal(spec, "there is no such name or file")
    # As published: Lanczos first, then RGB times alpha.
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    picture = np.asarray(image, np.float32) / 255.0
    if picture[..., 3].max() == 0:
        raise _refusal(spec, "the picture is empty")
    height, width = picture.shape[:2]
    top, left = (size - height) // 2, (size - width) // 2
    target = np.zeros((size, size, 4), np.float32)
    target[top : top + height, left : left + width] = picture
    target[..., :3] *= target[..., 3:]
    return target


def pad_target(target, padding=16):
    """A target with empty cells around it, the grid on which it is grown.

    Args:
        target: Array ``(height, width, 4)``.
        padding: Cells added on each side. The article: 16, and 32 for the tailless adversary.

    Returns:
        Array ``(height + 2 * padding, width + 2 * padding, 4)``.

    Raises:
        ValueError: If the target is no RGBA picture, or the padding is negative.

    Example:

    >>> pad_target(lizard()).shape
    (72, 72, 4)
    """
    if np.ndim(target) != 3 or np.shape(target)[-1] != 4:
        raise ValueError(
            f"target must be (height, width, 4). Received: target of shape {np.shape(target)}"
        )
    if padding < 0:
        raise ValueError(f"padding must not be negative. Received: padding={padding}")
    return np.pad(np.asarray(target, np.float32), ((padding, padding), (padding, padding), (0, 0)))


def _open(path):
    """A picture file as an RGBA image."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I;16"):  # Pillow would clip 16-bit grey, not scale it
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            return image.convert("RGBA")
    except OSError as error:
        raise _refusal(path, "the file is no picture that Pillow reads") from error


def _emoji(text):
    """An emoji as a cropped RGBA image."""
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


def _refusal(spec, reason):
    return ValueError(
        f"spec must be one of {', '.join(TARGETS)}, the path of a PNG, or an emoji; {reason}. "
        f"Received: spec={spec!r}"
    )
