"""Measures of digits: accuracy, agreement and takeover rate.

A digit is classified correctly if at least half of its living cells are. `agreement` is the
fraction of digits whose living cells all choose the same class. `takeover` is the fraction of
digits of other classes in which more than half of the living cells choose the target class. Digits
keep the order of the test file.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfnca.automata.state import digit_state
from tfnca.automata.step import Step
from tfnca.choices import TARGET_DIGIT
from tfnca.data.digits import Digits
from tfnca.measures.checks import ALONE, INJECTED, check_digits, check_seeds
from tfnca.measures.progress import SILENT, Bar, Progress, Silent, advance
from tfnca.tasks.digit import digit_mask, digit_measures, has_flipped, swap_digits

__all__ = [
    "attack_digits",
    "base_digits",
    "digit_mask",
    "digit_measures",
    "has_flipped",
    "mean_and_spread",
    "measure_digits",
    "swap_digits",
]


def measure_digits(
    step: Step,
    digits: Digits,
    phases: Sequence[tuple[int, tf.Tensor | None]],
    seed: int = 0,
    at: Iterable[int] = (),
    target: int = TARGET_DIGIT,
    swap: bool = False,
    bar: Bar = SILENT,
) -> list[dict[str, Any]]:
    """Runs digits through phases with and without adversaries, and measures them.

    Args:
        step: A CA of digits, or an `Injected` of two of them.
        digits: The digits to run.
        phases: Pairs ``(steps, mask)``; the mask is None in a phase without adversaries.
        seed: Random seed of fire masks and noise.
        at: Steps to measure at, in addition to the end of each phase.
        target: See `digit_measures`.
        swap: Whether item i gets image i + 1 at the end of the first phase. As in training, its
            state is kept where the new digit is alive; later measures use the new labels.
        bar: See `advance`.

    Returns:
        List of dictionaries: ``step`` and the entries of `digit_measures`. With a mask, also
        ``flipped``: the fraction of digits of other classes in which half of the living host
        cells have chosen the target at any measured step of this phase.
    """
    check_digits(step, digits, target)
    labels = digits.labels
    state = digit_state(digits.images, step.channels)
    rows: list[dict[str, Any]] = []
    now = 0
    for number, (steps, mask) in enumerate(phases):
        flipped = np.zeros(len(labels), bool)
        # Without adversaries and without a deviation test, the host alone gives the same run.
        alone = mask is None and step.has_adversary and step.tolerance is None
        running = step.host if alone else step
        stops = [stop for stop in sorted(set(at)) if now < stop < now + steps] + [now + steps]
        for stop in stops:
            state = advance(running, state, stop - now, bar, mask=mask, seed=seed, step_offset=now)
            now = stop
            row = {"step": now, **digit_measures(state, labels, target, mask)}
            if mask is not None:
                flipped |= has_flipped(state, mask, target)
                others = labels != target
                row["flipped"] = float(flipped[others].mean()) if others.any() else float("nan")
            rows.append(row)
        if swap and number == 0:
            state, labels = swap_digits(state, digits.images, labels)
    return rows


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """The mean of some values as ``name``, and as ``name_sd`` their standard deviation."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {name: float(np.mean(values)), f"{name}_sd": deviation}


def mean_and_spread(runs: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Mean and standard deviation over seeds of lists of measures, one list per seed.

    Returns:
        One list of the same form, with ``name`` and ``name_sd`` for each measure.
    """
    summary = []
    for rows in zip(*runs, strict=True):
        row = {"step": rows[0]["step"]}
        for name in [name for name in rows[0] if name != "step"]:
            row |= spread(name, [r[name] for r in rows])
        summary.append(row)
    return summary


def attack_digits(
    step: Step,
    digits: Digits,
    density: float = 0.1,
    seeds: Sequence[int] = (0, 1, 2),
    target: int = TARGET_DIGIT,
    progress: Progress = Silent,
) -> dict[str, Any]:
    """Measures the article's Figures 3 and 4: 200 steps before, with, and after adversaries.

    There is one run per seed, with `density` of all pixels as adversaries.

    Returns:
        Dictionary: ``attack``, rows of `mean_and_spread` every 10 steps to 600, and every 2 in
        the first 60 with adversaries; ``sparse``, the measures at step 200 with 1 % adversaries,
        at least one in each digit, from the start; ``steps_to_flip``, the number of steps with
        adversaries after which half of the digits of other classes have been classified as the
        target, None if never.
    """
    check_digits(step, digits, target, INJECTED)
    seeds = check_seeds(seeds)
    at = [*range(10, 600, 10), *range(202, 260, 2)]
    attacks, thin, bar = [], [], progress(len(seeds) * 800)
    for seed in seeds:
        mask = digit_mask(digits, density, seed)
        phases = [(200, None), (200, mask), (200, None)]
        attacks.append(measure_digits(step, digits, phases, seed, at, target, bar=bar))
        few = digit_mask(digits, 0.01, seed, at_least_one=True)
        thin.append(measure_digits(step, digits, [(200, few)], seed, target=target, bar=bar))
    bar.close()
    attack = mean_and_spread(attacks)
    flipped = [row["step"] - 200 for row in attack if row.get("flipped", 0.0) >= 0.5]
    return {
        "digits": len(digits.labels),
        "others": int((digits.labels != target).sum()),
        "target": target,
        "density": density,
        "seeds": list(seeds),
        "attack": attack,
        "sparse": mean_and_spread(thin),
        "steps_to_flip": flipped[0] if flipped else None,
    }


def base_digits(
    step: Step,
    digits: Digits,
    seeds: Sequence[int] = (0, 1, 2),
    horizon: int = 1000,
    progress: Progress = Silent,
) -> dict[str, Any]:
    """Measures a self-classifying CA of digits without an attack, one run per seed.

    The `horizon` is the total number of CA steps, at least 200.

    Returns:
        Dictionary: ``digits``, their number; ``seeds``; ``base``, rows of `mean_and_spread` at
        20, 50, 200 and `horizon` steps; ``swapped``, rows at step 200, when each digit is swapped
        for another under its settled state, and 200 steps later.
    """
    check_digits(step, digits, TARGET_DIGIT, ALONE)
    seeds = check_seeds(seeds)
    base, swapped, bar = [], [], progress(len(seeds) * (horizon + 400))
    twice = [(200, None), (200, None)]
    for seed in seeds:
        alone = [(horizon, None)]
        base.append(measure_digits(step, digits, alone, seed, at=(20, 50, 200), bar=bar))
        swapped.append(measure_digits(step, digits, twice, seed, swap=True, bar=bar))
    bar.close()
    return {
        "digits": len(digits.labels),
        "seeds": list(seeds),
        "base": mean_and_spread(base),
        "swapped": mean_and_spread(swapped),
    }
