"""A perturbation that adds the same vector to every living cell."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from tfnca.automata.checks import check_array
from tfnca.automata.perturbations.base import StatePerturbation
from tfnca.automata.state import GROWING_CHANNELS
from tfnca.deprecated import current_class
from tfnca.types import Array


@keras.saving.register_keras_serializable("tfnca", name="StateShift")  # the name in files
class ShiftPerturbation(StatePerturbation):
    """A vector b added to every living cell before each step, clipped to ±3.

    It changes every cell in the same way, whereas the effect of a matrix depends on the cell's
    state.

    Args:
        channels: Length of the vector.
        vector: Array ``(channels,)`` to start from; by default, zeros.

    Call arguments:
        state: Tensor ``(batch, height, width, channels)``.

    Returns:
        Tensor of the same shape as `state`.

    Raises:
        ValueError: If `vector` is not of that shape, or not finite.

    Example:

    >>> import tfnca
    >>> tfnca.ShiftPerturbation()(tfnca.seed_state(16)).shape
    TensorShape([1, 16, 16, 16])

    Reference:
        The article's "Perturbing the states of Growing CA" argues that a matrix is needed.
    """

    kind = "shift"
    meaning = "a vector that is added to the state of every living cell"

    def __init__(self, channels: int = GROWING_CHANNELS, vector: Any = None, **kwargs: Any) -> None:
        super().__init__(channels, **kwargs)
        self.variable = self.add_weight(name="vector", shape=(channels,), initializer="zeros")
        if vector is not None:
            self.variable.assign(check_array(vector, (channels,), "vector"))
        self.built = True

    @property
    def vector(self) -> Array:
        """The vector b, a tensor ``(channels,)``."""
        return ops.convert_to_tensor(self.variable)

    def to_array(self) -> np.ndarray:
        return ops.convert_to_numpy(self.variable)

    @classmethod
    def from_array(cls, array: np.ndarray, name: str = "array") -> Self | None:
        if array.ndim != 1:
            return None
        return cls(len(array), check_array(array, array.shape, name))

    @classmethod
    def combined(cls, weighted: Sequence[tuple[StatePerturbation, float]]) -> StatePerturbation:
        total = sum(k * perturbation.to_array() for perturbation, k in weighted)
        return cls(weighted[0][0].channels, total)

    def describe(self) -> dict:
        return {"length": float(np.linalg.norm(self.to_array()))}


def __getattr__(name: str) -> Any:
    return current_class(name, globals(), __name__)
