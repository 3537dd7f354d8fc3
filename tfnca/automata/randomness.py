"""Randomness without a generator: every draw is a hash of its cell and step.

The fire mask and the noise of a step are a pure function of (seed, step, network, batch item,
row, column). So one seed gives the same draws in every engine, on any crop of the grid and after
a resume, and an exported graph contains no generator state. This module computes the function on
whole grids for the dense engine; `tfnca.engines.kernels` computes it cell by cell for the
living-cells engine.

The hash absorbs one 32-bit word at a time with a bijective finaliser (two multiplications,
three xor-shifts; constants by Chris Wellons' hash-prospector).
"""

from statistics import NormalDist
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from tfnca.types import Array

GOLDEN = 0x9E3779B9
MULTIPLIERS = (0x7FEB352D, 0x846CA68B)
SHIFTS = (16, 15, 16)
_LEVELS = 4096
_levels = np.array([NormalDist().inv_cdf((i + 0.5) / _LEVELS) for i in range(_LEVELS)])

NORMAL_LEVELS = (_levels / _levels.std()).astype(np.float32)
"""Standard normal quantiles at 4,096 evenly spaced probabilities, scaled to unit variance.

A table lookup, unlike Box-Muller, gives the same bits in every engine and on every device.
"""


def new_seed() -> Array:
    """A seed for a run that was given none: a scalar int64 tensor in [0, 2**63 - 1).

    Each call draws a new one; in a graph, each execution does. `keras.utils.set_random_seed` makes
    the sequence reproducible. No variable stores it, so a layer that draws has no weight for it.
    """
    return tf.random.uniform([], 0, 2**63 - 1, tf.int64)


def _word(value):
    return ops.cast(value, "uint32")


def _absorb(key, word):
    x = ops.bitwise_xor(key, word) + _word(GOLDEN)
    for shift, multiplier in zip(SHIFTS, (*MULTIPLIERS, None), strict=True):
        x = ops.bitwise_xor(x, ops.right_shift(x, _word(shift)))
        if multiplier is not None:
            x = x * _word(multiplier)
    return x


def _absorb_index(key, index):
    """A step's number is one word; from step 2**32 on there is a second one."""
    key = _absorb(key, _word(ops.bitwise_and(index, 0xFFFFFFFF)))
    high = ops.right_shift(index, ops.cast(32, "int64"))
    return ops.where(high > 0, _absorb(key, _word(high)), key)


def _cell_hashes(shape, seed, index, network):
    batch, height, width = shape
    seed = ops.cast(seed, "int64")
    key = _absorb(_word(0), _word(ops.bitwise_and(seed, 0xFFFFFFFF)))
    key = _absorb(key, _word(ops.right_shift(seed, ops.cast(32, "int64"))))
    key = _absorb_index(key, ops.cast(index, "int64"))
    key = _absorb(key, _word(network))
    key = _absorb(key, _word(ops.arange(batch, dtype="int32"))[:, None, None])
    key = _absorb(key, _word(ops.arange(height, dtype="int32"))[None, :, None])
    return _absorb(key, _word(ops.arange(width, dtype="int32"))[None, None, :])


def uniform(shape: tuple, seed: Any, index: Any, network: int = 0) -> Array:
    """Uniform draws in [0, 1), one per cell: a float32 tensor of `shape` (batch, height, width)."""
    hashes = _cell_hashes(shape, seed, index, network)
    return ops.cast(ops.right_shift(hashes, _word(8)), "float32") * 2.0**-24


def fire_mask(shape: tuple, fire_rate: float, seed: Any, index: Any, network: int = 0) -> Array:
    """Which cells fire in one step, with probability `fire_rate`: ``(batch, height, width, 1)``.

    `index` is the step's number in the run. Network 0 is a host, 1 an adversary: each draws its
    own.
    """
    return (uniform(shape, seed, index, network) < fire_rate)[..., None]


def normal(shape: tuple, channels: int, seed: Any, index: Any, network: int = 0) -> Array:
    """Standard normal draws for one step, ``(batch, height, width, channels)``: see `fire_mask`."""
    words = _word(ops.arange(1, channels + 1, dtype="int32"))
    hashes = _absorb(_cell_hashes(shape, seed, index, network)[..., None], words)
    return ops.take(NORMAL_LEVELS, ops.cast(ops.right_shift(hashes, _word(20)), "int32"), axis=0)
