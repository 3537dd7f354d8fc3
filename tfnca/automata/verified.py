"""A defence that silences cells whose update deviates from the host's rule."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfnca.automata.context import Context
from tfnca.automata.injection import Injected
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.state import GREY
from tfnca.automata.step import MNIST, CellularAutomaton, Step, next_state
from tfnca.deprecated import warn
from tfnca.types import Array

_LEAST_NOISE = 1e-3
"""The unit of a deviation where the rule adds no noise, well above what rounding makes."""


def unit_of_deviation(host: CellularAutomaton) -> float:
    """What a `deviation` of 1 is: the standard deviation of a rule's noise."""
    return max(host.noise_std or 0.0, _LEAST_NOISE)


def deviation(host: MNISTCA, before: Array, after: Array) -> Array:
    """How far each cell's change is from what the host's rule allows.

    Args:
        host: The rule that cells should follow.
        before: States ``(batch, height, width, channels)``.
        after: The states one step later.

    Returns:
        ``(batch, height, width)``, the largest over channels, in standard deviations of the
        rule's noise: 0 for a cell that did not change, the largest float32 or infinity where a
        change is no number. The
        engines' table of normal draws ends at 3.7, so that an honest cell stays below 5.

    Raises:
        ValueError: If the states do not fit the host.

    Example:

    >>> import numpy as np, tfnca
    >>> host, state = tfnca.load("mnist"), tfnca.digit_state(np.ones((1, 8, 8)))
    >>> after = tfnca.rollout(host, state, 1)
    >>> bool(np.max(deviation(host, state, after)) < 7)
    True
    """
    expected = _by_the_rule(host, before)
    same = ops.logical_or(after == before, ops.logical_and(ops.isnan(after), ops.isnan(before)))
    rests = ops.all(same, axis=-1)
    difference = ops.abs(after - expected) / unit_of_deviation(host)
    # A maximum passes over NaN on some processors. Not infinity: a constant of that kind would end
    # a sound run under `tf.debugging.enable_check_numerics`.
    difference = ops.where(ops.isnan(difference), np.finfo(np.float32).max, difference)
    differs = ops.max(difference, axis=-1)
    return ops.where(rests, ops.zeros_like(differs), differs)


def _by_the_rule(host: CellularAutomaton, state: Array) -> Array:
    """The next state if every cell fires, without noise."""
    shape = tuple(ops.shape(state)[:3])
    everywhere, silence = ops.ones((*shape, 1)), ops.zeros((*shape, host.channels - 1))
    context = Context(seed=0, fire_mask=everywhere, noise=silence)
    return next_state(host, state, context, training=False)


@keras.saving.register_keras_serializable("tfnca")
class Verified(Injected):
    """An injection in which a cell that did not change by the host's rule is silenced.

    After each step every cell's change is compared with what the host's rule allows. A cell that
    deviates by more than `tolerance` loses all it says: its channels but the grey are zero, as
    before its first step. To check a neighbour a cell needs that neighbour's surroundings, two
    cells away, and a memory of one step.

    Args:
        host: The `MNISTCA` under attack; the step holds a frozen copy.
        adversary: An `MNISTCA`, trained in place.
        tolerance: Standard deviations of the host's noise that are borne.
        mode: What happens to a cell that deviates. ``"silence"`` clears its channels. ``"clip"``
            clips each channel to the tolerance, as an adversary that knows of the test would do by
            itself. Train such an adversary with ``"clip"``: gradients pass as if nothing were
            clipped, whereas those of a silenced cell are zero.

    Call arguments:
        See `Injected`.

    Returns:
        The next state, of the shape of `state`.

    Raises:
        ValueError: If `host` is no MNIST CA or does not fit the adversary, or `tolerance` is not
            positive, or `mode` is unknown.

    Example:

    >>> import numpy as np, tfnca
    >>> step = tfnca.Verified(tfnca.MNISTCA(), tfnca.MNISTCA())
    >>> state = tfnca.digit_state(np.ones((1, 28, 28)))
    >>> step(state, mask=np.zeros((1, 28, 28)), seed=0, index=0).shape
    TensorShape([1, 28, 28, 20])
    """

    tolerance: float = 5.0

    def __init__(
        self,
        host: CellularAutomaton,
        adversary: CellularAutomaton,
        tolerance: float = 5.0,
        mode: str = "silence",
        **kwargs: Any,
    ) -> None:
        if "holds" in kwargs:
            mode = _mode_of(kwargs.pop("holds"))
            warn("holds", f'mode="{mode}"')
        super().__init__(host, adversary, **kwargs)
        if self.family != MNIST or not isinstance(host, MNISTCA):
            raise ValueError(f"host must be an MNISTCA. Received: {type(host).__name__}")
        if not tolerance > 0:
            raise ValueError(f"tolerance must be positive. Received: tolerance={tolerance}")
        if mode not in ("silence", "clip"):
            raise ValueError(f"mode must be 'silence' or 'clip'. Received: mode={mode!r}")
        self.tolerance = float(tolerance)
        self.mode = mode

    def advance(self, state: Array, context: Context) -> Array:
        after = super().advance(state, context)
        follows = deviation(self.host, state, after) <= self.tolerance
        if self.mode == "clip":
            most = self.tolerance * unit_of_deviation(self.host)
            rule = _by_the_rule(self.host, state)
            clipped = ops.maximum(ops.minimum(after, rule + most), rule - most)
            changed = ops.where(ops.expand_dims(follows, -1), after, clipped)
            return after + ops.stop_gradient(changed - after)
        silent = ops.concatenate(
            [after[..., : GREY + 1], ops.zeros_like(after[..., GREY + 1 :])], axis=-1
        )
        return ops.where(ops.expand_dims(follows, -1), after, silent)

    def get_config(self) -> dict:
        return {**super().get_config(), "tolerance": self.tolerance, "mode": self.mode}

    @classmethod
    def from_config(cls, config: dict) -> Step:
        config = dict(config)
        if "holds" in config:  # a file of an earlier version
            config["mode"] = _mode_of(config.pop("holds"))
        return super().from_config(config)


def _mode_of(holds: bool) -> str:
    return "clip" if holds else "silence"
