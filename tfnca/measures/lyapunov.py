"""Stability as a number: how fast two runs with the same draws move apart."""

from typing import Any

import numpy as np

from tfnca.automata.checks import check_integer, check_number
from tfnca.automata.randomness import new_seed
from tfnca.automata.step import Step
from tfnca.engines.rollout import rollout
from tfnca.measures.progress import SILENT, Bar
from tfnca.types import Array


def lyapunov(
    step: Step,
    state: Array,
    steps: int = 200,
    every: int = 10,
    distance: float = 1e-4,
    seed: int | None = None,
    step_offset: int = 0,
    settle: int = 50,
    bar: Bar = SILENT,
    **given: Any,
) -> np.ndarray:
    """The leading Lyapunov exponent of each item's run: the rate at which a small error grows.

    A twin of each run begins a small distance away, in a random direction, and makes the same
    random draws. Every few steps its distance is measured and brought back to the initial one. The
    exponent is the mean logarithm of that growth, per step. Below 0, the run forgets small errors;
    above 0, it amplifies them.

    A cell that crosses the threshold of life in one run and not in its twin is a jump, so in a CA
    whose cells die the exponent depends on the distance.

    Args:
        step: Any step.
        state: Initial states, ``(batch, height, width, channels)``.
        steps: CA steps that are measured.
        every: Steps between two measurements.
        distance: Distance of the twin: the square root of the sum of squares, relative to that of
            the state. Float32 resolves about 1e-6.
        seed: Random seed of both runs, see `rollout`, and of the twin's direction.
        step_offset: See `rollout`.
        settle: CA steps before `steps` in which the twin turns to the direction of fastest growth.
        bar: A progress bar, which is advanced by all CA steps of one run.
        **given: Further arguments of `rollout`, for example `mask`.

    Returns:
        Array ``(batch,)``: exponents per CA step. NaN for a state that is empty or diverged.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import tfnca
    >>> class Doubling(tfnca.Step):
    ...     channels = 4
    ...     def advance(self, state, context):
    ...         return 2.0 * state
    >>> float(lyapunov(Doubling(), tfnca.seed_state(4, channels=4), 4, 1, seed=0)[0]).__round__(4)
    0.6931
    """
    steps, every = check_integer("steps", steps, 1), check_integer("every", every, 1)
    settle = check_integer("settle", settle, 0)
    if not check_number("distance", distance) > 0:
        raise ValueError(f"distance must be positive. Received: distance={distance}")
    seed = int(new_seed()) if seed is None else seed
    first = np.asarray(state, np.float32)
    living = step.living(state)
    cells = np.ones_like(first) if living is None else np.asarray(living, np.float32)
    direction = np.random.default_rng(seed).normal(size=first.shape) * cells
    twin = first + _scaled(direction, distance * _size(first))
    total, done = np.zeros(len(first)), -settle
    while done < steps:
        stop = min(done + every, 0 if done < 0 else steps)
        before = _size(twin - first)
        path = {"seed": seed, "step_offset": step_offset + settle + done, **given}
        first, twin = (
            np.asarray(rollout(step, each, stop - done, **path)) for each in (first, twin)
        )
        apart = twin - first
        with np.errstate(divide="ignore", invalid="ignore"):
            if done >= 0:
                total += np.log(_size(apart) / before)
        twin = first + _scaled(apart, distance * _size(first))
        bar.update(stop - done)
        done = stop
    return np.where(np.isfinite(total), total / steps, np.nan)


def _size(values: np.ndarray) -> np.ndarray:
    """The square root of each item's sum of squares, ``(batch,)``."""
    return np.sqrt(np.square(values.astype(np.float64)).sum((1, 2, 3)))


def _scaled(values: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Values with each item scaled to a size."""
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = size / _size(values)
    return (values * factor[:, None, None, None]).astype(np.float32)
