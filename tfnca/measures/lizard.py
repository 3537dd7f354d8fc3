"""Measures of pictures that grow: MSE against a picture, repair of damage, recovery, drift.

They share these arguments:

- `step`: a CA that grows a picture, or an attack on one; `host`: a CA without an attack.
- `state`: the initial states, ``(runs, height, width, channels)``.
- `target`, and `plain`, the picture that the host grows: premultiplied RGBA ``(height, width, 4)``.
- `at`: numbers of steps after which to measure, in ascending order.
- `seed`: random seed of the fire masks, and of everything else that is drawn.
- `mask`: positions of the adversaries, ``(runs, height, width)``.
- `first_step`: the number of the run's first step.
- `bar`: see `tfnca.measures.progress.advance`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfnca.automata.checks import check_target
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD, STATE_BOUND, seed_state
from tfnca.automata.step import Step
from tfnca.engines.rollout import rollout, trajectory
from tfnca.measures.checks import (
    ALONE,
    ATTACKED,
    PICTURE,
    check_ascending,
    check_mask_given,
    check_step,
)
from tfnca.measures.progress import SILENT, Bar, advance
from tfnca.measures.task import bounded, circles, drift_rows, measure_rows, median, states_at
from tfnca.tasks.pattern import (
    PatternTask,
    host_cell_errors,
    lost_cells,
    region_picture,
    shifted_errors,
    target_masks,
)
from tfnca.training.batch import Batch

__all__ = [
    "grown_states",
    "host_cell_errors",
    "lost_cells",
    "measure_bounds",
    "measure_damage",
    "measure_drift",
    "measure_growing",
    "measure_left",
    "measure_lift",
    "measure_strengths",
    "region_picture",
    "shifted_errors",
    "target_masks",
]

HORIZONS = (96, 200, 500, 1000, 5000)
"""CA steps at which a lizard is measured; rollouts in training are shorter than the first."""

RUNS = 16
"""Number of runs behind each number about a lizard."""


def grown_states(
    host: Step,
    size: tuple[int, int],
    runs: int = 16,
    seed: int = 0,
    steps: int = 200,
    bar: Bar = SILENT,
) -> tf.Tensor:
    """Grows a pattern from the seed on a grid ``(height, width)``, once for each run."""
    check_step(host, PICTURE, name="host")
    return advance(host, seed_state(size, runs, host.channels), steps, bar, seed=seed)


def measure_growing(
    step: Step,
    state: tf.Tensor | np.ndarray,
    target: np.ndarray,
    at: Sequence[int] = HORIZONS,
    seed: int = 0,
    mask: np.ndarray | None = None,
    first_step: int = 0,
    bar: Bar = SILENT,
) -> list[dict[str, Any]]:
    """Measures the error of patterns against a target at several steps of a run.

    Returns:
        List of dictionaries: ``step``; ``median``, ``mean`` and ``worst`` mean squared RGBA
        error; ``shifted_median``, after the best shift; ``success``, the fraction of runs
        whose error is at most 0.0005; ``dead``, how many grids are empty. With a mask also
        ``host_median`` and ``host_worst``, the error over the cells that are opaque in target or
        state and not adversaries.
    """
    check_step(step, PICTURE)
    check_mask_given(step, mask)
    check_ascending(at)
    task = PatternTask(check_target("target", target, np.shape(state)[1:3]))
    return measure_rows(step, task, Batch(state=state, mask=mask), at, seed, first_step, bar)


def measure_damage(
    step: Step,
    target: np.ndarray,
    runs: int = 16,
    radius: float = 0.4,
    seed: int = 0,
    bar: Bar = SILENT,
) -> dict[str, Any]:
    """Measures whether a grown pattern repairs a hole.

    In each run, a circle around a random cell of the target is cleared at step 200, and the run
    continues to step 500. The radius is in grid coordinates [-1, 1].

    Returns:
        Dictionary: ``runs``, ``radius``; ``damaged`` and ``repaired``, the median and worst error
        just after the damage and at step 500; ``below``, the number of runs whose error at step
        500 is below 0.0005.

    Reference:
        The Growing CA article's regenerating regime.
    """
    check_step(step, PICTURE, ALONE)
    check_target("target", target)
    size = target.shape[:2]
    body = np.repeat(target[None, ..., ALPHA] > LIVING_THRESHOLD, runs, axis=0)
    outside = ~circles(body, radius, np.random.default_rng(seed))
    state = np.asarray(grown_states(step, size, runs, seed, bar=bar)) * outside[..., None]
    found: dict[str, Any] = {"runs": runs, "radius": radius}
    for name, steps in (("damaged", 0), ("repaired", 300)):
        state = advance(step, state, steps, bar, seed=seed, step_offset=200)
        errors = np.square(bounded(state)[..., : ALPHA + 1] - target).mean((1, 2, 3))
        found[name] = {"median": float(np.median(errors)), "worst": float(errors.max())}
    return found | {"below": int((errors < 0.0005).sum())}


def measure_bounds(
    host: Step,
    size: tuple[int, int],
    runs: int = 16,
    steps: int = 500,
    seed: int = 0,
    every: int = 4,
    bar: Bar = SILENT,
) -> dict[str, Any]:
    """Measures how large the values of a growing CA get, and the effect of clipping them at ±3.

    Every perturbation clips the state before each step, even the identity matrix. If the host's
    values stay within ±3, the clip changes nothing. Otherwise it damages the pattern, and each
    matrix must first undo that damage.

    It runs from the seed on a grid of `size`, ``(height, width)``, and looks at the state every few
    steps. The first 200 steps count as growing.

    Returns:
        Dictionary: ``runs``; ``growing`` and ``grown``, the largest absolute value of any channel
        up to step 200 and after it; ``beyond``, the fraction of the living cells' values beyond
        ±3 at the end; ``identity``, the median and worst mean squared RGBA difference between
        runs with the identity matrix and runs without it, with the same fire masks.
    """
    check_step(host, PICTURE, ALONE, "host")
    seeds = seed_state(size, runs, host.channels)
    largest = {"growing": 0.0, "grown": 0.0}
    for now, state in trajectory(host, seeds, steps, every, seed=seed):
        values = np.abs(bounded(state))
        phase = "growing" if now <= 200 else "grown"
        largest[phase] = max(largest[phase], float(values.max()))
    living = values[..., ALPHA] > LIVING_THRESHOLD
    beyond = values[living] > STATE_BOUND
    bar.update(steps)
    clipped = advance(Perturbed(host), seeds, steps, bar, seed=seed)
    costs = np.square(bounded(clipped) - bounded(state))[..., : ALPHA + 1].mean((1, 2, 3))
    return {
        "runs": runs,
        **largest,
        "beyond": float(beyond.mean()) if beyond.size else 0.0,
        "identity": {"median": float(np.median(costs)), "worst": float(costs.max())},
    }


def measure_lift(
    step: Step,
    state: tf.Tensor | np.ndarray,
    plain: np.ndarray,
    on: int = 500,
    off: int = 500,
    seed: int = 0,
    tolerance: float = 0.0005,
    mask: np.ndarray | None = None,
    first_step: int = 0,
    bar: Bar = SILENT,
) -> dict[str, Any]:
    """Measures whether a pattern recovers after an attack, which runs for `on` steps, is removed.

    The host then runs alone for `off` steps. A run has recovered if its error after the best shift
    is at most `tolerance`.

    Returns:
        Dictionary: ``runs``; ``back``, the number of runs that have recovered; ``dead``, the
        number of empty grids; ``shifted``, all errors after the best shift, in ascending order.

    Reference:
        The article's Figure 11: perturbations are switched off at step 500.
    """
    check_step(step, PICTURE, ATTACKED)
    check_mask_given(step, mask)
    check_target("plain", plain, np.shape(state)[1:3])
    of_run = {"mask": mask, "seed": seed, "step_offset": first_step, "first_age": 0}
    state = advance(step, state, on, bar, **of_run)
    state = advance(step.host, state, off, bar, seed=seed, step_offset=first_step + on)
    errors = np.sort(shifted_errors(bounded(state), plain))
    return {
        "runs": len(errors),
        "back": int((errors <= tolerance).sum()),
        "dead": int((np.asarray(state) == 0).all((1, 2, 3)).sum()),
        "shifted": [float(error) for error in errors],
    }


def measure_drift(
    step: Step,
    state: tf.Tensor | np.ndarray,
    steps: int,
    every: int = 100,
    seed: int = 0,
    bar: Bar = SILENT,
) -> list[dict[str, Any]]:
    """Measures the drift and the size of a pattern every few steps.

    Returns:
        List of dictionaries with medians over the living runs: ``step``; ``drift``, the distance
        in cells that the centre of mass of alpha has moved since the last measurement; ``away``,
        its distance from the first measurement; ``cells``, the number of cells with alpha above
        0.1; and ``dead``, the number of empty grids.
    """
    check_step(step, PICTURE)
    check_mask_given(step, None)
    task = PatternTask(np.zeros((*np.shape(state)[1:3], ALPHA + 1)))
    rows = []
    for row, values in drift_rows(step, task, Batch(state=state), steps, every, seed, bar):
        alpha = np.clip(values[..., ALPHA], 0.0, 1.0)
        cells = (alpha > LIVING_THRESHOLD).sum((1, 2))
        row["cells"] = median(np.where(alpha.sum((1, 2)) > 0, cells, np.nan))
        rows.append(row | {"dead": int((values == 0).all((1, 2, 3)).sum())})
    return rows


def measure_strengths(
    host: Step,
    perturbation: StatePerturbation,
    cells: np.ndarray,
    strengths: Sequence[float],
    runs: int = 16,
    steps: int = 500,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """Measures how much of a part remains at several strengths k of a perturbation, from the seed.

    `cells` are the part's, booleans ``(height, width)``: see `lost_cells`.

    Returns:
        List of dictionaries: ``k``; ``alpha``, the mean alpha over the cells and runs;
        ``alpha_sd``, its standard deviation over the runs; ``cells``, the number of cells with
        alpha above 0.1, the median over the living runs; and ``dead``, the number of empty grids.

    Reference:
        The article's Figure 12.
    """
    check_step(host, PICTURE, ALONE, "host")
    if not isinstance(perturbation, StatePerturbation):
        raise ValueError(
            f"perturbation must be a StatePerturbation. Received: {type(perturbation).__name__}"
        )
    if np.ndim(cells) != 2 or np.asarray(cells).dtype != bool or not np.any(cells):
        raise ValueError(
            "cells must be a boolean grid (height, width) with at least one true cell, for example "
            f"from lost_cells. Received: shape={np.shape(cells)}"
        )
    rows = []
    for k in strengths:
        step = Perturbed(host, perturbation.scaled(k))
        state = rollout(step, seed_state(cells.shape, runs, host.channels), steps, seed=seed)
        alpha = np.asarray(state)[..., ALPHA]
        size = (alpha > LIVING_THRESHOLD).sum((1, 2))
        part = alpha[:, cells].mean(1)
        rows.append(
            {
                "k": float(k),
                "alpha": float(part.mean()),
                "alpha_sd": float(part.std(ddof=1)),
                "cells": median(np.where(size > 0, size, np.nan)),
                "dead": int((np.asarray(state) == 0).all((1, 2, 3)).sum()),
            }
        )
    return rows


LEFT_AT, LEFT_RUNS = (500, 1500), 8
"""The steps and the number of runs at which the remains of a removed part are measured."""


def measure_left(
    step: Step,
    state: tf.Tensor | np.ndarray,
    cells: np.ndarray,
    at: Sequence[int] = LEFT_AT,
    seed: int = 0,
    mask: np.ndarray | None = None,
    first_step: int = 0,
    bar: Bar = SILENT,
) -> list[dict[str, Any]]:
    """Measures the remains of a part that an attack should remove, for example of a tail.

    They change the MSE very little, because they are a few cells of a whole pattern, but a viewer
    notices them first. `cells` are the part's, booleans ``(height, width)``: see `lost_cells`.

    Returns:
        List of dictionaries: ``step``; ``alpha``, the mean alpha over the cells, as the median of
        the runs; ``alpha_worst``, the largest. The whole part has about 0.8, because its rim is not
        opaque. An empty grid has 0.
    """
    rows = []
    for now, after in states_at(step, Batch(state=state, mask=mask), at, seed, first_step, bar):
        left = np.clip(after[..., ALPHA], 0.0, 1.0)[:, cells].mean(1)
        rows.append(
            {"step": now, "alpha": float(np.median(left)), "alpha_worst": float(left.max())}
        )
    return rows


MEASURED_PADDING = 16
"""Empty cells around a 40-cell target in measurements, whatever the padding in training."""
