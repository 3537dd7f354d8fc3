"""A batch: what a training step works on, and what a loss is told beside the final state."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnca.automata.checks import check_channels, check_mask
from tfnca.automata.step import Step


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
    """Where patterns stood, ``(batch, 2)``, see `pattern_centres`; -1 where one starts anew; None
    for an MNIST CA."""

    def last(self, count: int) -> "Batch":
        """The last `count` items."""
        return Batch(*(None if value is None else value[-count:] for value in self))

    def checked(self, step: Step) -> "Batch":
        """As tensors; raises ValueError if it does not fit the step."""
        if self.state is None:
            raise ValueError("evaluate needs states to begin with. Received: a batch without any")
        check_channels(self.state, step.channels, type(step).__name__)
        if step.has_adversary != (self.mask is not None):
            raise ValueError(
                "A batch has a mask where the step has adversaries, and only there: "
                "Batch(state=…, mask=…). Received: "
                f"{'no' if self.mask is None else 'a'} mask for {type(step).__name__}"
            )
        if self.mask is not None:
            check_mask(np.asarray(self.mask), self.state)
        state = tf.convert_to_tensor(self.state, tf.float32)
        mask = None if self.mask is None else tf.cast(self.mask, tf.float32)
        labels = None if self.labels is None else tf.convert_to_tensor(self.labels)
        return self._replace(state=state, mask=mask, labels=labels)
