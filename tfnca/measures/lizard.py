"""What a Growing CA does, as numbers: errors against a picture, damage, lifting, drift."""

import keras
import numpy as np

from tfnca.automata.injection import Injected
from tfnca.automata.masks import random_mask
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.state import (
    ALPHA,
    LIVING_THRESHOLD,
    seed_state,
)
from tfnca.engines.rollout import rollout, trajectory
from tfnca.training.losses import TargetLoss, pattern_centres

HORIZONS = (96, 200, 500, 1000, 5000)
"""CA steps at which a lizard is measured; training ends its rollouts before the first."""

RUNS = 16
"""Runs that a lizard's figure rests on."""

_FAR = 1e6
"""What a channel that has run away counts as."""


def grown_states(host, size, runs=16, seed=0, steps=200):
    """A Growing CA's pattern after `steps` steps from the seed.

    Args:
        host: A `GrowingCA`.
        size: ``(height, width)`` of the grid.
        runs: Number of items, each with fire masks of its own.
        seed: Random seed.
        steps: CA steps.

    Returns:
        Tensor ``(runs, height, width, channels)``.
    """
    return rollout(host, seed_state(size, runs, host.channels), steps, seed=seed)


def shifted_errors(state, target):
    """Each item's mean squared RGBA error after the whole-cell shift that makes it least.

    Args:
        state: ``(batch, height, width, channels)``.
        target: Premultiplied RGBA ``(height, width, 4)``.

    Returns:
        Array ``(batch,)``.
    """
    state = np.asarray(keras.ops.convert_to_numpy(state)[..., : ALPHA + 1], np.float64)
    target = np.asarray(target, np.float64)
    # |s - t|² = |s|² + |t|² - 2 s·t, the last for all cyclic shifts at once.
    product = np.fft.rfft2(state, axes=(1, 2)) * np.conj(np.fft.rfft2(target, axes=(0, 1)))
    overlap = np.fft.irfft2(product.sum(-1), s=target.shape[:2], axes=(1, 2)).max((1, 2))
    total = (state**2).sum((1, 2, 3)) + (target**2).sum() - 2 * overlap
    return np.maximum(total, 0.0) / target.size


def measure_growing(step, state, target, at=HORIZONS, seed=0, mask=None, first_step=0):
    """How far patterns are from a target along a run.

    Args:
        step: A `GrowingCA`, `Injected` or `Perturbed`.
        state: Where the runs start, ``(runs, height, width, channels)``.
        target: Premultiplied RGBA ``(height, width, 4)``.
        at: Numbers of steps after which to measure, ascending.
        seed: Of the fire masks.
        mask: Where adversaries stand, ``(runs, height, width)``: then ``host_median`` and
            ``host_worst`` give the error over the opaque cells (of target or state) that are
            not adversaries.
        first_step: Number of the run's first step.

    Returns:
        List of dictionaries: ``step``; ``median``, ``mean`` and ``worst`` mean squared RGBA
        error; ``shifted_median``, after the best shift; ``dead``, how many grids are empty.
    """
    target = TargetLoss(target).target
    rows, now = [], 0
    for stop in at:
        state = rollout(step, state, stop - now, mask=mask, seed=seed, step_offset=first_step + now)
        now = stop
        values = _bounded(state)
        errors = np.square(values[..., : ALPHA + 1] - target).mean((1, 2, 3))
        row = {
            "step": now,
            "median": float(np.median(errors)),
            "mean": float(np.mean(errors)),
            "worst": float(np.max(errors)),
            "shifted_median": float(np.median(shifted_errors(values, target))),
            "dead": int((values == 0).all((1, 2, 3)).sum()),
        }
        if mask is not None:
            own = host_cell_errors(values, target, mask)
            row |= {"host_median": float(np.nanmedian(own)), "host_worst": float(np.nanmax(own))}
        rows.append(row)
    return rows


def _bounded(state):
    """A state for measuring: a run that has left all bounds gives large errors, not NaN."""
    values = keras.ops.convert_to_numpy(state).astype(np.float64)
    return np.clip(np.nan_to_num(values, nan=_FAR), -_FAR, _FAR)


def host_cell_errors(state, target, mask):
    """Each item's mean squared RGBA error over its own opaque cells, adversaries left out.

    Args:
        state: Array ``(batch, height, width, channels)``.
        target: Premultiplied RGBA ``(height, width, 4)``.
        mask: Where adversaries stand, ``(batch, height, width)``.

    Returns:
        Array ``(batch,)``: over cells where target or state has alpha above 0.1; NaN where all
        of them are adversaries.
    """
    opaque = (state[..., ALPHA] > LIVING_THRESHOLD) | (target[..., ALPHA] > LIVING_THRESHOLD)
    cells = opaque & (np.asarray(mask) < 0.5)
    errors = np.square(state[..., : ALPHA + 1] - target).mean(-1)
    count = cells.sum((1, 2))
    return np.where(count > 0, (errors * cells).sum((1, 2)) / np.maximum(count, 1), np.nan)


