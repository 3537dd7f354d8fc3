"""Trains one adversary with its target class as an input, and measures it for each of ten classes.

The target is ten further inputs of each cell, of which one is 1. For a given target this equals
another bias of the first layer. The trained adversary is thus ten ordinary adversaries that differ
only in that bias. Training steps take the targets in turn, each with its own pool. Prints the same
table as `targets.py`, for comparison.
"""

import argparse
import functools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from targets import DENSITIES, HOST, ROOT, sweep
from tqdm import tqdm

import tfnca
from tfnca.automata.state import NUM_CLASSES
from tfnca.engines.rollout import run_recorded
from tfnca.jobs.run import make_optimizer, schedule

CA_STEPS, DENSITY, STRIDE = 20, 0.1, 1 << 14


class Told:
    """A frozen host, an adversary whose first bias depends on the target, and its training step."""

    def __init__(self, host, digits, steps, seed=0):
        self.step = tfnca.Injected(host, tfnca.MNISTCA(noise_std=host.noise_std))
        self.bias = self.step.trained.perceive.bias
        self.biases = keras.Variable(np.zeros((NUM_CLASSES, *self.bias.shape), np.float32))
        shared = [w for w in self.step.trainable_weights if w is not self.bias]
        self.variables = [*shared, self.biases]
        self.seed, self.loss = seed, tfnca.ClassLoss()
        self.optimizer = make_optimizer("adam", schedule(1e-3, steps, "0.85"), ema=0.99)
        self.optimizer.build(self.variables)
        self.pools = [
            tfnca.DigitPool(digits, density=DENSITY, seed=target) for target in range(NUM_CLASSES)
        ]
        self.graphs = [
            tf.function(functools.partial(self.train_step, target), autograph=False)
            for target in range(NUM_CLASSES)
        ]

    def train_step(self, target, number):
        """One training step for one target; returns the loss."""
        pool, seed = self.pools[target], tf.constant(self.seed, tf.int64)
        drawn = pool.draw(seed, number, self.loss)
        batch = drawn._replace(labels=tf.fill(tf.shape(drawn.labels), target))
        self.bias.assign(self.biases.value[target])
        own = [*self.variables[:-1], self.bias]
        with tf.GradientTape() as tape:
            steps = tf.constant(CA_STEPS)
            state, _ = run_recorded(
                self.step, batch.state, steps, batch.mask, seed, number * STRIDE
            )
            loss = tf.reduce_mean(self.loss(state, batch))
        gradients = tape.gradient(loss, [variable.value for variable in own])
        gradients = [g / (tf.norm(g) + 1e-8) for g in gradients]
        row = tf.one_hot(target, NUM_CLASSES)[:, None] * gradients[-1]
        self.optimizer.apply([*gradients[:-1], row], self.variables)
        pool.put(drawn, state)
        return loss

    def save(self, folder):
        """Writes each target's adversary to ``<folder>/<target>/model.keras``."""
        for target in range(NUM_CLASSES):
            self.bias.assign(self.biases.value[target])
            (folder / f"{target}").mkdir(parents=True, exist_ok=True)
            keras.saving.save_model(self.step.trained, folder / f"{target}" / "model.keras")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "out/told")
    parser.add_argument(
        "--steps", type=int, default=10_000, help="training steps for all targets together"
    )
    parser.add_argument("--test-digits", type=int, default=200)
    parser.add_argument("--data-dir", help="folder with MNIST's four idx files")
    options = parser.parse_args()
    if not (options.out / "9" / "model.keras").exists():
        keras.utils.set_random_seed(0)
        digits = tfnca.load_digits("train", options.data_dir)
        told = Told(tfnca.load(HOST), digits, options.steps)
        bar = tqdm(range(options.steps), unit="step", mininterval=5)
        losses = []
        for number in bar:
            graph = told.graphs[number % NUM_CLASSES]
            losses.append(float(graph(tf.constant(number, tf.int64))))
            bar.set_postfix(loss=f"{np.mean(losses[-100:]):.4g}", refresh=False)
        told.optimizer.finalize_variable_values(told.variables)
        told.save(options.out)
    print("| target |", " | ".join(f"{density:g} %" for density in DENSITIES), "|")
    print("|---" * (len(DENSITIES) + 1) + "|")
    for target in range(NUM_CLASSES):
        folder = options.out / f"{target}"
        rows = sweep(folder / "model.keras", target, options, folder / "sweep")
        print(f"| {target} |", " | ".join(f"{row['takeover']:.3f}" for row in rows), "|")


if __name__ == "__main__":
    main()
