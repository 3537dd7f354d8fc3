"""Measures of an invasion: how many cells the adversaries hold, and what the picture looks like."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfnca.automata.invasion import Invasion
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD
from tfnca.automata.step import Step
from tfnca.measures.checks import check_ascending
from tfnca.measures.progress import SILENT, Bar, advance
from tfnca.types import Array

_FAR = 1e6
"""The value that replaces diverged channels."""


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
