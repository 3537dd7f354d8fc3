"""The task of marking the part of an image that belongs to an organ."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfnca.automata.checks import check_states
from tfnca.automata.step import Step
from tfnca.tasks.pool import FreshPool
from tfnca.tasks.task import Task
from tfnca.training.batch import Batch
from tfnca.types import Array

IMAGE, MARK = 0, 1
"""Channels of a state: the image, which never changes, and what a cell says: above 0, part of the
mask."""

_TINT = np.array([0.93, 0.25, 0.2])
"""The colour of marked cells in pictures."""


@keras.saving.register_keras_serializable("tfnca")
class SegmentationTask(Task):
    """Every cell says whether its pixel belongs to the mask, by the sign of channel 1.

    The error is the binary cross-entropy of that channel, as a logit. A segmenter runs for a few
    steps and is then read, so an attack begins with the first step and not on settled states.

    Args:
        images: Images in [0, 1], ``(count, height, width)``. They are channel 0 of the states. Item
            i of a start is the i-th, and the first follows the last.
        masks: What the cells should say, ``(count, height, width)``; above 0 is part of the mask.
        states: States to begin with, ``(count, height, width, channels)``, for example those of a
            coarser CA after `enlarged`. None: zeros. Channel 0 is always the image.
        says: For the goal of an attack: what every cell should say, whatever the mask. False:
            that it belongs to no mask. None: what `masks` say.
        least: The smallest Dice of a success.

    Raises:
        ValueError: If the arrays do not have these shapes.

    Example:

    >>> import numpy as np, tfnca
    >>> images = np.random.default_rng(0).random((3, 16, 16))
    >>> task = tfnca.SegmentationTask(images, images > 0.5)
    >>> task.start(2, channels=32).state.shape
    (2, 16, 16, 32)

    Reference:
        Kalkhof et al., "Med-NCA: Robust and Lightweight Segmentation with Neural Cellular
        Automata", 2023.
    """

    least_channels = MARK + 1
    settled = 0

    def __init__(
        self,
        images: Array,
        masks: Array,
        states: Array | None = None,
        says: bool | None = None,
        least: float = 0.5,
    ) -> None:
        self.images, self.masks = (np.asarray(given, np.float32) for given in (images, masks))
        if self.images.ndim != 3 or 0 in self.images.shape or self.masks.shape != self.images.shape:
            raise ValueError(
                "images and masks must be of one shape, (count, height, width). "
                f"Received: {self.images.shape} and {self.masks.shape}"
            )
        self.masks = (self.masks > 0).astype(np.float32)
        self.states = None if states is None else check_states(np.asarray(states), "states")
        if self.states is not None and self.states.shape[:3] != self.images.shape:
            raise ValueError(
                f"states must begin with the shape of images, {self.images.shape}. "
                f"Received: {self.states.shape}"
            )
        if says not in (None, True, False) or not 0 <= least <= 1:
            raise ValueError(
                "says must be True, False or None, and least in [0, 1]. "
                f"Received: says={says!r}, least={least!r}"
            )
        self.says, self.least = says, float(least)

    def why_not(self, step: Step) -> str | None:
        if self.states is not None and self.states.shape[-1] != step.channels:
            return f"it has {step.channels} channels, and the task's states {self.states.shape[-1]}"
        return super().why_not(step)

    def start(self, count: int, channels: int, seed: int = 0) -> Batch:
        chosen = np.arange(count) % len(self.images)
        state = np.zeros((count, *self.images.shape[1:], channels), np.float32)
        if self.states is not None:
            state[:] = self.states[chosen]
        state[..., IMAGE] = self.images[chosen]
        return Batch(state=state, labels=self.masks[chosen])

    def expected(self, batch: Batch) -> Array:
        """What the cells of each item should say, ``(batch, height, width)`` of 0 and 1."""
        labels = ops.cast(batch.labels, "float32")
        return labels if self.says is None else ops.full_like(labels, float(self.says))

    def cell_errors(self, state: Array, batch: Batch) -> Array:
        logits = ops.cast(state[..., MARK], "float32")
        # log(1 + exp(-logits)) for a cell of the mask, log(1 + exp(logits)) for another one.
        return ops.softplus(logits) - logits * self.expected(batch)

    def readout(self, state: Array) -> np.ndarray:
        """Which cells say that they belong to the mask, booleans ``(batch, height, width)``."""
        return ops.convert_to_numpy(state)[..., MARK] > 0

    def success(self, state: Array, batch: Batch) -> np.ndarray:
        """Whether each item's Dice is at least `least`; for an empty mask, no cell is marked."""
        found = zip(self.readout(state), np.asarray(self.expected(batch)), strict=True)
        return np.array([dice(marked, mask > 0) >= self.least for marked, mask in found])

    def measures(self, state: np.ndarray, batch: Batch) -> dict[str, float]:
        """Those of every task and the ``dice`` of all items together; with adversaries,
        ``host_dice``, the Dice over the host's cells alone."""
        marked, mask = self.readout(state), np.asarray(self.expected(batch)) > 0
        row = super().measures(state, batch) | {"dice": dice(marked, mask)}
        if batch.mask is not None:
            hosts = np.asarray(batch.mask) < 0.5
            row["host_dice"] = dice(marked & hosts, mask & hosts)
        return row

    def picture(self, state: Array) -> np.ndarray:
        """The image, with the marked cells in red."""
        grey = np.clip(ops.convert_to_numpy(state)[..., IMAGE, None], 0.0, 1.0).repeat(3, -1)
        return np.where(self.readout(state)[..., None], 0.5 * grey + 0.5 * _TINT, grey)

    def pool(
        self,
        step: Step,
        size: int | None = None,
        batch_size: int = 8,
        density: float | None = None,
        seed: int = 0,
    ) -> FreshPool:
        """A `FreshPool` of all images; see `Task.pool`."""
        size = max(len(self.images), batch_size) if size is None else size
        batch = self.begin(step, size, seed)
        where = self.cells(batch.state) if step.has_adversary else None
        if where is not None and density is None:
            density = 0.1
        return FreshPool(batch, batch_size, where, density, seed)

    def get_config(self) -> dict[str, Any]:
        arrays = {"images": self.images, "masks": self.masks, "states": self.states}
        listed = {name: a if a is None else a.tolist() for name, a in arrays.items()}
        return listed | {"says": self.says, "least": self.least}


def dice(marked: Array, mask: Array) -> float:
    """The Dice coefficient of two sets of cells: 1 if they are equal, 0 if they share no cell.

    Args:
        marked: Booleans of any shape.
        mask: Booleans of the same shape.

    Returns:
        Twice the number of common cells, divided by the sum of both numbers; 1 if both are empty.

    Example:

    >>> import numpy as np
    >>> dice(np.array([True, True, False]), np.array([True, False, False])).__round__(3)
    0.667
    """
    marked, mask = np.asarray(marked, bool), np.asarray(mask, bool)
    total = marked.sum() + mask.sum()
    return float(2 * (marked & mask).sum() / total) if total else 1.0


def enlarged(state: Array, factor: int) -> np.ndarray:
    """A state on a finer grid, where each cell is repeated.

    Args:
        state: States ``(batch, height, width, channels)``.
        factor: How many times larger height and width become.

    Returns:
        ``(batch, factor * height, factor * width, channels)``.

    Example:

    >>> import tfnca
    >>> enlarged(tfnca.seed_state(16), 4).shape
    (1, 64, 64, 16)
    """
    return ops.convert_to_numpy(state).repeat(factor, 1).repeat(factor, 2)
