"""Measures a model by the protocol of `tfnca.measures`.

An MNIST CA runs on test digits. With --host, MODEL is its adversary. A Growing CA runs from its
seed and from the grown pattern, and is damaged. With --host, MODEL is a perturbation or an
adversary that should change the host's pattern to --target.
"""

from tfnca.cli.shared import TRAINED, add_data, add_digit, add_host, add_lizard, add_model
from tfnca.commands import FRACTION, Parser

WORK = "tfnca.measures.model:main"


def add_options(parser: Parser) -> None:
    add_model(parser, "model in any format that tfnca.load reads")
    add_host(parser, "host, if MODEL is an adversary or a perturbation")
    add_lizard(parser, "lizard")
    parser.add_argument(
        "--density", type=float, check=FRACTION, help=f"adversary fraction (default: {TRAINED} 0.1)"
    )
    add_digit(parser)
    add_data(
        parser,
        ("--test-digits", 1000, "number of test digits"),
        ("--seeds", 3, "number of runs with digits"),
        ("--horizon", 1000, "CA steps of an MNIST CA"),
    )
    parser.add_argument("--out", help="output file, JSON (default: print)")
