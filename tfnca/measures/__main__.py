"""Measures a model by the protocol of `tfnca.measures`: ``python -m tfnca.measures MODEL``.

An MNIST CA is run on test digits; with --host, MODEL is its adversary. A Growing CA is run from
its seed and from the grown pattern, and damaged; with --host, MODEL is a perturbation or an
adversary that should turn the host's pattern into --target.
"""

import argparse
import json

from tfnca.automata.checks import check_density
from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.perturbations.matrix import Perturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.commands import Parser, check_output, check_positive, plain_errors
from tfnca.data.digits import load_digits
from tfnca.data.targets import load_target, pad_target
from tfnca.files import write_atomically
from tfnca.formats.load import load
from tfnca.measures.digits import attack_digits, base_digits
from tfnca.measures.lizard import MEASURED_PADDING
from tfnca.measures.protocol import measure_adversary, measure_base, measure_perturbation


def measure(options):
    """The measures that fit the model, a JSON-able dictionary."""
    model = load(options.model, options.name)
    host = load(options.host, options.host_name) if options.host else None
    if not isinstance(model, MNISTCA | GrowingCA | Perturbation):
        raise ValueError(
            "MODEL must be a CA, an adversary or a perturbation by itself, its host in --host. "
            f"Received: {type(model).__name__}"
        )
    if isinstance(model, MNISTCA):
        digits = load_digits("test", options.data_dir, options.test_digits)
        seeds = range(options.seeds)
        if host is None:
            return base_digits(model, digits, seeds, options.horizon)
        return attack_digits(Injected(host, model), digits, options.density, seeds)

    def picture(name):
        return pad_target(load_target(name), MEASURED_PADDING)

    if isinstance(model, Perturbation):
        if host is None:
            raise ValueError("A perturbation is measured on its --host. Received: none")
        return measure_perturbation(
            Perturbed(host, model), picture(options.target), picture(options.host_target)
        )
    if host is None:
        return measure_base(model, picture(options.target))
    return measure_adversary(Injected(host, model), picture(options.target), options.density)


def main():
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a model in any format that tfnca.load reads")
    parser.add_argument("--name", help="which model, where MODEL holds several")
    parser.add_argument("--host", help="the host, where MODEL is an adversary or a perturbation")
    parser.add_argument("--host-name", help="which model, where that file holds several")
    parser.add_argument(
        "--target", default="lizard", help="what it should grow: a name, a PNG (%(default)s)"
    )
    parser.add_argument(
        "--host-target", default="lizard", help="what the host grows (default: %(default)s)"
    )
    parser.add_argument(
        "--density", type=float, default=0.1, help="share of adversaries (default: %(default)s)"
    )
    parser.add_argument("--data-dir", help="folder with MNIST's four idx files")
    parser.add_argument(
        "--test-digits", type=int, default=1000, help="test digits (default: %(default)s)"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, help="runs with digits (default: %(default)s)"
    )
    parser.add_argument(
        "--horizon", type=int, default=1000, help="CA steps of an MNIST CA (default: %(default)s)"
    )
    parser.add_argument("--out", help="JSON file to write; printed if not given")
    options = parser.parse_args()
    with plain_errors():
        check_density(options.density)
        check_positive(options, "test_digits", "seeds", "horizon")
        if options.out:
            check_output(options.out)
        text = json.dumps(measure(options), indent=2)
        if options.out:
            write_atomically(options.out, text)
    print(f"Wrote {options.out}" if options.out else text)


if __name__ == "__main__":
    main()
