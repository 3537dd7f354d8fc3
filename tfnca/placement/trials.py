"""Runs digits with adversaries at chosen cells, for all methods of placement."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfnca.automata.checks import check_integer, check_labels, check_unit
from tfnca.automata.state import NUM_CLASSES, class_logits, digit_state, is_digit_cell
from tfnca.automata.step import Step
from tfnca.engines.rollout import rollout
from tfnca.measures.checks import DIGITS, INJECTED, check_step
from tfnca.measures.progress import SILENT, Bar

Query = tuple[int, Sequence[int]]
"""The index of a digit, and the cells of its adversaries: ``row * width + column`` each."""

_BATCH = 256
"""Number of states to run at once: 16 MB, which nearly fits in the processor's cache."""


@dataclass(frozen=True)
class Outcome:
    """The results of a number of queries, one row each.

    Attributes:
        says: Fraction of the living host cells that choose each class at the end,
            ``(queries, 10)``.
        path: Fraction of the living host cells that choose the target at each of the trial's
            `stops`, ``(queries, stops)``.
        taken: Whether more than half of all living cells, including adversaries, choose the target
            at the end, ``(queries,)``: the article's takeover.
        flipped: The first stop at which half of the living host cells choose the target,
            ``(queries,)``; NaN if there is none.
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
    """Digits and an adversary, to be run with the adversary at any cells.

    Args:
        step: `Injected(host, adversary)` of MNIST CAs.
        images: Digits, ``(count, height, width)`` in [0, 1].
        target: The target class of the adversary, 0 to 9.
        steps: CA steps from the empty state, with the adversaries from the start.
        every: CA steps between two measurements.
        seed: Random seed of fire masks and noise. A query's draws also depend on its position in
            the list.

    Raises:
        ValueError: If the step is not an attack on an MNIST CA with adversaries, or an argument is
            out of range.

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
        images: np.ndarray,
        target: int = 8,
        steps: int = 200,
        every: int = 10,
        seed: int = 0,
    ) -> None:
        check_step(step, DIGITS, INJECTED)
        check_unit("images", images)
        check_labels(np.array([target]), NUM_CLASSES)
        self.step = step
        self.start = keras.ops.convert_to_numpy(digit_state(images, step.channels))
        self.alive = keras.ops.convert_to_numpy(is_digit_cell(self.start))[..., 0]
        self.target, self.seed = target, seed
        self.steps = check_integer("steps", steps, 1)
        every = check_integer("every", every, 1)
        self.stops = [*range(every, self.steps, every), self.steps]

    def cells(self, digit: int) -> np.ndarray:
        """The living cells of a digit, row by row. An adversary has no effect anywhere else."""
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
        count = np.maximum(hosts.sum((1, 2)), 1)[:, None]
        state, now = tf.constant(self.start[which]), 0
        path = np.zeros((len(queries), len(self.stops)))
        for place, stop in enumerate(self.stops):
            state = rollout(self.step, state, stop - now, mask, seed, step_offset=now)
            now = stop
            said = keras.ops.convert_to_numpy(class_logits(state)).argmax(-1)
            path[:, place] = ((said == self.target) & hosts).sum((1, 2)) / count[:, 0]
        says = np.stack([((said == k) & hosts).sum((1, 2)) for k in range(NUM_CLASSES)], 1) / count
        taken = 2 * ((said == self.target) & alive).sum((1, 2)) > alive.sum((1, 2))
        over = path >= 0.5
        flipped = np.where(over.any(1), np.array(self.stops)[over.argmax(1)], np.nan)
        return says, path, taken, flipped
