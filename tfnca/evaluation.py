"""The article's claims as numbers.

Digits, in the order of the test file: a digit is right if at least half of its living cells are;
`agreement` is the share of digits whose living cells all say the same; `takeover` the share of
those that are not the target where more than half of the living cells say the target.
"""

import keras
import numpy as np

from tfnca.injection import Injected, random_mask
from tfnca.losses import TargetLoss, pattern_centres
from tfnca.perturbation import Perturbed
from tfnca.rollout import rollout, trajectory
from tfnca.state import (
    ALPHA,
    LIVING_THRESHOLD,
    STATE_BOUND,
    class_logits,
    digit_state,
    is_digit_cell,
    seed_state,
)

TARGET_DIGIT = 8


def digit_measures(state, labels, target=TARGET_DIGIT, mask=None):
    """What an MNIST CA's states say.

    Args:
        state: ``(batch, height, width, channels)``.
        labels: The true classes ``(batch,)``.
        target: The class that an adversary argues for.
        mask: Where adversaries stand, ``(batch, height, width)``: then the host cells' own
            accuracy and takeover are given too, since adversaries that say the target
            themselves prove nothing.

    Returns:
        Dictionary of floats in [0, 1]: ``digit_accuracy``, ``cell_accuracy`` (over all living
        cells), ``agreement``, ``takeover``, and with a mask ``host_cell_accuracy`` and
        ``host_takeover``.
    """
    labels = np.asarray(labels)
    said = keras.ops.convert_to_numpy(class_logits(state)).argmax(-1)
    alive = keras.ops.convert_to_numpy(is_digit_cell(state))[..., 0]
    count = alive.sum((1, 2))
    right = (said == labels[:, None, None]) & alive
    low = np.where(alive, said, 99).min((1, 2))
    high = np.where(alive, said, -1).max((1, 2))
    others = labels != target
    measures = {
        "digit_accuracy": np.mean(2 * right.sum((1, 2)) >= count),
        "cell_accuracy": right.sum() / max(count.sum(), 1),
        "agreement": np.mean(low == high),
        "takeover": _share_taken(said, alive, target, others),
    }
    if mask is not None:
        hosts = alive & (np.asarray(mask) < 0.5)
        measures["host_cell_accuracy"] = (right & hosts).sum() / max(hosts.sum(), 1)
        measures["host_takeover"] = _share_taken(said, hosts, target, others)
    return {name: float(value) for name, value in measures.items()}


def _share_taken(said, cells, target, others):
    """Share of the `others` items where more than half of the `cells` say the target."""
    taken = 2 * ((said == target) & cells).sum((1, 2)) > cells.sum((1, 2))
    return taken[others].mean() if others.any() else float("nan")


def measure_digits(step, digits, phases, seed=0, at=(), target=TARGET_DIGIT, swap=False):
    """Runs digits through phases with and without adversaries, measuring on the way.

    Args:
        step: An `MNISTCA`, or an `Injected` of them.
        digits: `Digits`.
        phases: Pairs ``(steps, mask)``; the mask is None where no adversary stands.
        seed: Of fire masks and noise.
        at: Numbers of the steps to measure at, besides the end of each phase.
        target: See `digit_measures`.
        swap: Whether at the first phase's end item i gets image i + 1, its state kept where the
            new digit lives, as in training; later measures are against the new labels.

    Returns:
        List of dictionaries: ``step`` and the entries of `digit_measures`; with a mask also
        ``flipped``, the share of the other digits of which half of the living host cells have
        said the target at some measured step since the mask came on.
    """
    labels = digits.labels
    state = digit_state(digits.images, step.channels)
    rows, now = [], 0
    for number, (steps, mask) in enumerate(phases):
        flipped = np.zeros(len(labels), bool)
        stops = [stop for stop in sorted(set(at)) if now < stop < now + steps] + [now + steps]
        for stop in stops:
            state = rollout(step, state, stop - now, mask=mask, seed=seed, step_offset=now)
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


def has_flipped(state, mask, target=TARGET_DIGIT):
    """Of which items half of the living host cells, one at least, say the target.

    Args:
        state: ``(batch, height, width, channels)``.
        mask: Where adversaries stand, ``(batch, height, width)``.
        target: The class.

    Returns:
        Boolean array ``(batch,)``.
    """
    said = keras.ops.convert_to_numpy(class_logits(state)).argmax(-1)
    hosts = keras.ops.convert_to_numpy(is_digit_cell(state))[..., 0] & (np.asarray(mask) < 0.5)
    count = hosts.sum((1, 2))
    return (2 * ((said == target) & hosts).sum((1, 2)) >= count) & (count > 0)


def swap_digits(state, images, labels):
    """Item i gets image i + 1; its state is kept where the new digit lives.

    Args:
        state: ``(batch, height, width, channels)``.
        images: The digits, ``(batch, height, width)``.
        labels: Their classes, ``(batch,)``.

    Returns:
        The new states and labels.
    """
    images, labels = np.roll(images, -1, axis=0), np.roll(labels, -1)
    fresh = digit_state(images, state.shape[-1])
    alive = keras.ops.cast(is_digit_cell(fresh), "float32")
    return keras.ops.concatenate([fresh[..., :1], state[..., 1:] * alive], axis=-1), labels


