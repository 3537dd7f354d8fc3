"""Perturbation: a symmetric matrix multiplied onto every living cell before each step."""

import keras
import numpy as np
from keras import ops

from tfnca.growing import GrowingCA
from tfnca.injection import Injected
from tfnca.state import GROWING_CHANNELS, STATE_BOUND, living_mask
from tfnca.step import Step, check_channels, freeze_copy


@keras.saving.register_keras_serializable("tfnca")
class Perturbation(keras.layers.Layer):
    """A global state perturbation: living cells times a symmetric matrix A, clipped to ±3.

    Only the upper triangle is read and mirrored, so A stays symmetric in training. The web demo
    of the article multiplies after the step and without the living mask; this layer follows the
    training code, which multiplies before it.

    Args:
        channels: Side of the matrix.
        matrix: Array ``(channels, channels)`` to start from; the identity if not given.

    Call arguments:
        state: Tensor ``(batch, height, width, channels)``.

    Returns:
        Tensor of the shape of `state`.

    Raises:
        ValueError: If `matrix` is not symmetric, not of that shape, or not finite.

    Example:

    >>> import tfnca
    >>> A = tfnca.Perturbation()
    >>> A(tfnca.seed_state(16)).shape
    TensorShape([1, 16, 16, 16])

    Reference:
        The article's "Perturbing the states of Growing CA".
    """

    def __init__(self, channels=GROWING_CHANNELS, matrix=None, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.variable = self.add_weight(
            name="matrix", shape=(channels, channels), initializer="identity"
        )
        if matrix is not None:
            self.variable.assign(check_matrix(matrix, channels))
        self.built = True

    @property
    def matrix(self):
        """The symmetric matrix A, a tensor ``(channels, channels)``."""
        upper = ops.triu(self.variable)
        return upper + ops.transpose(ops.triu(self.variable, k=1))

    def call(self, state):
        check_channels(state, self.channels, type(self).__name__)
        alive = ops.cast(living_mask(state), state.dtype)
        product = ops.matmul(state, self.matrix)
        return ops.clip(product, -STATE_BOUND, STATE_BOUND) * alive

    def scaled(self, k):
        """A_k = kA + (1 - k)I: the perturbation at another strength.

        Args:
            k: 0 does nothing, 1 is A itself, below 0 is the opposite direction.

        Returns:
            A new `Perturbation`.
        """
        return combine([(self, k)])

    def spectrum(self):
        """Eigenvalues of A, ascending, ``(channels,)``; above 1 a direction is amplified."""
        return np.linalg.eigvalsh(ops.convert_to_numpy(self.matrix).astype(np.float64))

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}


@keras.saving.register_keras_serializable("tfnca")
class Perturbed(Step):
    """A frozen host whose living cells are perturbed before each of its steps.

    Args:
        host: The step under attack: a `GrowingCA`, or an `Injected` of Growing CAs. The step
            holds a frozen copy; the caller's stays as it was.
        matrix: A `Perturbation`, trained in place, or an array for a new one; the identity if
            not given.

    Call arguments:
        See `Step`.

    Returns:
        The next state, of the shape of `state`.

    Raises:
        ValueError: If the host has no living mask to perturb, or the matrix does not fit.

    Example:

    >>> import numpy as np, tfnca
    >>> step = tfnca.Perturbed(tfnca.GrowingCA(), np.eye(16))
    >>> step(tfnca.seed_state(16), seed=0, index=0).shape
    TensorShape([1, 16, 16, 16])

    Reference:
        The article's "Perturbing the states of Growing CA".
    """

    def __init__(self, host, matrix=None, **kwargs):
        super().__init__(**kwargs)
        if not (isinstance(host, GrowingCA | Injected) and isinstance(host.networks[0], GrowingCA)):
            raise ValueError(
                f"host must be a GrowingCA or an Injected of them. Received: host={host!r}"
            )
        self.host = freeze_copy(host)
        if not isinstance(matrix, Perturbation):
            matrix = Perturbation(host.channels, matrix)
        if matrix.channels != host.channels:
            raise ValueError(
                f"The matrix must fit the host's {host.channels} channels. "
                f"Received: a matrix with {matrix.channels}"
            )
        self.perturbation = matrix
        self.channels = host.channels
        self.built = True

    @property
    def networks(self):
        return self.host.networks

    @property
    def trained(self):
        return self.perturbation

    def call(self, state, mask=None, seed=0, index=0, fire_mask=None, noise=None):
        return self.host(
            self.perturbation(state),
            mask=mask,
            seed=seed,
            index=index,
            fire_mask=fire_mask,
            noise=noise,
        )

    def get_config(self):
        return {
            **super().get_config(),
            "host": keras.saving.serialize_keras_object(self.host),
            "matrix": keras.saving.serialize_keras_object(self.perturbation),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("host", "matrix"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def combine(weighted):
    """The composition of perturbations: Σ kᵢAᵢ + (1 - Σ kᵢ)I.

    Args:
        weighted: Pairs ``(perturbation, k)``.

    Returns:
        A new `Perturbation`.

    Raises:
        ValueError: If there is no pair, or a pair has no matrix or no finite weight.

    Example:

    >>> import tfnca
    >>> A, B = tfnca.Perturbation(), tfnca.Perturbation()
    >>> tfnca.combine([(A, 1.0), (B, 0.5)]).spectrum().max().round(3).item()
    1.0

    Reference:
        The article's "Directions and compositionality of perturbations".
    """
    weighted = list(weighted)
    if not weighted:
        raise ValueError("combine needs at least one pair (perturbation, k). Received: none")
    for pair in weighted:
        if len(pair) != 2 or not isinstance(pair[0], Perturbation) or not np.isfinite(pair[1]):
            raise ValueError(
                f"combine takes pairs (perturbation, k) with a finite k. Received: {pair!r}"
            )
    channels = weighted[0][0].channels
    identity = np.eye(channels)
    total = identity.copy()
    for perturbation, k in weighted:
        if perturbation.channels != channels:
            raise ValueError(
                "combine takes matrices of one size. "
                f"Received: {channels} and {perturbation.channels} channels"
            )
        total += k * (ops.convert_to_numpy(perturbation.matrix) - identity)
    return Perturbation(channels, total)


def check_matrix(matrix, channels=GROWING_CHANNELS, name="matrix"):
    """Returns `matrix` as float32; raises ValueError unless symmetric, finite and of that size."""
    matrix = np.asarray(matrix)
    if matrix.dtype.kind not in "fiu" or matrix.shape != (channels, channels):
        raise ValueError(
            f"{name} must hold numbers of shape ({channels}, {channels}). "
            f"Received: {matrix.dtype} of shape {matrix.shape}"
        )
    if not np.isfinite(matrix).all():
        raise ValueError(f"{name} must be finite. Received: NaN or infinite entries")
    asymmetry = np.abs(matrix - matrix.T).max()
    if asymmetry > 1e-4 * max(1.0, np.abs(matrix).max()):
        raise ValueError(
            f"{name} must be symmetric. Received: entries that differ by {asymmetry:.3g} from "
            "their mirror image"
        )
    return matrix.astype(np.float32)
