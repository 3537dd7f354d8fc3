"""The beginning of a job that trains: who trains, on which device, into which folder."""

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
    """Makes all ready and runs `job(config)`: see `tfnca.jobs.options.run`."""
    function = find(job) if isinstance(job, str) else job
    start(config)
    function(config)
    workers().wait()  # those that wait for the chief may end now


_workers = ALONE


def workers() -> Workers:
    """Who trains: this process alone, or with others (see `start`)."""
    return _workers


def start(config: Common) -> None:
    """Meets the other workers, makes the run reproducible and the folder for results."""
    global _workers
    _workers = join_workers() if config.strategy == "multiworker" else ALONE
    if config.shards % _workers.count:
        raise ValueError(
            f"--shards must be a multiple of the number of workers {_workers.count}. "
            f"Received: --shards {config.shards}"
        )
    keras.utils.set_random_seed(config.seed)
    if not tf.config.list_physical_devices("GPU"):
        # With it Keras would not compile with XLA, which a GPU needs to be fast.
        tf.config.experimental.enable_op_determinism()
    if not _workers.is_chief:
        return
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    shared = f", {_workers.count} workers" if _workers.count > 1 else ""
    print(f"Device: {device_name()}{shared}")


def device_name() -> str:
    """The device that will do the work, in words."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("device_name", gpus[0].name)
    return f"CPU, {platform.machine()}, {len(tf.config.list_logical_devices('CPU'))} device"
