"""The measurements of lizards and of attacks on them, the same for all so that they compare.

`runs` is their number, `at` the CA steps at which to measure, in ascending order, and `progress`
makes the progress bar. Pictures are premultiplied RGBA ``(height, width, 4)``.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfnca.automata.checks import check_target
from tfnca.automata.injection import Injected
from tfnca.automata.state import seed_state
from tfnca.automata.step import Step
from tfnca.deprecated import takes_old_names
from tfnca.measures.checks import ALONE, INJECTED, PERTURBED, PICTURE, check_ascending, check_step
from tfnca.measures.lizard import (
    HORIZONS,
    LEFT_AT,
    LEFT_RUNS,
    RUNS,
    grown_states,
    lost_cells,
    measure_bounds,
    measure_damage,
    measure_drift,
    measure_growing,
    measure_left,
    measure_lift,
    target_masks,
)
from tfnca.measures.progress import SILENT, Bar, Progress, Silent

WOUNDS_PER_RUN = 4
"""Number of wounds per run: with one each in 16 runs, the fraction that heals is known to ±0.12."""


def measure_base(
    step: Step,
    target: np.ndarray,
    runs: int = RUNS,
    at: Sequence[int] = HORIZONS,
    progress: Progress = Silent,
) -> dict[str, Any]:
    """Measures a CA that grows a picture, from the seed, from its grown pattern, and after damage.

    Returns:
        Dictionary: ``runs``; ``mean_square_of_target``; ``from_seed`` and ``from_grown``, rows of
        `measure_growing`; ``damaged_at_200``, the result of `measure_damage` with four wounds per
        run; ``bounds``, the result of `measure_bounds`.
    """
    check_step(step, PICTURE, ALONE)
    check_target("target", target)
    check_ascending(at)
    size, bar = target.shape[:2], progress(200 + 2 * at[-1] + 1500)
    wounds = WOUNDS_PER_RUN * runs
    seeds = seed_state(size, runs, step.channels)
    grown = grown_states(step, size, runs, seed=1, bar=bar)
    found = {
        "runs": runs,
        "mean_square_of_target": float(np.square(target).mean()),
        "from_seed": measure_growing(step, seeds, target, at, seed=1, bar=bar),
        "from_grown": measure_growing(step, grown, target, at, seed=1, first_step=200, bar=bar),
        "damaged_at_200": measure_damage(step, target, wounds, seed=1, bar=bar),
        "bounds": measure_bounds(step, size, runs, seed=1, bar=bar),
    }
    bar.close()
    return found


def measure_perturbation(
    step: Step,
    target: np.ndarray,
    plain: np.ndarray,
    runs: int = RUNS,
    at: Sequence[int] = HORIZONS,
    progress: Progress = Silent,
) -> dict[str, Any]:
    """Measures the effect of a perturbation on a CA that grows the picture `plain`.

    Returns:
        Dictionary: ``runs``; ``host``, the baseline: the host without the attack, against the same
        target, at step 500; ``from_seed`` and ``from_grown``, rows of `measure_growing`; ``left``,
        rows of `measure_left` from the grown pattern if the attack removes a part; the results of
        `measure_lift` and `measure_drift`; and the perturbation's own measures, for example the
        ``spectrum`` of a matrix.
    """
    check_step(step, PICTURE, PERTURBED)
    check_target("target", target)
    check_target("plain", plain, target.shape[:2])
    check_ascending(at)
    size, host = target.shape[:2], step.host
    drifting = min(1000, at[-1])
    part = lost_cells(plain, target)
    left = max(_left_at(part, at), default=0)
    bar = progress(200 + 500 + 2 * at[-1] + left + 1000 + drifting)
    seeds = seed_state(size, runs, host.channels)
    grown = grown_states(host, size, runs, seed=1, bar=bar)
    found = {
        "runs": runs,
        "host": measure_growing(host, seeds, target, at=(500,), seed=1, bar=bar),
        "from_seed": measure_growing(step, seeds, target, at, seed=1, bar=bar),
        "from_grown": measure_growing(step, grown, target, at, seed=1, first_step=200, bar=bar),
        **_left(step, grown, part, at, bar=bar),
        "lifted": measure_lift(step, seeds, plain, seed=1, bar=bar),
        "drift": measure_drift(step, seeds, drifting, seed=1, bar=bar),
        **step.perturbation.describe(),
    }
    bar.close()
    return found


@takes_old_names
def measure_adversary(
    step: Step,
    target: np.ndarray,
    density: float,
    region: np.ndarray | None = None,
    plain: np.ndarray | None = None,
    runs: int = RUNS,
    at: Sequence[int] = HORIZONS,
    progress: Progress = Silent,
) -> dict[str, Any]:
    """Measures the effect of adversaries on a CA that grows a picture.

    The `density` is the fraction of the allowed cells, which are the opaque ones of the picture
    `region` (see `region_picture`), or of the target if it is None. Give `plain`, the picture that
    the host grows, to find the part that the target lacks.

    Returns:
        Dictionary: ``runs``; ``density``; ``host``, rows of `measure_growing` without adversaries,
        over the same cells; ``from_grown``, rows with adversaries; ``left``, rows of
        `measure_left` if the attack removes a part.
    """
    check_step(step, PICTURE, INJECTED)
    check_target("target", target)
    check_ascending(at)
    size, host = target.shape[:2], step.host
    if plain is None:
        plain = target
    check_target("plain", plain, size)
    part = lost_cells(plain, target)
    bar = progress(200 + 500 + at[-1] + max(_left_at(part, at), default=0))
    grown = grown_states(host, size, runs, seed=1, bar=bar)
    region = target if region is None else region
    masks = np.asarray(target_masks(region, density, runs, seed=1))
    nothing = Injected(host, host)
    unattacked = measure_growing(nothing, grown, target, (500,), 1, masks, first_step=200, bar=bar)
    attacked = measure_growing(step, grown, target, at, 1, masks, first_step=200, bar=bar)
    left = _left(step, grown, part, at, masks, bar)
    bar.close()
    return {"runs": runs, "density": density, "host": unattacked, "from_grown": attacked, **left}


def _left_at(part: np.ndarray, at: Sequence[int]) -> list[int]:
    """The steps at which to measure a part's remains; none if the attack removes no part."""
    return [step for step in LEFT_AT if step <= at[-1]] if part.any() else []


def _left(
    step: Step,
    grown: np.ndarray,
    part: np.ndarray,
    at: Sequence[int],
    masks: np.ndarray | None = None,
    bar: Bar = SILENT,
) -> dict[str, Any]:
    """The entry ``left``, if there is one."""
    if not (at := _left_at(part, at)):
        return {}
    states, masks = grown[:LEFT_RUNS], None if masks is None else masks[:LEFT_RUNS]
    rows = measure_left(step, states, part, at, seed=1, mask=masks, first_step=200, bar=bar)
    return {"left": {"runs": len(states), "rows": rows}}
