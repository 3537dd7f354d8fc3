"""What every training script shares: its options, its run, and the files it leaves.

A script declares its hyperparameters as a frozen dataclass, builds step, loss and pool, and calls
`train` and `save_results`.
"""

import argparse
import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import math
import platform
import signal
import sys
import time
import zipfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfnca.checkpoints import load
from tfnca.optimizers import WhitenedAdam
from tfnca.render import plot, save_png
from tfnca.snapshots import (
    remove_leftovers,
    restore_snapshot,
    save_snapshot,
    write_atomically,
)

EPOCH = 100
"""Training steps between two rows of the history."""


def option(default, help, **argparse_options):
    """A field of a hyperparameters' dataclass: its default and its line in ``--help``."""
    return dataclasses.field(default=default, metadata={"help": help, **argparse_options})


@dataclasses.dataclass(frozen=True)
class Common:
    """Options of every training script."""

    out: str = option("out", "folder for results and snapshots")
    seed: int = option(0, "random seed; on a CPU one seed gives one result, bit for bit")
    resume: str | None = option(
        None,
        "go on exactly from the last snapshot in --out; 'weights': take only model and "
        "optimiser from --out, with a fresh pool",
        nargs="?",
        const="exact",
        choices=["exact", "weights"],
    )
    engine: str = option("auto", "'sparse', 'dense', or 'auto' for the faster one here",
                         choices=["auto", "dense", "sparse"])  # fmt: skip
    snapshot_seconds: float = option(60.0, "seconds between snapshots")
    preview_steps: int = option(1000, "training steps between preview pictures")


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        fail(message)


def fail(message):
    """Prints one line and exits with code 2."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    raise SystemExit(2)


@contextlib.contextmanager
def plain_errors():
    """Turns bad input into one line with exit code 2, and Ctrl-C into exit code 130."""
    try:
        yield
    except (ValueError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        raise SystemExit(130) from None


def check_output(path):
    """Makes the folder of a file that is to be written, before the work is done for nothing.

    Raises:
        ValueError: If the path is a folder.
        OSError: If its folder cannot be made.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"--out must name a file. Received: the folder {path}")
    path.parent.mkdir(parents=True, exist_ok=True)


def check_positive(options, *names):
    """Raises ValueError if one of these options, where it is there and set, is below 1."""
    for name in names:
        value = getattr(options, name, None)
        if value is not None and value < 1:
            shown = "--" + name.replace("_", "-")
            raise ValueError(f"{shown} must be positive. Received: {value}")


def run(config_class, job, description):
    """Parses the command line, runs `job(config)`, and turns bad input into one line.

    Args:
        config_class: A frozen dataclass derived from `Common`. If it has `RECIPES`, a dictionary
            of defaults for each value of its option `recipe`, an option's default depends on it.
        job: Function of such a configuration.
        description: What ``--help`` says first.
    """
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    recipes = getattr(config_class, "RECIPES", {})
    for field in dataclasses.fields(config_class):
        options = dict(field.metadata)
        text = options.pop("help")
        by_recipe = [f"{recipe[field.name]} {name}" for name, recipe in recipes.items()
                     if field.name in recipe]  # fmt: skip
        if by_recipe:
            text += f" (default: {', '.join(by_recipe)})"
        elif field.default is not None:
            text += f" (default: {field.default})"
        kind = next(k for k in (int, float, str) if k.__name__ in str(field.type))
        name = "--" + field.name.replace("_", "-")
        parser.add_argument(
            name, default=field.default, help=text.replace("%", "%%"), type=kind, **options
        )
    if recipes:
        parser.set_defaults(**recipes[parser.parse_args().recipe])
    config = config_class(**vars(parser.parse_args()))
    with plain_errors():
        start(config)
        job(config)


def start(config):
    """Makes the run reproducible, prints the device, and makes the folder for results."""
    keras.utils.set_random_seed(config.seed)
    tf.config.experimental.enable_op_determinism()
    check_positive(config, "steps", "batch_size", "pool_size", "test_digits", "test_seeds")
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    print(f"Device: {device_name()}")