def measure_damage(step, target, runs=16, radius=0.4, seed=0):
    """Whether a grown pattern repairs a hole.

    Args:
        step: A `GrowingCA`.
        target: What it grows, premultiplied RGBA ``(height, width, 4)``.
        runs: Number of runs; each is damaged at step 200 by a circle around a random cell of its
            target and goes on to step 500.
        radius: Of the circle, the grid spanning [-1, 1]².
        seed: Of fire masks and circles.

    Returns:
        Dictionary: ``runs``, ``radius``; ``damaged`` and ``repaired``, the median and worst error
        just after the damage and at step 500; ``below``, in how many runs the latter is below
        0.0005.

    Reference:
        The Growing CA article's regenerating regime.
    """
    size = target.shape[:2]
    generator = np.random.default_rng(seed)
    body = np.argwhere(target[..., ALPHA] > LIVING_THRESHOLD)
    centres = body[generator.integers(len(body), size=runs)]
    rows, columns = np.indices(size)
    away = [
        (2 * (axis - centres[:, i, None, None]) / (size[i] - 1)) ** 2
        for i, axis in enumerate((rows, columns))
    ]
    outside = sum(away) >= radius**2
    state = np.asarray(grown_states(step, size, runs, seed)) * outside[..., None]
    found = {"runs": runs, "radius": radius}
    for name, steps in (("damaged", 0), ("repaired", 300)):
        state = rollout(step, state, steps, seed=seed, step_offset=200)
        errors = np.square(_bounded(state)[..., : ALPHA + 1] - target).mean((1, 2, 3))
        found[name] = {"median": float(np.median(errors)), "worst": float(errors.max())}
    return found | {"below": int((errors < 0.0005).sum())}


def measure_lift(
    step, state, plain, on=500, off=500, seed=0, tolerance=0.0005, mask=None, first_step=0
):
    """Whether a pattern comes back once an attack is lifted.

    Args:
        step: A `Perturbed` or `Injected`.
        state: Where the runs start, ``(runs, height, width, channels)``.
        plain: What the host grows, premultiplied RGBA ``(height, width, 4)``.
        on: Steps under attack.
        off: Steps of the host alone that follow.
        seed: Of the fire masks.
        tolerance: A run is back if its error is at most this, after the best shift.
        mask: Where adversaries stand, ``(runs, height, width)``.
        first_step: Number of the run's first step.

    Returns:
        Dictionary: ``runs``; ``back``, how many are back; ``dead``, how many grids are empty;
        ``shifted``, all errors after the best shift, ascending.

    Reference:
        The article's Figure 11: perturbations are switched off at step 500.
    """
    state = rollout(step, state, on, mask=mask, seed=seed, step_offset=first_step)
    state = rollout(step.host, state, off, seed=seed, step_offset=first_step + on)
    errors = np.sort(shifted_errors(_bounded(state), plain))
    return {
        "runs": len(errors),
        "back": int((errors <= tolerance).sum()),
        "dead": int((np.asarray(state) == 0).all((1, 2, 3)).sum()),
        "shifted": [float(error) for error in errors],
    }


def measure_drift(step, state, steps, every=100, seed=0):
    """How a pattern wanders and how large it is.

    Args:
        step: Any step of Growing CAs that takes no mask.
        state: Where the runs start, ``(runs, height, width, channels)``.
        steps: CA steps.
        every: Steps between two measures.
        seed: Of the fire masks.

    Returns:
        List of dictionaries, medians over the runs that live: ``step``; ``drift``, how far the
        centre of mass of alpha moved since the measure before, in cells; ``away``, how far it is
        from where it was at the first; ``cells``, how many have alpha above 0.1; and ``dead``.
    """
    rows, before, first = [], None, None
    for now, values in trajectory(step, state, steps, every, seed=seed):
        alpha = np.clip(np.asarray(values)[..., ALPHA], 0.0, 1.0)
        total = alpha.sum((1, 2))
        centre = np.where(total[:, None] > 0, np.asarray(pattern_centres(values)), np.nan)
        if now == 0:
            continue  # a seed's own place says nothing about the pattern's
        first = centre if first is None else first
        before = first if before is None else before
        cells = (alpha > LIVING_THRESHOLD).sum((1, 2))
        rows.append(
            {
                "step": now,
                "drift": _median(np.linalg.norm(centre - before, axis=1)),
                "away": _median(np.linalg.norm(centre - first, axis=1)),
                "cells": _median(np.where(total > 0, cells, np.nan)),
                "dead": int((np.asarray(values) == 0).all((1, 2, 3)).sum()),
            }
        )
        before = centre
    return rows


