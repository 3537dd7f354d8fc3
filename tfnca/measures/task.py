"""The protocol: any step as numbers, by its task, and any attack by its goal.

An attack is a step, the task of its host, and a goal, which is another task. Attack and baseline
run along the same path: from the same settled states, with the same random seed.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tfnca.automata.checks import check_density, check_fits, check_integer, check_seed
from tfnca.automata.masks import random_mask
from tfnca.automata.step import Step
from tfnca.engines.rollout import trajectory
from tfnca.measures.checks import check_ascending
from tfnca.measures.progress import SILENT, Bar, Progress, Silent, advance
from tfnca.tasks.task import Task, check_task
from tfnca.training.batch import Batch

AT = (96, 200, 500, 1000)
"""CA steps at which a task is measured by default."""

_FAR = 1e6
"""The value that replaces diverged channels in the measures."""


def measure_task(
    step: Step,
    task: Task,
    goal: Task | None = None,
    density: float = 0.1,
    runs: int = 16,
    at: Sequence[int] = AT,
    seed: int = 1,
    progress: Progress = Silent,
) -> dict[str, Any]:
    """Measures a step by a task; an attack on a host by the host's task and the attack's goal.

    Args:
        step: Any step that can do the task. An attack is one with a `host`: an `Injected`, a
            `Perturbed`, or a step of your own.
        task: What the step, or its host, is for.
        goal: What the attack is for. None: only the harm that it does to the task is measured.
        density: Adversary fraction among the task's cells.
        runs: Number of runs.
        at: CA steps at which to measure, in ascending order.
        seed: Random seed.
        progress: Makes the progress bar.

    Returns:
        Dictionary with ``runs``, and rows of `measure_rows`. Of a step alone: ``from_start``;
        ``from_settled``, from where the task's `settled` steps lead; ``damaged``, when a circle of
        cells has lost its channels, and after `settled` steps more, or at[-1] if it is 0;
        ``drift``, if the task has positions. Of an attack: ``baseline`` and ``attack``, by the
        goal, from the settled host; ``harm``, the attack's states by the task; ``recovery``, by the
        task, when the attack is removed, and as many steps later.

    Raises:
        ValueError: If the step cannot do the task, there is a goal without an attack, an argument
            is out of range, or a method of the task returns anything else than what it should.

    Example:

    >>> import tfnca
    >>> task = tfnca.PatternTask(tfnca.pad_target(tfnca.load_target("lizard", 8), 2))
    >>> found = measure_task(tfnca.GrowingCA(), task, runs=2, at=(1, 2))
    >>> [row["step"] for row in found["from_start"]]
    [1, 2]
    """
    check_task(task)
    check_ascending(at)
    runs, seed = check_integer("runs", runs, 1), check_seed(seed)
    check_fits("task", task, step)
    if goal is not None:
        check_fits("goal", check_task(goal, "goal"), step)
        if step.host is None:
            raise ValueError(
                "A goal is for an attack, which has a `host`: an Injected, a Perturbed, or a step "
                f"of your own that sets it. Received: {type(step).__name__}"
            )
    settled = task.settled
    if step.host is None:
        with contextlib.closing(progress(2 * at[-1] + 2 * settled + min(1000, at[-1]))) as bar:
            found = _alone(step, task, runs, at, seed, bar)
    else:
        with contextlib.closing(progress(2 * at[-1] + settled)) as bar:
            found = _attacked(step, task, goal, check_density(density), runs, at, seed, bar)
    return {"runs": runs, **found}


def _alone(
    step: Step, task: Task, runs: int, at: Sequence[int], seed: int, bar: Bar
) -> dict[str, Any]:
    start = task.begin(step, runs, seed)
    ready = task.begin(step, runs, seed, settle=True)
    bar.update(task.settled)
    wounded = ready._replace(state=damage(step, task, ready.state, seed))
    healing = (0, _after(task, at))
    found = {
        "from_start": measure_rows(step, task, start, at, seed, bar=bar),
        "from_settled": measure_rows(step, task, ready, at, seed, task.settled, bar),
        "damaged": measure_rows(step, task, wounded, healing, seed, task.settled, bar),
    }
    if task.centres(ready.state) is not None:
        steps = min(1000, at[-1])
        moved = drift_rows(step, task, start, steps, max(steps // 10, 1), seed, bar)
        found["drift"] = [row for row, _ in moved]
    return found


def _attacked(
    step: Step,
    task: Task,
    goal: Task | None,
    density: float,
    runs: int,
    at: Sequence[int],
    seed: int,
    bar: Bar,
) -> dict[str, Any]:
    aim, first = goal or task, task.settled
    ready = task.begin(step, runs, seed, settle=True)
    if step.has_adversary:
        mask = random_mask(task.cells(ready.state), density, seed)
        ready = ready._replace(mask=np.asarray(mask))
    found: dict[str, Any] = {"density": density} if step.has_adversary else {}
    found["baseline"] = measure_rows(step.host, aim, ready, at, seed, first, bar)
    attack, harm, after = [], [], np.asarray(ready.state)
    for now, after in states_at(step, ready, at, seed, first, bar):
        attack.append({"step": now, **aim.measures(after, ready)})
        harm.append({"step": now, **task.measures(after, ready)})
    found |= {"attack": attack} | ({"harm": harm} if goal is not None else {})
    lifted = ready._replace(state=after.astype(np.float32), mask=None)
    stops = (0, _after(task, at))
    found["recovery"] = measure_rows(step.host, task, lifted, stops, seed, first + at[-1], bar)
    return found


def _after(task: Task, at: Sequence[int]) -> int:
    """CA steps in which a collective may heal or recover; some tasks do not wait for settling."""
    return task.settled or at[-1]


def measure_rows(
    step: Step,
    task: Task,
    batch: Batch,
    at: Sequence[int],
    seed: int = 0,
    first_step: int = 0,
    bar: Bar = SILENT,
) -> list[dict[str, Any]]:
    """The rows of a run by a task: ``step``, and the entries of `Task.measures`.

    The batch has the initial states, and everything that the task compares them with. A step with
    adversaries runs with its mask. `at` are numbers of steps, in ascending order, and `first_step`
    is the number of the run's first step. An attack's age counts from 0, as in training.
    """
    run = states_at(step, batch, at, seed, first_step, bar)
    return [{"step": now, **task.measures(state, batch)} for now, state in run]


def states_at(
    step: Step,
    batch: Batch,
    at: Sequence[int],
    seed: int = 0,
    first_step: int = 0,
    bar: Bar = SILENT,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields the steps in `at`, and the run's states then, bounded: see `measure_rows`."""
    state, now = batch.state, 0
    given = {"mask": batch.mask} if step.has_adversary else {}
    given["inputs"] = batch.inputs
    first_age = first_step if step.host is None else 0
    for stop in at:
        of_run = {"seed": seed, "step_offset": first_step + now, "first_age": first_age + now}
        state = advance(step, state, stop - now, bar, **of_run, **given)
        now = stop
        yield now, bounded(state)


