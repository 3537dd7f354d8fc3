"""Measures a model: by the task that is named, or by the article's protocol for its kind."""

import argparse
import inspect
import json
from dataclasses import fields
from typing import Any

import numpy as np

from tfnca.automata.invasion import Invasion
from tfnca.automata.state import no_digits, no_picture
from tfnca.automata.step import Step
from tfnca.choices import TARGET_DIGIT
from tfnca.commands import check_output
from tfnca.data.digits import load_digits
from tfnca.data.targets import load_target, pad_target
from tfnca.files import write_atomically
from tfnca.formats.load import load
from tfnca.formats.settings import attack_on, fill_in, settings_beside
from tfnca.measures.digits import attack_digits, base_digits
from tfnca.measures.invasion import Beginning, measure_from
from tfnca.measures.lizard import MEASURED_PADDING, region_picture
from tfnca.measures.progress import on_screen
from tfnca.measures.protocol import measure_adversary, measure_base, measure_perturbation
from tfnca.measures.task import AT, measure_task
from tfnca.tasks.digit import DigitTask
from tfnca.tasks.pattern import PatternTask
from tfnca.tasks.task import Task, find_task

GOALS = ("target", "host_target", "density", "region", "digit")
"""The options that say what an attack is for; each kind of model takes some of them."""


def load_step(options: argparse.Namespace, may_spread: bool = False) -> Step:
    """The step that ``MODEL`` and ``--host`` name: a CA, or an attack on the host.

    Raises ValueError for an `Invasion` unless the command `may_spread`.
    """
    model = load(options.model, options.name, options.convention)
    host = load(options.host, options.host_name, options.host_convention) if options.host else None
    if isinstance(model, Step) and model.host is not None:
        raise ValueError(
            "MODEL must be a CA, an adversary or a perturbation, and its host given by --host. "
            f"Received: {type(model).__name__}"
        )
    step = attack_on(host, model, settings_beside(options.model))
    if isinstance(step, Invasion) and not may_spread:
        raise ValueError(
            "MODEL must be a CA, an adversary that stays where it is, or a perturbation. One that "
            f"spreads is measured by tfnca measure, without --task. Received: {options.model}"
        )
    return step


def refuse_unused(given: dict[str, Any], what: str, *used: str) -> None:
    """Raises ValueError if an option was given that the measures of a kind of model do not use."""
    if unused := [
        f"--{name.replace('_', '-')} {value}" for name, value in given.items() if name not in used
    ]:
        raise ValueError(
            f"The measures of {what} must be called without these options, which would change "
            f"nothing. Received: {' '.join(unused)}"
        )


def make_task(name: str, options: argparse.Namespace, is_goal: bool) -> Task:
    """The task that ``--task`` or, with `is_goal`, ``--goal`` names: see `find_task`.

    ``--target`` and ``--digit`` are the goal's.
    """
    kind = find_task(name)
    if kind is PatternTask:
        picture = options.target if is_goal or not options.host else options.host_target
        return PatternTask(pad_target(load_target(picture), MEASURED_PADDING))
    if kind is DigitTask:
        digits = load_digits("test", options.data_dir, options.test_digits)
        return DigitTask(digits, options.digit if is_goal else None)
    try:
        inspect.signature(kind).bind()
    except TypeError as error:
        raise ValueError(
            "A task that a command measures must need no arguments: in a module that you name with "
            f"--plugin, derive a class from {kind.__name__} that sets them. Received: {error}"
        ) from None
    return kind()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measures a model; the result can be written as JSON."""
    step = load_step(options, may_spread=not options.task)
    settings = settings_beside(options.model)
    given = {name: value for name in GOALS if (value := getattr(options, name)) is not None}
    fill_in(
        options,
        settings,
        target="lizard",
        host_target="lizard",
        density=0.1,
        region="target",
        digit=TARGET_DIGIT,
    )
    if options.task or options.goal:
        if not options.task:
            raise ValueError("--goal needs the host's --task. Received: --goal alone")
        task = make_task(options.task, options, is_goal=False)
        goal = make_task(options.goal, options, is_goal=True) if options.goal else None
        at = [*(stop for stop in AT if stop < options.horizon), options.horizon]
        return measure_task(step, task, goal, options.density, options.runs, at, progress=on_screen)
    if isinstance(step, Invasion):
        refuse_unused(given, "an adversary that spreads", "target")
        names = [field.name for field in fields(Beginning)]
        begins = Beginning(**{name: settings[name] for name in names if name in settings})
        picture = load_target(options.target, settings.get("size", 40))
        target = pad_target(picture, settings.get("padding", 4))
        return measure_from(begins, step, target, options.runs, progress=on_screen)
    reasons = {"pattern": no_picture(step), "digit": no_digits(step)}
    if all(reasons.values()):
        raise ValueError(
            "MODEL shows neither pictures nor digits, so --task must name what it is for. "
            f"Received: {type(step).__name__}, where {'; '.join(map(str, reasons.values()))}"
        )
    if reasons["pattern"]:
        digits, seeds = load_digits("test", options.data_dir, options.test_digits), options.seeds
        if step.host is None:
            refuse_unused(given, "a CA of digits without --host")
            return base_digits(step, digits, range(seeds), options.horizon, on_screen)
        refuse_unused(given, "an attack on digits", "density", "digit")
        args = options.density, range(seeds), options.digit
        return attack_digits(step, digits, *args, on_screen)
    target, plain = (
        pad_target(load_target(name), MEASURED_PADDING)
        for name in (options.target, options.host_target)
    )
    if step.host is None:
        refuse_unused(given, "a CA of pictures without --host", "target")
        return measure_base(step, target, progress=on_screen)
    if step.perturbation is not None:
        refuse_unused(given, "a perturbation", "target", "host_target")
        return measure_perturbation(step, target, plain, progress=on_screen)
    refuse_unused(given, "a lizard's adversary", "target", "host_target", "density", "region")
    region: np.ndarray = region_picture(options.region, target, plain)
    return measure_adversary(step, target, options.density, region, plain, progress=on_screen)


def main(options: argparse.Namespace) -> None:
    """Writes or prints the measures, as ``python -m tfnca.measures`` does."""
    if options.out:
        check_output(options.out)
    text = json.dumps(measure(options), indent=2)
    if options.out:
        write_atomically(options.out, text)
    print(f"Wrote {options.out}" if options.out else text)
