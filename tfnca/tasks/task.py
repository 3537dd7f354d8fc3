"""A task: the purpose of a collective of cells, in one object for training and for all measures."""

import inspect
from typing import Any

import keras
import numpy as np
from keras import ops

from tfnca.automata.checks import check_fits, check_integer, check_states
from tfnca.automata.step import Step, check_step
from tfnca.engines.rollout import rollout
from tfnca.tasks.pool import TaskPool
from tfnca.training.batch import Batch
from tfnca.training.losses import PerItem
from tfnca.training.pools import Pool
from tfnca.types import Array

_ROUNDING = 1e-6
"""How far below 0 rounding may take an error."""


class Task:
    """The base class of tasks: where cells begin, and how well they do.

    `Trainer(step, task=task)` trains a step for a task, and ``tfnca.measures`` measures it. An
    attack is a step, the task of its host, and its goal, which is another task.

    To write your own, override `start`, one of `error` and `cell_errors`, and set `tolerance` or
    override `success`. Everything else has a default. States and batches are as in a loss:
    ``(batch, height, width, channels)``, and a `Batch` with the same number of items.

    Example:

    >>> import numpy as np, tfnca
    >>> class Brightness(tfnca.Task):
    ...     tolerance = 0.01
    ...     def start(self, count, channels, seed=0):
    ...         noise = np.random.default_rng(seed).random((count, 16, 16, channels))
    ...         return tfnca.Batch(state=noise.astype("float32"))
    ...     def cell_errors(self, state, batch):
    ...         return (state[..., 0] - 0.5) ** 2
    >>> step = tfnca.NeuralCA(channels=4, hidden=8)
    >>> trainer = tfnca.Trainer(step, task=Brightness(), steps=4)
    >>> trainer.compile("adam")
    >>> history = trainer.fit(steps_per_epoch=1, verbose=0)
    """

    least_channels: int = 1
    """The fewest channels of a step that can do the task."""

    settled: int = 200
    """CA steps from the start after which a trained collective has done its task."""

    tolerance: float | None = None
    """The largest error of a success; None for a task that overrides `success`."""

    def why_not(self, step: Step) -> str | None:
        """The reason why a step cannot do this task, or None. It begins a message to the user."""
        if step.channels < self.least_channels:
            return f"it has {step.channels} channels, and the task needs {self.least_channels}"
        return None

    def start(self, count: int, channels: int, seed: int = 0) -> Batch:
        """States to begin with, and the labels or inputs that go with them.

        Args:
            count: Number of items.
            channels: Channels of the states.
            seed: Random seed, for tasks that draw.

        Returns:
            A `Batch` with at least a `state`, ``(count, height, width, channels)``.
        """
        raise ValueError(_missing(self, "start(count, channels, seed)", "returns a tfnca.Batch"))

    def cells(self, state: Array) -> Array:
        """Where the collective is, booleans ``(batch, height, width)``. By default, everywhere.

        Adversaries may be placed there, and the host cells' own error is taken over the others.
        """
        return np.ones(np.shape(state)[:3], bool)

    def cell_errors(self, state: Array, batch: Batch) -> Array | None:
        """The error of each cell, ``(batch, height, width)``; None if cells have no error alone."""
        return None

    def soft_cell_errors(self, state: Array, batch: Batch) -> Array | None:
        """Like `cell_errors`, with a gradient. Override it if those have none."""
        return self.cell_errors(state, batch)

    def error(self, state: Array, batch: Batch) -> Array:
        """The error of each item, ``(batch,)``: lower is better. The loss in training.

        By default the mean of `cell_errors`. Training calls it in a graph, with tensors.
        """
        errors = self.cell_errors(state, batch)
        if errors is None:
            raise ValueError(_missing(self, "error(state, batch)", "returns one error per item"))
        return ops.mean(errors, axis=(1, 2))

    def success(self, state: Array, batch: Batch) -> Array:
        """Whether each item has done the task, booleans ``(batch,)``."""
        if self.tolerance is None:
            raise ValueError(
                _missing(self, "success(state, batch)", "returns a boolean per item")
                + ", or set tolerance, the largest error of a success"
            )
        return self.item_errors(np.asarray(state), batch) <= self.tolerance

    def readout(self, state: Array) -> Array:
        """What each cell says, ``(batch, height, width, …)``. By default, its whole state."""
        return state

    def picture(self, state: Array) -> np.ndarray:
        """The states as pictures, ``(batch, height, width, 3)`` in [0, 1].

        By default the first three channels, or the first as grey.
        """
        state = ops.convert_to_numpy(state)
        shown = state[..., :3] if state.shape[-1] >= 3 else state[..., :1].repeat(3, -1)
        return np.clip(shown, 0.0, 1.0)

    def centres(self, state: Array) -> np.ndarray | None:
        """Row and column of each item's pattern, ``(batch, 2)``, NaN if there is none; None for a
        task without positions."""
        return None

    def pool(
        self,
        step: Step,
        size: int = 256,
        batch_size: int = 8,
        density: float | None = None,
        seed: int = 0,
    ) -> Pool:
        """The pool that `Trainer.fit` trains on.

        Args:
            step: The step to train. An attack begins where its host has settled.
            size: Number of slots.
            batch_size: Items in a batch.
            density: Adversary fraction among the `cells`, in (0, 1]; by default 0.1 if the step has
                adversaries.
            seed: Random seed.
        """
        batch = self.begin(step, size, seed, settle=step.host is not None)
        where = np.asarray(self.cells(batch.state)) if step.has_adversary else None
        if where is not None and density is None:
            density = 0.1
        return TaskPool(batch, batch_size, where, density, seed)

    def begin(self, step: Step, count: int, seed: int = 0, settle: bool = False) -> Batch:
        """`start`, checked, for a step.

        Args:
            step: The step.
            count: Number of items.
            seed: Random seed.
            settle: Whether to return the states after `settled` steps, without any attack.

        Raises:
            ValueError: If the step cannot do this task, or `start` returns anything else than what
                it should.
        """
        check_step(step)
        check_fits("task", self, step)
        count = check_integer("count", count, 1)
        batch = self.start(count, step.channels, seed)
        name = type(self).__name__
        if not isinstance(batch, Batch) or batch.state is None:
            raise ValueError(
                f"start of {name} must return a tfnca.Batch(state=…). Received: {type(batch)}"
            )
        state = check_states(ops.convert_to_numpy(batch.state), f"start of {name}")
        if (len(state), state.shape[-1]) != (count, step.channels):
            raise ValueError(
                f"start of {name} must return {count} states with {step.channels} channels. "
                f"Received: a state of shape {state.shape}"
            )
        for field in ("labels", "inputs"):
            shape = np.shape(getattr(batch, field))
            if getattr(batch, field) is not None and shape[:1] != (count,):
                raise ValueError(
                    f"start of {name} must return {field} of {count} items. "
                    f"Received: {field} of shape {shape}"
                )
        if settle:
            host = step if step.host is None else step.host
            state = rollout(host, state, self.settled, seed=seed, inputs=batch.inputs)
            state = np.asarray(state)
        return batch._replace(state=state)

    def measures(self, state: np.ndarray, batch: Batch) -> dict[str, float]:
        """The figures of some states, a row of the protocol in ``tfnca.measures``.

        Args:
            state: The states, ``(batch, height, width, channels)``, bounded.
            batch: Their batch. If it has a mask, the figures include the host cells' own error.

        Returns:
            Dictionary: ``median``, ``mean`` and ``worst`` error; ``success``, the fraction of items
            that have done the task; and with a mask ``host_median`` and ``host_worst``, if the
            cells have errors.
        """
        errors = self.item_errors(state, batch)
        row = {
            "median": float(np.median(errors)),
            "mean": float(np.mean(errors)),
            "worst": float(np.max(errors)),
            "success": float(np.mean(self._checked_success(state, batch))),
        }
        own = None if batch.mask is None else self.host_errors(state, batch)
        if own is not None:
            row |= {"host_median": float(np.nanmedian(own)), "host_worst": float(np.nanmax(own))}
        return row

    def item_errors(self, state: np.ndarray, batch: Batch) -> np.ndarray:
        """`error`, checked, as an array."""
        found = PerItem(self.error, "error")(state.astype(np.float32), batch)
        errors = np.asarray(found, np.float64)
        if wrong := [error for error in errors if not error >= -_ROUNDING]:
            raise ValueError(
                f"error of {type(self).__name__} must be 0 or more for each item. "
                f"Received: {wrong[0]}"
            )
        return errors

    def host_errors(self, state: np.ndarray, batch: Batch) -> np.ndarray | None:
        """The mean error of each item's cells that are no adversaries, ``(batch,)``; NaN if there
        are none. None if cells have no error alone."""
        errors = self.cell_errors(state.astype(np.float32), batch)
        if errors is None:
            return None
        cells = np.asarray(self.cells(state), bool)
        if batch.mask is not None:
            cells = cells & (np.asarray(batch.mask) < 0.5)
        count = cells.sum((1, 2))
        total = np.where(cells, np.asarray(errors, np.float64), 0.0).sum((1, 2))
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    def _checked_success(self, state: np.ndarray, batch: Batch) -> np.ndarray:
        found = np.asarray(self.success(state, batch))
        if found.dtype != bool or found.shape != (len(state),):
            raise ValueError(
                f"success must return one boolean per item, {len(state)} of them. "
                f"Received: {found.dtype} of shape {found.shape}"
            )
        return found

    def get_config(self) -> dict[str, Any]:
        """The arguments of the constructor. Override it if yours has any."""
        if inspect.signature(type(self)).parameters:
            name = type(self).__name__
            raise ValueError(
                f"{name} must override get_config, which returns the arguments of its constructor. "
                f"Received: {name} without it"
            )
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Task":
        """A task of this class from its arguments."""
        return cls(**config)


