"""Constraints on weights in training."""

import keras
from keras import ops

from tfnca.automata.state import ALPHA
from tfnca.types import Array


class SlowColours(keras.constraints.Constraint):
    """Limits how fast a Growing CA's red, green and blue can change.

    An attack pushes each colour a little in every step, and the host pulls it back. The slower the
    host's colours change, the farther the attack can shift them (docs/findings.md).

    Args:
        limit: Largest norm of the last layer's weights for each colour. The article's lizard has
            0.78 to 0.87.

    Call arguments:
        weights: The last layer's kernel, ``(hidden, channels)``.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def __call__(self, weights: Array) -> Array:
        colours, others = weights[:, :ALPHA], weights[:, ALPHA:]
        norms = ops.maximum(ops.norm(colours, axis=0), 1e-6)
        return ops.concatenate([colours * ops.minimum(1.0, self.limit / norms), others], axis=1)
