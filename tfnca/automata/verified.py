"""The deviation test: a defence against cells whose update deviates from the host's rule."""

import numbers
from typing import Any

import keras
import numpy as np
from keras import ops

from tfnca.automata.alive import Alpha
from tfnca.automata.context import Context
from tfnca.automata.injection import Injected
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.step import CellularAutomaton, Step, clipped, next_state
from tfnca.deprecated import warn
from tfnca.types import Array

_LEAST_NOISE = 1e-3
"""The unit of deviation if the rule adds no noise; well above rounding errors."""


def unit_of_deviation(host: CellularAutomaton) -> float:
    """The size of a `deviation` of 1: the standard deviation of the rule's noise."""
    return max(host.noise_std or 0.0, _LEAST_NOISE)


def deviation(host: CellularAutomaton, before: Array, after: Array) -> Array:
    """How far each cell's change is from what the host's rule allows.

    Args:
        host: The rule that cells should follow.
        before: States ``(batch, height, width, channels)``.
        after: The states one step later.

    Returns:
        ``(batch, height, width)``, the largest deviation over channels, in standard deviations of
        the rule's noise: 0 for a cell that did not change or died, and the largest float32 or
        infinity for a change that is NaN or infinite. The engines' table of normal draws ends at
        3.7, so a host cell stays below 5.

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
    if _dies(host):
        rests = ops.logical_or(rests, ops.all(after == 0, axis=-1))
    difference = ops.abs(after - expected) / unit_of_deviation(host)
    # A maximum ignores NaN on some processors. NaN is not replaced by infinity, because such a
    # constant would stop a valid run under `tf.debugging.enable_check_numerics`.
    difference = ops.where(ops.isnan(difference), np.finfo(np.float32).max, difference)
    differs = ops.max(difference, axis=-1)
    return ops.where(rests, ops.zeros_like(differs), differs)


def _by_the_rule(host: CellularAutomaton, state: Array) -> Array:
    """The next state if every cell fires and none dies, without noise."""
    if _dies(host):  # which cells die depends on which neighbours have fired
        rule = host.rule
        update = rule.step_size * host._update(rule, clipped(state, rule.message_bound))
        fixed, rest = state[..., : rule.fixed], state[..., rule.fixed :]
        return ops.concatenate([fixed, clipped(rest + update, rule.state_clip)], axis=-1)
    shape = tuple(ops.shape(state)[:3])
    silence = None if host.noise_std is None else ops.zeros((*shape, host.changing))
    context = Context(seed=0, fire_mask=ops.ones((*shape, 1)), noise=silence)
    return next_state(host, state, context, training=False)


def _dies(host: CellularAutomaton) -> bool:
    """Whether cells of a host can die, by the rule of `NeuralCA`."""
    ours = isinstance(host, NeuralCA) and type(host).advance is NeuralCA.advance
    return ours and isinstance(host.rule.alive, Alpha)


@keras.saving.register_keras_serializable("tfnca")
class Verified(Injected):
    """An injection into a defended host, which tests every cell's update for deviations.

    After each step, the deviation test compares every cell's change with the changes that the
    host's rule allows. By default a cell that deviates by more than `tolerance` is silenced: all
    its channels except the fixed ones, such as a digit's grey, become zero. To test a
    neighbour, a cell needs to see that neighbour's neighbourhood, which extends two cells away, and
    to remember one step.

    Args:
        host: The `NeuralCA` under attack, for example an `MNISTCA`; the step holds a frozen copy.
        adversary: A CA with the same channels, trained in place.
        tolerance: Largest allowed deviation, in standard deviations of the host's noise.
        mode: What happens to a cell above the tolerance. ``"silence"`` sets its channels to zero.
            ``"clip"`` clips each channel to the tolerance, as an adversary that knows the test
            would do by itself. Train such an adversary with ``"clip"``: gradients pass as if
            nothing were clipped, whereas the gradients of a silenced cell are zero.

    Call arguments:
        See `Injected`.

    Returns:
        The next state, of the same shape as `state`.

    Raises:
        ValueError: If `host` has no rule, takes inputs or does not fit the adversary, `tolerance`
            is not positive, or `mode` is unknown.

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
        if not isinstance(host, NeuralCA) or host.inputs:
            raise ValueError(
                "host must be a NeuralCA without inputs, so that its rule says what each cell may "
                f"do. Received: {type(host).__name__}"
            )
        self.tolerance = tolerance
        self.mode = mode

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "tolerance":
            if not isinstance(value, numbers.Real) or not float(value) > 0:
                raise ValueError(
                    f"tolerance must be a positive number. Received: tolerance={value!r}"
                )
            value = float(value)
        if name == "mode" and value not in ("silence", "clip"):
            raise ValueError(f"mode must be 'silence' or 'clip'. Received: mode={value!r}")
        super().__setattr__(name, value)

    def advance(self, state: Array, context: Context) -> Array:
        after = super().advance(state, context)
        follows = deviation(self.host, state, after) <= self.tolerance
        if self.mode == "clip":
            most = self.tolerance * unit_of_deviation(self.host)
            rule = _by_the_rule(self.host, state)
            clipped = ops.maximum(ops.minimum(after, rule + most), rule - most)
            changed = ops.where(ops.expand_dims(follows, -1), after, clipped)
            return after + ops.stop_gradient(changed - after)
        kept = after[..., : self.host.fixed]
        silent = ops.concatenate([kept, ops.zeros_like(after[..., self.host.fixed :])], axis=-1)
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
