"""Measures a model by the protocol of `tfnca.measures`.

A CA of digits runs on test digits. With --host, MODEL is its adversary. A CA of pictures runs from
its seed and from the grown pattern, and is damaged. With --host, MODEL is a perturbation or an
adversary that should change the host's pattern to --target. An adversary that spreads begins as it
did in training.

Any other CA, and any attack on it, is measured by a task: --task pattern, --task digit, or a class
of your own that derives from tfnca.Task, in a module that you name with --plugin. --goal names what
an attack is for. The CA runs from the task's start, from where it has settled, and is damaged; an
attack begins where its host has settled, and is removed at the end.
"""

from tfnca.cli.shared import TRAINED, add_data, add_digit, add_host, add_lizard, add_model, add_task
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
    add_task(parser)
    add_data(
        parser,
        ("--test-digits", 1000, "number of test digits"),
        ("--seeds", 3, "number of runs with digits"),
        ("--horizon", 1000, "CA steps with digits or --task"),
        ("--runs", 16, "number of runs with --task, or of an adversary that spreads"),
    )
    parser.add_argument("--out", help="output file, JSON (default: print)")
