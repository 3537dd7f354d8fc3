"""The task of growing and keeping a picture."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfnca.automata.checks import check_target
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD, no_picture, seed_state, to_rgb
from tfnca.automata.step import Step
from tfnca.tasks.task import Task
from tfnca.training.batch import Batch
from tfnca.training.losses import TargetLoss
from tfnca.training.pools import GrowingPool
from tfnca.types import Array


@keras.saving.register_keras_serializable("tfnca")
class PatternTask(Task):
    """Grow a picture from a seed, and keep it.

    The error is the mean squared RGBA error. Adversaries are placed at the target's opaque cells.

    Args:
        target: Premultiplied RGBA ``(height, width, 4)``.
        tolerance: The largest error of a success.

    Raises:
        ValueError: If the target is not such a picture.

    Example:

    >>> import tfnca
    >>> task = tfnca.PatternTask(tfnca.pad_target(tfnca.load_target("lizard"), 16))
    >>> task.start(2, channels=16).state.shape
    (2, 72, 72, 16)
    """

    def __init__(self, target: np.ndarray, tolerance: float = 0.0005) -> None:
        self.target = check_target("target", target)
        self.tolerance = float(tolerance)
        self.loss = TargetLoss(self.target)

    def why_not(self, step: Step) -> str | None:
        return no_picture(step)

    def start(self, count: int, channels: int, seed: int = 0) -> Batch:
        return Batch(state=seed_state(self.target.shape[:2], count, channels))

    def cells(self, state: Array) -> np.ndarray:
        where = self.target[..., ALPHA] >= LIVING_THRESHOLD
        return np.repeat(where[None], np.shape(state)[0], axis=0)

    def cell_errors(self, state: Array, batch: Batch) -> Array:
        return ops.mean(ops.square(self.readout(state) - self.target), axis=-1)

    def error(self, state: Array, batch: Batch) -> Array:
        return self.loss(state, batch)

    def readout(self, state: Array) -> Array:
        return state[..., : ALPHA + 1]

    def picture(self, state: Array) -> np.ndarray:
        return to_rgb(state)

    def pool(  # type: ignore[override]
        self, step: Step, size: int = 1024, batch_size: int = 8, seed: int = 0, **options: Any
    ) -> GrowingPool:
        """A `GrowingPool`, which takes further options: see there."""
        attacked = step.host is not None
        starts = np.asarray(self.begin(step, 1, seed, settle=attacked).state)
        if step.has_adversary:
            options = {"where": self.cells(starts)[0], "density": 0.1} | options
        options = {"damaged": 0 if attacked else min(3, batch_size)} | options
        return GrowingPool(starts, size, batch_size, seed=seed, **options)

    def get_config(self) -> dict[str, Any]:
        return {"target": self.target.tolist(), "tolerance": self.tolerance}
