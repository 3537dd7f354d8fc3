"""Masks that change during a run: the run is cut into stretches, each with one mask."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfnca.automata.checks import check_mask, is_concrete
from tfnca.types import Array

TimedMask = Callable[[int], Array | None]
"""The mask of a step, by the step's number; None where no cell is an adversary."""

_AXES = 4
"""Axes of a mask with a time axis, ``(steps, batch, height, width)``."""


def is_timed(mask: Any) -> bool:
    """Whether a function or tensor gives each step a mask of its own."""
    return callable(mask) or (mask is not None and mask.shape.rank == _AXES)


def by_number(mask: tf.Tensor | TimedMask, steps: Any, first: Any) -> TimedMask:
    """A mask over time as a function of the step's number, for a run from step `first`.

    Raises:
        ValueError: If `steps` or `first` is symbolic, or the time axis has another length.
    """
    if not (isinstance(steps, int) and isinstance(first, int)):
        raise ValueError(
            "A mask over time needs steps and step_offset as numbers, not as tensors of a graph. "
            f"Received: steps={steps}, step_offset={first}"
        )
    if callable(mask):
        return mask
    if mask.shape[0] != steps:
        raise ValueError(
            f"A mask with a time axis must have one mask for each of the {steps} steps, "
            f"(steps, batch, height, width). Received: mask of shape {tuple(mask.shape)}"
        )
    return lambda number: mask[number - first]


def stretches(
    mask: TimedMask, state: tf.Tensor, steps: int, first: int
) -> Iterator[tuple[int, int, Array]]:
    """Yields ``(first step, steps, mask)`` for each stretch of a run.

    Raises:
        ValueError: If a mask does not fit the state.
    """
    nowhere = tf.zeros(tf.shape(state)[:3])
    begin, current = first, None
    for number in range(first, first + steps):
        following = mask(number)
        if following is None:
            following = nowhere
        elif not tf.is_tensor(following):
            following = np.asarray(following)
        if current is not None and not _equal(current, following):
            yield begin, number - begin, current
            begin, current = number, None
        if current is None:
            check_mask(following, state)
            current = following
    yield begin, first + steps - begin, nowhere if current is None else current


def _equal(one: Array, other: Array) -> bool:
    if is_concrete(one) and is_concrete(other):
        return np.array_equal(one, other)
    return one is other
