"""Losses: how far a state is from what it should show, one number an item."""

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfnca.digits import cell_labels
from tfnca.state import ALPHA, GREY, NUM_CLASSES, class_logits, is_digit_cell


class TargetLoss:
    """Mean squared RGBA error against a picture, for a Growing CA.

    Args:
        target: Premultiplied RGBA ``(height, width, 4)`` in [0, 1], of the grid's size.
        own_weight: What the error of an adversary's own cells counts, in [0, 1], where that of
            the host's cells counts 1. Below 1 the adversaries learn to persuade rather than to
            paint themselves; published: 1.

    Raises:
        ValueError: If `target` is not such a picture, or `own_weight` outside [0, 1].

    Example:

    >>> import numpy as np, tfnca
    >>> tfnca.TargetLoss(np.zeros((16, 16, 4)))(tfnca.seed_state(16)).shape
    TensorShape([1])
    """

    def __init__(self, target, own_weight=1.0):
        self.target = np.asarray(target, np.float32)
        self.own_weight = float(own_weight)
        if not 0 <= self.own_weight <= 1:
            raise ValueError(f"own_weight must lie in [0, 1]. Received: own_weight={own_weight}")
        if self.target.ndim != 3 or self.target.shape[-1] != ALPHA + 1:
            raise ValueError(
                "target must be RGBA of shape (height, width, 4). "
                f"Received: shape={self.target.shape}"
            )
        if not np.isfinite(self.target).all():
            raise ValueError("target must be finite. Received: NaN or infinite values")

    def __call__(self, state, places=None, mask=None):
        """Returns one loss an item, ``(batch,)``; `places`, ``(batch, 2)``, moves the target by so
        many rows and columns, around the grid's edge; `mask`, ``(batch, height, width)``, is 1
        where adversaries stand."""
        if tuple(state.shape[1:3]) != self.target.shape[:2]:
            raise ValueError(
                f"The target is {self.target.shape[:2]}, the grid must be as large. "
                f"Received: a state of shape {tuple(state.shape)}"
            )
        target = self.target if places is None else self._moved(places)
        errors = ops.mean(ops.square(state[..., : ALPHA + 1] - target), axis=-1)
        if mask is not None and self.own_weight < 1:
            errors *= 1.0 - (1.0 - self.own_weight) * mask
        return ops.mean(errors, axis=(1, 2))

    def places(self, state):
        """Where each item's pattern stands: the move of the target that fits it best.

        Args:
            state: ``(batch, height, width, channels)``.

        Returns:
            Rows and columns, ``(batch, 2)`` int32; zero unless the move lowers the error by a
            tenth, as for a seed, which fits anywhere.
        """
        images, target = (
            tf.signal.fft2d(tf.cast(tf.einsum("...hwc->...chw", rgba), tf.complex64))
            for rgba in (state[..., : ALPHA + 1], tf.constant(self.target))
        )
        # |s - t|² = |s|² + |t|² - 2 s·t, the last for all moves around the edge at once.
        products = tf.reduce_sum(tf.math.real(tf.signal.ifft2d(images * tf.math.conj(target))), 1)
        width, flat = self.target.shape[1], tf.reshape(products, [tf.shape(products)[0], -1])
        best = tf.argmax(flat, axis=1, output_type=tf.int32)
        gain = 2.0 * (tf.reduce_max(flat, axis=1) - flat[:, 0]) / self.target.size
        moves = tf.stack([best // width, best % width], axis=1)
        return tf.where((gain > 0.1 * self(state))[:, None], moves, 0)

    def _moved(self, places):
        height, width = self.target.shape[:2]
        rows = (tf.range(height) - places[:, :1]) % height
        columns = (tf.range(width) - places[:, 1:]) % width
        return tf.gather(tf.gather(self.target, rows), columns, axis=2, batch_dims=1)


class ClassLoss:
    """The error of every cell's class logits, for an MNIST CA.

    Args:
        kind: ``"l2"``: half the squared error, summed over cells and classes, where cells of the
            stroke should have a one-hot of the class and all others zero; this is what the
            published models were trained with. ``"cross_entropy"``: the mean over the stroke.
        digit: The class that all digits should get, for an adversary; their own if None.

    Raises:
        ValueError: If `kind` or `digit` is unknown.

    Example:

    >>> import numpy as np, tfnca
    >>> tfnca.ClassLoss()(tfnca.digit_state(np.ones((2, 28, 28))), np.array([3, 8])).shape
    TensorShape([2])
    """

    KINDS = ("l2", "cross_entropy")

    def __init__(self, kind="l2", digit=None):
        if kind not in self.KINDS:
            raise ValueError(f"kind must be one of {self.KINDS}. Received: kind={kind!r}")
        if digit is not None and digit not in range(NUM_CLASSES):
            raise ValueError(f"digit must lie in 0 to 9. Received: digit={digit!r}")
        self.kind = kind
        self.digit = digit

    def __call__(self, state, labels, mask=None):
        """Returns one loss an item, ``(batch,)``, given the digits' labels ``(batch,)``; whose
        cells they are (`mask`) makes no difference."""
        if self.digit is not None:
            labels = ops.full_like(labels, self.digit)
        expected = cell_labels(state[..., GREY], labels)
        if self.kind == "l2":
            return ops.sum(ops.square(expected - class_logits(state)), axis=(1, 2, 3)) / 2.0
        alive = ops.cast(is_digit_cell(state)[..., 0], "float32")
        errors = keras.losses.categorical_crossentropy(
            expected, class_logits(state), from_logits=True
        )
        return ops.sum(errors * alive, axis=(1, 2)) / ops.maximum(ops.sum(alive, axis=(1, 2)), 1.0)
