"""Measures a model by the protocol of `tfnca.measures`: ``python -m tfnca.measures MODEL``.

An MNIST CA is run on test digits; with --host, MODEL is its adversary. A Growing CA is run from
its seed and from the grown pattern, and damaged; with --host, MODEL is a perturbation or an
adversary that should turn the host's pattern into --target.
"""

import argparse
import json
from typing import Any

import numpy as np

from tfnca.automata.injection import Injected
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.step import MNIST, CellularAutomaton
from tfnca.commands import DIGIT, POSITIVE, SHARE, Parser, check_output, plain_errors
from tfnca.data.digits import load_digits
from tfnca.data.targets import load_target, pad_target
from tfnca.files import write_atomically
from tfnca.formats.load import load
from tfnca.measures.digits import TARGET_DIGIT, attack_digits, base_digits
from tfnca.measures.lizard import MEASURED_PADDING, standing_room
from tfnca.measures.progress import on_screen
from tfnca.measures.protocol import measure_adversary, measure_base, measure_perturbation
from tfnca.measures.settings import add_among, fill_in, settings_beside


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """The measures that fit the model, a JSON-able dictionary."""
    model = load(options.model, options.name)
    host = load(options.host, options.host_name) if options.host else None
    fill_in(
        options,
        settings_beside(options.model),
        target="lizard",
        host_target="lizard",
        density=0.1,
        among="target",
        digit=TARGET_DIGIT,
    )
    if not isinstance(model, CellularAutomaton | StatePerturbation):
        raise ValueError(
            "MODEL must be a CA, an adversary or a perturbation by itself, its host in --host. "
            f"Received: {type(model).__name__}"
        )
    if isinstance(model, CellularAutomaton) and model.family == MNIST:
        digits = load_digits("test", options.data_dir, options.test_digits)
        seeds = range(options.seeds)
        if host is None:
            return base_digits(model, digits, seeds, options.horizon, on_screen)
        step = Injected(host, model)
        return attack_digits(step, digits, options.density, seeds, options.digit, on_screen)

    def picture(name: str) -> np.ndarray:
        return pad_target(load_target(name), MEASURED_PADDING)

    if isinstance(model, StatePerturbation):
        if host is None:
            raise ValueError("A perturbation is measured on its --host. Received: none")
        return measure_perturbation(
            Perturbed(host, model),
            picture(options.target),
            picture(options.host_target),
            progress=on_screen,
        )
    if host is None:
        return measure_base(model, picture(options.target), progress=on_screen)
    target = picture(options.target)
    among = standing_room(options.among, target, picture(options.host_target))
    step = Injected(host, model)
    return measure_adversary(step, target, options.density, among, progress=on_screen)


def main() -> None:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model in any format that tfnca.load reads")
    parser.add_argument("--name", help="which model, where MODEL holds several")
    parser.add_argument("--host", help="the host, where MODEL is an adversary or a perturbation")
    parser.add_argument("--host-name", help="which model, where that file holds several")
    trained = "what config.json beside MODEL says, or else"
    parser.add_argument(
        "--target", help=f"what it should grow: a name, a PNG (default: {trained} lizard)"
    )
    parser.add_argument("--host-target", help=f"what the host grows (default: {trained} lizard)")
    parser.add_argument(
        "--density", type=float, check=SHARE, help=f"share of adversaries (default: {trained} 0.1)"
    )
    add_among(parser, trained)
    parser.add_argument(
        "--digit",
        type=int,
        check=DIGIT,
        help=f"the class that adversaries argue for (default: {trained} {TARGET_DIGIT})",
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
        "--seeds",
        type=int,
        default=3,
        check=POSITIVE,
        help="runs with digits (default: %(default)s)",
    )
    parser.add_argument(
        "--horizon",
        type=int,
        default=1000,
        check=POSITIVE,
        help="CA steps of an MNIST CA (default: %(default)s)",
    )
    parser.add_argument("--out", help="JSON file to write; printed if not given")
    options = parser.parse_args()
    with plain_errors():
        if options.out:
            check_output(options.out)
        text = json.dumps(measure(options), indent=2)
        if options.out:
            write_atomically(options.out, text)
    print(f"Wrote {options.out}" if options.out else text)


if __name__ == "__main__":
    main()
