"""A rule in other units, or at another pace.

Other units are exact for rules whose perception is linear and whose values have no bound:
perception divides each channel by its factor, and the update multiplies by it, so the network
itself computes the same numbers. Another pace is another rule, with the same fixed points.
"""

from typing import Any

import numpy as np

from tfnca.automata.state import ALPHA
from tfnca.automata.step import copy_from_config

_METHODS = ("call", "advance", "living", "_read", "_update")
_BOUNDS = ("state_clip", "network_clip", "message_bound", "noise_std")


def rescale(ca: Any, factors: Any, kept: tuple[int, ...] = ()) -> Any:
    """A copy of a `NeuralCA` in whose states each channel is multiplied by its factor.

    The channels in `kept`, and the one that decides which cells live, must have the factor 1.

    Raises:
        ValueError: If the factors do not fit, or the copy would not follow the same rule.
    """
    rule, name = ca.rule, type(ca).__name__
    if rule.alive is not None:
        kept = (*kept, rule.alive.channel)
    factors = np.asarray(factors, np.float32)
    kept = tuple(sorted(set(kept)))
    fits = factors.shape == (rule.channels,) and np.all((factors > 0) & np.isfinite(factors))
    if not fits or np.any(factors[list(kept)] != 1):
        ones = f", and 1 for the channels {', '.join(map(str, kept))}" if kept else ""
        raise ValueError(
            f"factors must be {rule.channels} positive numbers{ones}. Received: {factors}"
        )
    for bound in _BOUNDS:
        if getattr(rule, bound):
            raise ValueError(
                f"{name} has no equal rule in other units, because {bound} is the same for all "
                f"channels. Received: {bound}={getattr(rule, bound)}"
            )
    for method in _METHODS:
        if not getattr(type(ca), method).__module__.startswith("tfnca."):
            raise ValueError(
                f"scaled knows what a NeuralCA's own methods compute. Received: {name}, whose "
                f"{method} is another one"
            )
    copy: Any = copy_from_config(ca)
    seen = np.concatenate([factors, np.ones(rule.inputs, np.float32)])
    if copy.perceive is not None:
        kernel = copy.perceive.kernel
        kernel.assign(np.asarray(kernel) / seen[:, None])
    first = copy.update_layers[0]
    filtered = np.repeat(seen, len(rule.filters))
    rows = np.ones(rule.perceived, np.float32)
    rows[: len(filtered)] = filtered
    first.kernel.assign(np.asarray(first.kernel) / rows[:, None])
    _multiply_updates(copy, factors)
    return copy


def with_colour_pace(ca: Any, pace: float) -> Any:
    """A copy of a `NeuralCA` whose updates of red, green and blue are multiplied by `pace`.

    Patterns that do not change stay the same. Those that grow may become others, and unstable.
    """
    copy = copy_from_config(ca)
    copy.set_weights(ca.get_weights())
    _multiply_updates(copy, np.where(np.arange(ca.rule.channels) < ALPHA, pace, 1.0))
    return copy


def _multiply_updates(ca: Any, factors: np.ndarray) -> None:
    last = ca.update_layers[-1]
    for weight in (last.kernel, last.bias):
        if weight is not None:
            weight.assign(np.asarray(weight) * factors[ca.rule.fixed :])