def device_name():
    """The device that will do the work, in words."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)
    return f"CPU, {platform.machine()}, {len(tf.config.list_logical_devices('CPU'))} device"


def schedule(learning_rate, steps, drops):
    """A learning rate that is divided by ten at fractions of the run.

    Args:
        learning_rate: At the start.
        steps: Training steps of the whole run.
        drops: Fractions of `steps`, ascending in (0, 1), as a string such as ``"0.3,0.7"``.

    Returns:
        A Keras schedule.

    Raises:
        ValueError: If `drops` is something else.
    """
    try:
        fractions = [float(part) for part in drops.split(",") if part]
    except ValueError:
        fractions = [math.nan]
    if fractions != sorted(fractions) or not all(0 < fraction < 1 for fraction in fractions):
        raise ValueError(f"drops must be ascending fractions of the run. Received: {drops!r}")
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [round(fraction * steps) for fraction in fractions],
        [learning_rate * 0.1**i for i in range(len(fractions) + 1)],
    )


OPTIMIZERS = {"adam": keras.optimizers.Adam, "whitened": WhitenedAdam}


def make_optimizer(name, rate, ema=0.0):
    """An optimiser, at need with an exponential average of the weights that replaces them at the
    end.

    Args:
        name: One of `OPTIMIZERS`.
        rate: Learning rate or schedule.
        ema: Momentum of the average, in [0, 1); 0 for none.
    """
    # Named, since Keras numbers unnamed optimisers and a saved one is read by its names.
    momentum = ema if ema > 0 else 0.99
    return OPTIMIZERS[name](rate, use_ema=ema > 0, ema_momentum=momentum, name=name)


class _Run(keras.callbacks.Callback):
    """Progress, history, snapshots, previews; stops on Ctrl-C and on a loss that is not finite."""

    def __init__(self, config, steps, history, preview):
        super().__init__()
        self.config, self.steps, self.history, self.preview = config, steps, history, preview
        self.folder = Path(config.out)
        self.interrupted = False
        self.not_finite_at = None

    def on_train_begin(self, logs=None):
        done = int(self.model.optimizer.iterations)
        self.seconds = self.history[-1]["seconds"] if self.history else 0.0
        self.began = self.saved = time.monotonic()
        self.previewed = done
        self.bar = tqdm(
            total=self.steps, initial=done, unit="step", dynamic_ncols=True, mininterval=0.5
        )
        self.usual_handler = signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, *_):
        self.interrupted = True
        signal.signal(signal.SIGINT, self.usual_handler)

    def on_train_batch_end(self, batch, logs=None):
        step = int(self.model.optimizer.iterations)
        self.bar.update(1)
        self.bar.set_postfix(loss=f"{logs['loss']:.4g}", refresh=False)
        if not math.isfinite(logs["loss"]):
            self.not_finite_at = step + 1
        if self.interrupted or self.not_finite_at is not None:
            self.model.stop_training = True
        if self.not_finite_at is not None:
            return
        now = time.monotonic()
        if step % EPOCH == 0 or step == self.steps:
            row = {"step": step, "loss": logs["loss"], "seconds": self.seconds + now - self.began}
            self.history.append(row)
            self.model.reset_metrics()
            if self.preview and step - self.previewed >= self.config.preview_steps:
                (self.folder / "previews").mkdir(exist_ok=True)
                save_png(self.folder / "previews" / f"{step:06d}.png", self.preview())
                self.previewed = step
        due = step % EPOCH == 0 and now - self.saved > self.config.snapshot_seconds
        if due or self.interrupted or step == self.steps:
            save_snapshot(self.folder, self.model, self.history)
            write_history(self.folder, self.history)
            self.saved = now

    def on_train_end(self, logs=None):
        self.bar.close()
        signal.signal(signal.SIGINT, self.usual_handler)


def train(config, trainer, pool, steps, preview=None, callbacks=()):
    """Trains to `steps` training steps, resuming as the configuration says.

    Args:
        config: The script's configuration.
        trainer: A compiled `Trainer`.
        pool: Its pool.
        steps: Training steps of the whole run.
        preview: Function of no argument that draws a picture ``(height, width, 3)``.
        callbacks: Further Keras callbacks.

    Returns:
        The history: a list of rows with step, loss and seconds.

    Raises:
        ValueError: If the loss stops being finite; the last good weights are saved.
    """
    folder = Path(config.out)
    history = []
    trainer.attach(pool)
    if config.resume == "exact":
        history = restore_snapshot(folder, trainer)
        print(f"Resuming at step {int(trainer.optimizer.iterations)}.")
    elif config.resume == "weights":
        _restore_weights(folder, trainer)
    # Only now, so that a command that fails leaves an earlier run's settings alone.
    write_atomically(folder / "config.json", json.dumps(dataclasses.asdict(config), indent=2))
    progress = _Run(config, steps, history, preview)
    tensorboard = keras.callbacks.TensorBoard(folder / "tensorboard", update_freq=EPOCH)
    done = int(trainer.optimizer.iterations)
    if done < steps:
        # One call, and in Keras' eyes one epoch: at its end an average replaces the weights.
        trainer.fit(
            pool,
            steps_per_epoch=steps - done,
            callbacks=[progress, tensorboard, *callbacks],
            verbose=0,
        )
    elif config.resume == "exact":  # a snapshot holds the weights themselves, not their average
        trainer.optimizer.finalize_variable_values(trainer.step.trainable_variables)
    write_history(folder, history)
    if progress.not_finite_at is not None:
        _save_weights(folder, trainer)
        raise ValueError(
            f"The loss was not finite at step {progress.not_finite_at}; the weights before "
            f"it are in {folder}. A lower learning rate may help."
        )
    if progress.interrupted:
        done = int(trainer.optimizer.iterations)
        print(f"Stopped at step {done}. Go on with the same command and --resume.")
        raise SystemExit(130)
    _save_weights(folder, trainer)
    return history


def _save_weights(folder, trainer):
    temporary = folder / ".model.keras"
    try:
        trainer.save(temporary)
        temporary.replace(folder / "model.keras")
    finally:
        temporary.unlink(missing_ok=True)
    buffer = io.BytesIO()
    np.savez(buffer, **{each.path: np.asarray(each) for each in trainer.optimizer.variables})
    write_atomically(folder / "optimizer.npz", buffer.getvalue())


def _restore_weights(folder, trainer):
    for name in ("model.keras", "optimizer.npz"):
        if not (folder / name).exists():
            raise ValueError(f"--resume weights needs {name} in --out. Received: {folder}")
    trainer.step.trained.set_weights(load(folder / "model.keras").get_weights())
    try:
        with np.load(folder / "optimizer.npz") as arrays:
            values = dict(arrays)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ValueError(f"{folder / 'optimizer.npz'} is damaged. Received: {error}") from None
    # A run that averages may follow one that did not: its average begins as the weights.
    averages = [each for each in trainer.optimizer.variables if each.path.endswith("_average")]
    for average, weight in zip(averages, trainer.step.trainable_variables, strict=False):
        values.setdefault(average.path, np.asarray(weight))
    for variable in trainer.optimizer.variables:
        value = values.get(variable.path)
        if value is None or value.shape != variable.shape:
            received = "nothing" if value is None else f"shape {value.shape}"
            raise ValueError(
                f"{folder / 'optimizer.npz'} does not fit: {variable.path} must be of shape "
                f"{tuple(variable.shape)}. Received: {received}"
            )
        variable.assign(value)


def write_history(folder, history):
    """Writes the history's rows to ``history.csv``."""
    if not history:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, history[0])
    writer.writeheader()
    writer.writerows(history)
    write_atomically(Path(folder) / "history.csv", text.getvalue())


