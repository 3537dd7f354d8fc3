"""Losses compare final states with their targets and return one number per item.

A loss is any function ``loss(state, batch)`` that returns ``(batch,)``. Pools and trainers call it.
The fields of the `Batch` depend on the pool.
"""

import functools
from collections.abc import Callable
from typing import TypeAlias

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfnca.automata.checks import check_target
from tfnca.automata.state import (
    ALPHA,
    GREY,
    NUM_CLASSES,
    class_logits,
    is_digit_cell,
    no_digits,
    no_picture,
)
from tfnca.choices import LOSSES
from tfnca.data.digits import cell_labels
from tfnca.deprecated import takes_old_names
from tfnca.training.batch import Batch

Loss: TypeAlias = Callable[[tf.Tensor, Batch], tf.Tensor]
"""A function of states and their `Batch` that returns one number per item, ``(batch,)``."""

_NOTHING = Batch()


class PerItem:
    """Wraps a loss and checks that it returns one number per item.

    Args:
        loss: A `Loss`. Its method ``rank``, if it has one, is wrapped too.
        name: The loss's name in error messages.

    Raises:
        ValueError: If `loss` is not callable, or, when called, if it returns anything else.
    """

    def __init__(self, loss: Loss | None, name: str = "loss") -> None:
        if not callable(loss) or isinstance(loss, keras.losses.Loss):
            raise ValueError(
                f"{name} must be a function {name}(state, batch), for example a TargetLoss or a "
                f"ClassLoss. Received: {name}={loss!r}"
            )
        self.loss, self.name = loss, name
        if hasattr(loss, "rank"):
            self.rank = functools.partial(self._checked, loss.rank)

    def __call__(self, state: tf.Tensor, batch: Batch) -> tf.Tensor:
        return self._checked(self.loss, state, batch)

    def _checked(self, function: Callable, state: tf.Tensor, *rest: Batch) -> tf.Tensor:
        result = function(state, *rest)
        try:
            result = tf.convert_to_tensor(result)
        except (TypeError, ValueError):
            raise ValueError(
                f"{self.name} must return a tensor. Received: {type(result).__name__}"
            ) from None
        if not result.dtype.is_floating or result.shape.rank != 1:
            raise ValueError(
                f"{self.name} must return one number per item, floats of shape (batch,): take the "
                f"mean over the other axes. Received: {result.dtype.name} of shape {result.shape}"
            )
        if None not in (result.shape[0], state.shape[0]) and result.shape[0] != state.shape[0]:
            raise ValueError(
                f"{self.name} must return one number per item, {state.shape[0]} of them. "
                f"Received: {result.shape[0]}"
            )
        return result


def _told(batch: Batch) -> Batch:
    """Returns `batch`; raises ValueError if it is not a `Batch`, for example only labels."""
    if not isinstance(batch, Batch):
        raise ValueError(
            "A loss takes states and a Batch, for example Batch(labels=…). "
            f"Received: {type(batch).__name__}"
        )
    return batch


class TargetLoss:
    """Mean squared error (MSE) of RGBA against a target picture, for a Growing CA.

    Args:
        target: Premultiplied RGBA ``(height, width, 4)`` in [0, 1], of the grid's size.
        own_weight: Weight of the error in the adversary's own cells, in [0, 1]; host cells have
            weight 1. Below 1 the adversary learns to change host cells instead of only itself.
            The article: 1.
        drift_penalty: Loss added per squared cell that the pattern's centre moves. The article: 0.
        overflow: Weight of the mean excess of all channels over `bound`. It keeps a host's states
            in the range where a perturbation's clip at ±3 has no effect. The article: 0.
        bound: Largest absolute value of a channel without a penalty.

    Call arguments:
        state: The final states, ``(batch, height, width, channels)``.
        batch: Their `Batch`. The loss reads `mask` and `centres`, both optional.

    Returns:
        One loss per item, ``(batch,)``.

    Raises:
        ValueError: If `target` is not such a picture, `own_weight` is outside [0, 1],
            `drift_penalty` or `overflow` is negative or not finite, or `bound` is not positive.

    Example:

    >>> import numpy as np, tfnca
    >>> tfnca.TargetLoss(np.zeros((16, 16, 4)))(tfnca.seed_state(16)).shape
    TensorShape([1])
    """

    why_not = staticmethod(no_picture)

    @takes_old_names
    def __init__(
        self,
        target: np.ndarray,
        own_weight: float = 1.0,
        drift_penalty: float = 0.0,
        overflow: float = 0.0,
        bound: float = 2.7,
    ) -> None:
        self.target = check_target("target", target)
        self.own_weight = float(own_weight)
        if not 0 <= self.own_weight <= 1:
            raise ValueError(f"own_weight must be in [0, 1]. Received: own_weight={own_weight}")
        self.drift_penalty = float(drift_penalty)
        if not 0 <= self.drift_penalty < np.inf:
            raise ValueError(
                f"drift_penalty must be 0 or more. Received: drift_penalty={drift_penalty}"
            )
        self.overflow = float(overflow)
        if not 0 <= self.overflow < np.inf:
            raise ValueError(f"overflow must be 0 or more. Received: overflow={overflow}")
        self.bound = float(bound)
        if not self.bound > 0:
            raise ValueError(f"bound must be positive. Received: bound={bound}")

    def __call__(self, state: tf.Tensor, batch: Batch = _NOTHING) -> tf.Tensor:
        batch, errors = _told(batch), self._cell_errors(state)
        if batch.mask is not None and self.own_weight < 1:
            errors *= 1.0 - (1.0 - self.own_weight) * batch.mask
        errors = ops.mean(errors, axis=(1, 2))
        if batch.centres is not None and self.drift_penalty:
            now = pattern_centres(state)
            anew = batch.centres < 0
            moved = now - ops.where(anew, ops.stop_gradient(now), batch.centres)
            errors += self.drift_penalty * ops.sum(ops.square(moved), axis=-1)
        return errors + self._excess(state)

    def rank(self, state: tf.Tensor) -> tf.Tensor:
        """The order in a `GrowingPool`: the loss with weight 1 for every cell, ``(batch,)``."""
        return ops.mean(self._cell_errors(state), axis=(1, 2)) + self._excess(state)

    def _excess(self, state: tf.Tensor) -> tf.Tensor | float:
        """The penalty for channels above the bound, ``(batch,)``."""
        if not self.overflow:
            return 0.0
        return self.overflow * ops.mean(ops.relu(ops.abs(state) - self.bound), axis=(1, 2, 3))

    def _cell_errors(self, state: tf.Tensor) -> tf.Tensor:
        if tuple(state.shape[1:3]) != self.target.shape[:2]:
            raise ValueError(
                f"The grid must have the target's size {self.target.shape[:2]}. "
                f"Received: a state of shape {tuple(state.shape)}"
            )
        return ops.mean(ops.square(state[..., : ALPHA + 1] - self.target), axis=-1)


