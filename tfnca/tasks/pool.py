"""The pool of a task that has no pool of its own."""

import numpy as np
import tensorflow as tf

from tfnca.automata.masks import random_mask
from tfnca.training.batch import Batch
from tfnca.training.losses import Loss
from tfnca.training.pools import Pool

_OWN = frozenset(("slots", "state", "mask", "centres"))
"""Fields of a batch that a pool sets itself; the others belong to an item, such as its label."""


class TaskPool(Pool):
    """A pool of a task's starts, in which the worst item of each batch begins anew.

    Args:
        batch: The starts, and the labels or inputs that go with them, of all slots.
        batch_size: Items in a batch.
        where: The allowed cells of adversaries, ``(size, height, width)``; None without them.
        density: Adversary fraction, in (0, 1].
        seed: Seed of the first masks.
    """

    def __init__(
        self,
        batch: Batch,
        batch_size: int = 8,
        where: np.ndarray | None = None,
        density: float | None = None,
        seed: int = 0,
    ) -> None:
        masks = None if where is None else random_mask(where, density, seed)
        super().__init__(np.asarray(batch.state), batch_size, masks)
        self.where, self.density = where, density
        # A slot keeps its start, so its labels never change.
        given = {n: v for n, v in batch._asdict().items() if n not in _OWN and v is not None}
        for name, values in {"starts": batch.state, **given}.items():
            self.variables[name] = tf.Variable(values, trainable=False)

    def draw(self, seed: int | tf.Tensor, index: int | tf.Tensor, loss: Loss) -> Batch:
        slots = self._draw_slots(tf.stack([seed, 2 * index]))
        batch = self._batch(slots)
        losses = loss(batch.state, batch)
        losses = tf.where(tf.math.is_nan(losses), losses.dtype.max, losses)
        anew = tf.equal(tf.range(self.batch_size), tf.argmax(losses, output_type=tf.int32))
        starts = tf.gather(self.variables["starts"], slots)
        state = tf.where(anew[:, None, None, None], starts, batch.state)
        mask = batch.mask
        if mask is not None:
            where = tf.gather(tf.constant(self.where), slots)
            mask = tf.where(
                anew[:, None, None], random_mask(where, self.density, seed, index), mask
            )
        return batch._replace(state=state, mask=mask)


class FreshPool(TaskPool):
    """A `TaskPool` in which every item begins anew in each training step, with a new mask."""

    def draw(self, seed: int | tf.Tensor, index: int | tf.Tensor, loss: Loss) -> Batch:
        slots = self._draw_slots(tf.stack([seed, 2 * index]))
        batch = self._batch(slots)._replace(state=tf.gather(self.variables["starts"], slots))
        if not self.has_masks:
            return batch
        where = tf.gather(tf.constant(self.where), slots)
        return batch._replace(mask=random_mask(where, self.density, seed, index))
