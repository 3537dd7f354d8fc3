"""The article's perturbation: a symmetric matrix that multiplies every living cell."""

from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from tfnca.automata.checks import check_matrix
from tfnca.automata.perturbations.base import StatePerturbation
from tfnca.automata.state import GROWING_CHANNELS
from tfnca.deprecated import current_class
from tfnca.types import Array


@keras.saving.register_keras_serializable("tfnca", name="Perturbation")  # the name in files
class MatrixPerturbation(StatePerturbation):
    """A global state perturbation: living cells times a symmetric matrix A, clipped to ±3.

    Only the upper triangle is read, and mirrored, so A stays symmetric in training. The article's
    web demo multiplies after the step and without the living mask; this layer follows the training
    code, which multiplies living cells before the step.

    Args:
        channels: Number of rows and columns of the matrix.
        matrix: Array ``(channels, channels)`` to start from; by default, the identity.

    Call arguments:
        state: Tensor ``(batch, height, width, channels)``.

    Returns:
        Tensor of the same shape as `state`.

    Raises:
        ValueError: If `matrix` is not symmetric, not of that shape, or not finite.

    Example:

    >>> import tfnca
    >>> A = tfnca.MatrixPerturbation()
    >>> A(tfnca.seed_state(16)).shape
    TensorShape([1, 16, 16, 16])

    Reference:
        The article's "Perturbing the states of Growing CA".
    """

    kind = "matrix"
    meaning = "a symmetric matrix that multiplies the state of every living cell"

    def __init__(self, channels: int = GROWING_CHANNELS, matrix: Any = None, **kwargs: Any) -> None:
        super().__init__(channels, **kwargs)
        self.variable = self.add_weight(
            name="matrix", shape=(channels, channels), initializer="identity"
        )
        if matrix is not None:
            self.variable.assign(check_matrix(matrix, channels))
        self.built = True

    @property
    def matrix(self) -> Array:
        """The symmetric matrix A, a tensor ``(channels, channels)``."""
        upper = ops.triu(self.variable)
        return upper + ops.transpose(ops.triu(self.variable, k=1))

    def spectrum(self) -> np.ndarray:
        """Eigenvalues of A, ascending, ``(channels,)``; a direction above 1 is amplified."""
        return np.linalg.eigvalsh(self.to_array().astype(np.float64))

    def to_array(self) -> np.ndarray:
        return ops.convert_to_numpy(self.matrix)

    @classmethod
    def from_array(cls, array: np.ndarray, name: str = "array") -> Self | None:
        if array.ndim == 1:
            return None
        channels = GROWING_CHANNELS if array.ndim != 2 else array.shape[0]
        return cls(channels, check_matrix(array, channels, name))

    @classmethod
    def combined(cls, weighted: Sequence[tuple[StatePerturbation, float]]) -> StatePerturbation:
        channels = weighted[0][0].channels
        identity = np.eye(channels)
        total = identity.copy()
        for perturbation, k in weighted:
            total += k * (perturbation.to_array() - identity)
        return cls(channels, total)

    def describe(self) -> dict:
        return {"spectrum": self.spectrum().tolist()}


def __getattr__(name: str) -> Any:
    return current_class(name, globals(), __name__)
