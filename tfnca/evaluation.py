"""The article's claims as numbers.

Digits, in the order of the test file: a digit is right if at least half of its living cells are;
`agreement` is the share of digits whose living cells all say the same; `takeover` the share of
those that are not the target where more than half of the living cells say the target.
"""

import keras
import numpy as np

from tfnca.injection import random_mask
from tfnca.rollout import rollout, trajectory
from tfnca.state import class_logits, digit_state, is_digit_cell
from tfnca.step import Step

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
        List of dictionaries: ``step`` and the entries of `digit_measures`.
    """
    labels = digits.labels
    state = digit_state(digits.images)
    rows, now = [], 0
    for number, (steps, mask) in enumerate(phases):
        stops = [stop for stop in sorted(at) if now < stop < now + steps] + [now + steps]
        for stop in stops:
            state = rollout(step, state, stop - now, mask=mask, seed=seed, step_offset=now)
            now = stop
            rows.append({"step": now, **digit_measures(state, labels, target, mask)})
        if swap and number == 0:
            state, labels = swap_digits(state, digits.images, labels)
    return rows


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
    fresh = digit_state(images)
    alive = keras.ops.cast(is_digit_cell(fresh), "float32")
    return keras.ops.concatenate([fresh[..., :1], state[..., 1:] * alive], axis=-1), labels


def steps_until_flipped(
    step, digits, state, mask, first_step, steps, seed=0, every=2, target=TARGET_DIGIT
):
    """How long adversaries need to turn half of the living host cells.

    Args:
        step: An `Injected` of MNIST CAs.
        digits: `Digits` of which `state` is a settled state.
        state: ``(batch, height, width, channels)`` when the adversaries appear.
        mask: Where they stand, ``(batch, height, width)``.
        first_step: Number of the first step.
        steps: How long to wait.
        seed: Of fire masks and noise.
        every: Steps between two looks.
        target: What the host cells should say.

    Returns:
        Array ``(others,)`` for the digits that are not the target: steps from the adversaries'
        appearance, infinite where it never happens.
    """
    others = np.asarray(digits.labels) != target
    first = np.full(len(others), np.inf)
    hosts = keras.ops.convert_to_numpy(is_digit_cell(state))[..., 0] & (np.asarray(mask) < 0.5)
    for now, states in trajectory(
        step, state, steps, every, mask=mask, seed=seed, step_offset=first_step
    ):
        said = keras.ops.convert_to_numpy(class_logits(states)).argmax(-1)
        flipped = 2 * ((said == target) & hosts).sum((1, 2)) >= hosts.sum((1, 2))
        first[flipped & np.isinf(first)] = now - first_step
    return first[others]


def digit_mask(digits, density, seed, at_least_one=False):
    """Adversaries at random over the whole grid of each digit.

    Args:
        digits: `Digits`.
        density: Their share, in (0, 1].
        seed: Random seed.
        at_least_one: Whether each digit gets at least one on its own stroke.

    Returns:
        Tensor ``(batch, height, width)``.
    """
    everywhere = np.ones_like(digits.images, bool)
    mask = random_mask(everywhere, density, seed)
    if not at_least_one:
        return mask
    stroke = keras.ops.convert_to_numpy(is_digit_cell(digit_state(digits.images)))[..., 0]
    on_stroke = random_mask(stroke, density, seed, at_least_one=True)
    return keras.ops.where(stroke, on_stroke, mask)


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
        for name in rows[0].keys() - {"step"}:
            values = [r[name] for r in rows]
            row[name] = float(np.mean(values))
            row[f"{name}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
        summary.append(row)
    return summary


def attack_digits(host, step, digits, density=0.1, seeds=(0, 1, 2), target=TARGET_DIGIT):
    """The article's Figures 3 and 4 as numbers: 200 steps without, with, and after adversaries.

    Args:
        host: An `MNISTCA`.
        step: `Injected(host, adversary)`.
        digits: `Digits` to measure on.
        density: Share of adversaries among all pixels.
        seeds: One run each.
        target: The class the adversaries argue for.

    Returns:
        Dictionary: ``attack`` (rows at 20 … 600 steps), ``sparse`` (1 % of adversaries, at least
        one in each digit, from the start, at 200), ``steps_to_flip`` (median, and the share of
        digits that flip within 200 steps).
    """
    if not isinstance(host, Step):
        raise ValueError(f"host must be a step. Received: host={host!r}")
    attacks, thin, flips = [], [], []
    for seed in seeds:
        mask = digit_mask(digits, density, seed)
        phases = [(200, None), (200, mask), (200, None)]
        at = (20, 50, 100, 210, 220, 250, 300, 410, 420, 450, 500)
        attacks.append(measure_digits(step, digits, phases, seed, at, target))
        few = digit_mask(digits, 0.01, seed, at_least_one=True)
        thin.append(measure_digits(step, digits, [(200, few)], seed, target=target))
        settled = rollout(step, digit_state(digits.images), 200, seed=seed)
        flips.append(steps_until_flipped(step, digits, settled, mask, 200, 200, seed))
    flips = np.concatenate(flips)
    return {
        "digits": len(digits.labels),
        "seeds": list(seeds),
        "attack": mean_and_spread(attacks),
        "sparse": mean_and_spread(thin),
        "steps_to_flip": {
            "median": float(np.median(flips)),
            "share_within_200": float(np.isfinite(flips).mean()),
        },
    }
