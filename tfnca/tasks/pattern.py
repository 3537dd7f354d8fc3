"""The task of growing and keeping a picture."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from tfnca.automata.checks import check_target
from tfnca.automata.masks import random_mask
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD, no_picture, seed_state, to_rgb
from tfnca.automata.step import Step
from tfnca.choices import REGIONS
from tfnca.tasks.task import Task
from tfnca.training.batch import Batch
from tfnca.training.losses import TargetLoss, pattern_centres
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

    def item_errors(self, state: np.ndarray, batch: Batch) -> np.ndarray:
        """`error` in double precision."""
        return np.square(self.readout(state) - self.target).mean((1, 2, 3))

    def host_errors(self, state: np.ndarray, batch: Batch) -> np.ndarray:
        """See `host_cell_errors`."""
        mask = np.zeros(state.shape[:3]) if batch.mask is None else batch.mask
        return host_cell_errors(state, self.target, mask)

    def measures(self, state: np.ndarray, batch: Batch) -> dict[str, float]:
        """As in `Task.measures`, and ``shifted_median``, the median error after the best shift, and
        ``dead``, the number of empty grids."""
        return super().measures(state, batch) | {
            "shifted_median": float(np.median(shifted_errors(state, self.target))),
            "dead": int((state == 0).all((1, 2, 3)).sum()),
        }

    def centres(self, state: Array) -> np.ndarray:
        """The centre of mass of alpha; NaN for an empty grid."""
        there = np.clip(np.asarray(state)[..., ALPHA], 0.0, 1.0).sum((1, 2)) > 0
        return np.where(there[:, None], np.asarray(pattern_centres(state)), np.nan)

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


def shifted_errors(state: tf.Tensor | np.ndarray, target: np.ndarray) -> np.ndarray:
    """Each item's mean squared RGBA error after the best shift by whole cells, ``(batch,)``."""
    check_target("target", target, np.shape(state)[1:3])
    state = np.asarray(keras.ops.convert_to_numpy(state)[..., : ALPHA + 1], np.float64)
    target = np.asarray(target, np.float64)
    # |s - t|² = |s|² + |t|² - 2 s·t, the last for all cyclic shifts at once.
    product = np.fft.rfft2(state, axes=(1, 2)) * np.conj(np.fft.rfft2(target, axes=(0, 1)))
    overlap = np.fft.irfft2(product.sum(-1), s=target.shape[:2], axes=(1, 2)).max((1, 2))
    total = (state**2).sum((1, 2, 3)) + (target**2).sum() - 2 * overlap
    return np.maximum(total, 0.0) / target.size


def host_cell_errors(state: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Each item's mean squared RGBA error over the opaque cells of the host, ``(batch,)``.

    These are the cells that are not adversaries and where target or state has alpha above 0.1. NaN
    if there are none.
    """
    opaque = (state[..., ALPHA] > LIVING_THRESHOLD) | (target[..., ALPHA] > LIVING_THRESHOLD)
    cells = opaque & (np.asarray(mask) < 0.5)
    errors = np.square(state[..., : ALPHA + 1] - target).mean(-1)
    count = cells.sum((1, 2))
    return np.where(count > 0, (errors * cells).sum((1, 2)) / np.maximum(count, 1), np.nan)


def region_picture(region: str, target: np.ndarray, host_target: np.ndarray) -> np.ndarray:
    """The picture whose opaque cells are the allowed cells of adversaries, for `target_masks`.

    The region is ``"target"``, as in the article: no adversary is placed inside the part that the
    attack removes. Or ``"host"``: all cells of the target and of the picture that the host grows,
    so also inside that part.

    Raises:
        ValueError: If `region` is neither, or the arguments are not pictures of one size.
    """
    if region not in REGIONS:
        raise ValueError(f"region must be one of {REGIONS}. Received: region={region!r}")
    target = check_target("target", target)
    host_target = check_target("host_target", host_target, target.shape[:2])
    return target if region == "target" else np.maximum(target, host_target)


def target_masks(target: np.ndarray, density: float, runs: int, seed: int) -> tf.Tensor:
    """Draws adversaries among the cells with alpha of at least 0.1, ``(runs, height, width)``."""
    where = check_target("target", target)[..., ALPHA] >= LIVING_THRESHOLD
    return random_mask(np.repeat(where[None], runs, axis=0), density, seed)


def lost_cells(plain: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The cells with alpha above 0.1 in `plain` but not in `target`, ``(height, width)``."""
    plain = check_target("plain", plain)
    target = check_target("target", target, plain.shape[:2])
    return (plain[..., ALPHA] > LIVING_THRESHOLD) & (target[..., ALPHA] <= LIVING_THRESHOLD)
