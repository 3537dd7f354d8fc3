"""Masks: which cells are adversaries."""

from typing import Any

import tensorflow as tf
from keras import ops

from tfnca.automata import randomness
from tfnca.automata.checks import check_cells, check_rate, check_seed
from tfnca.types import Array

_MASK_STREAM = 2
"""Networks 0 and 1 are host and adversary; masks have their own stream of draws."""


def random_mask(where: Array, density: float | Array, seed: Any = None, index: Any = 0) -> Array:
    """Random adversaries: each allowed cell becomes one with probability `density`.

    Args:
        where: The allowed cells, ``(batch, height, width)`` of booleans. The article
            allows every pixel of a digit's grid, and a lizard's cells with target alpha >= 0.1.
        density: Probability for each allowed cell, in [0, 1]; a number or a scalar tensor.
        seed: Integer in [0, 2**63) or scalar tensor. With the same seed, a denser mask contains
            a sparser one. By default each call draws a new seed, reproducibly under
            `keras.utils.set_random_seed`.
        index: Another integer, to draw many masks from one seed.

    Returns:
        float32 tensor ``(batch, height, width)`` of zeros and ones.

    Raises:
        ValueError: If `where` has other axes or values, or `density` or `seed` is a number out of
            its range.

    Example:

    >>> import numpy as np, tfnca
    >>> float(np.mean(tfnca.random_mask(np.ones((8, 64, 64)), 0.1, seed=0))).__round__(2)
    0.1
    """
    check_cells("where", where)
    if not tf.is_tensor(density):
        density = check_rate("density", density)
    if seed is None:
        seed = randomness.new_seed()
    elif not tf.is_tensor(seed):
        seed = check_seed(seed)
    where = ops.cast(where, "bool")
    if len(where.shape) != 3:
        raise ValueError(
            f"where must be of shape (batch, height, width). Received: shape={tuple(where.shape)}"
        )
    draws = randomness.uniform(tuple(ops.shape(where)), seed, index, _MASK_STREAM)
    return ops.cast(ops.logical_and(draws < density, where), "float32")
