"""Rollouts of measures, a hundred steps at a time, so that a bar can show how far they are."""

from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf
from tqdm import tqdm

from tfnca.automata.step import Step
from tfnca.engines.rollout import trajectory

_PIECE = 100
"""CA steps between two moves of a bar."""


class Bar(Protocol):
    """What a `tqdm.tqdm` is to a measure."""

    def update(self, steps: int) -> Any:
        """Goes on by a number of CA steps."""

    def close(self) -> Any:
        """The end."""


Progress = Callable[[int], Bar]
"""A function of the number of CA steps that a measure will make, to the bar that shows them."""


class Silent:
    """A bar that shows nothing."""

    def __init__(self, total: int = 0) -> None:
        """Takes the number of CA steps, as any `Progress`."""

    def update(self, steps: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


SILENT = Silent()


def on_screen(total: int) -> Bar:
    """A bar on the terminal."""
    return tqdm(desc="Measuring", total=total, unit="CA step", dynamic_ncols=True, mininterval=0.5)


def advance(step: Step, state: Any, steps: int, bar: Bar = SILENT, **kwargs: Any) -> tf.Tensor:
    """`rollout` in pieces, which are one run: the same result, and a bar that moves.

    Args:
        step: See `rollout`.
        state: See `rollout`.
        steps: Number of steps.
        bar: What is told of each piece.
        **kwargs: Those of `rollout`.

    Returns:
        The final state.
    """
    before = first = kwargs.get("step_offset", 0)
    final = state
    for now, final in trajectory(step, state, steps, _PIECE, **kwargs):  # noqa: B007
        if now > first:
            bar.update(now - before)
        before = now
    return final
