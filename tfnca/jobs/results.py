"""The files that a job writes."""

import csv
import dataclasses
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfnca.files import write_atomically, writing
from tfnca.formats.load import load
from tfnca.jobs.options import Common
from tfnca.jobs.start import device_name
from tfnca.measures.progress import on_screen
from tfnca.pictures import save_png
from tfnca.plots import plot
from tfnca.training.trainer import Trainer
from tfnca.zoo.summary import main_measures


def save_weights(folder: Path, trainer: Trainer) -> None:
    """Writes the trained model, ``model.keras``, and the optimiser's state, ``optimizer.npz``."""
    with writing(folder / "model.keras") as temporary:
        trainer.save(temporary)
    buffer = io.BytesIO()
    arrays = {each.path: np.asarray(each) for each in trainer.optimizer.variables}
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(folder / "optimizer.npz", buffer.getvalue())


def restore_weights(folder: Path, trainer: Trainer) -> None:
    """Reads the files that `save_weights` wrote; raises ValueError if they do not fit."""
    for name in ("model.keras", "optimizer.npz"):
        if not (folder / name).exists():
            raise ValueError(f"--resume weights requires {name} in --out. Received: {folder}")
    trainer.step.trained.set_weights(load(folder / "model.keras").get_weights())
    try:
        with np.load(folder / "optimizer.npz") as arrays:
            values = dict(arrays)
    except (zipfile.BadZipFile, EOFError, ValueError) as error:
        raise ValueError(f"{folder / 'optimizer.npz'} is damaged. Received: {error}") from None
    # A run with averages may follow one without. Its averages then start as the weights.
    averages = [each for each in trainer.optimizer.variables if each.path.endswith("_average")]
    for average, weight in zip(averages, trainer.step.trainable_variables, strict=False):
        values.setdefault(average.path, np.asarray(weight))
    for variable in trainer.optimizer.variables:
        value = values.get(variable.path)
        if value is None or value.shape != variable.shape:
            received = "nothing" if value is None else f"shape {value.shape}"
            raise ValueError(
                f"{folder / 'optimizer.npz'} does not fit: {variable.path} must have the shape "
                f"{tuple(variable.shape)}. Received: {received}"
            )
        variable.assign(value)
    trainer.optimizer.iterations.assign(0)  # the learning rate's schedule starts again


def write_history(folder: str | Path, history: list[dict[str, Any]]) -> None:
    """Writes the history's rows to ``history.csv``."""
    if not history:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, history[0])
    writer.writeheader()
    writer.writerows(history)
    write_atomically(Path(folder) / "history.csv", text.getvalue())


QUICK_LIZARD = {"runs": 4, "at": (96, 200, 500)}
"""Arguments of the lizard measurements for ``--measure quick``."""


def measured(
    config: Common, measure: Callable[..., dict[str, Any]], quick: dict[str, Any]
) -> dict[str, Any]:
    """Measures a model as ``--measure`` says, with a progress bar.

    `measure` is called with `progress` (see `tfnca.measures.progress`), and for ``quick`` with the
    arguments in `quick`. Unless the measures are the full ones, ``measure`` in them says so.
    """
    if config.measure == "none":
        return {"measure": "none"}
    if config.measure == "quick":
        return {"measure": "quick", **measure(progress=on_screen, **quick)}
    return measure(progress=on_screen)


def save_results(
    config: Common,
    history: list[dict[str, Any]],
    metrics: dict[str, Any],
    preview: np.ndarray,
    **facts: Any,
) -> None:
    """Writes the files of a run other than ``model.keras``.

    Metrics can be written as JSON, the preview is a picture ``(height, width, 3)``, and the facts
    are those of `train`.
    """
    folder = Path(config.out)
    settings = {
        **dataclasses.asdict(config),
        **facts,
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
        picture = plot({"loss": curve}, "training step", "loss", log=min(curve[1]) > 0)
        write_atomically(folder / "loss.png", picture)
    print(f"Wrote {folder}/preview.png, metrics.json and other files.")
    for found in main_measures(metrics):
        print(f"  {found}")


def save_array(config: Common, name: str, array: np.ndarray) -> None:
    """Writes an array to an ``.npy`` file in the run's folder."""
    buffer = io.BytesIO()
    np.save(buffer, array)
    write_atomically(Path(config.out) / name, buffer.getvalue())
