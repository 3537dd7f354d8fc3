"""The task of classifying handwritten digits."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnca.automata.checks import check_digit_state, check_labels
from tfnca.automata.masks import random_mask
from tfnca.automata.state import (
    NUM_CLASSES,
    class_logits,
    digit_state,
    is_digit_cell,
    no_digits,
)
from tfnca.automata.step import Step
from tfnca.choices import TARGET_DIGIT
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

    def cell_errors(self, state: Array, batch: Batch) -> np.ndarray:
        expected = np.asarray(batch.labels if self.digit is None else [self.digit])
        return (self.readout(state) != expected[:, None, None]).astype(np.float64)

    def soft_cell_errors(self, state: Array, batch: Batch) -> Array:
        """1 minus each cell's probability of the class that it should name."""
        expected = tf.convert_to_tensor(batch.labels if self.digit is None else [self.digit])
        chosen = keras.ops.one_hot(expected, NUM_CLASSES)[:, None, None, :]
        return 1 - keras.ops.sum(keras.ops.softmax(class_logits(state), -1) * chosen, axis=-1)

    def error(self, state: Array, batch: Batch) -> Array:
        return self.loss(state, batch)

    def success(self, state: Array, batch: Batch) -> np.ndarray:
        """Whether half of a digit's cells name its class; for a goal, more than half."""
        right, cells = self.cell_errors(state, batch) == 0, self.cells(state)
        twice, count = 2 * (right & cells).sum((1, 2)), cells.sum((1, 2))
        return twice >= count if self.digit is None else twice > count

    def measures(self, state: np.ndarray, batch: Batch) -> dict[str, float]:
        """As in `Task.measures`, with the entries of `digit_measures`. The errors are the loss."""
        target = TARGET_DIGIT if self.digit is None else self.digit
        labels = np.asarray(batch.labels)
        return super().measures(state, batch) | digit_measures(state, labels, target, batch.mask)

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


def digit_measures(
    state: tf.Tensor | np.ndarray,
    labels: np.ndarray,
    target: int = TARGET_DIGIT,
    mask: tf.Tensor | np.ndarray | None = None,
) -> dict[str, float]:
    """Measures how the states of an MNIST CA classify their digits.

    Args:
        state: ``(batch, height, width, channels)``.
        labels: The true classes ``(batch,)``.
        target: The target class of the adversaries.
        mask: Positions of the adversaries, ``(batch, height, width)``. With a mask, accuracy and
            takeover rate of the host cells alone are returned too, because adversaries that
            choose the target themselves prove nothing.

    Returns:
        Dictionary of floats in [0, 1]: ``digit_accuracy``, ``cell_accuracy`` (over all living
        cells), ``agreement``, ``takeover``, and with a mask ``host_cell_accuracy`` and
        ``host_takeover``.
    """
    check_digit_state(state, NUM_CLASSES, labels, mask)
    check_labels([target], NUM_CLASSES)
    labels = np.asarray(labels)
    said = keras.ops.convert_to_numpy(class_logits(state)).argmax(-1)
    alive = keras.ops.convert_to_numpy(is_digit_cell(state))[..., 0]
    count = alive.sum((1, 2))
    right = (said == labels[:, None, None]) & alive
    low = np.where(alive, said, 99).min((1, 2))
    high = np.where(alive, said, -1).max((1, 2))
    others = labels != target
    measures = {
        "digit_accuracy": np.mean(2 * right.sum((1, 2)) >= count),
        "cell_accuracy": right.sum() / max(count.sum(), 1),
        "agreement": np.mean(low == high),
        "takeover": _takeover(said, alive, target, others),
    }
    if mask is not None:
        hosts = alive & (np.asarray(mask) < 0.5)
        measures["host_cell_accuracy"] = (right & hosts).sum() / max(hosts.sum(), 1)
        measures["host_takeover"] = _takeover(said, hosts, target, others)
    return {name: float(value) for name, value in measures.items()}


def _takeover(said: np.ndarray, cells: np.ndarray, target: int, others: np.ndarray) -> float:
    """The fraction of the `others` in which more than half of the `cells` choose the target."""
    is_target = 2 * ((said == target) & cells).sum((1, 2)) > cells.sum((1, 2))
    return is_target[others].mean() if others.any() else float("nan")


def has_flipped(
    state: tf.Tensor, mask: tf.Tensor | np.ndarray, target: int = TARGET_DIGIT
) -> np.ndarray:
    """Whether half of the living host cells of each item, and at least one, choose the target.

    The mask is ``(batch, height, width)``, the result ``(batch,)``.
    """
    check_digit_state(state, NUM_CLASSES, mask=mask)
    said = keras.ops.convert_to_numpy(class_logits(state)).argmax(-1)
    hosts = keras.ops.convert_to_numpy(is_digit_cell(state))[..., 0] & (np.asarray(mask) < 0.5)
    count = hosts.sum((1, 2))
    return (2 * ((said == target) & hosts).sum((1, 2)) >= count) & (count > 0)


def swap_digits(
    state: tf.Tensor, images: np.ndarray, labels: np.ndarray
) -> tuple[tf.Tensor, np.ndarray]:
    """Gives item i the image of item i + 1, and keeps its state where the new digit is alive.

    Returns the new states and labels.
    """
    check_digit_state(state, NUM_CLASSES, labels)
    images, labels = np.roll(images, -1, axis=0), np.roll(labels, -1)
    fresh = digit_state(images, state.shape[-1])
    alive = keras.ops.cast(is_digit_cell(fresh), "float32")
    return keras.ops.concatenate([fresh[..., :1], state[..., 1:] * alive], axis=-1), labels


def digit_mask(digits: Digits, density: float, seed: int, at_least_one: bool = False) -> tf.Tensor:
    """Draws adversaries at random over the whole grid of each digit, ``(batch, height, width)``.

    With `at_least_one`, masks without an adversary on the digit's stroke are drawn again. An image
    without a stroke keeps its first mask.
    """
    stroke = keras.ops.convert_to_numpy(is_digit_cell(digit_state(digits.images)))[..., 0]
    everywhere = np.ones_like(stroke)
    mask = random_mask(everywhere, density, seed)
    index = 0
    inked = stroke.any((1, 2))
    while at_least_one and (empty := inked & ~(np.asarray(mask) * stroke).any((1, 2))).any():
        index += 1
        redrawn = random_mask(everywhere, density, seed, index)
        mask = keras.ops.where(empty[:, None, None], redrawn, mask)
    return mask