def _median(values):
    """The median of the finite values; 0 where there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else 0.0


def measure_base(step, target):
    """What a Growing CA reaches: from its seed, from its grown pattern, and after damage.

    Args:
        step: A `GrowingCA`.
        target: What it grows, premultiplied RGBA ``(height, width, 4)``.

    Returns:
        Dictionary: ``runs``; ``mean_square_of_target``; ``from_seed`` and ``from_grown``, rows of
        `measure_growing`; ``damaged_at_200``, what `measure_damage` gives.
    """
    size = target.shape[:2]
    seeds, grown = seed_state(size, RUNS, step.channels), grown_states(step, size, RUNS, seed=1)
    return {
        "runs": RUNS,
        "mean_square_of_target": float(np.square(target).mean()),
        "from_seed": measure_growing(step, seeds, target, seed=1),
        "from_grown": measure_growing(step, grown, target, seed=1, first_step=200),
        "damaged_at_200": measure_damage(step, target, RUNS, seed=1),
    }


def measure_perturbation(step, target, plain):
    """What a perturbation reaches.

    Args:
        step: A `Perturbed` Growing CA.
        target: What it should become, premultiplied RGBA ``(height, width, 4)``.
        plain: What the host grows.

    Returns:
        Dictionary: ``runs``; ``host``, the host unattacked against the same target, at 500 steps;
        ``from_seed`` and ``from_grown``, rows of `measure_growing`; and what `measure_lift`,
        `measure_drift` and `Perturbation.spectrum` give.
    """
    size, host = target.shape[:2], step.host
    seeds, grown = seed_state(size, RUNS, host.channels), grown_states(host, size, RUNS, seed=1)
    return {
        "runs": RUNS,
        "host": measure_growing(host, seeds, target, at=(500,), seed=1),
        "from_seed": measure_growing(step, seeds, target, seed=1),
        "from_grown": measure_growing(step, grown, target, seed=1, first_step=200),
        "lifted": measure_lift(step, seeds, plain, seed=1),
        "drift": measure_drift(step, seeds, 1000, seed=1),
        "spectrum": step.perturbation.spectrum().tolist(),
    }


def measure_adversary(step, target, density):
    """What adversaries of a Growing CA reach.

    Args:
        step: `Injected(host, adversary)` of Growing CAs.
        target: What they should make of it, premultiplied RGBA ``(height, width, 4)``.
        density: Their share of the target's cells.

    Returns:
        Dictionary: ``runs``; ``density``; ``host``, rows of `measure_growing` of the host without
        adversaries, the same cells left out; ``from_grown``, those with them.
    """
    size, host = target.shape[:2], step.host
    grown = grown_states(host, size, RUNS, seed=1)
    masks = np.asarray(target_masks(target, density, RUNS, seed=1))
    nothing = Injected(host, host)
    return {
        "runs": RUNS,
        "density": density,
        "host": measure_growing(nothing, grown, target, (500,), 1, masks, first_step=200),
        "from_grown": measure_growing(step, grown, target, seed=1, mask=masks, first_step=200),
    }


def target_masks(target, density, runs, seed):
    """Adversaries on a picture's cells with alpha of at least 0.1, ``(runs, height, width)``."""
    where = np.asarray(target)[..., ALPHA] >= LIVING_THRESHOLD
    return random_mask(np.repeat(where[None], runs, axis=0), density, seed)


def measure_strengths(host, perturbation, cells, strengths, runs=16, steps=500, seed=0):
    """How much of a part is left at several strengths of a perturbation.

    Args:
        host: A `GrowingCA`.
        perturbation: A `Perturbation`.
        cells: The part's cells, boolean ``(height, width)``: see `lost_cells`.
        strengths: Values of k.
        runs: Number of runs from the seed.
        steps: CA steps.
        seed: Of the fire masks.

    Returns:
        List of dictionaries: ``k``; ``alpha``, the mean alpha over the cells and runs;
        ``alpha_sd``, its standard deviation over the runs; ``cells``, how many have alpha above
        0.1, the median over the runs that live; and ``dead``, how many grids are empty.

    Reference:
        The article's Figure 12.
    """
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
                "cells": _median(np.where(size > 0, size, np.nan)),
                "dead": int((np.asarray(state) == 0).all((1, 2, 3)).sum()),
            }
        )
    return rows


def lost_cells(plain, target):
    """The cells that a picture has and its mutation lacks (alpha 0.1), ``(height, width)``."""
    plain, target = np.asarray(plain), np.asarray(target)
    return (plain[..., ALPHA] > LIVING_THRESHOLD) & (target[..., ALPHA] <= LIVING_THRESHOLD)


MEASURED_PADDING = 16
"""Empty cells around a 40-cell target when it is measured, whatever it was trained with."""
