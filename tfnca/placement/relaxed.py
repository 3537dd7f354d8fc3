"""Placement by gradient: each cell is an adversary to a degree, and the degrees are trained."""

import numpy as np
import tensorflow as tf

from tfnca.measures.progress import SILENT, Bar
from tfnca.placement.search import Placement
from tfnca.placement.trials import Trials, take
from tfnca.training.batch import Batch

_BATCH = 16


def relaxed(
    trials: Trials,
    budget: int,
    updates: int = 15,
    steps: int = 40,
    rate: float = 0.5,
    seed: int = 0,
    bar: Bar = SILENT,
) -> list[Placement]:
    """Trains a weight per cell, and places adversaries at the cells with the largest weights.

    A cell of weight w changes by w times the adversary's update plus 1 - w times the host's. The
    weights are the budget times a softmax, at most 1. They are trained to minimise the goal's error
    over the cells that are not adversaries; for digits, to maximise their mean probability of the
    target.

    Adam updates the weights with its learning rate `rate`, by a gradient that passes through
    `steps` CA steps. The bar is advanced by one for each digit.
    """
    host, adversary = trials.step.networks
    where, goal = tf.constant(trials.alive, tf.float32), trials.goal

    @tf.function(jit_compile=False)
    def gradient(batch, alive, scores, draw):
        with tf.GradientTape() as tape:
            tape.watch(scores)
            share = _shares(scores, alive, budget)
            state = batch.state
            given = {} if batch.inputs is None else {"inputs": batch.inputs}
            for index in tf.range(steps):
                kept = host(state, seed=draw, index=index, network=0, **given)
                moved = adversary(state, seed=draw, index=index, network=1, **given)
                state = kept + share[..., None] * (moved - kept)
            errors = goal.soft_cell_errors(state, batch)
            if errors is None:
                value = -tf.reduce_mean(goal.error(state, batch))
            else:
                weight = alive * (1 - share)
                value = -tf.reduce_sum(errors * weight) / tf.reduce_sum(weight)
        return tape.gradient(value, scores)

    found: list[Placement] = []
    for first in range(0, len(trials.alive), _BATCH):
        alive = where[first : first + _BATCH]
        items = np.arange(first, first + len(alive))
        some = take(trials.batch, items)
        batch = Batch(*(None if values is None else tf.constant(values) for values in some))
        scores = np.zeros(alive.shape, np.float32)
        mean, square = np.zeros_like(scores), np.zeros_like(scores)
        for update in range(1, updates + 1):
            draw = tf.constant(seed * updates + update, tf.int64)
            slope = gradient(batch, alive, tf.constant(scores), draw).numpy()
            slope /= np.maximum(np.abs(slope).max((1, 2), keepdims=True), 1e-12)
            mean, square = 0.9 * mean + 0.1 * slope, 0.99 * square + 0.01 * slope**2
            scores += (
                rate * (mean / (1 - 0.9**update)) / (np.sqrt(square / (1 - 0.99**update)) + 1e-3)
            )
        shares = np.where(alive, scores, -np.inf).reshape(len(scores), -1)
        for digit, own in enumerate(np.argsort(-shares, axis=1, kind="stable")):
            cells = own[:budget]
            found.append(cells[np.isfinite(shares[digit][cells])].tolist())
        bar.update(len(scores))
    return found


def _shares(scores: tf.Tensor, alive: tf.Tensor, budget: int) -> tf.Tensor:
    flat = tf.reshape(tf.where(alive > 0, scores, -1e9), [tf.shape(scores)[0], -1])
    shares = tf.minimum(tf.nn.softmax(flat) * budget, 1.0)
    return tf.reshape(shares, tf.shape(scores))
