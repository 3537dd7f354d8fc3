"""Shared parts of all training jobs: the optimiser, and a run that can be resumed.

A job takes its hyperparameters as a frozen dataclass, builds step, loss and pool, and calls
`train` and `save_results`.
"""

import dataclasses
import json
import math
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

import keras
import numpy as np
from tqdm import tqdm

from tfnca.automata.step import Step
from tfnca.choices import OPTIMIZERS
from tfnca.commands import MOMENTUM
from tfnca.files import write_atomically
from tfnca.jobs.options import Common, are_fractions, fractions_of
from tfnca.jobs.precision import computing_in
from tfnca.jobs.results import restore_weights, save_weights, write_history
from tfnca.jobs.resume import check_same_run
from tfnca.jobs.start import workers
from tfnca.pictures import save_png
from tfnca.training.losses import Loss
from tfnca.training.optimizers import WhitenedAdam
from tfnca.training.pools import Pool
from tfnca.training.snapshots import (
    find_snapshots,
    remove_snapshots,
    restore_snapshot,
    save_snapshot,
)
from tfnca.training.trainer import Trainer
from tfnca.training.workers import GONE

EPOCH = 100
"""Training steps per row of the history."""


def schedule(
    learning_rate: float, steps: int, drops: str
) -> keras.optimizers.schedules.LearningRateSchedule:
    """A learning rate that is divided by ten at fractions of the run's `steps`.

    The fractions are ascending in (0, 1), as a string, for example ``"0.3,0.7"``; any other string
    raises ValueError.
    """
    if not are_fractions(drops):
        raise ValueError(f"drops must be ascending fractions of the run. Received: {drops!r}")
    fractions = fractions_of(drops)
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [round(fraction * steps) for fraction in fractions],
        [learning_rate * 0.1**i for i in range(len(fractions) + 1)],
    )


_KINDS = dict(zip(OPTIMIZERS, (keras.optimizers.Adam, WhitenedAdam), strict=True))


def make_optimizer(
    name: str, rate: float | keras.optimizers.schedules.LearningRateSchedule, ema: float = 0.0
) -> keras.optimizers.Optimizer:
    """An optimiser, one of `OPTIMIZERS`.

    With `ema`, an exponential average of the weights replaces them at the end. Its momentum must be
    in [0, 1), because at 1 it would never change; 0: no average.
    """
    MOMENTUM("ema", ema)
    # Named, because Keras numbers unnamed optimisers, and saved states are read by names.
    momentum = ema if ema > 0 else 0.99
    return _KINDS[name](rate, use_ema=ema > 0, ema_momentum=momentum, name=name)


def make_trainer(
    config: Any,
    step: Step,
    loss: Loss,
    steps: int | tuple[int, int],
    optimizer: str = "adam",
    **options: Any,
) -> Trainer:
    """The compiled `Trainer` of a configuration that has a learning rate with drops, and an EMA."""
    trainer = Trainer(step, loss, steps, engine=config.engine, seed=config.seed, **options)
    rate = schedule(config.learning_rate, config.steps, config.drops)
    trainer.compile(make_optimizer(optimizer, rate, config.ema))
    return trainer


class _Run(keras.callbacks.Callback):
    """Progress, history, snapshots, previews; stops on Ctrl-C and on a loss that is not finite."""

    def __init__(
        self,
        config: Common,
        steps: int,
        history: list[dict[str, Any]],
        preview: Callable[[], np.ndarray] | None,
    ) -> None:
        super().__init__()
        self.config, self.steps, self.history, self.preview = config, steps, history, preview
        self.folder = Path(config.out)
        self.interrupted = False
        self.not_finite_at: int | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        done = int(self.model.steps_done)
        self.seconds = self.history[-1]["seconds"] if self.history else 0.0
        self.began = self.saved = time.monotonic()
        self.previewed = done
        self.bar = tqdm(
            total=self.steps,
            initial=done,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.5,
            disable=not self.model.workers.is_chief,
        )
        self.usual_handler = signal.signal(signal.SIGINT, self._interrupt)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        signal.signal(signal.SIGINT, self.usual_handler)

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        step = int(self.model.steps_done)
        self.bar.update(1)
        self.bar.set_postfix(loss=f"{logs['loss']:.4g}", refresh=False)
        if not math.isfinite(logs["loss"]):
            self.not_finite_at = step + 1
        now = time.monotonic()
        due = step % EPOCH == 0 and now - self.saved > self.config.snapshot_seconds
        # Workers agree, because a snapshot needs all of them.
        self.interrupted, due = self.model.workers.any([self.interrupted, due])
        if self.interrupted or self.not_finite_at is not None:
            self.model.stop_training = True
        if self.not_finite_at is not None:
            return
        if step % EPOCH == 0 or step == self.steps:
            row = {"step": step, "loss": logs["loss"], "seconds": self.seconds + now - self.began}
            self.history.append(row)
            self.model.reset_metrics()
            chief = self.model.workers.is_chief
            if self.preview and chief and step - self.previewed >= self.config.preview_steps:
                (self.folder / "previews").mkdir(exist_ok=True)
                save_png(self.folder / "previews" / f"{step:06d}.png", self.preview())
                self.previewed = step
        if due or self.interrupted or step == self.steps:
            save_snapshot(self.folder, self.model, self.history)
            if self.model.workers.is_chief:
                write_history(self.folder, self.history)
            self.saved = now

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        self.bar.close()
        signal.signal(signal.SIGINT, self.usual_handler)


