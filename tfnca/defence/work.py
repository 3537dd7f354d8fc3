"""The work of ``python -m tfnca.defence``."""

import argparse
import json
from pathlib import Path
from typing import Any

from tfnca.automata.injection import Injected
from tfnca.commands import check_output
from tfnca.data.digits import load_digits
from tfnca.defence.detection import watch
from tfnca.files import write_atomically
from tfnca.formats.load import load
from tfnca.measures.digits import spread
from tfnca.measures.model import make_task

_SHOWN = (1, 2, 5, 10, 20)


def detect(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each adversary and number of observed steps, mean and spread over seeds."""
    host = load(options.host, options.host_name, options.host_convention)
    digits: Any = load_digits("test", options.data_dir, options.test_digits)
    if options.task:
        digits = make_task(options.task, options, is_goal=False)
    rows = []
    for path in options.models:
        step = Injected(host, load(path))
        runs = [watch(step, digits, options.density, seed=seed) for seed in range(options.seeds)]
        for number in _SHOWN:
            own = [run[number - 1] for run in runs]
            row: dict[str, Any] = {"adversary": path, "steps": number}
            for name in ("auc", "found", "accused"):
                row |= spread(name, [one[name] for one in own])
            rows.append(row)
            print(
                f"| {Path(path).parent.name or path} | {number} | {row['auc']:.4f} "
                f"± {row['auc_sd']:.4f} | {row['found']:.3f} | {row['accused']:.5f} |",
                flush=True,
            )
    return rows


def main(options: argparse.Namespace) -> None:
    """Prints the table, as ``python -m tfnca.defence`` does."""
    if options.out:
        check_output(options.out)
    print(
        "| adversary | steps | AUC | adversaries detected | host cells accused |\n"
        "|---|---|---|---|---|"
    )
    rows = detect(options)
    if options.out:
        write_atomically(options.out, json.dumps(rows, indent=1))
