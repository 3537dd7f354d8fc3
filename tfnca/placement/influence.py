"""Influence maps: the effect of one adversary, for each cell."""

from dataclasses import dataclass

import numpy as np

from tfnca.automata.step import Step
from tfnca.measures.progress import Progress, Silent
from tfnca.placement.trials import Outcome, Trials
from tfnca.tasks.task import Task
from tfnca.training.batch import Batch


@dataclass(frozen=True)
class InfluenceMap:
    """The effect of one adversary at each cell of a digit.

    Attributes:
        cells: The item's cells where adversaries may be, ``row * width + column`` each,
            ``(cells,)``.
        outcome: An `Outcome` with a row for each cell.
        shape: ``(height, width)`` of the grid.
    """

    cells: np.ndarray
    outcome: Outcome
    shape: tuple[int, int]

    def picture(self, values: np.ndarray) -> np.ndarray:
        """One value per cell as a picture ``(height, width)``, NaN outside the stroke."""
        picture = np.full(self.shape, np.nan)
        picture.reshape(-1)[self.cells] = values
        return picture


def influence_maps(
    step: Step,
    images: np.ndarray | Batch,
    target: int | Task = 8,
    steps: int = 200,
    seed: int = 0,
    repeats: int = 1,
    progress: Progress = Silent,
) -> list[InfluenceMap]:
    """Measures the effect of one adversary at each cell of digits, or of the items of any task,
    with a rollout per cell.

    Args:
        step: `Injected(host, adversary)`.
        images: Digits, ``(count, height, width)`` in [0, 1], or a `Batch`: see `Trials`.
        target: The target class of the adversary, or the goal's `Task`.
        steps: CA steps from the empty state, or from the batch's.
        seed: Random seed of fire masks and noise.
        repeats: Number of runs to average, each with its own random draws, because a single run
            depends on chance.
        progress: Makes the progress bar.

    Returns:
        One `InfluenceMap` for each item.

    Example:

    >>> import tfnca
    >>> step = tfnca.load_attack("mnist_adversary")
    >>> images = tfnca.load_digits("test", count=1).images
    >>> bool(influence_maps(step, images, steps=20)[0].outcome.value.max() > 0)
    True

    Reference:
        The article's discussion of "Adversarial MNIST CA" leaves open where adversaries should be
        placed.
    """
    trials = Trials(step, images, target, steps, seed=seed)
    cells = [trials.cells(digit) for digit in range(len(trials.alive))]
    queries = [(digit, [cell]) for digit, own in enumerate(cells) for cell in own]
    bar = progress(len(queries) * repeats)
    runs = [trials.ask(queries, seed + repeat, bar) for repeat in range(repeats)]
    bar.close()
    return [
        InfluenceMap(own, _mean(runs, slice(end - len(own), end)), trials.alive.shape[1:])
        for own, end in zip(cells, np.cumsum([len(own) for own in cells]), strict=True)
    ]


def _mean(runs: list[Outcome], rows: slice) -> Outcome:
    """The mean of some rows over runs; that of `flipped` ignores runs in which it is NaN."""
    flipped = np.stack([run.flipped[rows] for run in runs])
    known = ~np.isnan(flipped)
    sums = np.where(known, flipped, 0).sum(0)
    says, path, taken = (
        np.mean([getattr(run, name)[rows] for run in runs], 0) for name in ("says", "path", "taken")
    )
    mean = np.where(known.any(0), sums / np.maximum(known.sum(0), 1), np.nan)
    return Outcome(says, path, taken, mean)
