"""Pools keep states from one training step to the next, so that a CA learns patterns that persist.

A pool consists of `tf.Variable` objects that Keras does not track, so saved models do not contain
it. `Trainer.train_step` samples from it and writes back, in this order. Every draw depends only on
the seed and the training step.
"""

import copy
import math
import numbers
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from tfnca.automata.checks import (
    check_cells,
    check_density,
    check_inputs,
    check_integer,
    check_states,
)
from tfnca.automata.masks import random_mask
from tfnca.automata.state import (
    GREY,
    MNIST_CHANNELS,
    NUM_CLASSES,
    digit_state,
    is_digit_cell,
    no_digits,
    no_picture,
)
from tfnca.data.digits import Digits
from tfnca.deprecated import takes_old_names
from tfnca.training.batch import Batch
from tfnca.training.damage import circle_masks
from tfnca.training.losses import Loss, pattern_centres


class Pool:
    """The base class of `GrowingPool` and `DigitPool`: slots of states and masks.

    To write your own pool, subclass it and override `draw`. A method ``why_not(step)`` may return
    the reason why a step cannot be trained on its states, for an error message.

    Args:
        states: Initial states, ``(size, height, width, channels)``.
        batch_size: Items in a batch.
        masks: Adversary masks of the slots, ``(size, height, width)``; None without adversaries.
        inputs: What the slots' cells receive in every step, for a rule with `inputs`:
            ``(size, inputs)``, or ``(size, height, width, inputs)``.

    Attributes:
        size: Number of slots.
        variables: Dictionary of all `tf.Variable` objects. A snapshot contains them.

    Raises:
        ValueError: If a batch is larger than the pool.
    """

    def __init__(
        self,
        states: np.ndarray,
        batch_size: int,
        masks: tf.Tensor | None = None,
        inputs: np.ndarray | None = None,
    ) -> None:
        self.size: int = len(states)
        self.batch_size: int = check_integer("batch_size", batch_size, 1, self.size)
        self.variables: dict[str, tf.Variable] = {"states": tf.Variable(states, trainable=False)}
        if masks is not None:
            self.variables["masks"] = tf.Variable(tf.cast(masks, tf.uint8), trainable=False)
        if inputs is not None:
            values = np.asarray(inputs, np.float32)
            check_inputs(values, values.shape[-1] if values.ndim else 0, states, "The pool")
            self.variables["inputs"] = tf.Variable(values, trainable=False)

    @property
    def channels(self) -> int:
        """Channels of the states."""
        return self.variables["states"].shape[-1]

    @property
    def has_masks(self) -> bool:
        """Whether the slots have masks of adversaries."""
        return "masks" in self.variables

    def _draw_slots(self, key: tf.Tensor) -> tf.Tensor:
        return tf.argsort(tf.random.stateless_uniform([self.size], key))[: self.batch_size]

    def _masks_of(self, slots: tf.Tensor) -> tf.Tensor | None:
        if not self.has_masks:
            return None
        return tf.cast(tf.gather(self.variables["masks"], slots), tf.float32)

    def copy(self) -> "Pool":
        """A pool with the same contents and settings, in new variables."""
        other = copy.copy(self)
        other.variables = {n: tf.Variable(v, trainable=False) for n, v in self.variables.items()}
        return other

    def draw(self, seed: int | tf.Tensor, index: int | tf.Tensor, loss: Loss) -> Batch:
        """A batch for training step `index`: sampled slots, some of them reset or damaged."""
        raise NotImplementedError

    def put(self, batch: Batch, state: tf.Tensor) -> None:
        """Writes a batch's final states back, with its masks, labels and inputs.

        A subclass with further variables overrides this method, calls it and writes them itself.
        """
        slots = tf.cast(batch.slots, tf.int32)[:, None]
        values = batch._asdict() | {"states": state, "masks": batch.mask}
        for name, variable in self.variables.items():
            if name not in values:  # a subclass may have more
                continue
            variable.scatter_nd_update(slots, tf.cast(values[name], variable.dtype))

    def batches(self) -> Iterator[Batch]:
        """Yields every slot once and unchanged, in batches, for `Trainer.evaluate`."""
        for first in range(0, self.size, self.batch_size):
            yield self._batch(tf.range(first, min(first + self.batch_size, self.size)))

    def _batch(self, slots: tf.Tensor) -> Batch:
        """Some slots, with every variable that has the name of a batch's field."""
        named = {n: tf.gather(v, slots) for n, v in self.variables.items() if n in Batch._fields}
        state = tf.gather(self.variables["states"], slots)
        return Batch(**named)._replace(slots=slots, state=state, mask=self._masks_of(slots))


