"""Who lies, told from states and the rule.

Ten percent of the cells run each adversary's rule for 200 steps; then one looks on and asks of
every cell whether it changed as the host's rule says. Prints how well liars are told from honest
cells after 1, 2, 5, 10 and 20 steps of watching.
"""

from tfnca.cli.shared import add_data, add_host
from tfnca.commands import FRACTION, Parser

WORK = "tfnca.defence.work:main"


def add_options(parser: Parser) -> None:
    parser.add_argument("models", metavar="MODEL", nargs="+", help="adversaries, in any format")
    add_host(parser, "the MNIST CA that they attack", required=True)
    parser.add_argument(
        "--density",
        type=float,
        default=0.1,
        check=FRACTION,
        help="share of adversaries (default: %(default)s)",
    )
    add_data(parser, ("--test-digits", 1000, "test digits"), ("--seeds", 3, "runs"))
    parser.add_argument("--out", help="JSON file to write")
