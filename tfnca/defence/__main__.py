"""Who lies, told from states and the rule: ``python -m tfnca.defence ADVERSARY … --host HOST``.

Ten percent of the cells run each adversary's rule for 200 steps; then one looks on and asks of
every cell whether it changed as the host's rule says. Prints how well liars are told from honest
cells after 1, 2, 5, 10 and 20 steps of watching.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from tfnca.automata.injection import Injected
from tfnca.commands import POSITIVE, SHARE, Parser, check_output, plain_errors
from tfnca.data.digits import load_digits
from tfnca.defence.detection import watch
from tfnca.files import write_atomically
from tfnca.formats.load import load

_SHOWN = (1, 2, 5, 10, 20)


def detect(options: argparse.Namespace) -> list[dict[str, Any]]:
    """A row for each adversary and number of steps watched, mean and spread over seeds."""
    host = load(options.host, options.host_name)
    digits = load_digits("test", options.data_dir, options.test_digits)
    rows = []
    for path in options.models:
        step = Injected(host, load(path))
        runs = [watch(step, digits, options.density, seed=seed) for seed in range(options.seeds)]
        for number in _SHOWN:
            own = [run[number - 1] for run in runs]
            row: dict[str, Any] = {"adversary": path, "steps": number}
            for name in ("auc", "found", "accused"):
                values = [one[name] for one in own]
                row[name] = float(np.mean(values))
                row[f"{name}_sd"] = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
            rows.append(row)
            print(
                f"| {Path(path).parent.name or path} | {number} | {row['auc']:.4f} "
                f"± {row['auc_sd']:.4f} | {row['found']:.3f} | {row['accused']:.5f} |",
                flush=True,
            )
    return rows


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="adversaries, in any format")
    parser.add_argument("--host", required=True, help="the MNIST CA that they attack")
    parser.add_argument("--host-name", help="which model, where that file holds several")
    parser.add_argument(
        "--density",
        type=float,
        default=0.1,
        check=SHARE,
        help="share of adversaries (default: %(default)s)",
    )
    parser.add_argument("--data-dir", help="folder with MNIST's four idx files")
    parser.add_argument(
        "--test-digits",
        type=int,
        default=1000,
        check=POSITIVE,
        help="test digits (default: %(default)s)",
    )
    parser.add_argument(
        "--seeds", type=int, default=3, check=POSITIVE, help="runs (default: %(default)s)"
    )
    parser.add_argument("--out", help="JSON file to write")
    options = parser.parse_args()
    with plain_errors():
        if options.out:
            check_output(options.out)
        print("| adversary | steps | AUC | liars found | honest accused |\n|---|---|---|---|---|")
        rows = detect(options)
        if options.out:
            write_atomically(options.out, json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
