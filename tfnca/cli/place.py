"""Where a few adversaries hurt most.

Places 1, 2, 4 and 8 adversaries in each test digit by every method, and measures under unseen
draws how many digits they take. Writes placement.json, takeover.png and maps.png to --out. With
--map N only the influence map of test digit N is drawn, which takes seconds.
"""

from tfnca.cli.shared import add_data, add_digit, add_host, add_model
from tfnca.commands import NOT_NEGATIVE, Parser

WORK = "tfnca.placement.work:main"


def add_options(parser: Parser) -> None:
    add_model(parser, "the adversary, in any format that tfnca.load reads")
    add_host(parser, "the MNIST CA that is attacked", required=True)
    add_digit(parser)
    parser.add_argument("--map", type=int, check=NOT_NEGATIVE, help="a test digit's number")
    add_data(
        parser,
        ("--test-digits", 1000, "test digits"),
        ("--searched", 100, "of them, for the slow methods"),
        ("--seeds", 3, "evaluations"),
        ("--steps", 200, "CA steps from the empty state"),
    )
    parser.add_argument(
        "--seed", type=int, default=0, check=NOT_NEGATIVE, help="the first (default: %(default)s)"
    )
    parser.add_argument("--out", default="out/placement", help="folder (default: %(default)s)")