def train(
    config: Common,
    trainer: Trainer,
    pool: Pool,
    steps: int,
    preview: Callable[[], np.ndarray] | None = None,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    **facts: Any,
) -> list[dict[str, Any]]:
    """Trains to `steps` training steps, resuming as the configuration says.

    Args:
        config: The script's configuration.
        trainer: A compiled `Trainer`.
        pool: Its pool.
        steps: Training steps of the whole run.
        preview: Function of no argument that draws a picture ``(height, width, 3)``.
        callbacks: Further Keras callbacks.
        **facts: Further entries of ``config.json``, for example ``host_sha256``: checksums of the
            files that options name. `check_same_run` compares them.

    Returns:
        The history: a list of rows with step, loss and seconds.

    Raises:
        ValueError: If the loss is not finite. The last good weights are saved. Or if the run to
            resume has other settings: see `check_same_run`.
    """
    together = workers()
    trainer.share(config.shards, together)
    trainer.attach(pool)
    history = _resume(config, trainer, facts)
    done = int(trainer.steps_done)
    progress = _Run(config, steps, history, preview)
    if done < steps:
        with computing_in(config.precision, trainer, config.engine):
            _fit(config, trainer, pool, steps - done, [progress, *callbacks])
    elif config.resume == "exact":  # a snapshot contains the weights, not their average
        trainer.optimizer.finalize_variable_values(trainer.step.trainable_variables)
    if together.is_chief:
        _leave(Path(config.out), trainer, history, progress)
    else:
        if not progress.interrupted:
            together.wait()  # while the chief measures; if it fails, these end too
        raise SystemExit(0)
    return history


def _resume(config: Common, trainer: Trainer, facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Restores the trainer if the run is resumed, and writes the settings."""
    folder = Path(config.out)
    history: list[dict[str, Any]] = []
    if config.resume == "exact":
        find_snapshots(folder)
        check_same_run(config, facts)
        history = restore_snapshot(folder, trainer)
        if trainer.workers.is_chief:
            print(f"Resuming at step {int(trainer.steps_done)}.")
    elif config.resume == "weights":
        restore_weights(folder, trainer)
    trainer.workers.wait()  # until all have read the files that the chief may overwrite
    # Only now, so that a command that fails does not overwrite an earlier run's settings.
    if trainer.workers.is_chief:
        settings = {**dataclasses.asdict(config), **facts}
        if config.resume != "exact":
            remove_snapshots(folder)
        write_atomically(folder / "config.json", json.dumps(settings, indent=2))
    return history


def _fit(config: Common, trainer: Trainer, pool: Pool, steps: int, callbacks: list[Any]) -> None:
    if trainer.workers.is_chief:
        folder = Path(config.out) / "tensorboard"
        callbacks.append(keras.callbacks.TensorBoard(folder, update_freq=EPOCH))
    try:
        # One call and one epoch for Keras, because an average replaces the weights at its end.
        trainer.fit(pool, steps_per_epoch=steps, callbacks=callbacks, verbose=0)
    except GONE as error:
        if trainer.workers.count == 1:
            raise
        raise ValueError(
            "Another worker has ended, so this one ends too. Restart all workers with --resume. "
            f"Received: {type(error).__name__} after step {int(trainer.steps_done)}"
        ) from None


def _leave(folder: Path, trainer: Trainer, history: list[dict[str, Any]], progress: _Run) -> None:
    """Writes the files of a training. Ends the job if the training was not completed."""
    write_history(folder, history)
    if progress.not_finite_at is not None:
        save_weights(folder, trainer)
        raise ValueError(
            f"The loss was not finite at step {progress.not_finite_at}. The weights from before "
            f"are in {folder}. Try a lower learning rate."
        )
    if progress.interrupted:
        done = int(trainer.steps_done)
        print(f"Stopped at step {done}. To continue, run the same command with --resume.")
        raise SystemExit(130)
    save_weights(folder, trainer)
