"""A batch: the input of a training step. A loss receives it with the final states."""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnca.automata.checks import check_channels, check_inputs_of, check_mask
from tfnca.automata.step import Step


class Batch(NamedTuple):
    """The items that a pool draws for a training step. Fields that do not apply are None.

    A loss is any function ``loss(state, batch)`` of the final states and this batch. It returns
    ``(batch,)``.

    Example:

    >>> import numpy as np, tfnca
    >>> batch = tfnca.Batch(labels=np.array([3, 8]))
    >>> tfnca.ClassLoss()(tfnca.digit_state(np.ones((2, 28, 28))), batch).shape
    TensorShape([2])
    """

    slots: tf.Tensor | None = None
    """The pool's slots that the states were read from and are written to, ``(batch,)``."""
    state: tf.Tensor | None = None
    """The states at the start of the training step, ``(batch, height, width, channels)``."""
    mask: tf.Tensor | None = None
    """1 where a cell is an adversary, ``(batch, height, width)``; None without adversaries."""
    labels: tf.Tensor | None = None
    """The digits' classes, ``(batch,)``; None for a Growing CA."""
    centres: tf.Tensor | None = None
    """Centres of the patterns at the start, ``(batch, 2)``: see `pattern_centres`. -1 for items
    that were reset; None for an MNIST CA."""
    inputs: tf.Tensor | None = None
    """What every step receives, for a rule with `inputs`: ``(batch, inputs)``, or
    ``(batch, height, width, inputs)``."""

    def last(self, count: int) -> "Batch":
        """The last `count` items."""
        return Batch(*(None if value is None else value[-count:] for value in self))

    def checked(self, step: Step) -> "Batch":
        """The batch as tensors; raises ValueError if it does not fit the step."""
        if self.state is None:
            raise ValueError("evaluate needs initial states. Received: a batch without states")
        check_channels(self.state, step.channels, type(step).__name__)
        if step.has_adversary != (self.mask is not None):
            raise ValueError(
                "A batch needs a mask exactly if the step has adversaries: "
                "Batch(state=…, mask=…). Received: "
                f"{'no' if self.mask is None else 'a'} mask for {type(step).__name__}"
            )
        if self.mask is not None:
            check_mask(np.asarray(self.mask), self.state)
        inputs = None if self.inputs is None else tf.cast(self.inputs, tf.float32)
        check_inputs_of(step, inputs, self.state)
        state = tf.convert_to_tensor(self.state, tf.float32)
        mask = None if self.mask is None else tf.cast(self.mask, tf.float32)
        labels = None if self.labels is None else tf.convert_to_tensor(self.labels)
        return self._replace(state=state, mask=mask, labels=labels, inputs=inputs)
