"""The task of classifying handwritten digits."""

from typing import Any

import keras
import numpy as np

from tfnca.automata.checks import check_labels
from tfnca.automata.state import (
    NUM_CLASSES,
    class_logits,
    digit_state,
    is_digit_cell,
    no_digits,
)
from tfnca.automata.step import Step
from tfnca.data.digits import Digits
from tfnca.pictures import digits_to_rgb
from tfnca.tasks.task import Task
from tfnca.training.batch import Batch
from tfnca.training.losses import ClassLoss
from tfnca.training.pools import DigitPool
from tfnca.types import Array


@keras.saving.register_keras_serializable("tfnca")
class DigitTask(Task):
    """Every cell of a digit names the digit's class.

    In training the error is the `ClassLoss`. The error of a cell is 1 if it names another class.

    Args:
        digits: The `Digits`. Item i of a start is the i-th, and the first follows the last.
        digit: For the goal of an attack: the class that every digit should be classified as. None:
            its own.

    Raises:
        ValueError: If there are no digits, or `digit` is not in 0 to 9.

    Example:

    >>> import tfnca
    >>> task = tfnca.DigitTask(tfnca.load_digits("test", count=3))
    >>> task.start(3, channels=20).state.shape
    TensorShape([3, 28, 28, 20])
    """

    def __init__(self, digits: Digits, digit: int | None = None) -> None:
        if not isinstance(digits, Digits) or len(digits.labels) == 0:
            raise ValueError(
                f"digits must be a non-empty `tfnca.Digits`. Received: {type(digits).__name__}"
            )
        if digit is not None:
            check_labels([digit], NUM_CLASSES)
        self.digits, self.digit = digits, digit
        self.loss = ClassLoss(digit=digit)

    def why_not(self, step: Step) -> str | None:
        return no_digits(step)

    def start(self, count: int, channels: int, seed: int = 0) -> Batch:
        chosen = np.arange(count) % len(self.digits.labels)
        state = digit_state(self.digits.images[chosen], channels)
        return Batch(state=state, labels=self.digits.labels[chosen])

    def cells(self, state: Array) -> np.ndarray:
        return keras.ops.convert_to_numpy(is_digit_cell(state))[..., 0]

    def expected(self, batch: Batch) -> np.ndarray:
        """The class that the cells of each item should name, ``(batch,)``."""
        labels = np.asarray(batch.labels)
        return labels if self.digit is None else np.full_like(labels, self.digit)

    def cell_errors(self, state: Array, batch: Batch) -> np.ndarray:
        return (self.readout(state) != self.expected(batch)[:, None, None]).astype(np.float64)

    def error(self, state: Array, batch: Batch) -> Array:
        return self.loss(state, batch)

    def success(self, state: Array, batch: Batch) -> np.ndarray:
        """Whether half of a digit's cells name its class; for a goal, more than half."""
        right, cells = self.cell_errors(state, batch) == 0, self.cells(state)
        twice, count = 2 * (right & cells).sum((1, 2)), cells.sum((1, 2))
        return twice >= count if self.digit is None else twice > count

    def readout(self, state: Array) -> np.ndarray:
        """The class that each cell names, ``(batch, height, width)``."""
        return keras.ops.convert_to_numpy(class_logits(state)).argmax(-1)

    def picture(self, state: Array) -> np.ndarray:
        return digits_to_rgb(state)

    def pool(  # type: ignore[override]
        self, step: Step, size: int = 160, batch_size: int = 16, seed: int = 0, **options: Any
    ) -> DigitPool:
        """A `DigitPool`, which takes further options: see there."""
        if step.has_adversary:
            options = {"density": 0.1} | options
        return DigitPool(
            self.digits, size, batch_size, channels=step.channels, seed=seed, **options
        )

    def get_config(self) -> dict[str, Any]:
        digits = {
            "images": self.digits.images.tolist(),
            "labels": self.digits.labels.tolist(),
            "source": self.digits.source,
        }
        return {"digits": digits, "digit": self.digit}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Task:
        given = config["digits"]
        images, labels = (np.asarray(given[name]) for name in ("images", "labels"))
        return cls(Digits(images, labels, given["source"]), config["digit"])