class GrowingPool(Pool):
    """The Growing CA's pool: the worst items of a batch are reset, the best are damaged.

    Args:
        starts: States that a reset writes, ``(k, height, width, channels)``: the seed for a base,
            the grown host for an adversary, both for a perturbation. The pool starts with equally
            many of each.
        size: Number of slots.
        batch_size: Items in a batch.
        restarts: Number of items that are reset in each batch, to the `starts` in turn. All of a
            batch for a CA that only grows. None: as many as there are `starts`.
        reset_policy: The items that are reset: the ``"worst"``, as in the article, or ``"any"``.
            With ``"worst"`` the pool keeps the masks that help the adversary most, so the training
            loss says little about other masks.
        reset_threshold: Loss above which further items are reset, however many. None: no threshold,
            as in the article. There a collapsed state stays until it is the worst of a batch.
        damaged: Number of items, the best of the batch, that lose a random circle. 0 for a CA that
            persists without regenerating.
        radii: Smallest and largest radius of the circles, in (0, 2], in grid coordinates [-1, 1].
        where: The allowed cells of adversaries, ``(height, width)``; None without adversaries.
        density: Adversary fraction, in (0, 1], or a schedule: any function of the training step,
            for example `keras.optimizers.schedules.PolynomialDecay`. Each slot has its own mask. A
            reset draws a new one.
        seed: Seed of the first masks.
        inputs: See `Pool`. A slot keeps its inputs when it is reset.

    Raises:
        ValueError: If an argument is out of range, or arguments do not fit each other.

    Reference:
        The article's training code. It sorts a batch before it resets any item, so it damages the
        items with the lowest loss. If the loss has a method ``rank(state)``, as `TargetLoss` does,
        items are sorted by that.
    """

    why_not = staticmethod(no_picture)

    @takes_old_names
    def __init__(
        self,
        starts: np.ndarray,
        size: int = 1024,
        batch_size: int = 8,
        restarts: int | None = None,
        reset_policy: str = "worst",
        reset_threshold: float | None = None,
        damaged: int = 3,
        radii: tuple[float, float] = (0.1, 0.4),
        where: np.ndarray | None = None,
        density: float | Callable[[int | tf.Tensor], float | tf.Tensor] | None = None,
        seed: int = 0,
        inputs: np.ndarray | None = None,
    ) -> None:
        starts = check_states(starts, "starts")
        size = check_integer("size", size, 1)
        batch_size = check_integer("batch_size", batch_size, 1, size)
        restarts = check_integer("restarts", len(starts) if restarts is None else restarts, 0)
        damaged = check_integer("damaged", damaged, 0)
        if reset_threshold is not None and not (
            isinstance(reset_threshold, numbers.Real) and reset_threshold >= 0
        ):
            raise ValueError(
                "reset_threshold must be a loss, 0 or more. "
                f"Received: reset_threshold={reset_threshold!r}"
            )
        if max(restarts, damaged) > batch_size:
            raise ValueError(
                f"restarts and damaged must be in 0 to batch_size={batch_size}. "
                f"Received: restarts={restarts}, damaged={damaged}"
            )
        if reset_policy not in ("worst", "any"):
            raise ValueError(
                f"reset_policy must be 'worst' or 'any'. Received: reset_policy={reset_policy!r}"
            )
        if np.shape(radii) != (2,) or not 0 < radii[0] <= radii[1] <= 2:
            raise ValueError(f"radii must ascend and be in (0, 2]. Received: radii={radii}")
        if (where is None) != (density is None):
            raise ValueError("where and density require each other. Received: only one of them")
        self.where = self.density = masks = None
        if where is not None and density is not None:
            self.density = density if callable(density) else check_density(density)
            check_cells("where", where)
            self.where = np.asarray(where, bool)
            if self.where.shape != starts.shape[1:3]:
                raise ValueError(
                    f"where must have the grid's size {starts.shape[1:3]}. "
                    f"Received: shape={self.where.shape}"
                )
            masks = self._new_masks(size, seed, index=2**32 - 1, training_step=0)
        states = starts[np.arange(size) * len(starts) // size]
        super().__init__(states, batch_size, masks, inputs)
        self.starts = starts
        self.restarts = restarts
        self.reset_policy = reset_policy
        self.reset_threshold = reset_threshold
        self.damaged = damaged
        self.radii = radii

    def _new_masks(
        self,
        count: int,
        seed: int | tf.Tensor,
        index: int | tf.Tensor,
        training_step: int | tf.Tensor,
    ) -> tf.Tensor:
        where = tf.repeat(tf.constant(self.where)[None], count, axis=0)
        density = self.density(training_step) if callable(self.density) else self.density
        return random_mask(where, density, seed, index)

    def _ranks(self, loss: Loss, slots: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        """The loss of each state before any reset."""
        if hasattr(loss, "rank"):
            return loss.rank(state)
        batch = self._batch(slots)._replace(centres=pattern_centres(state))
        return loss(state, batch)

    def draw(self, seed: int | tf.Tensor, index: int | tf.Tensor, loss: Loss) -> Batch:
        slots = self._draw_slots(tf.stack([seed, 2 * index]))
        state = tf.gather(self.variables["states"], slots)
        losses = self._ranks(loss, slots, state)
        order = tf.argsort(losses, direction="DESCENDING", stable=True)
        slots, state = tf.gather(slots, order), tf.gather(state, order)
        mask = self._masks_of(slots)
        # Slots are drawn in random order, so the order before sorting is random.
        rank = tf.range(self.batch_size) if self.reset_policy == "worst" else order
        losses = tf.gather(losses, order)
        lost = (
            tf.math.is_nan(losses)
            if self.reset_threshold is None
            else ~(losses <= self.reset_threshold)
        )
        anew = (rank < self.restarts) | lost
        centres = tf.where(anew[:, None], -1.0, pattern_centres(state))
        anew = anew[:, None, None]
        first = tf.cast(index, tf.int64) * self.restarts
        turn = (first + tf.cast(rank, tf.int64)) % len(self.starts)
        state = tf.where(anew[..., None], tf.gather(self.starts, turn), state)
        if mask is not None:
            new = self._new_masks(self.batch_size, seed, index, training_step=index)
            mask = tf.where(anew, new, mask)
        if self.damaged:
            keep = self.batch_size - self.damaged
            key = tf.stack([seed, 2 * index + 1])
            circles = circle_masks(self.damaged, self.starts.shape[1:3], key, radius=self.radii)
            circles = tf.where(anew[keep:, ..., None], 1.0, circles)
            state = tf.concat([state[:keep], state[keep:] * circles], axis=0)
        return self._batch(slots)._replace(state=state, mask=mask, centres=centres)


class DigitPool(Pool):
    """The MNIST CA's pool: some items get a new digit, others swap the digit under their state.

    The first `new_digits` items of a batch are new digits with empty states and new masks. The last
    `swapped_digits` items get a new digit as well, but keep their mask, and their state where the
    new digit has cells. Cells thus learn to reclassify. With fewer of both, states live longer, and
    training covers longer runs.

    Args:
        digits: `Digits` to draw from.
        size: Number of slots.
        batch_size: Items in a batch.
        channels: Channels of the state.
        density: Adversary fraction of all pixels, in (0, 1], or ``(low, high)``: each mask then
            draws its own, uniform in the logarithm. None without adversaries.
        new_digits: Number of new digits in a batch. None: a quarter, as in the article.
        swapped_digits: Number of swapped digits in a batch. None: a quarter, as in the article.
        seed: Seed of the first digits and masks.

    Raises:
        ValueError: If an argument is out of range, or arguments do not fit each other.

    Reference:
        The article's training code of the self-classifying MNIST CA.
    """

    why_not = staticmethod(no_digits)

    @takes_old_names
    def __init__(
        self,
        digits: Digits,
        size: int = 160,
        batch_size: int = 16,
        channels: int = MNIST_CHANNELS,
        density: float | tuple[float, float] | None = None,
        new_digits: int | None = None,
        swapped_digits: int | None = None,
        seed: int = 0,
    ) -> None:
        size = check_integer("size", size, 1)
        channels = check_integer("channels", channels, GREY + 1 + NUM_CLASSES)
        batch_size = check_integer("batch_size", batch_size, 1, size)
        quarter = batch_size // 4
        self.new_digits = check_integer(
            "new_digits", quarter if new_digits is None else new_digits, 0
        )
        self.swapped_digits = check_integer(
            "swapped_digits", quarter if swapped_digits is None else swapped_digits, 0
        )
        if not isinstance(digits, Digits):
            raise ValueError(f"digits must be `tfnca.Digits`. Received: {type(digits).__name__}")
        if self.new_digits + self.swapped_digits > batch_size:
            raise ValueError(
                f"new_digits and swapped_digits must sum to at most batch_size={batch_size}. "
                f"Received: new_digits={new_digits}, swapped_digits={swapped_digits}"
            )
        self.images = tf.Variable(np.round(digits.images * 255).astype(np.uint8), trainable=False)
        self.labels = tf.Variable(digits.labels.astype(np.int32), trainable=False)
        self.density = None if density is None else _density_range(density)
        images, labels = self._new_digits(size, [seed, -1])
        start = digit_state(images, channels)
        masks = None if density is None else self._new_masks(size, seed, index=2**32 - 1)
        super().__init__(start, batch_size, masks)
        self.variables["labels"] = tf.Variable(labels, trainable=False)

    def _new_digits(self, count: int, key: tf.Tensor | list[int]) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = tf.random.stateless_uniform([count], key, 0, self.labels.shape[0], tf.int32)
        images = tf.cast(tf.gather(self.images, chosen), tf.float32) / 255.0
        return images, tf.gather(self.labels, chosen)

    def _new_masks(self, count: int, seed: int | tf.Tensor, index: int | tf.Tensor) -> tf.Tensor:
        height, width = self.images.shape[1:]
        where = np.ones((count, height, width), bool)
        assert self.density is not None  # without it there are no masks
        low, high = self.density
        if low == high:
            return random_mask(where, low, seed, index)
        key = tf.stack([tf.cast(seed, tf.int64), ~tf.cast(index, tf.int64)])
        exponents = tf.random.stateless_uniform([count, 1, 1], key, math.log(low), math.log(high))
        return random_mask(where, tf.exp(exponents), seed, index)

    def draw(self, seed: int | tf.Tensor, index: int | tf.Tensor, loss: Loss) -> Batch:
        first, kept = self.new_digits, self.batch_size - self.swapped_digits
        slots = self._draw_slots(tf.stack([seed, 2 * index]))
        state = tf.gather(self.variables["states"], slots)
        labels = tf.gather(self.variables["labels"], slots)
        mask = self._masks_of(slots)
        images, new_labels = self._new_digits(
            first + self.swapped_digits, tf.stack([seed, 2 * index + 1])
        )
        new = digit_state(images, self.channels)
        hidden = state[kept:, :, :, GREY + 1 :]
        hidden *= tf.cast(is_digit_cell(new[first:]), tf.float32)
        swapped = tf.concat([new[first:, :, :, : GREY + 1], hidden], axis=-1)
        state = tf.concat([new[:first], state[first:kept], swapped], axis=0)
        labels = tf.concat([new_labels[:first], labels[first:kept], new_labels[first:]], axis=0)
        if mask is not None:
            mask = tf.concat([self._new_masks(first, seed, index), mask[first:]], axis=0)
        return Batch(slots, state, mask, labels)


def _density_range(density: float | tuple[float, float]) -> tuple[float, float]:
    """The lowest and the highest adversary fraction."""
    shares = tuple(density) if isinstance(density, Sequence | np.ndarray) else (density, density)
    if len(shares) != 2 or check_density(shares[0]) > check_density(shares[1]):
        raise ValueError(
            f"density must be a fraction or an ascending pair. Received: density={density}"
        )
    return float(shares[0]), float(shares[1])
