"""Searches for the best cells for a few adversaries, in many digits at once, with `Trials`.

Each search takes digits and a budget, and returns the cells of each digit in the order in which
they were chosen, so the first b cells are the placement for a smaller budget b. The exceptions are
`anneal` and `exhaust`, which improve a whole set and are for that budget only.
"""

from collections.abc import Sequence

import numpy as np

from tfnca.measures.progress import SILENT, Bar
from tfnca.placement.trials import Trials

Placement = list[int]


def at_random(trials: Trials, budget: int, seed: int = 0) -> list[Placement]:
    """Places adversaries at random living cells: the baseline for every search.

    Args:
        trials: The digits.
        budget: Number of adversaries per digit, or all cells of a digit with fewer cells.
        seed: Random seed of the choice.
    """
    draws = np.random.default_rng(seed)
    return [
        draws.permutation(trials.cells(digit))[:budget].tolist()
        for digit in range(len(trials.alive))
    ]


def greedy(
    trials: Trials,
    budget: int,
    first: Sequence[np.ndarray] | None = None,
    width: int = 4,
    tolerance: float = 0.02,
    seed: int = 0,
    bar: Bar = SILENT,
) -> list[Placement]:
    """Chooses one cell after another, each time the cell that adds most; lazily (CELF).

    The gain of a cell next to fewer adversaries, or the distance to a value of 1 if that is less,
    serves as an upper bound of its gain next to more. Only the most promising cells are evaluated
    again. The bound is valid where returns diminish, which `study.diminishing` measures.

    Args:
        trials: The digits.
        budget: Number of adversaries per digit.
        first: The value of each single cell, in the order of `Trials.cells`, if an influence map
            is already available.
        width: Number of cells of a digit to evaluate at once.
        tolerance: Cells whose bound exceeds the best known gain by at most this are not evaluated,
            because chance changes a single run by more.
        seed: Random seed of fire masks and noise.
        bar: Advanced by one for each rollout.
    """
    cells = [trials.cells(digit) for digit in range(len(trials.alive))]
    if first is None:
        queries = [(digit, [cell]) for digit, own in enumerate(cells) for cell in own]
        values = trials.ask(queries, seed, bar).value
        first = np.split(values, np.cumsum([len(own) for own in cells])[:-1])
    searches = [
        _Search(dict(zip(own.tolist(), map(float, values), strict=True)))
        for own, values in zip(cells, first, strict=True)
    ]
    for search in searches:
        search.choose()
    for round_ in range(1, budget):
        while queries := [
            (digit, [*search.chosen, cell])
            for digit, search in enumerate(searches)
            for cell in search.worth_asking(width, tolerance)
        ]:
            values = trials.ask(queries, seed + round_, bar).value
            for (digit, placed), value in zip(queries, values, strict=True):
                searches[digit].hear(placed[-1], float(value))
        for search in searches:
            search.choose()
    return [search.chosen[:budget] for search in searches]


class _Search:
    """The greedy search in one digit.

    Args:
        gains: The gain of each single cell.
    """

    def __init__(self, gains: dict[int, float]) -> None:
        self.gains, self.known = gains, set(gains)
        self.chosen: Placement = []
        self.reached = 0.0

    def worth_asking(self, width: int, tolerance: float) -> list[int]:
        """Cells that may add more than the best known cell, the most promising first."""
        best = max((self.gains[cell] for cell in self.known), default=-np.inf)
        unknown = sorted(self.gains.keys() - self.known, key=self.gains.__getitem__, reverse=True)
        most = 1.0 - self.reached
        return [cell for cell in unknown[:width] if min(self.gains[cell], most) > best + tolerance]

    def hear(self, cell: int, value: float) -> None:
        """Records the value of the chosen cells together with one more."""
        self.gains[cell] = value - self.reached
        self.known.add(cell)

    def choose(self) -> None:
        """Chooses the best cell; the gains of all others become bounds again."""
        if self.gains:
            cell = max(self.known or self.gains, key=self.gains.__getitem__)
            self.reached += self.gains.pop(cell)
            self.chosen.append(cell)
        self.known = set()


def anneal(
    trials: Trials,
    budget: int,
    tries: int = 200,
    warmth: float = 0.1,
    seed: int = 0,
    bar: Bar = SILENT,
) -> list[Placement]:
    """Simulated annealing: moves one adversary at a time, and accepts losses ever less often.

    Args:
        trials: The digits.
        budget: Number of adversaries per digit.
        tries: Number of moves to try in each digit.
        warmth: The loss of value that is accepted in about a third of the cases at first. It
            falls to zero.
        seed: Random seed of moves, fire masks and noise.
        bar: Advanced by one for each rollout.
    """
    draws = np.random.default_rng(seed)
    now = at_random(trials, budget, seed)
    digits = range(len(now))
    values = trials.ask([(d, now[d]) for d in digits], seed, bar).value
    best, best_values = [list(p) for p in now], values.copy()
    for number in range(tries):
        moved = []
        for digit in digits:
            free = np.setdiff1d(trials.cells(digit), now[digit])
            placed = list(now[digit])
            if free.size and placed:
                placed[draws.integers(len(placed))] = int(draws.choice(free))
            moved.append(placed)
        found = trials.ask(list(enumerate(moved)), seed + 1 + number, bar).value
        heat = max(warmth * (1 - number / tries), 1e-9)
        accepted = draws.random(len(found)) < np.exp(np.minimum((found - values) / heat, 0))
        for digit in np.flatnonzero(accepted).tolist():
            now[digit], values[digit] = moved[digit], found[digit]
            if found[digit] > best_values[digit]:
                best[digit], best_values[digit] = list(moved[digit]), found[digit]
    return best


def exhaust(
    trials: Trials,
    digit: int,
    finalists: int = 64,
    repeats: int = 8,
    seed: int = 0,
    bar: Bar = SILENT,
) -> tuple[Placement, float]:
    """Finds the best of all pairs of cells of one digit, and its value.

    A single run does not separate good pairs from lucky ones. So all pairs run once, the best of
    them run again, and the mean of their later runs decides.

    Args:
        trials: The digits.
        digit: The index of the digit.
        finalists: Number of pairs that run again.
        repeats: Number of later runs.
        seed: Random seed of fire masks and noise.
        bar: Advanced by one for each rollout.
    """
    cells = trials.cells(digit).tolist()
    pairs = [(a, b) for place, a in enumerate(cells) for b in cells[:place]]
    once = trials.ask([(digit, pair) for pair in pairs], seed, bar).value
    final = [pairs[number] for number in np.argsort(-once, kind="stable")[:finalists]]
    again = trials.ask([(digit, pair) for pair in final * repeats], seed + 1, bar).value
    values = again.reshape(repeats, len(final)).mean(0)
    best = int(values.argmax())
    return list(final[best]), float(values[best])
