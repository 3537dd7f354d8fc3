"""Masks: which cells are adversaries."""

from typing import Any

import tensorflow as tf
from keras import ops

from tfnca.automata import randomness
from tfnca.automata.checks import (
    check_cells,
    check_integer,
    check_rate,
    check_seed,
    is_concrete,
)
from tfnca.types import Array

_MASK_STREAM = 2
"""Networks 0 and 1 are host and adversary; masks have their own stream of draws."""


def random_mask(where: Array, density: float | Array, seed: Any = None, index: Any = 0) -> Array:
    """Random adversaries: each allowed cell becomes one with probability `density`.

    Args:
        where: The allowed cells, ``(batch, height, width)`` of booleans. The article
            allows every pixel of a digit's grid, and a lizard's cells with target alpha >= 0.1.
        density: Probability for each allowed cell, in [0, 1]; a number or a scalar tensor.
        seed: Integer in [0, 2**63) or scalar tensor. The same seed and index give the same mask,
            and a denser one contains a sparser one. By default each call draws a new seed,
            reproducibly under `keras.utils.set_random_seed`.
        index: Another integer, to draw many masks from one seed, for example in a loop.

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


def random_patch(where: Array, size: int = 1, seed: Any = None, index: Any = 0) -> Array:
    """One square of adversaries per grid, at a random place among the allowed cells.

    Args:
        where: The allowed cells, ``(batch, height, width)`` of booleans.
        size: Side of the square in cells; 1 is a single cell.
        seed: See `random_mask`.
        index: See `random_mask`.

    Returns:
        float32 tensor ``(batch, height, width)`` of zeros and ones.

    Raises:
        ValueError: If an argument is out of its range, or the allowed cells of a grid contain no
            such square.

    Example:

    >>> import numpy as np, tfnca
    >>> float(np.sum(tfnca.random_patch(np.ones((1, 64, 64)), size=2, seed=0)))
    4.0
    """
    everywhere = random_mask(where, 1.0, seed=0)  # checks them
    size = check_integer("size", size, 1, min(everywhere.shape[1:]))
    seed = randomness.new_seed() if seed is None else seed
    draws = randomness.uniform(tuple(ops.shape(everywhere)), seed, index, _MASK_STREAM)
    # A corner counts if no cell of its square is missing.
    missing = ops.max_pool(1.0 - everywhere[..., None], size, strides=1, padding="valid")[..., 0]
    fits = missing < 0.5
    if is_concrete(fits) and not bool(ops.all(ops.any(fits, axis=(1, 2)))):
        raise ValueError(
            f"where must contain a square of {size} by {size} allowed cells in each grid. "
            "Received: a grid without one"
        )
    rows, columns = fits.shape[1:]
    draws = ops.where(fits, draws[:, :rows, :columns], -1.0)
    corner = ops.argmax(ops.reshape(draws, (-1, rows * columns)), axis=-1)
    top, left = (ops.cast(each, "int32")[:, None] for each in (corner // columns, corner % columns))
    height, width = everywhere.shape[1:]
    in_rows, in_columns = ops.arange(height)[None] - top, ops.arange(width)[None] - left
    in_rows, in_columns = (ops.logical_and(i >= 0, i < size) for i in (in_rows, in_columns))
    return ops.cast(ops.logical_and(in_rows[:, :, None], in_columns[:, None, :]), "float32")
