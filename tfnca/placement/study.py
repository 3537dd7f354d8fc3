"""The study of placement: every method's cells, evaluated with random draws new to all methods."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfnca.automata.step import Step
from tfnca.data.digits import Digits
from tfnca.measures.checks import INJECTED, check_digits, check_seeds
from tfnca.measures.digits import digit_mask, spread
from tfnca.measures.progress import SILENT, Bar, Progress, Silent
from tfnca.placement.graphs import CENTRALITIES, by_centrality
from tfnca.placement.influence import influence_maps
from tfnca.placement.relaxed import relaxed
from tfnca.placement.search import Placement, anneal, at_random, exhaust, greedy
from tfnca.placement.trials import Trials

BUDGETS = (1, 2, 4, 8)
_UNSEEN = 1 << 10
"""Added to a seed, so that the evaluation uses random draws that no search has used."""


def study_placement(
    step: Step,
    digits: Digits,
    budgets: Sequence[int] = BUDGETS,
    seeds: Sequence[int] = (0, 1, 2),
    target: int = 8,
    searched: int = 100,
    annealed: Sequence[int] = (2, 4),
    steps: int = 200,
    progress: Progress = Silent,
) -> dict[str, Any]:
    """Measures the takeover rate of few adversaries, placed by each method.

    Digits of the target class are left out. The seeds are those of the evaluations; searches use
    others. The slow methods (annealing, pairs, and diminishing returns) are tried on the first
    `searched` digits, and annealing, the slowest, with the budgets `annealed`. Every method is also
    evaluated on these digits, for comparison. The adversaries are there from the start, and the
    progress bars count rollouts.

    Returns:
        Dictionary: ``digits``, ``searched``, ``seeds``, ``target``; ``maps_seconds``, the time for
        all influence maps; ``curves``, a row for each method, budget and set of digits with
        `takeover`, `host_takeover` (mean and ``_sd`` over seeds) and ``ci`` (half the 95 %
        interval over digits); ``one_percent``, rows of the same form for as many adversaries as
        one percent of the grid puts on each digit's stroke, at least one; ``pairs``, see
        `compare_pairs`; ``returns``, see `diminishing`; ``placements``, the greedy ones.
    """
    check_digits(step, digits, target, INJECTED)
    seeds = check_seeds(seeds)
    kept = np.flatnonzero(digits.labels != target)
    images, top = digits.images[kept], max(budgets)
    trials = Trials(step, images, target, steps)
    few = Trials(step, images[:searched], target, steps)
    bar, began = progress(int(trials.alive.sum())), time.monotonic()
    maps = influence_maps(step, images, target, steps, seed=1, progress=lambda total: bar)
    maps_seconds = time.monotonic() - began
    first = [one.outcome.value for one in maps]
    thin = [_counts(digits, kept, trials, seed) for seed in seeds]
    most = max(top, *(int(counts.max()) for counts, _ in thin))
    bar = progress(0)
    placements = {
        "greedy": greedy(trials, most, first, seed=2, bar=bar),
        "most influential": [
            one.cells[np.argsort(-one.outcome.value, kind="stable")][:most].tolist() for one in maps
        ],
        **{name: by_centrality(trials, most, name) for name in CENTRALITIES},
    }
    rows = []
    for seed in seeds:
        every = {**placements, "random": at_random(trials, most, seed)}
        for budget in budgets:
            for name, found in every.items():
                rows += _evaluate(trials, name, found, budget, seed, searched, bar)
    for budget in budgets:
        slow = {"gradient": relaxed(few, budget, bar=bar)}
        if budget in annealed:
            slow["annealing"] = anneal(few, budget, seed=3, bar=bar)
        for seed in seeds:
            for name, found in slow.items():
                rows += _evaluate(few, name, found, budget, seed, searched, bar)
    one_percent = []
    for seed, (counts, masks) in zip(seeds, thin, strict=True):
        every = {**placements, "random": masks}
        for name, found in every.items():
            some = [cells[:n] for cells, n in zip(found, counts, strict=True)]
            one_percent += _evaluate(trials, name, some, None, seed, searched, bar)
    result: dict[str, Any] = {
        "digits": len(kept),
        "searched": min(searched, len(kept)),
        "seeds": list(seeds),
        "target": target,
        "maps_seconds": maps_seconds,
        "adversaries_per_digit_at_one_percent": float(np.mean([c.mean() for c, _ in thin])),
        "curves": _summary(rows),
        "one_percent": _summary(one_percent),
        "pairs": compare_pairs(few, seeds, bar=bar),
        "returns": diminishing(few, bar=bar),
        "placements": [[int(cell) for cell in cells[:top]] for cells in placements["greedy"]],
        "numbers": kept.tolist(),
    }
    bar.close()
    return result


def _counts(
    digits: Digits, kept: np.ndarray, trials: Trials, seed: int
) -> tuple[np.ndarray, list[Placement]]:
    """How many adversaries one percent of the grid puts on each stroke, and at which cells."""
    mask = np.asarray(digit_mask(digits, 0.01, seed, at_least_one=True))[kept] * trials.alive
    cells = [np.flatnonzero(one).tolist() for one in mask]
    return np.array([len(own) for own in cells]), cells


def _evaluate(
    trials: Trials,
    name: str,
    placements: Sequence[Placement],
    budget: int | None,
    seed: int,
    searched: int,
    bar: Bar,
) -> list[dict[str, Any]]:
    """Rows for all the digits and for the first `searched`."""
    queries = [(digit, cells[:budget]) for digit, cells in enumerate(placements)]
    outcome = trials.ask(queries, seed + _UNSEEN, bar)
    rows = []
    for count in sorted({len(queries), min(searched, len(queries))}):
        host = outcome.path[:count, -1] > 0.5
        rows.append(
            {
                "method": name,
                "budget": budget,
                "digits": count,
                "takeover": float(outcome.taken[:count].mean()),
                "host_takeover": float(host.mean()),
            }
        )
    return rows


def _summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean and spread over seeds, for each method, budget and number of digits."""
    groups: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["method"], row["budget"], row["digits"]), []).append(row)
    summary = []
    for (method, budget, count), own in groups.items():
        mean: dict[str, Any] = {"method": method, "budget": budget, "digits": count}
        for name in ("takeover", "host_takeover"):
            mean |= spread(name, [one[name] for one in own])
        share = mean["takeover"]
        mean["ci"] = float(1.96 * np.sqrt(share * (1 - share) / count))
        summary.append(mean)
    return summary


