"""Detects adversaries from the states of a run and the host's rule.

Ten percent of the cells run the rule of each adversary for 200 steps. Then every cell is tested:
does its change follow the host's rule? Prints how well this separates adversaries from host cells
after 1, 2, 5, 10 and 20 observed steps.
"""

from tfnca.cli.shared import add_data, add_host
from tfnca.commands import FRACTION, Parser

WORK = "tfnca.defence.work:main"


def add_options(parser: Parser) -> None:
    parser.add_argument("models", metavar="MODEL", nargs="+", help="adversaries, in any format")
    add_host(parser, "the CA that they attack", required=True)
    parser.add_argument(
        "--density",
        type=float,
        default=0.1,
        check=FRACTION,
        help="adversary fraction (default: %(default)s)",
    )
    parser.add_argument("--task", metavar="NAME", help="what the host is for, if not digits")
    parser.add_argument("--host-target", default="lizard", help="for --task pattern: its picture")
    add_data(
        parser, ("--test-digits", 1000, "number of test digits"), ("--seeds", 3, "number of runs")
    )
    parser.add_argument("--out", help="JSON file to write")