def _missing(task: Task, method: str, what: str) -> str:
    return (
        f"{type(task).__name__} must override {method}, which {what}. Received: a task without it"
    )


def check_task(task: Any, name: str = "task") -> Task:
    """Returns a task; raises ValueError if it is none."""
    if isinstance(task, Task):
        return task
    raise ValueError(
        f"{name} must be a tfnca.Task, for example tfnca.PatternTask(target). "
        f"Received: {type(task).__name__}"
    )


def find_task(name: str) -> type[Task]:
    """The class of a task by its name, for example ``"pattern"`` or ``"Brightness"``.

    Args:
        name: The name of a class that derives from `Task` and is registered with Keras, in any
            package, without the ending "Task" and in any case.

    Raises:
        ValueError: If no class has that name, or several have.
    """
    known = {
        key: kind
        for key, kind in keras.saving.get_custom_objects().items()
        if isinstance(kind, type) and issubclass(kind, Task)
    }
    found = [kind for key, kind in known.items() if name in (key, task_name(kind), kind.__name__)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(sorted(key if found else task_name(kind) for key, kind in known.items()))
    raise ValueError(
        f"--task must be one of: {names}. A task of your own is a class registered by "
        "keras.saving.register_keras_serializable, in a module named with --plugin. "
        f"Received: {name}"
    )


def task_name(kind: type[Task]) -> str:
    """The name of a class of tasks on the command line: ``"pattern"`` for `PatternTask`."""
    return kind.__name__.removesuffix("Task").lower()