def digit_mask(digits, density, seed, at_least_one=False):
    """Adversaries at random over the whole grid of each digit.

    Args:
        digits: `Digits`.
        density: Their share, in (0, 1].
        seed: Random seed.
        at_least_one: Whether a mask without an adversary on the digit's own stroke is drawn anew;
            an image without a stroke keeps its first.

    Returns:
        Tensor ``(batch, height, width)``.
    """
    stroke = keras.ops.convert_to_numpy(is_digit_cell(digit_state(digits.images)))[..., 0]
    everywhere = np.ones_like(stroke)
    mask = random_mask(everywhere, density, seed)
    index = 0
    inked = stroke.any((1, 2))
    while at_least_one and (empty := inked & ~(np.asarray(mask) * stroke).any((1, 2))).any():
        index += 1
        redrawn = random_mask(everywhere, density, seed, index)
        mask = keras.ops.where(empty[:, None, None], redrawn, mask)
    return mask


def mean_and_spread(runs):
    """Mean and standard deviation over seeds of lists of measures.

    Args:
        runs: One list of dictionaries per seed, all alike.

    Returns:
        One such list, with ``name`` and ``name_sd`` in each dictionary.
    """
    summary = []
    for rows in zip(*runs, strict=True):
        row = {"step": rows[0]["step"]}
        for name in [name for name in rows[0] if name != "step"]:
            values = [r[name] for r in rows]
            row[name] = float(np.mean(values))
            row[f"{name}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        summary.append(row)
    return summary


def attack_digits(step, digits, density=0.1, seeds=(0, 1, 2), target=TARGET_DIGIT):
    """The article's Figures 3 and 4 as numbers: 200 steps without, with, and after adversaries.

    Args:
        step: `Injected(host, adversary)` of MNIST CAs.
        digits: `Digits` to measure on.
        density: Share of adversaries among all pixels.
        seeds: One run each.
        target: The class the adversaries argue for.

    Returns:
        Dictionary: ``attack`` (rows of `mean_and_spread` every 10 steps to 600, and every 2 in
        the first 60 with adversaries), ``sparse`` (1 % of adversaries, at least one in each
        digit, from the start, at 200), and ``steps_to_flip``: the step after their appearance
        by which half of the digits that are not the target have flipped, None if never.
    """
    at = [*range(10, 600, 10), *range(202, 260, 2)]
    attacks, thin = [], []
    for seed in seeds:
        mask = digit_mask(digits, density, seed)
        phases = [(200, None), (200, mask), (200, None)]
        attacks.append(measure_digits(step, digits, phases, seed, at, target))
        few = digit_mask(digits, 0.01, seed, at_least_one=True)
        thin.append(measure_digits(step, digits, [(200, few)], seed, target=target))
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


def base_digits(step, digits, seeds=(0, 1, 2), horizon=1000):
    """What a self-classifying MNIST CA does when nobody attacks it.

    Args:
        step: An `MNISTCA`.
        digits: `Digits` to measure on.
        seeds: One run each.
        horizon: CA steps in all, 200 or more.

    Returns:
        Dictionary: ``digits``, their number; ``seeds``; ``base``, rows of `mean_and_spread` at
        20, 50, 200 and `horizon` steps; ``swapped``, at 200 steps, when each digit is swapped under
        its settled state, and 200 steps later.
    """
    base, swapped = [], []
    for seed in seeds:
        base.append(measure_digits(step, digits, [(horizon, None)], seed, at=(20, 50, 200)))
        swapped.append(measure_digits(step, digits, [(200, None), (200, None)], seed, swap=True))
    return {
        "digits": len(digits.labels),
        "seeds": list(seeds),
        "base": mean_and_spread(base),
        "swapped": mean_and_spread(swapped),
    }


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


def measure_bounds(host, size, runs=16, steps=500, seed=0, every=4):
    """How large a Growing CA's values get, and what a perturbation's clip at ±3 does to it.

    A perturbation clips before each step, the identity too: on a host that stays within the
    bound it does nothing, on any other it is damage that each matrix must first undo.

    Args:
        host: A `GrowingCA`.
        size: ``(height, width)`` of the grid.
        runs: Number of runs from the seed.
        steps: CA steps; the first 200 count as growing.
        seed: Of the fire masks.
        every: Steps between two looks at the state.

    Returns:
        Dictionary: ``runs``; ``growing`` and ``grown``, the largest absolute value of any channel
        up to step 200 and after it; ``beyond``, the share of the living cells' values beyond ±3
        at the end; ``identity``, the median and worst mean squared difference of RGBA between the
        runs under the identity and without it, same fire masks.
    """
    seeds = seed_state(size, runs, host.channels)
    largest = {"growing": 0.0, "grown": 0.0}
    for now, state in trajectory(host, seeds, steps, every, seed=seed):
        values = np.abs(_bounded(state))
        phase = "growing" if now <= 200 else "grown"
        largest[phase] = max(largest[phase], float(values.max()))
    living = values[..., ALPHA] > LIVING_THRESHOLD
    beyond = values[living] > STATE_BOUND
    clipped = rollout(Perturbed(host), seeds, steps, seed=seed)
    costs = np.square(_bounded(clipped) - _bounded(state))[..., : ALPHA + 1].mean((1, 2, 3))
    return {
        "runs": runs,
        **largest,
        "beyond": float(beyond.mean()) if beyond.size else 0.0,
        "identity": {"median": float(np.median(costs)), "worst": float(costs.max())},
    }


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
        `measure_growing`; ``damaged_at_200``, what `measure_damage` gives; ``bounds``, what
        `measure_bounds` gives.
    """
    size = target.shape[:2]
    seeds, grown = seed_state(size, RUNS, step.channels), grown_states(step, size, RUNS, seed=1)
    return {
        "runs": RUNS,
        "mean_square_of_target": float(np.square(target).mean()),
        "from_seed": measure_growing(step, seeds, target, seed=1),
        "from_grown": measure_growing(step, grown, target, seed=1, first_step=200),
        "damaged_at_200": measure_damage(step, target, RUNS, seed=1),
        "bounds": measure_bounds(step, size, RUNS, seed=1),
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
