"""A batch: what a training step works on, and what a loss is told beside the final state."""

from typing import NamedTuple

import tensorflow as tf


class Batch(NamedTuple):
    """What a pool gives to a training step; every field is None where there is nothing to tell.

    A loss is any function ``loss(state, batch)`` of the final state and of this, to ``(batch,)``.

    Example:

    >>> import numpy as np, tfnca
    >>> batch = tfnca.Batch(labels=np.array([3, 8]))
    >>> tfnca.ClassLoss()(tfnca.digit_state(np.ones((2, 28, 28))), batch).shape
    TensorShape([2])
    """

    slots: tf.Tensor | None = None
    """Where the states came from and go back to, ``(batch,)``."""
    state: tf.Tensor | None = None
    """The states that the step begins with, ``(batch, height, width, channels)``."""
    mask: tf.Tensor | None = None
    """Where adversaries stand, ``(batch, height, width)``; None without adversaries."""
    labels: tf.Tensor | None = None
    """The digits' classes, ``(batch,)``; None for a Growing CA."""
    centres: tf.Tensor | None = None
    """Where patterns stood, ``(batch, 2)``, see `pattern_centres`; NaN where one starts anew; None
    for an MNIST CA."""

    def last(self, count: int) -> "Batch":
        """The last `count` items."""
        return Batch(*(None if value is None else value[-count:] for value in self))
