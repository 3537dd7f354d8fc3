"""Randomness without a generator: every draw is a hash of where and when it is made.

The fire mask and the noise of a step are a pure function of (seed, step, network, batch item,
row, column). So one seed gives the same draws in every engine, on any crop of the grid, after
a resume, and a graph that is exported carries no generator's state. The function stands here
twice: on whole grids for the dense engine, and cell by cell for the living-cells engine.

The hash absorbs one 32-bit word at a time with a bijective finaliser (two multiplications,
three xor-shifts; constants by Chris Wellons' hash-prospector).
"""

from statistics import NormalDist

import numba
import numpy as np
from keras import ops

_GOLDEN = 0x9E3779B9
_MULTIPLIERS = (0x7FEB352D, 0x846CA68B)
_SHIFTS = (16, 15, 16)

_LEVELS = 4096
_levels = np.array([NormalDist().inv_cdf((i + 0.5) / _LEVELS) for i in range(_LEVELS)])
NORMAL_LEVELS = (_levels / _levels.std()).astype(np.float32)
"""Standard normal quantiles at 4,096 evenly spaced probabilities, scaled to unit variance.

Looking a value up, unlike Box-Muller, gives the same bits in every engine and on every device.
"""


def check_seed(seed):
    """Returns `seed` as a Python integer; raises ValueError unless 0 <= seed < 2**63."""
    if int(seed) != seed or not 0 <= seed < 2**63:
        raise ValueError(f"seed must be an integer in [0, 2**63). Received: seed={seed!r}")
    return int(seed)


def _word(value):
    return ops.cast(value, "uint32")


def _absorb(key, word):
    x = ops.bitwise_xor(key, word) + _word(_GOLDEN)
    for shift, multiplier in zip(_SHIFTS, (*_MULTIPLIERS, None), strict=True):
        x = ops.bitwise_xor(x, ops.right_shift(x, _word(shift)))
        if multiplier is not None:
            x = x * _word(multiplier)
    return x


def _cell_hashes(shape, seed, index, network):
    batch, height, width = shape
    seed = ops.cast(seed, "int64")
    key = _absorb(_word(0), _word(ops.bitwise_and(seed, 0xFFFFFFFF)))
    key = _absorb(key, _word(ops.right_shift(seed, ops.cast(32, "int64"))))
    key = _absorb(key, _word(index))
    key = _absorb(key, _word(network))
    key = _absorb(key, _word(ops.arange(batch, dtype="int32"))[:, None, None])
    key = _absorb(key, _word(ops.arange(height, dtype="int32"))[None, :, None])
    return _absorb(key, _word(ops.arange(width, dtype="int32"))[None, None, :])


def uniform(shape, seed, index, network=0):
    """Uniform draws in [0, 1), one a cell: a float32 tensor of `shape` (batch, height, width)."""
    hashes = _cell_hashes(shape, seed, index, network)
    return ops.cast(ops.right_shift(hashes, _word(8)), "float32") * 2.0**-24


def fire_mask(shape, fire_rate, seed, index, network=0):
    """Which cells fire in one step.

    Args:
        shape: ``(batch, height, width)``.
        fire_rate: Probability that a cell fires, in [0, 1]; at 1 all cells do.
        seed: Integer or scalar tensor in [0, 2**63).
        index: The step's number in the run, an integer or scalar tensor.
        network: 0 for a host, 1 for an adversary: each draws its own mask.

    Returns:
        Boolean tensor ``(batch, height, width, 1)``.
    """
    return (uniform(shape, seed, index, network) < fire_rate)[..., None]


def normal(shape, channels, seed, index, network=0):
    """Standard normal draws for one step.

    Args:
        shape: ``(batch, height, width)``.
        channels: Draws per cell.
        seed: Integer or scalar tensor in [0, 2**63).
        index: The step's number in the run, an integer or scalar tensor.
        network: 0 for a host, 1 for an adversary.

    Returns:
        Tensor ``(batch, height, width, channels)``.
    """
    words = _word(ops.arange(1, channels + 1, dtype="int32"))
    hashes = _absorb(_cell_hashes(shape, seed, index, network)[..., None], words)
    return ops.take(NORMAL_LEVELS, ops.cast(ops.right_shift(hashes, _word(20)), "int32"), axis=0)


# The same function for one cell, compiled for the living-cells engine.


@numba.njit
def absorb(key, word):
    """One round of the hash: a 32-bit key and a 32-bit word to the next key."""
    x = (np.uint32(key) ^ np.uint32(word)) + np.uint32(_GOLDEN)
    x = np.uint32(x)
    x ^= x >> np.uint32(_SHIFTS[0])
    x = np.uint32(x * np.uint32(_MULTIPLIERS[0]))
    x ^= x >> np.uint32(_SHIFTS[1])
    x = np.uint32(x * np.uint32(_MULTIPLIERS[1]))
    return np.uint32(x ^ (x >> np.uint32(_SHIFTS[2])))


@numba.njit
def item_key(seed, index, network, item):
    """The key of one batch item in one step, to be completed by row and column."""
    key = absorb(np.uint32(0), np.uint32(seed & 0xFFFFFFFF))
    key = absorb(key, np.uint32(seed >> 32))
    key = absorb(key, np.uint32(index))
    key = absorb(key, np.uint32(network))
    return absorb(key, np.uint32(item))


@numba.njit
def cell_hash(key, row, column):
    """The hash of one cell under an `item_key`."""
    return absorb(absorb(key, np.uint32(row)), np.uint32(column))


@numba.njit
def fires(cell, fire_rate):
    """Whether the cell with this hash fires."""
    return np.float32(cell >> np.uint32(8)) * np.float32(2.0**-24) < fire_rate


@numba.njit
def normal_level(cell, channel):
    """The index into `NORMAL_LEVELS` of this cell's draw for one channel."""
    return absorb(cell, np.uint32(channel + 1)) >> np.uint32(20)
