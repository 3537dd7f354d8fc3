"""A frozen host under a perturbation: the article's third attack."""

import inspect
from typing import Any

import keras

from tfnca.automata.context import Context
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.perturbations.matrix import MatrixPerturbation
from tfnca.automata.step import Step, freeze_copy, next_state
from tfnca.types import Array


@keras.saving.register_keras_serializable("tfnca")
class Perturbed(Step):
    """A frozen host whose living cells are perturbed before each of its steps.

    The host decides which cells are alive and which values a state may have (`Step.confine`), so
    that the identity matrix changes nothing. A `GrowingCA` is clipped to ±3, as in the article: if
    its own states exceed that, even the identity changes the run. `rollout` and `Trainer.fit` warn
    once if they start from such a state, for example from the grown host. ``host.scaled(factors)``
    avoids this exactly: it is the same rule, with hidden channels in units in which they stay
    within the bound. A `NeuralCA` is clipped only at its `state_clip`.

    Args:
        host: The step under attack: a CA, or an `Injected`. The step holds a frozen copy; your
            object does not change.
        matrix: Any `StatePerturbation`, trained in place, or an array for a new
            `MatrixPerturbation`; by default, the identity.

    Call arguments:
        See `Step`.

    Returns:
        The next state, of the same shape as `state`.

    Raises:
        ValueError: If the host is not a step or is perturbed itself, or the matrix does not fit.

    Example:

    >>> import numpy as np, tfnca
    >>> step = tfnca.Perturbed(tfnca.GrowingCA(), np.eye(16))
    >>> step(tfnca.seed_state(16), seed=0, index=0).shape
    TensorShape([1, 16, 16, 16])

    Reference:
        The article's "Perturbing the states of Growing CA".
    """

    def __init__(self, host: Step, matrix: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(host, Step) or host.perturbation is not None:
            raise ValueError(
                f"host must be a CA or an Injected, not perturbed itself. Received: host={host!r}"
            )
        self.host = freeze_copy(host)
        if not isinstance(matrix, StatePerturbation):
            matrix = MatrixPerturbation(host.channels, matrix)
        if matrix.channels != host.channels:
            raise ValueError(
                f"The perturbation must fit the host's {host.channels} channels. "
                f"Received: one with {matrix.channels}"
            )
        self.perturbation = matrix
        self.channels = host.channels
        self.built = True

    @property
    def trained(self) -> keras.layers.Layer:
        return self.perturbation

    def advance(self, state: Array, context: Context) -> Array:
        takes_host = "host" in inspect.signature(self.perturbation.call).parameters
        told = {"host": self.host} if takes_host else {}
        perturbed = self.perturbation(state, **told)
        return next_state(self.host, perturbed, context, training=False)

    def living(self, state: Array) -> Array | None:
        return self.host.living(state)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "host": keras.saving.serialize_keras_object(self.host),
            "matrix": keras.saving.serialize_keras_object(self.perturbation),
        }

    @classmethod
    def from_config(cls, config: dict) -> Step:
        config = dict(config)
        for name in ("host", "matrix"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
