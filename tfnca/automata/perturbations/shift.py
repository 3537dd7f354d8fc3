"""A perturbation that only pushes: one vector added to every living cell."""

import keras
import numpy as np
from keras import ops

from tfnca.automata.checks import check_array
from tfnca.automata.perturbations.base import StatePerturbation
from tfnca.automata.state import GROWING_CHANNELS


@keras.saving.register_keras_serializable("tfnca")
class StateShift(StatePerturbation):
    """A vector b added to every living cell before each step, clipped to ±3.

    It knows nothing of a cell's state, where a matrix acts on some cells more than on others.

    Args:
        channels: Length of the vector.
        vector: Array ``(channels,)`` to start from; zeros if not given.

    Call arguments:
        state: Tensor ``(batch, height, width, channels)``.

    Returns:
        Tensor of the shape of `state`.

    Raises:
        ValueError: If `vector` is not of that shape, or not finite.

    Example:

    >>> import tfnca
    >>> tfnca.StateShift()(tfnca.seed_state(16)).shape
    TensorShape([1, 16, 16, 16])

    Reference:
        The article's "Perturbing the states of Growing CA" holds that a matrix is needed.
    """

    kind = "shift"

    def __init__(self, channels=GROWING_CHANNELS, vector=None, **kwargs):
        super().__init__(channels, **kwargs)
        self.variable = self.add_weight(name="vector", shape=(channels,), initializer="zeros")
        if vector is not None:
            self.variable.assign(check_array(vector, (channels,), "vector"))
        self.built = True

    @property
    def vector(self):
        """The vector b, a tensor ``(channels,)``."""
        return ops.convert_to_tensor(self.variable)

    def to_array(self):
        return ops.convert_to_numpy(self.variable)

    @classmethod
    def from_array(cls, array, name="array"):
        if array.ndim != 1:
            return None
        return cls(len(array), check_array(array, array.shape, name))

    @classmethod
    def combined(cls, weighted):
        total = sum(k * perturbation.to_array() for perturbation, k in weighted)
        return cls(weighted[0][0].channels, total)

    def describe(self):
        return {"length": float(np.linalg.norm(self.to_array()))}
