"""Which cells lie, from two states and the rule alone: nobody needs to have met the liar before.

A host's cell either stays as it is or changes by what the rule says, and noise. Whoever changes
otherwise follows another rule.
"""

from typing import Any

import keras
import numpy as np

from tfnca.automata.state import digit_state, is_digit_cell
from tfnca.automata.step import Step
from tfnca.automata.verified import deviation
from tfnca.data.digits import Digits
from tfnca.engines.rollout import rollout
from tfnca.measures.checks import INJECTED, check_digits
from tfnca.measures.digits import TARGET_DIGIT, digit_mask


def watch(
    step: Step,
    digits: Digits,
    density: float = 0.1,
    settled: int = 200,
    steps: int = 20,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """How well liars are told from honest cells the longer one watches.

    Args:
        step: `Injected(host, adversary)` of MNIST CAs.
        digits: `Digits`.
        density: Share of adversaries among all pixels.
        settled: CA steps with adversaries before the watching begins.
        steps: CA steps to watch.
        seed: Of masks, fire masks and noise.

    Returns:
        For each number of steps watched a dictionary: ``steps``; ``auc``, the probability that a
        liar's largest deviation so far exceeds an honest cell's; ``found`` and ``accused``, the
        shares of liars and of honest cells that were over 5 at least once.
    """
    check_digits(step, digits, TARGET_DIGIT, INJECTED)
    mask = np.asarray(digit_mask(digits, density, seed))
    state = digit_state(digits.images, step.channels)
    alive = keras.ops.convert_to_numpy(is_digit_cell(state))[..., 0]
    state = rollout(step, state, settled, mask=mask, seed=seed)
    largest = np.zeros(mask.shape)
    rows = []
    for number in range(steps):
        after = rollout(step, state, 1, mask=mask, seed=seed, step_offset=settled + number)
        seen = keras.ops.convert_to_numpy(deviation(step.host, state, after))
        largest, state = np.maximum(largest, seen), after
        liars, honest = largest[alive & (mask > 0.5)], largest[alive & (mask < 0.5)]
        rows.append(
            {
                "steps": number + 1,
                "auc": roc_auc(liars, honest),
                "found": float(np.mean(liars > 5)),
                "accused": float(np.mean(honest > 5)),
            }
        )
    return rows


def roc_auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The probability that a value of the first exceeds one of the second; ties count half.

    Args:
        positive: Scores of those to be found, any shape.
        negative: Scores of the others.

    Example:

    >>> roc_auc(np.array([2.0, 3.0]), np.array([1.0, 2.0]))
    0.875
    """
    ordered = np.sort(np.ravel(negative))
    below = np.searchsorted(ordered, np.ravel(positive), "left")
    up_to = np.searchsorted(ordered, np.ravel(positive), "right")
    return float(np.mean(below + up_to) / (2 * len(ordered)))
