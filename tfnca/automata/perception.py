"""Perception: fixed filters over a cell's neighbourhood, and the padding beyond the border."""

import math

import numpy as np
from keras import ops

from tfnca.automata.filters import filter_array
from tfnca.types import Array

SOBEL_X = filter_array("sobel_x")
IDENTITY = filter_array("identity")
NUM_KERNELS = 3

PADDINGS = ("zero", "circular", "reflect", "replicate")
"""What a cell at the border perceives beyond it: zeros, the opposite side, or the grid's edge
mirrored without (``"reflect"``) or with (``"replicate"``) its outermost row."""


def sobel_kernels(angle: float = 0.0) -> np.ndarray:
    """The three filters of a Growing CA (identity, x, y), ``(3, 3, 3)``: row, column, filter.

    The two Sobel ones are rotated by an angle in radians, the cells' sense of direction.
    """
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = SOBEL_X, SOBEL_X.T
    return np.stack([IDENTITY, cos * x - sin * y, sin * x + cos * y], -1).astype(np.float32)


def pad(grid: Array, padding: str) -> Array:
    """A grid ``(batch, height, width, channels)`` with a border of one cell.

    The padding is one of `PADDINGS`, except ``"zero"``, which every convolution supports itself.
    """
    for axis in (1, 2):
        size = grid.shape[axis] or ops.shape(grid)[axis]
        one_in = min(1, size - 1) if isinstance(size, int) else ops.minimum(1, size - 1)
        before = {"circular": size - 1, "reflect": one_in, "replicate": 0}[padding]
        after = size - 1 - before
        rows = (
            grid[(slice(None),) * axis + (slice(place, place + 1),)] for place in (before, after)
        )
        first, last = rows
        grid = ops.concatenate([first, grid, last], axis=axis)
    return grid


def perceive(state: Array, stencils: np.ndarray, padding: str = "zero") -> Array:
    """Applies every fixed filter, ``(3, 3, count)``, to every channel.

    Returns:
        Tensor ``(batch, height, width, count * channels)``, channel-major: output
        ``count * c + k`` is filter `k` of channel `c`.
    """
    kernels = np.repeat(stencils[:, :, None, :], state.shape[-1], axis=2)
    return ops.depthwise_conv(
        state if padding == "zero" else pad(state, padding),
        ops.convert_to_tensor(kernels, state.dtype),
        strides=1,
        padding="same" if padding == "zero" else "valid",
        data_format="channels_last",
    )
