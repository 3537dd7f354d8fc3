"""The state of a neural CA: what its channels mean, and how to create, read and show it.

A state is a float32 array of shape ``(batch, height, width, channels)``. The
channel positions and thresholds of the article's two models are named here and nowhere else.
"""

from typing import Any

import numpy as np
from keras import ops

from tfnca.automata.checks import check_integer, check_numbers, check_unit
from tfnca.automata.perception import pad
from tfnca.types import Array

LIVING_THRESHOLD = 0.1
"""Alpha (Growing CA) or grey (MNIST CA) above which a cell counts as alive."""

GROWING_CHANNELS = 16
ALPHA = 3
"""Growing CA: channels 0 to 2 are RGB premultiplied by alpha, 3 is alpha, the rest is hidden."""

MNIST_CHANNELS = 20
GREY = 0
NUM_CLASSES = 10
"""MNIST CA: channel 0 is the digit's grey, the last ten are the class logits, the rest hidden."""

STATE_BOUND = 3.0
"""Largest absolute value in a perturbed Growing CA: it is clipped to ±3 (article, footnote 2)."""


def seed_state(size: Any, batch: int = 1, channels: int = GROWING_CHANNELS) -> np.ndarray:
    """A grid with one living cell in its middle, from which a Growing CA grows.

    Args:
        size: Side of the grid in cells, or ``(height, width)``.
        batch: Number of identical grids.
        channels: Channels of the state, 4 or more.

    Returns:
        Array ``(batch, height, width, channels)``: zeros, except for the cell
        at ``(height // 2, width // 2)``, whose alpha and hidden channels are 1.

    Raises:
        ValueError: If a side or the batch is not positive, or there are fewer channels.

    Example:

    >>> seed_state(72).shape
    (1, 72, 72, 16)
    """
    sides = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(sides) != 2:
        raise ValueError(f"size must be a side, or (height, width). Received: size={size!r}")
    height, width = (check_integer("size", side, 1) for side in sides)
    batch, channels = (
        check_integer("batch", batch, 1),
        check_integer("channels", channels, ALPHA + 1),
    )
    state = np.zeros((batch, height, width, channels), np.float32)
    state[:, height // 2, width // 2, ALPHA:] = 1.0
    return state


def digit_state(images: Array, channels: int = MNIST_CHANNELS) -> Array:
    """The initial state of an MNIST CA: grey values in channel 0, all other channels zero.

    Args:
        images: Array ``(batch, height, width)`` of grey values in [0, 1].
        channels: Channels of the state, 11 or more.

    Returns:
        Tensor ``(batch, height, width, channels)``.

    Raises:
        ValueError: If the images have other axes or values outside [0, 1], or there are fewer
            channels.
    """
    channels = check_integer("channels", channels, NUM_CLASSES + 1)
    if not hasattr(images, "shape"):
        images = check_numbers("images", images)
    if len(images.shape) != 3:
        raise ValueError(
            f"images must be of shape (batch, height, width). Received: shape={tuple(images.shape)}"
        )
    check_unit("images", images)
    grey = ops.convert_to_tensor(images, "float32")[..., None]
    return ops.pad(grey, [[0, 0], [0, 0], [0, 0], [0, channels - 1]])


def living_mask(
    state: Array,
    channel: int = ALPHA,
    threshold: float = LIVING_THRESHOLD,
    padding: str = "zero",
) -> Array:
    """Living cells of a Growing CA: they or a neighbour have alpha above 0.1.

    An alpha of NaN is not above the threshold; an infinite one is.

    Args:
        state: Tensor ``(batch, height, width, channels)``.
        channel: The channel that counts as alpha.
        threshold: The value that this channel must exceed.
        padding: What is beyond the border: ``"circular"`` is the opposite side.

    Returns:
        Boolean tensor ``(batch, height, width, 1)``.

    Raises:
        ValueError: If the state has other axes.
    """
    if len(state.shape) != 4:
        raise ValueError(
            "state must be of shape (batch, height, width, channels). Received: "
            f"shape={tuple(state.shape)}"
        )
    # Compared before pooling: the maximum of values with a NaN depends on their order.
    return is_near(state[..., channel : channel + 1] > threshold, padding)


def is_near(grown: Array, padding: str = "zero") -> Array:
    """The cells that are true, or have a neighbour that is: booleans ``(batch, height, width, n)``.

    Each channel counts by itself. With ``"circular"`` padding, the opposite side is near a border.
    """
    grown = ops.cast(grown, "float32")
    wraps = padding == "circular"  # every other padding repeats cells that a border cell sees
    near = ops.max_pool(
        pad(grown, padding) if wraps else grown,
        3,
        strides=1,
        padding="valid" if wraps else "same",
        data_format="channels_last",
    )
    return near > 0


def is_digit_cell(state: Array) -> Array:
    """Living cells of an MNIST CA, those on the digit's stroke: ``(batch, height, width, 1)``."""
    return state[..., GREY : GREY + 1] > LIVING_THRESHOLD


def class_logits(state: Array) -> Array:
    """The class channels of an MNIST CA's state.

    Args:
        state: Tensor ``(batch, height, width, channels)``.

    Returns:
        Tensor ``(batch, height, width, 10)``; the argmax is the cell's class.
    """
    return state[..., -NUM_CLASSES:]


def no_picture(step: Any) -> str | None:
    """Why the states of a step are no RGBA pictures; None if they are.

    Only a step that tells its `rule` can be asked which channels it never changes.
    """
    if step.channels <= ALPHA:
        return f"a picture needs {ALPHA + 1} channels, and it has {step.channels}"
    if _fixed(step):
        return "it never changes channel 0, which is the red of a picture"
    return None


def no_digits(step: Any) -> str | None:
    """Why the states of a step are no digits with a class for each cell; None if they are."""
    if step.channels <= NUM_CLASSES:
        return f"digits need {NUM_CLASSES + 1} channels or more, and it has {step.channels}"
    if _fixed(step) == 0:
        return "it changes channel 0, which is a digit's grey and must be fixed"
    return None


def _fixed(step: Any) -> int | None:
    """The number of leading channels that a step, or its host, never changes; None if unknown."""
    rule = getattr(step.networks[0], "rule", None)
    return getattr(rule, "fixed", None)


def to_rgb(state: Array) -> np.ndarray:
    """A Growing CA's state as a picture on white, as the article shows it.

    Args:
        state: Array or tensor ``(batch, height, width, channels)``, at least RGBA.

    Returns:
        Array ``(batch, height, width, 3)`` in [0, 1].

    Raises:
        ValueError: If the state has fewer channels or consists of bytes.
    """
    state = ops.convert_to_numpy(state)
    if state.ndim < 3 or state.shape[-1] <= ALPHA or state.dtype == np.uint8:
        raise ValueError(
            "state must hold floating-point numbers in four channels at least, RGBA first. "
            f"Received: {state.dtype} of shape {state.shape}"
        )
    alpha = np.clip(state[..., ALPHA : ALPHA + 1], 0.0, 1.0)
    return np.clip(1.0 - alpha + state[..., :ALPHA], 0.0, 1.0)