def bounded(state: Any) -> np.ndarray:
    """The state with bounded values, so that a diverged run gives large errors and not NaN."""
    values = keras.ops.convert_to_numpy(state).astype(np.float64)
    return np.clip(np.nan_to_num(values, nan=_FAR), -_FAR, _FAR)


def damage(step: Step, task: Task, state: Any, seed: int = 0, radius: float = 0.4) -> np.ndarray:
    """The states with a circle around one of each item's cells set to zero.

    Channels that the step never changes are kept. The radius is in grid coordinates [-1, 1].
    """
    state, generator = np.array(state), np.random.default_rng(seed)
    inside = circles(np.asarray(task.cells(state), bool), radius, generator)
    state[inside, -step.changing :] = 0.0
    return state


def circles(cells: np.ndarray, radius: float, generator: np.random.Generator) -> np.ndarray:
    """A circle around one of the cells of each item, booleans ``(batch, height, width)``.

    `cells` are the allowed centres, of that shape. The radius is in grid coordinates [-1, 1].
    """
    size = cells.shape[1:]
    places = [np.argwhere(one) for one in cells]
    centres = [own[generator.integers(len(own))] for own in places if len(own)]
    if len(centres) < len(cells):
        raise ValueError(
            "Damage needs at least one cell in each item. Received: one without a cell"
        )
    axes = zip(np.indices(size), np.array(centres).T, size, strict=True)
    away = (
        (2 * (axis - centre[:, None, None]) / max(side - 1, 1)) ** 2 for axis, centre, side in axes
    )
    return sum(away) < radius**2


def drift_rows(
    step: Step,
    task: Task,
    batch: Batch,
    steps: int,
    every: int = 100,
    seed: int = 0,
    bar: Bar = SILENT,
) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """Yields the drift of patterns, and the states, every few steps of a step that takes no mask.

    The task must have `centres`. A drift is a dictionary with medians over the runs that have a
    centre: ``step``; ``drift``, the distance in cells from the last measurement; ``away``, from the
    first.
    """
    before = first = None
    run = trajectory(step, batch.state, steps, every, seed=seed, inputs=batch.inputs)
    for now, values in run:
        bar.update(min(every, steps - now + every) if now else 0)
        if now == 0:
            continue  # the start's position says nothing about the pattern's
        state = np.asarray(values)
        centre = np.asarray(task.centres(state))
        first = centre if first is None else first
        before = first if before is None else before
        row = {
            "step": now,
            "drift": median(np.linalg.norm(centre - before, axis=1)),
            "away": median(np.linalg.norm(centre - first, axis=1)),
        }
        before = centre
        yield row, state


def median(values: np.ndarray) -> float:
    """The median of the finite values; 0 if there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else 0.0