def compare_pairs(
    trials: Trials, seeds: Sequence[int], count: int = 10, repeats: int = 8, bar: Bar = SILENT
) -> dict[str, Any]:
    """Compares greedy pairs with the best of all pairs, on the digits with the fewest cells.

    Returns:
        Dictionary: ``digits``; ``pairs``, the number of rollouts of the search; ``best`` and
        ``greedy``, the mean value of the best and of the greedy pair, with random draws that
        neither search has used.
    """
    sizes = trials.alive.sum((1, 2))
    some = np.argsort(sizes, kind="stable")[:count]
    small = trials.only(some)
    best = [exhaust(small, digit, seed=5, bar=bar)[0] for digit in range(len(some))]
    chosen = greedy(small, 2, seed=6, bar=bar)
    draws = [seed * repeats + number + _UNSEEN for seed in seeds for number in range(repeats)]
    values = {
        name: float(np.mean([small.ask(list(enumerate(pairs)), draw, bar).value for draw in draws]))
        for name, pairs in (("best", best), ("greedy", chosen))
    }
    size = small.alive.sum((1, 2))
    return {"digits": len(some), "pairs": int((size * (size - 1) // 2).sum()), **values}


def diminishing(
    trials: Trials,
    sizes: Sequence[int] = (0, 1, 2, 4, 8),
    repeats: int = 8,
    seed: int = 0,
    bar: Bar = SILENT,
) -> list[dict[str, Any]]:
    """Measures whether each further adversary adds less than the one before (submodularity).

    In each digit, one cell is added to nested random sets of other cells, of these sizes. If
    returns diminish, its gain falls as the sets grow. Each gain is the mean of several runs.

    Returns:
        A dictionary for each size: ``others``, the size; ``gain``, the mean gain over digits;
        ``gain_se``, its standard error; ``rises``, the fraction of digits whose gain exceeds that
        of the previous size by more than two standard errors.
    """
    draws = np.random.default_rng(seed)
    order = [draws.permutation(trials.cells(digit)).tolist() for digit in range(len(trials.alive))]
    rows: list[dict[str, Any]] = []
    before = None
    for size in sizes:
        base = [(digit, cells[1 : 1 + size]) for digit, cells in enumerate(order)]
        more = [(digit, cells[: 1 + size]) for digit, cells in enumerate(order)]
        gains = np.stack(
            [
                trials.ask(more, seed + 2 * r, bar).value
                - trials.ask(base, seed + 2 * r + 1, bar).value
                for r in range(repeats)
            ]
        )
        mean, error = gains.mean(0), gains.std(0, ddof=1) / np.sqrt(repeats)
        row = {"others": size, "gain": float(mean.mean())}
        row["gain_se"] = float(mean.std(ddof=1) / np.sqrt(len(mean)))
        if before is not None:
            rise = mean - before[0] > 2 * np.hypot(error, before[1]) + 1e-9
            row["rises"] = float(rise.mean())
        before = mean, error
        rows.append(row)
    return rows
