"""Measures of an invasion: how many cells the adversaries hold, and what the picture looks like."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfnca.automata.invasion import Invasion
from tfnca.automata.masks import random_mask, random_patch
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD, seed_state
from tfnca.automata.step import Step
from tfnca.engines.rollout import rollout
from tfnca.measures.checks import check_ascending
from tfnca.measures.progress import SILENT, Bar, Progress, advance
from tfnca.types import Array

HORIZONS = (120, 500, 5000)
"""CA steps after the invasion at which it is measured."""

_FAR = 1e6
"""The value that replaces diverged channels."""


@dataclass(frozen=True)
class Beginning:
    """How an invasion begins.

    Attributes:
        age: CA steps that the host has grown before.
        seed_cell: Channels that are 1 in the cell from which it grows: alpha and hidden ``"ones"``,
            or ``"alpha"`` alone.
        spray: The fraction of scattered cells that the adversary gets, or None for a square.
        patch: The side of that square.
    """

    age: int = 200
    seed_cell: str = "ones"
    spray: float | None = None
    patch: int = 2

    def grown(self, host: Step, size: tuple[int, int], runs: int, seed: int) -> Array:
        """The host before the invasion, ``(runs, height, width, channels)``."""
        state = seed_state(size, runs, host.channels)
        if self.seed_cell == "alpha":
            state[..., ALPHA + 1 :] = 0.0
        return rollout(host, state, self.age, seed=seed)

    def invaded(self, step: Invasion, state: Array, seed: int) -> Array:
        """Grown states in which the adversary has got its first cells."""
        cells = np.asarray(state)[..., ALPHA] > LIVING_THRESHOLD
        if self.spray is None:
            return step.invade(state, random_patch(cells, self.patch, seed))
        return step.invade(state, random_mask(cells, self.spray, seed))


def look_at(step: Step, state: Array, target: np.ndarray | None = None) -> dict[str, list[float]]:
    """Measures each run of an invasion, or of its host alone, in its present state.

    The `target` is premultiplied RGBA ``(height, width, 4)``, to measure the error as well.

    Returns:
        Lists with one number per run: ``share``, the fraction of the claimed cells that belong to
        adversaries; ``cells``, the number of cells with alpha above 0.1; ``red``, their mean red
        minus their mean green; ``red_of_host``, the same over those that belong to the host; and
        ``error``, the mean squared error against the target. A mean over no cells is NaN.
    """
    owners = np.zeros(np.shape(state)[:3])
    if isinstance(step, Invasion):
        owners, state = np.asarray(step.owners(state)), step.seen(state)
    state = np.nan_to_num(np.asarray(state, np.float64), nan=_FAR).clip(-_FAR, _FAR)
    body = state[..., ALPHA] > LIVING_THRESHOLD

    def mean(values: np.ndarray, cells: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return (values * cells).sum((1, 2)) / cells.sum((1, 2))

    difference = state[..., 0] - state[..., 1]
    found = {
        "share": np.nan_to_num(mean(owners > 0, owners >= 0)),
        "cells": body.sum((1, 2)),
        "red": mean(difference, body),
        "red_of_host": mean(difference, body & (owners == 0)),
    }
    if target is not None:
        found["error"] = np.square(state[..., : ALPHA + 1] - target).mean((1, 2, 3))
    return {name: values.tolist() for name, values in found.items()}


def measure_invasion(
    step: Step,
    state: Array,
    at: Sequence[int],
    target: np.ndarray | None = None,
    seed: int = 0,
    first_step: int = 0,
    bar: Bar = SILENT,
) -> tuple[list[dict[str, Any]], list[Array]]:
    """Measures an invasion, or its host alone, after several numbers of steps, in ascending order.

    `first_step` is the number of the run's first step.

    Returns:
        For each of these steps a dictionary, ``step`` and what `look_at` measures; and the states.
    """
    check_ascending(at)
    rows: list[dict[str, Any]] = []
    states, now = [], 0
    first_age = first_step if step.host is None else 0
    for stop in at:
        of_run = {"seed": seed, "step_offset": first_step + now, "first_age": first_age + now}
        state = advance(step, state, stop - now, bar, **of_run)
        now = stop
        rows.append({"step": now} | look_at(step, state, target))
        states.append(state)
    return rows, states


def measure_from(
    beginning: Beginning,
    step: Invasion,
    target: np.ndarray,
    runs: int = 16,
    at: Sequence[int] = HORIZONS,
    progress: Progress = lambda total: SILENT,
) -> dict[str, list]:
    """What `measure_invasion` finds for the invasion, and for its host alone on the same path."""
    bar = progress(2 * at[-1])
    state = beginning.grown(step.host, target.shape[:2], runs, seed=1)
    path: dict[str, Any] = {
        "at": at,
        "target": target,
        "seed": 1,
        "first_step": beginning.age,
        "bar": bar,
    }
    found = {
        "invasion": measure_invasion(step, beginning.invaded(step, state, seed=1), **path)[0],
        "host_alone": measure_invasion(step.host, state, **path)[0],
    }
    bar.close()
    return found
