"""Where a few adversaries should stand: searches that ask `Trials`, all digits side by side.

Each takes a number of digits and a budget and returns for each digit its cells in the order in
which they were chosen, so that the first b of them are the placement for a smaller budget b;
`anneal` and `exhaust`, which improve a whole set, are for that budget alone.
"""

from collections.abc import Sequence

import numpy as np

from tfnca.measures.progress import SILENT, Bar
from tfnca.placement.trials import Trials

Placement = list[int]


def at_random(trials: Trials, budget: int, seed: int = 0) -> list[Placement]:
    """Any living cells: what every search must beat.

    Args:
        trials: The digits.
        budget: Adversaries in each digit; fewer where it has fewer cells.
        seed: Of the choice.
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
    """One cell after another, each time the one that adds most; lazily (CELF).

    What a cell adds beside fewer adversaries, or what is missing to 1 if that is less, is taken
    for a bound of what it adds beside more, so that only the most promising are asked again. The
    bound holds where returns diminish; whether they do is measured by `study.diminishing`.

    Args:
        trials: The digits.
        budget: Adversaries in each digit.
        first: The value of each single cell, in the order of `Trials.cells`, where an influence
            map is at hand already.
        width: Cells of a digit that are asked at once.
        tolerance: A bound that exceeds what is known by no more than this is not looked into:
            chance moves a single run by more.
        seed: Of fire masks and noise.
        bar: Moves by one for each rollout.
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
        gains: What each single cell adds.
    """

    def __init__(self, gains: dict[int, float]) -> None:
        self.gains, self.known = gains, set(gains)
        self.chosen: Placement = []
        self.reached = 0.0

    def worth_asking(self, width: int, tolerance: float) -> list[int]:
        """Cells that may add more than what is known to be the best, the most promising first."""
        best = max((self.gains[cell] for cell in self.known), default=-np.inf)
        unknown = sorted(self.gains.keys() - self.known, key=self.gains.__getitem__, reverse=True)
        most = 1.0 - self.reached
        return [cell for cell in unknown[:width] if min(self.gains[cell], most) > best + tolerance]

    def hear(self, cell: int, value: float) -> None:
        """The value of the chosen cells and one more."""
        self.gains[cell] = value - self.reached
        self.known.add(cell)

    def choose(self) -> None:
        """Takes the best cell; what the others add is then a bound again."""
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
    """Simulated annealing: one adversary moves at a time, for the worse ever less often.

    Args:
        trials: The digits.
        budget: Adversaries in each digit.
        tries: Moves that are tried in each digit.
        warmth: Loss of value that is accepted in about a third of the cases, at first; it falls
            to nothing.
        seed: Of the moves, fire masks and noise.
        bar: Moves by one for each rollout.
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
    """The best of all pairs of cells of one digit, and its value.

    One run tells the lucky from the good too badly: all pairs run once, and the best of them
    again, so that the mean of their later runs decides.

    Args:
        trials: The digits.
        digit: Which of them.
        finalists: Pairs that run again.
        repeats: How often they do.
        seed: Of fire masks and noise.
        bar: Moves by one for each rollout.
    """
    cells = trials.cells(digit).tolist()
    pairs = [(a, b) for place, a in enumerate(cells) for b in cells[:place]]
    once = trials.ask([(digit, pair) for pair in pairs], seed, bar).value
    final = [pairs[number] for number in np.argsort(-once, kind="stable")[:finalists]]
    again = trials.ask([(digit, pair) for pair in final * repeats], seed + 1, bar).value
    values = again.reshape(repeats, len(final)).mean(0)
    best = int(values.argmax())
    return list(final[best]), float(values[best])
