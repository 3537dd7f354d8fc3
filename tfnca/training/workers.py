"""Several processes that train one model, and the values that they exchange.

They communicate through the collective operations of `tf.distribute`. Values are gathered in the
order of the workers and summed only afterwards, so that a sum is the same, bit for bit, however the
work is divided.
"""

import functools
import json
import os
from collections.abc import Callable, Sequence

import tensorflow as tf

_SHARD = 1 << 40
"""Difference between the seeds of two consecutive shards."""

_SENT_AS = {tf.uint8: tf.int32, tf.bool: tf.int32}
"""Dtypes that the collective operations do not support, with the dtype to send instead."""


class Workers:
    """The processes that share a training, seen from one of them.

    Args:
        index: Number of this process, from 0. The first, the chief, writes all files.
        count: Number of processes.
    """

    def __init__(self, index: int = 0, count: int = 1) -> None:
        self.index = index
        self.count = count
        self._gathering: dict[str, Callable] = {}

    @property
    def is_chief(self) -> bool:
        """Whether this is the process that writes files."""
        return self.index == 0

    def gather(self, rows: tf.Tensor, what: str) -> tf.Tensor:
        """The rows of all workers, concatenated.

        The shape ``(n, …)`` of a worker's rows must be known. All workers must call it at the same
        point of the program, with equally many rows. `what` names this shape, the same in all
        workers. Each shape needs its own name.
        """
        if self.count == 1:
            return rows
        if what not in self._gathering:
            key = len(self._gathering) + 1
            gather = functools.partial(_gather, count=self.count, key=key)
            self._gathering[what] = tf.function(gather, autograph=False)
        return self._gathering[what](rows)

    def any(self, flags: Sequence[bool]) -> list[bool]:
        """Whether any worker sets each of two flags. Waits for all workers."""
        if self.count == 1:
            return list(flags)
        raised = self.gather(tf.constant([flags]), "flags")
        return [bool(flag) for flag in tf.reduce_any(raised, axis=0)]

    def wait(self) -> None:
        """Waits until all workers call this."""
        self.any([False, False])


def _gather(rows, count, key):
    with tf.device("CPU:0"):
        gathered = tf.raw_ops.CollectiveGatherV2(
            input=tf.cast(rows, _SENT_AS.get(rows.dtype, rows.dtype)),
            group_size=count,
            group_key=1,
            instance_key=key,
            ordering_token=[],
        )
    gathered.set_shape([count * rows.shape[0], *rows.shape[1:]])
    return tf.cast(gathered, rows.dtype)


ALONE = Workers()
"""One process that trains alone."""

GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
"""Errors that TensorFlow raises after another worker has ended."""


def shard_seed(seed: int, shard: int) -> int:
    """The seed of a shard's draws. That of the first shard is the trainer's seed."""
    return (seed + shard * _SHARD) % 2**63


def mean_of_shards(
    outcomes: Sequence[tuple[tf.Tensor, tf.Tensor, list[tf.Tensor | None]]], workers: Workers
) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor | None]]:
    """The mean loss, total loss and gradients over the shards of all workers.

    The outcomes are those of this worker's shards. A gradient is None if the weight is not used.
    """
    if len(outcomes) == workers.count == 1:
        return outcomes[0]
    rows = [
        tf.concat(
            [tf.reshape(part, [-1]) for part in (loss, total, *gradients) if part is not None], 0
        )
        for loss, total, gradients in outcomes
    ]
    mean = tf.reduce_mean(workers.gather(tf.stack(rows), "gradients"), axis=0)
    likes = [like for like in outcomes[0][2] if like is not None]
    loss, total, *parts = tf.split(mean, [1, 1, *(like.shape.num_elements() for like in likes)])
    means = (tf.reshape(part, like.shape) for part, like in zip(parts, likes, strict=True))
    # None for a weight that is not used, as a gradient tape returns it.
    shaped = [None if like is None else next(means) for like in outcomes[0][2]]
    return loss[0], total[0], shaped


def join_workers() -> Workers:
    """This process's `Workers`, by the environment variable ``TF_CONFIG``; connects to the others.

    Call it before TensorFlow computes anything. It waits until all workers have started. Raises
    ValueError if ``TF_CONFIG`` names no workers.

    Reference:
        TensorFlow's distributed training: ``{"cluster": {"worker": ["host:port", …]}, "task":
        {"type": "worker", "index": 0}}``.
    """
    text = os.environ.get("TF_CONFIG", "")
    try:
        settings = json.loads(text)
        addresses, index = settings["cluster"]["worker"], settings["task"]["index"]
        if not 0 <= index < len(addresses):
            raise ValueError
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            "Several workers require the environment variable TF_CONFIG, with all addresses and "
            "this worker's index. tfnca launch sets it for workers on one machine. "
            f"Received: TF_CONFIG={text!r}"
        ) from None
    if len(addresses) > 1:
        tf.distribute.MultiWorkerMirroredStrategy()  # starts the server that the others connect to
    return Workers(index, len(addresses))
