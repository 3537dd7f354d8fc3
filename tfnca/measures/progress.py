"""Rollouts of measures, and a bar that shows how far they are."""

import threading
from collections.abc import Callable
from typing import Any, Protocol

import tensorflow as tf
from tqdm import tqdm

from tfnca.automata.step import Step
from tfnca.engines.rollout import trajectory


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


class Clock(tqdm):
    """A bar whose clock goes on between two updates, which may be half a minute apart."""

    SECONDS = 1.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Arguments of `tqdm.tqdm`."""
        super().__init__(*args, **kwargs)
        self._closed = threading.Event()
        if not self.disable:
            threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while not self._closed.wait(self.SECONDS):
            self.refresh()

    def close(self) -> None:
        """The end; may be called twice."""
        if hasattr(self, "_closed"):
            self._closed.set()
        super().close()


def on_screen(total: int) -> Bar:
    """A bar on the terminal."""
    return Clock(desc="Measuring", total=total, unit="CA step", dynamic_ncols=True, mininterval=0.5)


def advance(step: Step, state: Any, steps: int, bar: Bar = SILENT, **kwargs: Any) -> tf.Tensor:
    """`rollout`, and a bar that moves once it is through.

    In one piece: the living-cells engine rounds a run in pieces otherwise, in the last bit, and
    measures are to stay comparable to the bit.

    Args:
        step: See `rollout`.
        state: See `rollout`.
        steps: Number of steps.
        bar: What is told of them.
        **kwargs: Those of `rollout`.

    Returns:
        The final state.
    """
    for _, final in trajectory(step, state, steps, max(steps, 1), **kwargs):  # noqa: B007
        pass
    bar.update(steps)
    return final
