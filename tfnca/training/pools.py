"""Pools: states kept from one training step to the next, so that a CA learns to stay.

A pool lives in `tf.Variable` objects that Keras does not see: it stays out of saved models, and
sampling and write-back happen inside `Trainer.train_step`, in order. All its draws depend on
(seed, training step) alone.
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
    check_integer,
    check_states,
)
from tfnca.automata.masks import random_mask
from tfnca.automata.state import GREY, MNIST_CHANNELS, NUM_CLASSES, digit_state, is_digit_cell
from tfnca.automata.step import GROWING, MNIST
from tfnca.data.digits import Digits
from tfnca.deprecated import takes_old_names
from tfnca.training.batch import Batch
from tfnca.training.damage import circle_masks
from tfnca.training.losses import Loss, pattern_centres


class Pool:
    """What `GrowingPool` and `DigitPool` share: slots of states and masks.

    A pool of your own derives from it, has a `family`, and overrides `draw`.

    Args:
        states: What the slots begin with, ``(size, height, width, channels)``.
        batch_size: Items in a batch.
        masks: Where adversaries stand in each, ``(size, height, width)``; None without.

    Attributes:
        size: Number of slots.
        variables: Dictionary of all `tf.Variable` objects: what a snapshot must keep.

    Raises:
        ValueError: If a batch is larger than the pool.
    """

    family: str | None = None
    """Of which family of steps the states are, `GROWING` or `MNIST`; None for any."""

    def __init__(self, states: np.ndarray, batch_size: int, masks: tf.Tensor | None = None) -> None:
        self.size: int = len(states)
        self.batch_size: int = check_integer("batch_size", batch_size, 1, self.size)
        self.variables: dict[str, tf.Variable] = {"states": tf.Variable(states, trainable=False)}
        if masks is not None:
            self.variables["masks"] = tf.Variable(tf.cast(masks, tf.uint8), trainable=False)

    @property
    def channels(self) -> int:
        """Channels of the states."""
        return self.variables["states"].shape[-1]

    @property
    def has_masks(self) -> bool:
        """Whether adversaries stand among the cells."""
        return "masks" in self.variables

    def _draw_slots(self, key: tf.Tensor) -> tf.Tensor:
        return tf.argsort(tf.random.stateless_uniform([self.size], key))[: self.batch_size]

    def _masks_of(self, slots: tf.Tensor) -> tf.Tensor | None:
        if not self.has_masks:
            return None
        return tf.cast(tf.gather(self.variables["masks"], slots), tf.float32)

    def copy(self) -> "Pool":
        """A pool with the same slots in variables of its own, and the same settings."""
        other = copy.copy(self)
        other.variables = {n: tf.Variable(v, trainable=False) for n, v in self.variables.items()}
        return other

    def draw(self, seed: int | tf.Tensor, index: int | tf.Tensor, loss: Loss) -> Batch:
        """A batch for training step `index`: sampled, repaired, damaged."""
        raise NotImplementedError

    def put(self, batch: Batch, state: tf.Tensor) -> None:
        """Writes a batch's final states back, with its masks and labels.

        Variables of a pool's own are its own to write: it overrides this, and calls it.
        """
        slots = tf.cast(batch.slots, tf.int32)[:, None]
        values = {"states": state, "masks": batch.mask, "labels": batch.labels}
        for name, variable in self.variables.items():
            if name not in values:  # a pool of a user's own keeps more
                continue
            variable.scatter_nd_update(slots, tf.cast(values[name], variable.dtype))

    def batches(self) -> Iterator[Batch]:
        """Yields all slots once, as they are, a batch at a time: what `Trainer.evaluate` runs."""
        for first in range(0, self.size, self.batch_size):
            slots = tf.range(first, min(first + self.batch_size, self.size))
            labels = self.variables.get("labels")
            yield Batch(
                slots,
                tf.gather(self.variables["states"], slots),
                self._masks_of(slots),
                None if labels is None else tf.gather(labels, slots),
            )


class GrowingPool(Pool):
    """The Growing CA's pool: the worst of a batch starts anew, the best are damaged.

    Args:
        starts: States to start from, ``(k, height, width, channels)``: the seed for a base, the
            grown host for an adversary, both for a perturbation. The pool begins with equal
            shares of them.
        size: Number of slots.
        batch_size: Items in a batch.
        restarts: How many of a batch are replaced by `starts` in turn, going on from batch to
            batch; all of them for a CA that only grows. One for each start if not given.
        reset_policy: Which of a batch are replaced: the ``"worst"``, as published, or ``"any"``. The
            worst are those whose masks suit the adversary least, so that in the long run the pool
            keeps the masks that suit it, and its loss says little about others.
        reset_threshold: Loss above which a state starts anew too, however many there are; None for no
            such bound. The published code has none: there a state that fell apart is only
            replaced when it is the worst of its batch.
        damaged: How many of a batch, the best, lose a random circle; 0 for a CA that persists
            without regenerating.
        radii: Range of the circles' radii in (0, 2], the grid spanning [-1, 1]².
        where: Cells where adversaries may stand, ``(height, width)``; None without adversaries.
        density: Their share, in (0, 1], or a schedule of it (any function of the training step, for
            instance `keras.optimizers.schedules.PolynomialDecay`). Each slot has a mask of its own,
            drawn anew on restart.
        seed: For the first masks.

    Raises:
        ValueError: If the numbers do not fit each other.

    Reference:
        The published training code. A batch is sorted before anything is replaced, so the
        damaged ones are those of the lowest loss. A loss that has a method ``rank(state)``, as
        `TargetLoss` has, is sorted by that.
    """

    family: str | None = GROWING

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
                f"reset_threshold must be a loss, 0 or more. Received: reset_threshold={reset_threshold!r}"
            )
        if max(restarts, damaged) > batch_size:
            raise ValueError(
                f"restarts and damaged must lie in 0 to batch_size={batch_size}. "
                f"Received: restarts={restarts}, damaged={damaged}"
            )
        if reset_policy not in ("worst", "any"):
            raise ValueError(
                f"reset_policy must be 'worst' or 'any'. Received: reset_policy={reset_policy!r}"
            )
        if np.shape(radii) != (2,) or not 0 < radii[0] <= radii[1] <= 2:
            raise ValueError(f"radii must ascend and lie in (0, 2]. Received: radii={radii}")
        if (where is None) != (density is None):
            raise ValueError("where and density go together. Received: only one of them")
        self.where = self.density = masks = None
        if where is not None and density is not None:
            self.density = density if callable(density) else check_density(density)
            check_cells("where", where)
            self.where = np.asarray(where, bool)
            if self.where.shape != starts.shape[1:3]:
                raise ValueError(
                    f"where must be of the grid's size {starts.shape[1:3]}. "
                    f"Received: shape={self.where.shape}"
                )
            masks = self._new_masks(size, seed, index=2**32 - 1, training_step=0)
        super().__init__(starts[np.arange(size) * len(starts) // size], batch_size, masks)
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
        """How bad each state is, before anything is replaced."""
        if hasattr(loss, "rank"):
            return loss.rank(state)
        mask, centres = self._masks_of(slots), pattern_centres(state)
        return loss(state, Batch(slots, state, mask, centres=centres))

    def draw(self, seed: int | tf.Tensor, index: int | tf.Tensor, loss: Loss) -> Batch:
        slots = self._draw_slots(tf.stack([seed, 2 * index]))
        state = tf.gather(self.variables["states"], slots)
        losses = self._ranks(loss, slots, state)
        order = tf.argsort(losses, direction="DESCENDING", stable=True)
        slots, state = tf.gather(slots, order), tf.gather(state, order)
        mask = self._masks_of(slots)
        # Slots were drawn in random order, so that their place before sorting is any place.
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
        fresh = tf.gather(self.starts, turn)
        state = tf.where(anew[..., None], fresh, state)
        if mask is not None:
            new = self._new_masks(self.batch_size, seed, index, training_step=index)
            mask = tf.where(anew, new, mask)
        if self.damaged:
            keep = self.batch_size - self.damaged
            key = tf.stack([seed, 2 * index + 1])
            circles = circle_masks(self.damaged, self.starts.shape[1:3], key, radius=self.radii)
            circles = tf.where(anew[keep:, ..., None], 1.0, circles)
            state = tf.concat([state[:keep], state[keep:] * circles], axis=0)
        return Batch(slots, state, mask, centres=centres)


class DigitPool(Pool):
    """The MNIST CA's pool: some digits are new, some change under a settled state.

    Of each batch the first `new_digits` are new digits with empty states (and new masks). The last
    `swapped_digits` are a new digit each, with the old state kept where the new digit lives (and the
    old mask), so that cells learn to change their mind. The fewer of both, the longer a state
    lives undisturbed, and the longer the horizon that training sees.

    Args:
        digits: `Digits` to draw from.
        size: Number of slots.
        batch_size: Items in a batch.
        channels: Channels of the state.
        density: Share of adversaries among all pixels, in (0, 1]; or ``(low, high)``, between
            which each mask draws its own, all orders of magnitude alike; None without adversaries.
        new_digits: New digits in a batch; a quarter if not given, as published.
        swapped_digits: Digits of a batch that change; a quarter if not given, as published.
        seed: For the first digits and masks.

    Raises:
        ValueError: If the numbers do not fit each other.

    Reference:
        The published training code of the self-classifying MNIST CA.
    """

    family: str | None = MNIST

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
        assert self.density is not None  # whoever has none has no masks
        low, high = self.density
        if low == high:
            return random_mask(where, low, seed, index)
        key = tf.stack([tf.cast(seed, tf.int64), ~tf.cast(index, tf.int64)])
        exponents = tf.random.stateless_uniform([count, 1, 1], key, math.log(low), math.log(high))
        return random_mask(where, tf.exp(exponents), seed, index)

    def draw(self, seed: int | tf.Tensor, index: int | tf.Tensor, loss: Loss) -> Batch:
        fresh, kept = self.new_digits, self.batch_size - self.swapped_digits
        slots = self._draw_slots(tf.stack([seed, 2 * index]))
        state = tf.gather(self.variables["states"], slots)
        labels = tf.gather(self.variables["labels"], slots)
        mask = self._masks_of(slots)
        images, new_labels = self._new_digits(
            fresh + self.swapped_digits, tf.stack([seed, 2 * index + 1])
        )
        new = digit_state(images, self.channels)
        hidden = state[kept:, :, :, GREY + 1 :]
        hidden *= tf.cast(is_digit_cell(new[fresh:]), tf.float32)
        mutated = tf.concat([new[fresh:, :, :, : GREY + 1], hidden], axis=-1)
        state = tf.concat([new[:fresh], state[fresh:kept], mutated], axis=0)
        labels = tf.concat([new_labels[:fresh], labels[fresh:kept], new_labels[fresh:]], axis=0)
        if mask is not None:
            mask = tf.concat([self._new_masks(fresh, seed, index), mask[fresh:]], axis=0)
        return Batch(slots, state, mask, labels)


def _density_range(density: float | tuple[float, float]) -> tuple[float, float]:
    """The lowest and the highest share of adversaries."""
    shares = tuple(density) if isinstance(density, Sequence | np.ndarray) else (density, density)
    if len(shares) != 2 or check_density(shares[0]) > check_density(shares[1]):
        raise ValueError(
            f"density must be a share, or a range of them. Received: density={density}"
        )
    return float(shares[0]), float(shares[1])
