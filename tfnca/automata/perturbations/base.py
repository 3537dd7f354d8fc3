"""The base class of perturbations, which change every living cell before each step."""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from tfnca.automata.checks import check_channels
from tfnca.automata.state import STATE_BOUND, living_mask
from tfnca.types import Array

KINDS: dict[str, type["StatePerturbation"]] = {}
"""The kinds of perturbations by name, for example ``"matrix"``."""


class StatePerturbation(keras.layers.Layer):
    """A change of every living cell; by default x → x·matrix + vector.

    The host decides which cells are alive and how far their values may go. Without a host, the
    rules of the article's Growing CA apply: living cells are clipped to ±3 (`STATE_BOUND`) and all
    other cells become zero.

    To add a kind, write a subclass with a `kind` and register it with Keras. If it is affine,
    define `matrix` or `vector` (or both); every engine and exporter can then run it. Otherwise
    override `call`; `is_affine` is then false and only the dense engine runs it. A kind also needs
    `meaning`, `to_array`, `from_array` and `combined`. Created from `channels` alone, it must
    change nothing, because that is where training begins.

    Args:
        channels: Channels of the state.

    Call arguments:
        state: Tensor ``(batch, height, width, channels)``.
        host: The step that the cells belong to, see `Step.confine`; a kind that overrides `call`
            receives it if its `call` has this argument.

    Returns:
        Tensor of the same shape as `state`.
    """

    kind: str = ""
    """The kind's name, used by ``--kind`` and in files."""

    meaning: str = ""
    """A description for cards: ``"a vector that is added to the state of every living cell"``."""

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.__dict__.get("kind"):
            _register(cls)

    def __init__(self, channels: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.channels = channels

    def __dir__(self):
        # Keras saves and loads what dir() lists; these are computed from what it saves.
        return [name for name in super().__dir__() if name not in ("matrix", "vector")]

    @property
    def matrix(self) -> Array | None:
        """Tensor ``(channels, channels)`` that multiplies the state of a living cell, or None."""
        return None

    @property
    def vector(self) -> Array | None:
        """Tensor ``(channels,)`` that is added after the matrix, or None."""
        return None

    @property
    def is_affine(self) -> bool:
        """Whether `matrix` and `vector` define the perturbation completely."""
        return type(self).call is StatePerturbation.call

    def call(self, state: Array, host: Any = None) -> Array:
        check_channels(state, self.channels, type(self).__name__)
        state = ops.cast(state, "float32")
        changed = state
        if self.matrix is not None:
            changed = ops.matmul(changed, ops.cast(self.matrix, "float32"))
        if self.vector is not None:
            changed = changed + ops.cast(self.vector, "float32")
        if host is not None:
            return host.confine(state, changed)
        return ops.where(living_mask(state), ops.clip(changed, -STATE_BOUND, STATE_BOUND), 0.0)

    def to_array(self) -> np.ndarray:
        """The perturbation as a NumPy array, as in its ``.npy`` file."""
        raise NotImplementedError

    @classmethod
    def from_array(cls, array: np.ndarray, name: str = "array") -> Self | None:
        """The perturbation that an array, as `to_array` returns it, describes.

        None if an array with these axes describes another kind. Raises ValueError if the array has
        the right axes but wrong contents; `name` is what the message calls it.
        """
        return None

    def scaled(self, k: float) -> "StatePerturbation":
        """The perturbation at strength `k`: (1 - k)·identity + k·perturbation.

        Args:
            k: 0 changes nothing, 1 is the perturbation itself, below 0 is the opposite direction.

        Returns:
            A new perturbation.
        """
        return combine([(self, k)])

    @classmethod
    def combined(cls, weighted: Sequence[tuple["StatePerturbation", float]]) -> "StatePerturbation":
        """The composition of perturbations of this kind, of checked pairs ``(perturbation, k)``."""
        raise ValueError(f"{cls.__name__} does not compose. Received: {len(weighted)} of them")

    def describe(self) -> dict:
        """Measures of the perturbation itself, JSON-able."""
        return {}

    def get_config(self) -> dict:
        return {**super().get_config(), "channels": self.channels}


def _register(kind: type[StatePerturbation]) -> None:
    """Registers a kind; raises TypeError if its name is taken or it lacks a part."""
    place = kind.__module__, kind.__qualname__
    for known in KINDS.values():
        same = known.kind == kind.kind or known.__name__ == kind.__name__
        if same and (known.__module__, known.__qualname__) != place:
            raise TypeError(
                f"A kind of perturbation needs a `kind` and a class name of its own. Received: "
                f"{kind.kind!r}, {kind.__name__}, and {known.kind!r}, {known.__name__}"
            )
    parts = ("meaning", "to_array", "from_array", "combined")
    if missing := [name for name in parts if name not in vars(kind)]:
        raise TypeError(f"A kind of perturbation needs {', '.join(parts)}. Missing: {missing}")
    KINDS[kind.kind] = kind


def combine(weighted: Iterable[tuple[StatePerturbation, float]]) -> StatePerturbation:
    """The composition of perturbations of one kind: Σ kᵢAᵢ + (1 - Σ kᵢ)I for matrices.

    Args:
        weighted: Pairs ``(perturbation, k)``.

    Returns:
        A new perturbation of that kind.

    Raises:
        ValueError: If there are no pairs, a pair lacks a perturbation or a finite k, or kinds or
            sizes differ.

    Example:

    >>> import tfnca
    >>> A, B = tfnca.MatrixPerturbation(), tfnca.MatrixPerturbation()
    >>> tfnca.combine([(A, 1.0), (B, 0.5)]).spectrum().max().round(3).item()
    1.0

    Reference:
        The article's "Directions and compositionality of perturbations".
    """
    weighted = list(weighted)
    if not weighted:
        raise ValueError("combine needs at least one pair (perturbation, k). Received: none")
    for pair in weighted:
        if len(pair) != 2 or not isinstance(pair[0], StatePerturbation) or not np.isfinite(pair[1]):
            raise ValueError(
                f"combine takes pairs (perturbation, k) with a finite k. Received: {pair!r}"
            )
    first = weighted[0][0]
    for perturbation, _ in weighted:
        if type(perturbation) is not type(first) or perturbation.channels != first.channels:
            raise ValueError(
                "combine takes perturbations of one kind and of one size. "
                f"Received: {first.channels} and {perturbation.channels} channels, "
                f"{type(first).__name__} and {type(perturbation).__name__}"
            )
    return type(first).combined(weighted)
