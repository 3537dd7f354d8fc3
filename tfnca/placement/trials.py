"""Runs items with adversaries at chosen cells, for all methods of placement."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tfnca.automata.checks import check_fits, check_integer, check_labels, check_unit
from tfnca.automata.state import NUM_CLASSES
from tfnca.automata.step import Step
from tfnca.data.digits import Digits
from tfnca.measures.checks import DIGITS, INJECTED, check_injected, check_step
from tfnca.measures.progress import SILENT, Bar
from tfnca.measures.task import states_at
from tfnca.tasks.digit import DigitTask
from tfnca.tasks.task import Task
from tfnca.training.batch import Batch

Query = tuple[int, Sequence[int]]
"""The index of one item, and the cells of its adversaries: ``row * width + column`` each."""

_BATCH = 256
"""Number of states to run at once: 16 MB, which nearly fits in the processor's cache."""


@dataclass(frozen=True)
class Outcome:
    """The results of a number of queries, one row each.

    Attributes:
        says: For digits, the fraction of the living host cells that choose each class at the end,
            ``(queries, 10)``.
        path: 1 minus the goal's mean error over the host's cells at each of the trial's `stops`,
            ``(queries, stops)``. For digits, the fraction of them that choose the target.
        taken: Whether the goal is reached at the end, ``(queries,)``. For digits, whether more than
            half of all living cells, including adversaries, choose the target: the article's
            takeover.
        flipped: The first stop at which `path` is at least a half, ``(queries,)``; NaN if there is
            none.
    """

    says: np.ndarray
    path: np.ndarray
    taken: np.ndarray
    flipped: np.ndarray

    @property
    def value(self) -> np.ndarray:
        """The value that placement maximises, the mean of the second half of `path`."""
        return self.path[:, self.path.shape[1] // 2 :].mean(1)


class Trials:
    """Items and an adversary, to be run with the adversary at any cells.

    Args:
        step: `Injected(host, adversary)`.
        images: The items: digits, ``(count, height, width)`` in [0, 1], or for any other task the
            `Batch` that a run begins with: see `Task.begin`.
        target: The target class of the adversary, 0 to 9, or for any other task the goal's `Task`.
            Its `cells` are those where adversaries may be.
        steps: CA steps, with the adversaries from the start.
        every: CA steps between two measurements.
        seed: Random seed of fire masks and noise. A query's draws also depend on its position in
            the list.

    Raises:
        ValueError: If the step is not an attack with adversaries that fits the goal, or an argument
            is out of range.

    Example:

    >>> import numpy as np, tfnca
    >>> step = tfnca.load_attack("mnist_adversary")
    >>> trials = Trials(step, tfnca.load_digits("test", count=2).images, steps=20)
    >>> trials.ask([(0, trials.cells(0)[:1]), (1, [])]).says.shape
    (2, 10)
    """

    def __init__(
        self,
        step: Step,
        images: np.ndarray | Batch,
        target: int | Task = 8,
        steps: int = 200,
        every: int = 10,
        seed: int = 0,
    ) -> None:
        if isinstance(target, Task) and isinstance(images, Batch):
            check_fits("goal", target, step)
            self.goal, self.batch = target, images
        else:
            check_step(step, DIGITS, INJECTED)
            check_unit("images", images)
            check_labels(np.array([target]), NUM_CLASSES)
            unnamed = Digits(np.asarray(images), np.zeros(len(images), np.int32), "images")
            self.goal = DigitTask(unnamed, target)  # type: ignore[arg-type]
            self.batch = self.goal.start(len(images), step.channels)
        check_injected(step, "placed")
        self.step = step
        self.start = keras.ops.convert_to_numpy(self.batch.state)
        self.alive = np.asarray(self.goal.cells(self.start), bool)
        self.target, self.seed = target, seed
        self.steps = check_integer("steps", steps, 1)
        every = check_integer("every", every, 1)
        self.stops = [*range(every, self.steps, every), self.steps]

    def only(self, items: np.ndarray) -> "Trials":
        """The same trials with some of the items."""
        other = copy.copy(self)
        other.batch = take(self.batch, items)
        other.start, other.alive = self.start[items], self.alive[items]
        return other

    def cells(self, digit: int) -> np.ndarray:
        """The living cells of one item, row by row. An adversary has no effect anywhere else."""
        return np.flatnonzero(self.alive[digit])

    def mask(self, queries: Sequence[Query]) -> np.ndarray:
        """The masks of the adversaries of queries, ``(queries, height, width)`` of 0 and 1.

        Raises:
            ValueError: If a cell is outside the grid.
        """
        mask = np.zeros((len(queries), *self.alive.shape[1:]), np.float32)
        for row, (_, chosen) in zip(mask, queries, strict=True):
            cells = np.asarray(chosen, int)
            if cells.size and not 0 <= cells.min() <= cells.max() < row.size:
                raise ValueError(f"A cell must be in 0 to {row.size - 1}. Received: {cells}")
            row.reshape(-1)[cells] = 1
        return mask

    def ask(self, queries: Iterable[Query], seed: int | None = None, bar: Bar = SILENT) -> Outcome:
        """Runs each query.

        Args:
            queries: See `Query`.
            seed: Random seed; that of the trials if None.
            bar: Advanced by one for each query.

        Returns:
            An `Outcome`.
        """
        queries, seed = list(queries), self.seed if seed is None else seed
        parts = []
        for first in range(0, len(queries), _BATCH):
            part = queries[first : first + _BATCH]
            # Each batch size needs its own graph, so sizes are powers of two.
            missing = (1 << (len(part) - 1).bit_length()) - len(part)
            found = self._run([*part, *part[:1] * missing], seed + (first << 20))
            parts.append([values[: len(part)] for values in found])
            bar.update(len(part))
        if not parts:
            parts = [[np.zeros((0, n)) for n in (NUM_CLASSES, len(self.stops))] + [np.zeros(0)] * 2]
        return Outcome(*(np.concatenate(values) for values in zip(*parts, strict=True)))

    def _run(self, queries: list[Query], seed: int) -> tuple[np.ndarray, ...]:
        which = np.array([digit for digit, _ in queries])
        mask, alive = self.mask(queries), self.alive[which]
        hosts = alive & (mask < 0.5)
        batch = take(self.batch, which)._replace(mask=mask)
        run = states_at(self.step, batch, self.stops, seed)
        path = np.zeros((len(queries), len(self.stops)))
        for place, (_, state) in enumerate(run):
            path[:, place] = self._reached(state, batch, hosts)
        count = np.maximum(hosts.sum((1, 2)), 1)[:, None]
        says = np.zeros((len(queries), 0))
        if isinstance(self.goal, DigitTask):
            said = self.goal.readout(state)
            votes = [((said == k) & hosts).sum((1, 2)) for k in range(NUM_CLASSES)]
            says = np.stack(votes, 1) / count
        taken = self.goal.success(state, batch)
        over = path >= 0.5
        flipped = np.where(over.any(1), np.array(self.stops)[over.argmax(1)], np.nan)
        return says, path, taken, flipped

    def _reached(self, state: np.ndarray, batch: Batch, hosts: np.ndarray) -> np.ndarray:
        """1 minus the goal's mean error over the host's cells of each item."""
        errors = self.goal.cell_errors(state.astype(np.float32), batch)
        if errors is None:
            return 1 - self.goal.item_errors(state, batch)
        right = np.where(hosts, 1 - np.asarray(errors, np.float64), 0.0)
        return right.sum((1, 2)) / np.maximum(hosts.sum((1, 2)), 1)


def take(batch: Batch, items: Sequence[int] | np.ndarray) -> Batch:
    """Some items of a batch."""
    return Batch(*(None if values is None else np.asarray(values)[items] for values in batch))
