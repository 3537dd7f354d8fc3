"""Measures an attack at several adversary fractions.

Digits: the takeover rate, its speed, and the recovery after the attack is removed. Lizards: the MSE
against the target over time. Other attacks, with --task and --goal as in tfnca measure: the errors
over time. The numbers are also given for host cells only, because adversaries that change only
themselves are no takeover. Writes sweep.json, sweep.csv and plots to --out. The numbers of each
fraction are written at once, so a sweep that was killed continues.
"""

from tfnca.choices import DENSITIES
from tfnca.cli.shared import add_data, add_digit, add_host, add_lizard, add_model, add_task
from tfnca.commands import POSITIVE, Parser, must

WORK = "tfnca.measures.sweep:main"


def add_options(parser: Parser) -> None:
    add_model(parser, "adversary, in any format that tfnca.load reads")
    add_host(parser, "CA to attack", required=True)
    parser.add_argument(
        "--densities",
        default=",".join(f"{100 * density:g}" for density in DENSITIES),
        help="adversary fractions in percent (default: %(default)s)",
    )
    parser.add_argument(
        "--horizon",
        type=int,
        check=POSITIVE,
        help="CA steps under attack (default: 200 for digits, 2000 for lizards, 1000 for a task)",
    )
    add_lizard(parser, "no_tail")
    add_digit(parser)
    add_task(parser)
    add_data(
        parser,
        ("--test-digits", 200, "number of test digits"),
        ("--seeds", 3, "number of runs with digits"),
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        check=must("be positive, or -1 for all cores", lambda jobs: jobs > 0 or jobs == -1),
        help="number of fractions measured in parallel, with joblib; one already uses all cores "
        "(default: %(default)s)",
    )
    parser.add_argument("--out", default="out/sweep", help="output folder (default: %(default)s)")
