"""Rollouts of measures with a progress bar."""

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf
from tqdm import tqdm

from tfnca.automata.step import Step
from tfnca.engines.rollout import trajectory


class Silent:
    """A bar that shows nothing."""

    def __init__(self, total: int = 0) -> None:
        """Ignores the number of CA steps that any `Progress` takes."""

    def update(self, steps: int) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


SILENT = Silent()

Bar: TypeAlias = Silent | tqdm
"""What measures advance by a number of CA steps, and close."""

Progress = Callable[[int], Bar]
"""A function from the number of CA steps that a measure will run to its progress bar."""


class Clock(tqdm):
    """A bar whose clock keeps running between updates, which may be half a minute apart."""

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
        """Finishes the bar; may be called twice."""
        if hasattr(self, "_closed"):
            self._closed.set()
        super().close()


def on_screen(total: int) -> Bar:
    """A progress bar in the terminal."""
    return Clock(desc="Measuring", total=total, unit="CA step", dynamic_ncols=True, mininterval=0.5)


def advance(step: Step, state: Any, steps: int, bar: Bar = SILENT, **kwargs: Any) -> tf.Tensor:
    """Runs a `rollout`, then advances the bar.

    The rollout is not divided into pieces, because the living-cells engine would round the last
    bit differently and measures could no longer be compared exactly.
    """
    for _, final in trajectory(step, state, steps, max(steps, 1), **kwargs):  # noqa: B007
        pass
    bar.update(steps)
    return final
