"""Sweeps: an attack, `Injected(host, adversary)`, measured at several adversary fractions.

Densities are in (0, 1]. `folder` keeps partial results, to continue from, and `jobs` is the number
of densities measured in parallel: see `tfnca.measures.cells.run_cells`.
"""

if __name__ == "__main__":  # before TensorFlow loads, so that --help answers at once
    from tfnca.cli import run

    run("sweep", "python -m tfnca.measures.sweep")
    raise SystemExit(0)

import argparse
import csv
import functools
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfnca.automata.checks import check_density
from tfnca.automata.state import no_picture
from tfnca.automata.step import Step
from tfnca.choices import DENSITIES, TARGET_DIGIT
from tfnca.data.digits import Digits, load_digits
from tfnca.data.targets import load_target, pad_target
from tfnca.deprecated import takes_old_names
from tfnca.files import write_atomically
from tfnca.formats.settings import fill_in, settings_beside
from tfnca.measures.cells import run_cells
from tfnca.measures.checks import (
    INJECTED,
    PICTURE,
    check_digits,
    check_injected,
    check_seeds,
    check_step,
)
from tfnca.measures.digits import digit_mask, mean_and_spread, measure_digits
from tfnca.measures.lizard import (
    MEASURED_PADDING,
    grown_states,
    measure_growing,
    measure_lift,
    region_picture,
    target_masks,
)
from tfnca.measures.model import load_step, make_task
from tfnca.measures.task import measure_task
from tfnca.plots import plot
from tfnca.tasks.task import Task

_BEFORE = _AFTER = 200
"""CA steps before the attack, for digits to settle, and after it, for them to recover."""


def stops(horizon: int) -> list[int]:
    """Steps to measure at: all of the first steps, then ever fewer; the last is `horizon`."""
    return np.unique(np.geomspace(1, horizon, 60).round().astype(int)).tolist()


def sweep_digits(
    step: Step,
    digits: Digits,
    densities: Sequence[float] = DENSITIES,
    horizon: int = 200,
    seeds: Sequence[int] = (0, 1, 2),
    target: int = TARGET_DIGIT,
    folder: str | Path | None = None,
    jobs: int = 1,
) -> dict[str, Any]:
    """Measures an attack on digits at several fractions of all pixels.

    There is one run per seed: `horizon` CA steps with adversaries, and 200 steps without before and
    after them. The `target` is the adversaries' target class.

    Returns:
        Dictionary: ``rows``, the entries of `mean_and_spread` for each ``density`` and ``step``,
        counted from the appearance of the adversaries (0 is just before it; they are removed
        after `horizon`); and ``summary``, for each density ``takeover`` and ``host_takeover`` at
        the horizon, ``steps_to_flip`` (the number of steps until half of the digits of other
        classes have been classified as the target; None if never) and ``recovered``, the digit
        accuracy 200 steps after the removal divided by the accuracy before the attack.
    """
    check_digits(step, digits, target, INJECTED)
    seeds = check_seeds(seeds)
    shared = {"horizon": horizon, "seeds": list(seeds), "target": target}
    found = run_cells(
        functools.partial(_digits_at, step, digits),
        [{"density": density, **shared} for density in densities],
        (step, digits.images, digits.labels),
        folder,
        jobs,
        "density",
    )
    rows = [{"density": d, **row} for d, one in zip(densities, found, strict=True) for row in one]
    summary = []
    for density, one in zip(densities, found, strict=True):
        before, attacked, after = one[0], one[-2], one[-1]
        flipped = [row["step"] for row in one if row.get("flipped", 0.0) >= 0.5]
        summary.append(
            {
                "density": density,
                "takeover": attacked["takeover"],
                "host_takeover": attacked["host_takeover"],
                "steps_to_flip": flipped[0] if flipped else None,
                "recovered": after["digit_accuracy"] / max(before["digit_accuracy"], 1e-9),
            }
        )
    return {
        "digits": len(digits.labels),
        "seeds": list(seeds),
        "horizon": horizon,
        "target": target,
        "rows": rows,
        "summary": summary,
    }