def pattern_centres(state: tf.Tensor) -> tf.Tensor:
    """Row and column of the centre of mass of each item's alpha in [0, 1], ``(batch, 2)``."""
    alpha = ops.clip(state[..., ALPHA], 0.0, 1.0)
    mass = ops.maximum(ops.sum(alpha, axis=(1, 2)), 1e-6)
    rows, columns = (ops.arange(size, dtype="float32") for size in state.shape[1:3])
    sums = [ops.sum(alpha * rows[:, None], axis=(1, 2)), ops.sum(alpha * columns, axis=(1, 2))]
    return ops.stack(sums, axis=-1) / mass[:, None]


class ClassLoss:
    """The error of every cell's class logits, for an MNIST CA.

    Args:
        kind: ``"l2"`` is half the squared error, summed over cells and classes. The target of a
            cell on the digit is the one-hot class, that of any other cell is zero. The article's
            models were trained with this loss. ``"cross_entropy"`` is the mean over the digit.
        digit: For an adversary: the class that every digit should be classified as. None: its own.
        others_weight: Weight of the cells outside the mask, in [0, 1]; cells of the mask have
            weight 1. The article: 1.

    Call arguments:
        state: The final states, ``(batch, height, width, channels)``.
        batch: Their `Batch`. The loss reads `labels`, and `mask` if there is one.

    Returns:
        One loss per item, ``(batch,)``.

    Raises:
        ValueError: If `kind` or `digit` is unknown, `others_weight` is outside [0, 1], or the batch
            has no labels.

    Example:

    >>> import numpy as np, tfnca
    >>> state = tfnca.digit_state(np.ones((2, 28, 28)))
    >>> tfnca.ClassLoss()(state, tfnca.Batch(labels=np.array([3, 8]))).shape
    TensorShape([2])
    """

    KINDS: tuple[str, ...] = LOSSES
    why_not = staticmethod(no_digits)

    def __init__(
        self, kind: str = "l2", digit: int | None = None, others_weight: float = 1.0
    ) -> None:
        if kind not in self.KINDS:
            raise ValueError(f"kind must be one of {self.KINDS}. Received: kind={kind!r}")
        if digit is not None and digit not in range(NUM_CLASSES):
            raise ValueError(f"digit must be in 0 to 9. Received: digit={digit!r}")
        self.kind = kind
        self.digit = digit
        self.others_weight = float(others_weight)
        if not 0 <= self.others_weight <= 1:
            raise ValueError(
                f"others_weight must be in [0, 1]. Received: others_weight={others_weight}"
            )

    def __call__(self, state: tf.Tensor, batch: Batch) -> tf.Tensor:
        labels = _told(batch).labels
        if labels is None:
            raise ValueError(
                "ClassLoss needs the digits' labels, as a DigitPool gives them: "
                "Batch(labels=…). Received: a batch without labels"
            )
        if self.digit is not None:
            labels = ops.full_like(labels, self.digit)
        expected = cell_labels(state[..., GREY], labels)
        weight = ops.ones_like(state[..., GREY])
        if batch.mask is not None and self.others_weight < 1:
            weight = self.others_weight + (1.0 - self.others_weight) * batch.mask
        if self.kind == "l2":
            errors = ops.sum(ops.square(expected - class_logits(state)), axis=-1)
            return ops.sum(errors * weight, axis=(1, 2)) / 2.0
        weight *= ops.cast(is_digit_cell(state)[..., 0], "float32")
        errors = keras.losses.categorical_crossentropy(
            expected, class_logits(state), from_logits=True
        )
        return ops.sum(errors * weight, axis=(1, 2)) / ops.maximum(
            ops.sum(weight, axis=(1, 2)), 1.0
        )
