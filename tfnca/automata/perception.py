"""Sobel perception: what a cell of a Growing CA learns of its neighbourhood."""

import math

import numpy as np
from keras import ops

from tfnca.types import Array

SOBEL_X = np.outer([1, 2, 1], [-1, 0, 1]).astype(np.float32) / 8.0
IDENTITY = np.outer([0, 1, 0], [0, 1, 0]).astype(np.float32)
NUM_KERNELS = 3


def sobel_kernels(angle: float = 0.0) -> np.ndarray:
    """The three fixed kernels, the two Sobel ones turned by `angle`.

    Args:
        angle: Radians by which the cells' sense of direction is turned.

    Returns:
        Array ``(3, 3, 3)``: row, column, kernel (identity, x, y).
    """
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = SOBEL_X, SOBEL_X.T
    return np.stack([IDENTITY, cos * x - sin * y, sin * x + cos * y], -1).astype(np.float32)


def perceive(state: Array, angle: float = 0.0) -> Array:
    """Identity and both Sobel gradients of every channel, zero beyond the border.

    Args:
        state: Tensor ``(batch, height, width, channels)``.
        angle: Radians.

    Returns:
        Tensor ``(batch, height, width, 3 * channels)``, channel-major: output ``3 * c + k`` is
        kernel `k` of channel `c`.
    """
    kernels = np.repeat(sobel_kernels(angle)[:, :, None, :], state.shape[-1], axis=2)
    return ops.depthwise_conv(
        state,
        ops.convert_to_tensor(kernels, state.dtype),
        strides=1,
        padding="same",
        data_format="channels_last",
    )