def save_results(config, history, metrics, preview, **extra):
    """Writes the files that every job leaves beside ``model.keras``.

    Args:
        config: The script's configuration.
        history: What `train` returned.
        metrics: JSON-able measures.
        preview: Picture ``(height, width, 3)``.
        **extra: Further entries of ``config.json``, such as the host's checksum.
    """
    folder = Path(config.out)
    settings = {
        **dataclasses.asdict(config),
        **extra,
        "command": "python " + " ".join(sys.argv),
        "seconds": history[-1]["seconds"] if history else 0.0,
        "device": device_name(),
    }
    write_atomically(folder / "config.json", json.dumps(settings, indent=2))
    write_atomically(folder / "metrics.json", json.dumps(metrics, indent=2))
    write_history(folder, history)
    save_png(folder / "preview.png", preview)
    if history:
        curve = [row["step"] for row in history], [row["loss"] for row in history]
        picture = plot({"loss": curve}, "training step", "loss", log=True)
        write_atomically(folder / "loss.png", picture)


def save_array(config, name, array):
    """Writes an array as an ``.npy`` file into the run's folder."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_atomically(Path(config.out) / name, buffer.getvalue())


def weights_sha256(step):
    """The SHA-256 of a step's weights, in hexadecimal, whatever file they came from.

    It says against which host something was trained.
    """
    digest = hashlib.sha256()
    for weight in step.get_weights():
        digest.update(np.ascontiguousarray(weight, "<f4").tobytes())
    return digest.hexdigest()
