"""The work of ``python -m tfnca.placement``."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from tfnca.automata.injection import Injected
from tfnca.choices import TARGET_DIGIT
from tfnca.data.digits import load_digits
from tfnca.files import write_atomically
from tfnca.formats.settings import fill_in, settings_beside
from tfnca.measures.model import load_step, make_task
from tfnca.measures.progress import Bar, Clock
from tfnca.placement.influence import influence_maps
from tfnca.placement.pictures import draw_curves, draw_maps
from tfnca.placement.search import greedy
from tfnca.placement.study import study_placement
from tfnca.placement.trials import Trials, take


def on_screen(total: int) -> Bar:
    """A progress bar of rollouts in the terminal, without a total if the number is unknown."""
    return Clock(desc="Placing", total=total or None, unit="rollout", dynamic_ncols=True)


def one_map(step: Injected, options: argparse.Namespace) -> None:
    """Draws the influence map of one test digit, or item of a task, and the first four greedy
    cells."""
    item: Any
    if options.task:
        task = make_task(options.task, options, is_goal=False)
        goal: Any = make_task(options.goal, options, is_goal=True)
        batch = task.begin(step, options.map + 1, options.seed, settle=True)
        item, name, aim = take(batch, [options.map]), options.task, options.goal
    else:
        digits = load_digits("test", options.data_dir, options.map + 1)
        item, name, aim = digits.images[-1:], digits.labels[-1], options.digit
        goal = aim
    began = time.monotonic()
    maps = influence_maps(step, item, goal, options.steps, options.seed, progress=on_screen)
    seconds = time.monotonic() - began
    trials = Trials(step, item, goal, options.steps, seed=options.seed)
    chosen = greedy(trials, 4, [maps[0].outcome.value])
    path = Path(options.out) / f"map_{options.map}.png"
    write_atomically(path, draw_maps(trials.start, [name], maps, chosen, aim, columns=1))
    row, column = divmod(chosen[0][0], trials.alive.shape[2])
    print(f"{len(maps[0].cells)} cells in {seconds:.1f} s. Best cell: row {row}, column {column}.")
    print(f"Wrote {path}")


def study(step: Injected, options: argparse.Namespace) -> None:
    """Runs the whole study and writes its files."""
    digits = load_digits("test", options.data_dir, options.test_digits)
    began = time.monotonic()
    found = study_placement(
        step,
        digits,
        seeds=range(options.seed, options.seed + options.seeds),
        target=options.digit,
        searched=options.searched,
        steps=options.steps,
        progress=on_screen,
    )
    found["seconds"] = time.monotonic() - began
    folder = Path(options.out)
    write_atomically(folder / "placement.json", json.dumps(found, indent=1))
    write_atomically(folder / "takeover.png", draw_curves(found["curves"]))
    numbers = np.array(found["numbers"])
    labels = digits.labels[numbers]
    shown = [int(np.flatnonzero(labels == k)[0]) for k in sorted(set(labels.tolist()))]
    images = digits.images[numbers[shown]]
    maps = influence_maps(step, images, options.digit, options.steps, seed=1, repeats=4)
    chosen = [found["placements"][number][:4] for number in shown]
    write_atomically(
        folder / "maps.png", draw_maps(images, labels[shown], maps, chosen, options.digit)
    )
    print(
        "| adversaries | method | digits | takeover rate | host cells alone |\n"
        "|---|---|---|---|---|"
    )
    for row in [*found["one_percent"], *found["curves"]]:
        budget = row["budget"] or "1 % of the grid"
        print(
            f"| {budget} | {row['method']} | {row['digits']} "
            f"| {row['takeover']:.3f} ± {row['takeover_sd']:.3f} "
            f"| {row['host_takeover']:.3f} ± {row['host_takeover_sd']:.3f} |"
        )
    print(f"Wrote {folder} after {found['seconds'] / 60:.1f} minutes.")


def main(options: argparse.Namespace) -> None:
    """Draws one map or runs the whole study, as ``python -m tfnca.placement`` does."""
    step = load_step(options)
    beside = settings_beside(options.model)
    fill_in(options, beside, digit=TARGET_DIGIT, target="no_tail", host_target="lizard")
    if bool(options.task) != bool(options.goal) or (options.task and options.map is None):
        raise ValueError(
            "--task and --goal require each other, and --map with the number of one item. "
            f"Received: --task {options.task}, --goal {options.goal}, --map {options.map}"
        )
    Path(options.out).mkdir(parents=True, exist_ok=True)
    (study if options.map is None else one_map)(step, options)
