"""Detects adversarial cells from two consecutive states and the host's rule.

A host cell either keeps its state or changes as the rule says, plus noise. A cell that changes in
any other way follows another rule. The adversary need not be known in advance.
"""

from typing import Any

import keras
import numpy as np

from tfnca.automata.masks import random_mask
from tfnca.automata.step import Step
from tfnca.automata.verified import deviation
from tfnca.data.digits import Digits
from tfnca.engines.rollout import rollout
from tfnca.measures.checks import INJECTED, check_digits, check_injected
from tfnca.measures.digits import TARGET_DIGIT, digit_mask
from tfnca.tasks.digit import DigitTask
from tfnca.tasks.task import Task


def watch(
    step: Step,
    digits: Digits | Task,
    density: float = 0.1,
    settled: int = 200,
    steps: int = 20,
    seed: int = 0,
    runs: int = 16,
) -> list[dict[str, Any]]:
    """Measures how well adversaries are detected, by the number of steps observed.

    Args:
        step: `Injected(host, adversary)`.
        digits: The digits to measure on, or the host's `Task`: its own `settled` states then.
        density: Fraction of all pixels, or of the task's cells, that are adversaries.
        settled: CA steps with adversaries before the observation begins.
        runs: Number of items, for a `Task`.
        steps: CA steps to observe.
        seed: Random seed of masks, fire masks and noise.

    Returns:
        A dictionary for each number of observed steps: ``steps``; ``auc``, the probability that an
        adversary's largest deviation so far exceeds that of a host cell; ``found`` and
        ``accused``, the fractions of adversaries and of host cells whose deviation has exceeded 5.
    """
    if isinstance(digits, Task):
        check_injected(step, "detected")
        task, first = digits, digits.settled
        state = task.begin(step, runs, seed, settle=True).state
        mask = np.asarray(random_mask(task.cells(state), density, seed))
    else:
        check_digits(step, digits, TARGET_DIGIT, INJECTED)
        task, first = DigitTask(digits), 0
        state = task.start(len(digits.labels), step.channels).state
        mask = np.asarray(digit_mask(digits, density, seed))
    alive = np.asarray(task.cells(state), bool)
    of_run: dict[str, Any] = {"mask": mask, "seed": seed}
    state = rollout(step, state, settled, step_offset=first, first_age=0, **of_run)
    largest = np.zeros(mask.shape)
    rows = []
    for number in range(steps):
        age = settled + number
        after = rollout(step, state, 1, step_offset=first + age, first_age=age, **of_run)
        seen = keras.ops.convert_to_numpy(deviation(step.host, state, after))
        largest, state = np.maximum(largest, seen), after
        adversaries, hosts = largest[alive & (mask > 0.5)], largest[alive & (mask < 0.5)]
        rows.append(
            {
                "steps": number + 1,
                "auc": roc_auc(adversaries, hosts),
                "found": float(np.mean(adversaries > 5)),
                "accused": float(np.mean(hosts > 5)),
            }
        )
    return rows


def roc_auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The probability that a positive score exceeds a negative one; ties count half.

    Args:
        positive: Scores of the cells to detect, of any shape.
        negative: Scores of all other cells.

    Example:

    >>> roc_auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    ordered = np.sort(np.ravel(negative))
    below = np.searchsorted(ordered, np.ravel(positive), "left")
    up_to = np.searchsorted(ordered, np.ravel(positive), "right")
    return float(np.mean(below + up_to) / (2 * len(ordered)))
