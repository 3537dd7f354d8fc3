"""The start of a training job: its workers, its device and its folder."""

import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfnca.commands import find
from tfnca.files import remove_leftovers
from tfnca.jobs.options import Common
from tfnca.training.workers import ALONE, Workers, join_workers


def run(config: Common, job: str | Callable[[Any], None]) -> None:
    """Prepares a training and runs `job(config)`: see `tfnca.jobs.options.run`."""
    function = find(job) if isinstance(job, str) else job
    start(config)
    function(config)
    workers().wait()  # releases the workers that wait for the chief


_workers = ALONE


def workers() -> Workers:
    """The processes that train: this one alone, or several (see `start`)."""
    return _workers


def start(config: Common) -> None:
    """Connects to the other workers, seeds the run and creates its folder."""
    global _workers
    _workers = join_workers() if config.strategy == "multiworker" else ALONE
    if config.shards % _workers.count:
        raise ValueError(
            f"--shards must be a multiple of the number of workers {_workers.count}. "
            f"Received: --shards {config.shards}"
        )
    keras.utils.set_random_seed(config.seed)
    if not tf.config.list_physical_devices("GPU"):
        # On a GPU this would keep Keras from compiling with XLA, which is much faster.
        tf.config.experimental.enable_op_determinism()
    if not _workers.is_chief:
        return
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    shared = f", {_workers.count} workers" if _workers.count > 1 else ""
    print(f"Device: {device_name()}{shared}")


def device_name() -> str:
    """The name of the device that trains."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)
    return f"CPU, {platform.machine()}, {len(tf.config.list_logical_devices('CPU'))} device"