def _digits_at(
    step: Step, digits: Digits, density: float, horizon: int, seeds: list[int], target: int
) -> list[dict[str, Any]]:
    """`mean_and_spread` of the runs at one density, steps counted from the attack."""
    runs = []
    for seed in seeds:
        mask = digit_mask(digits, density, seed)
        phases = [(_BEFORE, None), (horizon, mask), (_AFTER, None)]
        at = [_BEFORE + step for step in stops(horizon)]
        runs.append(measure_digits(step, digits, phases, seed, at, target))
    return [row | {"step": row["step"] - _BEFORE} for row in mean_and_spread(runs)]


@takes_old_names
def sweep_lizard(
    step: Step,
    target: np.ndarray,
    plain: np.ndarray,
    densities: Sequence[float] = DENSITIES,
    horizon: int = 2000,
    runs: int = 16,
    seed: int = 1,
    folder: str | Path | None = None,
    jobs: int = 1,
    region: str = "target",
) -> dict[str, Any]:
    """Measures an attack on a grown lizard at several fractions of the `region`'s cells.

    Target and plain, the picture that the host grows, are premultiplied RGBA
    ``(height, width, 4)``. Each run has its own mask: see `region_picture`.

    Returns:
        Dictionary: ``rows``, the entries of `measure_growing` for each ``density``, where density
        0 is the host alone; and ``summary``, for each density the errors at the horizon and
        ``back``, the number of runs that have recovered after 500 steps with adversaries and 500
        without.
    """
    check_step(step, PICTURE, INJECTED)
    found = run_cells(
        functools.partial(_lizard_at, step, target, plain, region_picture(region, target, plain)),
        [
            {"density": density, "horizon": horizon, "runs": runs, "seed": seed}
            for density in (0.0, *densities)
        ],
        (step, target, plain, region),
        folder,
        jobs,
        "density",
    )
    rows, summary = [], []
    for density, (own, back) in zip((0.0, *densities), found, strict=True):
        rows += [{"density": density, **row} for row in own]
        if density:
            kept = "median", "worst", "host_median", "host_worst", "dead"
            summary.append(
                {"density": density, **{name: own[-1][name] for name in kept}, "back": back}
            )
    return {"runs": runs, "seed": seed, "horizon": horizon, "rows": rows, "summary": summary}


def _lizard_at(
    step: Step,
    target: np.ndarray,
    plain: np.ndarray,
    region: np.ndarray,
    density: float,
    horizon: int,
    runs: int,
    seed: int,
) -> tuple[list[dict[str, Any]], int | None]:
    """`measure_growing` at one density (0 is the host alone), and how many runs recover."""
    grown, at = grown_states(step.host, target.shape[:2], runs, seed), stops(horizon)
    if density == 0:
        return measure_growing(step.host, grown, target, at, seed, first_step=200), None
    masks = target_masks(region, density, runs, seed)
    rows = measure_growing(step, grown, target, at, seed, masks, first_step=200)
    lifted = measure_lift(step, grown, plain, seed=seed, mask=masks, first_step=200)
    return rows, lifted["back"]


def sweep_task(
    step: Step,
    task: Task,
    goal: Task | None = None,
    densities: Sequence[float] = DENSITIES,
    horizon: int = 1000,
    runs: int = 16,
    seed: int = 1,
    folder: str | Path | None = None,
    jobs: int = 1,
) -> dict[str, Any]:
    """Measures an attack by any task at several fractions of the task's cells.

    The task is the host's, the goal the attack's: see `measure_task`.

    Returns:
        Dictionary: ``rows``, the rows of `measure_task` for each ``density``, where density 0 is
        the baseline; and ``summary``, for each density the figures at the horizon and ``back``, the
        number of runs that have recovered.
    """
    check_injected(step, "few or many")
    found = run_cells(
        functools.partial(measure_task, step, task, goal),
        [
            {"density": density, "runs": runs, "at": stops(horizon), "seed": seed}
            for density in densities
        ],
        (step, task, goal),
        folder,
        jobs,
        "density",
    )
    rows = [{"density": 0.0, **row} for row in found[0]["baseline"]]
    summary = []
    for density, one in zip(densities, found, strict=True):
        rows += [{"density": density, **row} for row in one["attack"]]
        back = round(runs * one["recovery"][-1]["success"])
        summary.append({"density": density, **one["attack"][-1], "back": back})
    return {"runs": runs, "seed": seed, "horizon": horizon, "rows": rows, "summary": summary}


