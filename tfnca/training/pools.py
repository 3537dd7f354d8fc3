"""Pools: states kept from one training step to the next, so that a CA learns to stay.

A pool lives in `tf.Variable` objects that Keras does not see: it stays out of saved models, and
sampling and write-back happen inside `Trainer.train_step`, in order. All its draws depend on
(seed, training step) alone.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfnca.automata.checks import check_density
from tfnca.automata.masks import random_mask
from tfnca.automata.state import GREY, MNIST_CHANNELS, digit_state, is_digit_cell
from tfnca.training.damage import circle_masks
from tfnca.training.losses import pattern_centres


class Batch(NamedTuple):
    """What a training step works on."""

    slots: tf.Tensor
    """Where the states came from and go back to, ``(batch,)``."""
    state: tf.Tensor
    mask: tf.Tensor | None
    """Where adversaries stand, ``(batch, height, width)``."""
    labels: tf.Tensor | None
    """Digits' labels, ``(batch,)``; or where lizards stood, see `pattern_centres`: ``(batch, 2)``,
    NaN where one starts anew."""


class Pool:
    """What `GrowingPool` and `DigitPool` share: slots of states and masks.

    Attributes:
        variables: Dictionary of all `tf.Variable` objects: what a snapshot must keep.
    """

    def __init__(self, states, batch_size, masks=None):
        if not 0 < batch_size <= len(states):
            raise ValueError(
                f"batch_size must lie in 1 to the pool's size {len(states)}. "
                f"Received: batch_size={batch_size}"
            )
        self.size = len(states)
        self.batch_size = batch_size
        self.variables = {"states": tf.Variable(states, trainable=False)}
        if masks is not None:
            self.variables["masks"] = tf.Variable(tf.cast(masks, tf.uint8), trainable=False)

    def _draw_slots(self, key):
        return tf.argsort(tf.random.stateless_uniform([self.size], key))[: self.batch_size]

    def _masks_of(self, slots):
        if "masks" not in self.variables:
            return None
        return tf.cast(tf.gather(self.variables["masks"], slots), tf.float32)

    def draw(self, seed, index, loss):
        """A batch for training step `index`: sampled, repaired, damaged. Returns a `Batch`."""
        raise NotImplementedError

    def put(self, batch, state):
        """Writes a batch's final states back, with its masks and labels."""
        slots = tf.cast(batch.slots, tf.int32)[:, None]
        values = {"states": state, "masks": batch.mask, "labels": batch.labels}
        for name, variable in self.variables.items():
            variable.scatter_nd_update(slots, tf.cast(values[name], variable.dtype))


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
        chosen: Which of a batch are replaced: the ``"worst"``, as published, or ``"any"``. The
            worst are those whose masks suit the adversary least, so that in the long run the pool
            keeps the masks that suit it, and its loss says little about others.
        hopeless: Loss above which a state starts anew too, however many there are; None for no
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
        damaged ones are those of the lowest loss.
    """

    def __init__(
        self,
        starts,
        size=1024,
        batch_size=8,
        restarts=None,
        chosen="worst",
        hopeless=None,
        damaged=3,
        radii=(0.1, 0.4),
        where=None,
        density=None,
        seed=0,
    ):
        starts = np.asarray(starts, np.float32)
        restarts = len(starts) if restarts is None else restarts
        if restarts < 0 or damaged < 0 or max(restarts, damaged) > batch_size:
            raise ValueError(
                f"restarts and damaged must lie in 0 to batch_size={batch_size}. "
                f"Received: restarts={restarts}, damaged={damaged}"
            )
        if chosen not in ("worst", "any"):
            raise ValueError(f"chosen must be 'worst' or 'any'. Received: chosen={chosen!r}")
        if not 0 < radii[0] <= radii[1] <= 2:
            raise ValueError(f"radii must ascend and lie in (0, 2]. Received: radii={radii}")
        if (where is None) != (density is None):
            raise ValueError("where and density go together. Received: only one of them")
        self.where = self.density = masks = None
        if where is not None:
            self.density = density if callable(density) else check_density(density)
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
        self.chosen = chosen
        self.hopeless = np.inf if hopeless is None else hopeless
        self.damaged = damaged
        self.radii = radii

    def _new_masks(self, count, seed, index, training_step):
        where = tf.repeat(tf.constant(self.where)[None], count, axis=0)
        density = self.density(training_step) if callable(self.density) else self.density
        return random_mask(where, density, seed, index)

    def draw(self, seed, index, loss):
        slots = self._draw_slots(tf.stack([seed, 2 * index]))
        state = tf.gather(self.variables["states"], slots)
        losses = loss(state)
        order = tf.argsort(losses, direction="DESCENDING", stable=True)
        slots, state = tf.gather(slots, order), tf.gather(state, order)
        mask = self._masks_of(slots)
        # Slots were drawn in random order, so that their place before sorting is any place.
        rank = tf.range(self.batch_size) if self.chosen == "worst" else order
        anew = (rank < self.restarts) | ~(tf.gather(losses, order) <= self.hopeless)
        centres = tf.where(anew[:, None], np.nan, pattern_centres(state))
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
        return Batch(slots, state, mask, centres)


class DigitPool(Pool):
    """The MNIST CA's pool: some digits are new, some change under a settled state.

    Of each batch the first `fresh` are new digits with empty states (and new masks). The last
    `mutated` are a new digit each, with the old state kept where the new digit lives (and the
    old mask), so that cells learn to change their mind. The fewer of both, the longer a state
    lives undisturbed, and the longer the horizon that training sees.

    Args:
        digits: `Digits` to draw from.
        size: Number of slots.
        batch_size: Items in a batch.
        channels: Channels of the state.
        density: Share of adversaries among all pixels, in (0, 1]; None without adversaries.
        fresh: New digits in a batch; a quarter if not given, as published.
        mutated: Digits of a batch that change; a quarter if not given, as published.
        seed: For the first digits and masks.

    Raises:
        ValueError: If the numbers do not fit each other.

    Reference:
        The published training code of the self-classifying MNIST CA.
    """

    def __init__(
        self,
        digits,
        size=160,
        batch_size=16,
        channels=MNIST_CHANNELS,
        density=None,
        fresh=None,
        mutated=None,
        seed=0,
    ):
        self.fresh = batch_size // 4 if fresh is None else fresh
        self.mutated = batch_size // 4 if mutated is None else mutated
        if min(self.fresh, self.mutated) < 0 or self.fresh + self.mutated > batch_size:
            raise ValueError(
                f"fresh and mutated must not be negative and sum to at most "
                f"batch_size={batch_size}. Received: fresh={fresh}, mutated={mutated}"
            )
        self.images = tf.Variable(np.round(digits.images * 255).astype(np.uint8), trainable=False)
        self.labels = tf.Variable(digits.labels.astype(np.int32), trainable=False)
        self.channels = channels
        self.density = None if density is None else check_density(density)
        images, labels = self._new_digits(size, [seed, -1])
        masks = None if density is None else self._new_masks(size, seed, index=2**32 - 1)
        super().__init__(digit_state(images, channels), batch_size, masks)
        self.variables["labels"] = tf.Variable(labels, trainable=False)

    def _new_digits(self, count, key):
        chosen = tf.random.stateless_uniform([count], key, 0, self.labels.shape[0], tf.int32)
        images = tf.cast(tf.gather(self.images, chosen), tf.float32) / 255.0
        return images, tf.gather(self.labels, chosen)

    def _new_masks(self, count, seed, index):
        height, width = self.images.shape[1:]
        return random_mask(np.ones((count, height, width), bool), self.density, seed, index)

    def draw(self, seed, index, loss):
        fresh, kept = self.fresh, self.batch_size - self.mutated
        slots = self._draw_slots(tf.stack([seed, 2 * index]))
        state = tf.gather(self.variables["states"], slots)
        labels = tf.gather(self.variables["labels"], slots)
        mask = self._masks_of(slots)
        images, new_labels = self._new_digits(fresh + self.mutated, tf.stack([seed, 2 * index + 1]))
        new = digit_state(images, self.channels)
        hidden = state[kept:, :, :, GREY + 1 :]
        hidden *= tf.cast(is_digit_cell(new[fresh:]), tf.float32)
        mutated = tf.concat([new[fresh:, :, :, : GREY + 1], hidden], axis=-1)
        state = tf.concat([new[:fresh], state[fresh:kept], mutated], axis=0)
        labels = tf.concat([new_labels[:fresh], labels[fresh:kept], new_labels[fresh:]], axis=0)
        if mask is not None:
            mask = tf.concat([self._new_masks(fresh, seed, index), mask[fresh:]], axis=0)
        return Batch(slots, state, mask, labels)
