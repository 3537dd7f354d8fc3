"""Attacks Med-NCA, a CA that segments medical images, and defends it by the deviation test.

    python benchmarks/segmentation.py FOLDER --seeds 3

FOLDER holds the two models that its authors released, ``model0.pth`` and ``model1.pth``, and a
volume with its labels, ``image.nii.gz`` and ``label.nii.gz``. Without ``--seeds`` it measures the
baseline alone. The numbers and the picture are those of docs/examples/segmentation.md.
"""

import argparse
import json
import time
from pathlib import Path

import keras
import numpy as np

import tfnca
from tfnca.data.volumes import load_volume, resized
from tfnca.files import write_atomically
from tfnca.pictures import caption, save_png, tile
from tfnca.tasks.segmentation import enlarged

SIZE, FACTOR, STEPS = 64, 4, 16
"""Cells along a side for the fine model, how many times fewer for the coarse one, CA steps."""

LEAST = 30
"""A slice is used if more voxels than this are labelled."""

BASELINE_SEEDS, DENSITY = 10, 0.05
ROOT = Path(__file__).parents[1]


def load_slices(folder, size):
    """The labelled slices of the volume and their masks, ``(count, size, size)``.

    Med-NCA was trained on transposed slices.
    """
    image, label = (
        load_volume(Path(folder) / f"{name}.nii.gz").transpose(2, 1, 0)
        for name in ("image", "label")
    )
    used = (label > 0).sum((1, 2)) > LEAST
    images = resized(image[used] / image.max(), size)
    return images, resized(label[used] > 0, size, nearest=True)


def load_models(folder):
    """The coarse and the fine model."""
    return [tfnca.load(Path(folder) / f"model{i}.pth", convention="med-nca") for i in (0, 1)]


def fine_task(coarse, images, masks, seed, says=None):
    """The task of the fine model, which continues where the coarse one ends."""
    small = SIZE // FACTOR
    quarter = tfnca.SegmentationTask(resized(images, small), resized(masks, small, nearest=True))
    start = quarter.start(len(images), coarse.channels).state
    states = enlarged(tfnca.rollout(coarse, start, STEPS, seed=seed), FACTOR)
    return tfnca.SegmentationTask(images, masks, states, says)


def measure(step, task, seed, mask=None):
    """The final states of a run on all images, and their measures by the task."""
    batch = task.begin(step, len(task.images))._replace(mask=mask)
    state = tfnca.rollout(step, batch.state, STEPS, mask=mask, seed=seed)
    return state, task.measures(np.asarray(state), batch)


def train(host, goal, seed, steps, batch_size=2):
    """An adversary, trained to reach the goal, and the losses of its training steps."""
    keras.utils.set_random_seed(seed)
    step = tfnca.Injected(host, type(host).from_config(host.get_config()))
    trainer = tfnca.Trainer(step, task=goal, steps=STEPS, seed=seed)
    trainer.compile(keras.optimizers.Adam(2e-3))
    pool = goal.pool(step, batch_size=batch_size, density=DENSITY, seed=seed)
    history = trainer.fit(pool, epochs=steps, steps_per_epoch=1, verbose=0)
    return step.adversary, history.history["loss"]


def attack(models, images, masks, seed, training_steps):
    """The measures of a host, of adversaries in it, and of the deviation test; and their states."""
    coarse, host = models
    task = fine_task(coarse, images, masks, seed)
    # The adversary is trained on other runs of the coarse model than it is measured on.
    goal = fine_task(coarse, images, masks, seed + 1000, says=False)
    untrained = type(host).from_config(host.get_config())
    began = time.process_time()
    trained, losses = train(host, goal, seed, training_steps)
    seconds = time.process_time() - began
    mask = np.asarray(tfnca.random_mask(np.ones(images.shape, bool), DENSITY, seed))
    steps = {
        "host": tfnca.Injected(host, host),
        "untrained": tfnca.Injected(host, untrained),
        "trained": tfnca.Injected(host, trained),
        "verified_alone": tfnca.Verified(host, host),
        "verified": tfnca.Verified(host, trained),
    }
    states, rows = {}, {}
    for name, step in steps.items():
        states[name], rows[name] = measure(step, task, seed, mask)
        print(f"  {name}: Dice {rows[name]['dice']:.3f}", flush=True)
    return {"losses": losses, "processor_seconds": seconds, "rows": rows}, states, mask, task


def draw(states, mask, task, path):
    """A row of slices for the truth and each run; adversaries are yellow."""
    shown = np.linspace(0, len(mask) - 1, 8).astype(int)
    truth = np.array(states["host"])
    truth[..., 1] = task.masks - 0.5
    texts = {
        "truth": "labelled by experts",
        "host": "marked by Med-NCA",
        "trained": "5 % adversaries (yellow)",
        "verified": "5 % adversaries, host with deviation test",
    }
    rows = []
    for name, text in texts.items():
        rgb = task.picture(truth if name == "truth" else states[name])[shown]
        if name in ("trained", "verified"):
            rgb = np.where(mask[shown, ..., None] > 0, [1.0, 0.85, 0.1], rgb)
        rows.append(caption(tile(rgb, columns=len(shown), scale=2), text, 18))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_png(path, np.concatenate(rows))


def spread(values):
    return f"{np.mean(values):.3f} ± {np.std(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the models and the volume")
    parser.add_argument("--seeds", type=int, default=0, help="adversaries to train")
    parser.add_argument("--training-steps", type=int, default=24, help="of each adversary")
    parser.add_argument("--out", type=Path, default=Path("out/segmentation"))
    options = parser.parse_args()
    images, masks = load_slices(options.folder, SIZE)
    models = load_models(options.folder)
    found = {"slices": len(images), "baseline": [], "attacks": []}
    for seed in range(BASELINE_SEEDS):
        _, row = measure(models[1], fine_task(models[0], images, masks, seed), seed)
        found["baseline"].append(row["dice"])
    print(f"Dice of {len(images)} slices, {BASELINE_SEEDS} seeds: {spread(found['baseline'])}")
    for seed in range(options.seeds):
        print(f"Seed {seed}", flush=True)
        about, *seen = attack(models, images, masks, seed, options.training_steps)
        found["attacks"].append(about)
        if seed == 0:
            draw(*seen, ROOT / "docs/images/examples/segmentation.webp")
        options.out.mkdir(parents=True, exist_ok=True)
        write_atomically(options.out / "metrics.json", json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