def pictures(found: dict[str, Any]) -> dict[str, bytes]:
    """The plots of the result of a sweep: dictionary from a file's name to PNG bytes."""
    summary = found["summary"]
    shares = [100 * row["density"] for row in summary]

    def against_density(names, label):
        curves = {shown: (shares, [row[name] for row in summary]) for name, shown in names.items()}
        return plot(curves, "adversaries, %", label, log_x=True)

    def against_time(name, label):
        curves = {}
        for density in sorted({row["density"] for row in found["rows"]}):
            rows = [r for r in found["rows"] if r["density"] == density and name in r]
            if rows := [row for row in rows if 0 < row["step"] <= found["horizon"]]:
                curves[f"{100 * density:g} %"] = [r["step"] for r in rows], [r[name] for r in rows]
        return plot(curves, "CA step", label, log=name.endswith("median"), log_x=True)

    if "digits" in found:
        rates = {"takeover": "all cells", "host_takeover": "host cells alone"}
        some = [row for row in summary if row["steps_to_flip"] is not None]
        speed = [100 * r["density"] for r in some], [r["steps_to_flip"] for r in some]
        return {
            "takeover.png": against_density(rates, f"takeover rate (as {found['target']})"),
            "steps_to_flip.png": plot(
                {"half misclassified": speed}, "adversaries, %", "CA steps", log_x=True
            ),
            "recovery.png": against_density(
                {"recovered": "200 steps after removal"}, "accuracy / accuracy before"
            ),
            "time.png": against_time("host_takeover", "takeover rate, host cells alone"),
        }
    errors = {"median": "whole grid", "host_median": "host cells alone"}
    errors = {name: shown for name, shown in errors.items() if name in summary[0]}
    drawn = {
        "error.png": against_time("median", "median error"),
        "density.png": against_density(errors, f"median error at step {found['horizon']}"),
    }
    if "host_median" in errors:
        drawn["host_error.png"] = against_time("host_median", "median error, host cells alone")
    return drawn


def save_sweep(found: dict[str, Any], folder: str | Path) -> None:
    """Writes ``sweep.json``, ``sweep.csv`` and the plots of a sweep into a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "sweep.json", json.dumps(found, indent=2))
    names = dict.fromkeys(name for row in found["rows"] for name in sorted(row))
    order = ["density", "step", *(name for name in names if name not in ("density", "step"))]
    text = io.StringIO()
    writer = csv.DictWriter(text, order, restval="")
    writer.writeheader()
    writer.writerows(found["rows"])
    write_atomically(folder / "sweep.csv", text.getvalue())
    for name, picture in pictures(found).items():
        write_atomically(folder / name, picture)


def sweep(options: argparse.Namespace) -> dict[str, Any]:
    """Runs the sweep for the model's kind."""
    try:
        densities = [check_density(float(part) / 100) for part in options.densities.split(",")]
        if max(densities) == 1:
            raise ValueError
    except ValueError:
        raise ValueError(
            f"--densities must be percentages above 0 and below 100, for example 1,10,60. "
            f"Received: {options.densities}"
        ) from None
    Path(options.out).mkdir(parents=True, exist_ok=True)
    step = load_step(options)
    settings = settings_beside(options.model)
    fill_in(
        options,
        settings,
        target="no_tail",
        host_target="lizard",
        region="target",
        digit=TARGET_DIGIT,
    )
    more = {"folder": Path(options.out) / "cells", "jobs": options.jobs}
    if options.horizon is not None:
        more["horizon"] = options.horizon
    if options.task:
        task = make_task(options.task, options, is_goal=False)
        goal = make_task(options.goal, options, is_goal=True) if options.goal else None
        return sweep_task(step, task, goal, densities, **more)
    if no_picture(step):
        digits = load_digits("test", options.data_dir, options.test_digits)
        seeds, target = range(options.seeds), options.digit
        return sweep_digits(step, digits, densities, seeds=seeds, target=target, **more)
    target, plain = (
        pad_target(load_target(name), MEASURED_PADDING)
        for name in (options.target, options.host_target)
    )
    return sweep_lizard(step, target, plain, densities, region=options.region, **more)


def main(options: argparse.Namespace) -> None:
    """Runs and writes a sweep, as ``python -m tfnca.measures.sweep`` does."""
    found = sweep(options)
    save_sweep(found, options.out)
    for row in found["summary"]:
        print("  ".join(f"{name} {value}" for name, value in row.items()))
    print(f"Wrote {options.out}")
