"""Moves a GoalNCA by its inputs, and attacks its goal by false inputs and by adversaries.

    python benchmarks/goal.py movable_salamander.pt

The numbers and the picture are those of docs/examples/goal.md.
"""

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tfnca
from tfnca.files import write_atomically
from tfnca.pictures import caption, save_png, tile
from tfnca.tasks.pool import FreshPool
from tfnca.training.losses import pattern_centres

SIZE, GROWING, MOVING, RUNS = 64, 96, 120, 4
GROW, UP, DOWN, LEFT, RIGHT = range(5)
NAMES = {UP: "up", DOWN: "down", LEFT: "left", RIGHT: "right"}
SHARES = (0, 0.1, 0.25, 0.5, 0.6, 0.75, 0.9, 1)
"""Fractions of the cells that are told another goal."""

SMALL, SHORT, DENSITY = 48, 32, 0.1
"""Cells along a side, CA steps and adversary fraction of the training."""

ROOT = Path(__file__).parents[1]


def grown(ca, goals, count, size, seed=0):
    """Salamanders that have grown from one cell."""
    state = np.zeros((count, size, size, ca.channels), np.float32)
    state[:, size // 2, size // 2, 3:] = 1.0
    return tfnca.rollout(ca, state, GROWING, seed=seed, inputs=np.repeat(goals[:1], count, 0))


def moved(before, after):
    """How far each pattern's centre has moved: cells down, cells right, ``(batch, 2)``."""
    return np.asarray(pattern_centres(after)) - np.asarray(pattern_centres(before))


def told(goals, own, other, mask):
    """Inputs per cell: `other` where the mask is 1, and `own` elsewhere."""
    return np.where(mask[..., None] > 0.5, goals[other], goals[own]).astype(np.float32)


def random_cells(count, size, density, seed):
    return np.asarray(tfnca.random_mask(np.ones((count, size, size), bool), density, seed))


def away_from_target(state, batch):
    """The mean squared error of red, green, blue and alpha from the batch's labels."""
    return tf.reduce_mean(tf.square(state[..., :4] - batch.labels), axis=(1, 2, 3))


def train(host, goals, training_steps, seed=0):
    """Adversaries that turn a salamander back: its host is told to go right, and they left."""
    keras.utils.set_random_seed(seed)
    start = grown(host, goals, 8, SMALL, seed)
    inputs = np.repeat(goals[[RIGHT]], 8, 0)
    target = tfnca.rollout(
        host,
        start,
        SHORT,
        seed=seed,
        step_offset=GROWING,
        inputs=np.repeat(goals[LEFT:RIGHT], 8, 0),
    )
    batch = tfnca.Batch(state=np.asarray(start), labels=np.asarray(target)[..., :4], inputs=inputs)
    step = tfnca.Injected(host, type(host).from_config(host.get_config()))
    pool = FreshPool(batch, 2, np.ones(start.shape[:3], bool), DENSITY, seed)
    trainer = tfnca.Trainer(step, away_from_target, steps=SHORT, seed=seed)
    trainer.compile(keras.optimizers.Adam(2e-3))
    history = trainer.fit(pool, epochs=training_steps, steps_per_epoch=1, verbose=0)
    return step.adversary, history.history["loss"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="movable_salamander.pt")
    parser.add_argument("--training-steps", type=int, default=60, help="0: no adversaries")
    parser.add_argument("--out", type=Path, default=Path("out/goal"))
    options = parser.parse_args()
    host = tfnca.load(options.model, convention="goal")
    goals = tfnca.load_arrays(options.model)["encoder.embedding.weight"].astype(np.float32)
    start = grown(host, goals, RUNS, SIZE)
    found = {"goals": {}, "told": {}}
    states = {"before": start}
    run = {"steps": MOVING, "seed": 0, "step_offset": GROWING}
    for goal, name in NAMES.items():
        states[name] = tfnca.rollout(host, start, inputs=np.repeat(goals[[goal]], RUNS, 0), **run)
        found["goals"][name] = moved(start, states[name]).mean(0).tolist()
        print(name, np.round(found["goals"][name], 1), flush=True)
    for share in SHARES:
        mask = random_cells(RUNS, SIZE, share, seed=1)
        after = tfnca.rollout(host, start, inputs=told(goals, RIGHT, LEFT, mask), **run)
        found["told"][str(share)] = moved(start, after)[:, 1].tolist()
        print(f"{share:.0%} told left", np.round(found["told"][str(share)], 1), flush=True)
    if options.training_steps:
        began = time.process_time()
        adversary, losses = train(host, goals, options.training_steps)
        found |= {"losses": losses, "processor_seconds": time.process_time() - began}
        print(f"loss {losses[0]:.4f} to {losses[-1]:.4f}", flush=True)
        mask = random_cells(RUNS, SIZE, DENSITY, seed=1)
        untrained = type(host).from_config(host.get_config())
        for name, other in (("untrained", untrained), ("trained", adversary)):
            step = tfnca.Injected(host, other)
            inputs = np.repeat(goals[[RIGHT]], RUNS, 0)
            states[name] = tfnca.rollout(step, start, mask=mask, inputs=inputs, **run)
            found[name] = moved(start, states[name])[:, 1].tolist()
            print(name, np.round(found[name], 1), flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / "metrics.json", json.dumps(found, indent=1))
    draw(states)


def draw(states):
    """One run of each kind in a row."""
    texts = {"before": "before", **{name: f"told {name}" for name in NAMES.values()}}
    if "trained" in states:
        texts["trained"] = "told right, attacked"
    pictures = [
        caption(tile(np.asarray(tfnca.to_rgb(states[name]))[:1], scale=2), text, 13)
        for name, text in texts.items()
    ]
    path = ROOT / "docs/images/examples/goal.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, np.concatenate(pictures, axis=1))


if __name__ == "__main__":
    main()
