"""Snapshots: with one, a training run that was killed continues exactly.

A snapshot contains the trained weights, the optimiser, the pool, the number of training steps done,
and the history so far. Nothing else influences a run, because every draw depends only on the seed
and that number. (Only the mean loss since the history's last row is lost.) A snapshot is written to
a temporary name and then renamed. The previous one is kept. A checksum detects incomplete files.
"""

import hashlib
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnca.files import write_atomically
from tfnca.training.trainer import Trainer

_MAGIC = b"tfnca-snapshot-1\n"
_HEAD = len(_MAGIC) + 65  # and a line with a checksum in hexadecimal digits
NEWEST, PREVIOUS = "snapshot.bin", "snapshot.previous.bin"


def _named_variables(trainer: Trainer) -> dict[str, keras.Variable | tf.Variable]:
    """Every variable of a run by a unique name, without the pools of other workers."""
    named = {"trainer/steps_done": trainer.steps_done}
    for kind, variables in (
        ("weight", trainer.step.trainable_variables),
        ("optimizer", trainer.optimizer.variables),
    ):
        for i, variable in enumerate(variables):
            named[f"{kind}/{i}"] = variable
    first = trainer.workers.index * len(trainer.pools)
    for shard, pool in enumerate(trainer.pools, first):
        for name, variable in pool.variables.items():
            named[_of_pool(shard, name)] = variable
    return named


def _of_pool(shard: int, name: str) -> str:
    return f"pool/{shard}/{name}" if shard else f"pool/{name}"


def _all_arrays(trainer: Trainer) -> dict[str, np.ndarray]:
    """The contents of a snapshot: the variables of a run, including the pools of all workers."""
    named = _named_variables(trainer)
    arrays = {name: np.asarray(v) for name, v in named.items() if not name.startswith("pool/")}
    for name in trainer.pool.variables:
        own = tf.stack([pool.variables[name] for pool in trainer.pools])
        for shard, values in enumerate(trainer.workers.gather(own, f"pool/{name}").numpy()):
            arrays[_of_pool(shard, name)] = values
    return arrays


def save_snapshot(folder: str | Path, trainer: Trainer, history: list[dict[str, Any]]) -> None:
    """Writes a snapshot and keeps the one before as the previous one.

    If several workers train, all of them must call this after the same training step. The chief
    gathers the pools and writes. The history's rows can be written as JSON.
    """
    folder = Path(folder)
    buffer = io.BytesIO()
    arrays = _all_arrays(trainer)
    if not trainer.workers.is_chief:
        return
    arrays["history"] = np.frombuffer(json.dumps(history).encode(), np.uint8)
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    body = buffer.getbuffer()
    digest = hashlib.sha256(body).hexdigest().encode() + b"\n"
    if _digest_is_right(folder / NEWEST):  # keeps a good file rather than an incomplete one
        os.replace(folder / NEWEST, folder / PREVIOUS)
    write_atomically(folder / NEWEST, b"".join([_MAGIC, digest, body]))


def find_snapshots(folder: str | Path) -> list[Path]:
    """The snapshots of a run, newest first; raises ValueError if there is none."""
    paths = [Path(folder) / name for name in (NEWEST, PREVIOUS)]
    found = [path for path in paths if path.exists()]
    if not found:
        raise ValueError(f"Nothing to resume: no snapshot in this folder. Received: {folder}")
    return found


def remove_snapshots(folder: str | Path) -> None:
    """Deletes the snapshots of an earlier run, so that `--resume` does not mix two runs."""
    for name in (NEWEST, PREVIOUS):
        (Path(folder) / name).unlink(missing_ok=True)


def restore_snapshot(folder: str | Path, trainer: Trainer) -> list[dict[str, Any]]:
    """Restores a run from its newest good snapshot, and returns the history's rows.

    The trainer is compiled and has a pool, both of the same shapes as the run's.

    Raises:
        ValueError: If there is no good snapshot, or it belongs to a run with other settings.
    """
    for path in find_snapshots(folder):
        found = _read(path)
        if found is None:
            print(f"{path} is damaged, skipping it.", file=sys.stderr)
            continue
        arrays, history = found
        variables = _named_variables(trainer)
        forms = {name: _form(v.dtype, v.shape) for name, v in variables.items()}
        for shard in range(trainer.shards):  # each has a pool of the same shape
            for name, variable in trainer.pool.variables.items():
                forms[_of_pool(shard, name)] = _form(variable.dtype, variable.shape)
        stored = {name: _form(array.dtype, array.shape) for name, array in arrays.items()}
        if forms != stored:
            wrong = sorted(set(forms.items()) ^ set(stored.items()))[0]
            raise ValueError(
                f"{path} belongs to a run with other settings: it differs in {wrong[0]}. "
                f"Received: {stored.get(wrong[0])}, expected {forms.get(wrong[0])}"
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
        return history
    raise ValueError(f"Nothing to resume: every snapshot is damaged. Received: {folder}")


def _digest_is_right(path: Path) -> bool:
    """Whether a snapshot exists and is complete."""
    if not path.exists():
        return False
    with open(path, "rb") as file:
        magic, digest = file.read(len(_MAGIC)), file.read(65).strip()
        return (
            magic == _MAGIC and hashlib.file_digest(file, "sha256").hexdigest().encode() == digest
        )


def _form(dtype: Any, shape: Any) -> str:
    return f"{tf.as_dtype(dtype).name} of shape {tuple(shape)}"


def _read(path: Path) -> tuple[dict[str, np.ndarray], list[dict[str, Any]]] | None:
    """The arrays and the history of a snapshot, or None if the file is damaged."""
    if not _digest_is_right(path):
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes()[_HEAD:]), allow_pickle=False) as archive:
            arrays = dict(archive)
        history = json.loads(arrays.pop("history").tobytes())
        # In older files the optimiser's count is the number of steps done.
        arrays.setdefault("trainer/steps_done", arrays["optimizer/0"])
        forms = [_form(array.dtype, array.shape) for array in arrays.values()]
    except Exception:  # NumPy may raise anything on foreign files, even with a valid checksum
        return None
    return (arrays, history) if forms and isinstance(history, list) else None
