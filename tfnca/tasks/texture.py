"""The task of filling the grid with a texture, which an example picture shows."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfnca.automata.checks import check_integer
from tfnca.data.patches import (
    PATCH,
    directions,
    picture_patches,
    quantiles,
    sliced_wasserstein,
)
from tfnca.tasks.task import Task
from tfnca.training.batch import Batch
from tfnca.types import Array

_DIRECTIONS = 64


@keras.saving.register_keras_serializable("tfnca")
class TextureTask(Task):
    """Fill the grid with a texture: the same small patches, in any places.

    The error is the sliced Wasserstein distance between the patches of the state's picture and
    those of the example: see `sliced_wasserstein`. A patch is 3×3 pixels, and for a coarser view
    also 3×3 pixels that are further apart. It can be trained, because it is differentiable.

    Cells start at zero. Red, green and blue are the first three channels, halved and raised by 0.5,
    as in Self-Organising Textures.

    Args:
        example: A picture of the texture, RGB ``(height, width, 3)`` in [0, 1].
        size: Side of the grid in cells.
        spacings: Distances in pixels between the nine pixels of a patch, one patch for each.
        tolerance: The largest error of a success.

    Raises:
        ValueError: If the example is not such a picture, or the picture or the grid is smaller
            than a patch.

    Example:

    >>> import numpy as np, tfnca
    >>> task = tfnca.TextureTask(np.random.default_rng(0).random((32, 32, 3)), size=24)
    >>> batch = task.start(2, channels=12)
    >>> task.error(batch.state, batch).shape
    TensorShape([2])

    Reference:
        Niklasson et al., "Self-Organising Textures", Distill, 2021, which trains with a deep
        network's features in place of patches.
    """

    least_channels = 3

    def __init__(
        self,
        example: np.ndarray,
        size: int = 64,
        spacings: tuple[int, ...] = (1, 2, 4),
        tolerance: float = 0.05,
    ) -> None:
        self.example = np.asarray(example, np.float32)
        inside = np.all((self.example >= 0) & (self.example <= 1))
        if not inside or self.example.ndim != 3 or self.example.shape[2] != 3:
            raise ValueError(
                "example must be an RGB picture (height, width, 3) in [0, 1]. "
                f"Received: shape={self.example.shape}"
            )
        self.spacings = tuple(check_integer("spacings", each, 1) for each in spacings)
        if not self.spacings:
            raise ValueError("spacings must have at least one number. Received: spacings=()")
        widest = 1 + (PATCH - 1) * max(self.spacings)
        self.size = check_integer("size", size, widest)
        if min(self.example.shape[:2]) < widest:
            raise ValueError(
                f"example must have at least {widest} by {widest} pixels for the spacings "
                f"{self.spacings}. Received: shape={self.example.shape}"
            )
        self.tolerance = float(tolerance)
        self.lines = directions(PATCH * PATCH * 3, _DIRECTIONS, seed=0).astype(np.float32)
        self._sorted = [
            np.sort(picture_patches(self.example, "example", each) @ self.lines, axis=0)
            for each in self.spacings
        ]

    def start(self, count: int, channels: int, seed: int = 0) -> Batch:
        return Batch(state=np.zeros((count, self.size, self.size, channels), np.float32))

    def error(self, state: Array, batch: Batch) -> Array:
        colours = self.readout(state)
        filters = ops.reshape(self.lines, (PATCH, PATCH, 3, _DIRECTIONS))
        errors = []
        for spacing, expected in zip(self.spacings, self._sorted, strict=True):
            found = ops.conv(colours, filters, dilation_rate=spacing, data_format="channels_last")
            count = found.shape[1] * found.shape[2]
            found = ops.sort(ops.reshape(found, (-1, count, _DIRECTIONS)), axis=1)
            errors.append(ops.mean(ops.square(found - quantiles(expected, count)), axis=(1, 2)))
        # The square root has no derivative at 0.
        return ops.sqrt(sum(errors) / len(errors) + 1e-12)

    def readout(self, state: Array) -> Array:
        """Red, green and blue, not clipped."""
        return state[..., :3] / 2.0 + 0.5

    def picture(self, state: Array) -> np.ndarray:
        return np.clip(ops.convert_to_numpy(self.readout(state)), 0.0, 1.0)

    def measures(self, state: np.ndarray, batch: Batch) -> dict[str, float]:
        """As every task's, and ``distance``: the median of `sliced_wasserstein` of the pictures."""
        found = [sliced_wasserstein(picture, self.example) for picture in self.picture(state)]
        return {**super().measures(state, batch), "distance": float(np.median(found))}

    def get_config(self) -> dict[str, Any]:
        return {
            "example": self.example.tolist(),
            "size": self.size,
            "spacings": list(self.spacings),
            "tolerance": self.tolerance,
        }
