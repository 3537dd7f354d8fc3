"""Finds the cells where a few adversaries do most harm.

Places 1, 2, 4 and 8 adversaries in each test digit by every method, and measures the takeover rate
under other random draws. Writes placement.json, takeover.png and maps.png to --out. With --map N it
only draws the influence map of test digit N, which takes seconds. With --task and --goal, see tfnca
measure, it draws the map of item N of any task.
"""

from tfnca.cli.shared import add_data, add_digit, add_host, add_model, add_pictures, add_task
from tfnca.commands import NOT_NEGATIVE, Parser

WORK = "tfnca.placement.work:main"


def add_options(parser: Parser) -> None:
    add_model(parser, "adversary, in any format that tfnca.load reads")
    add_host(parser, "CA to attack", required=True)
    add_digit(parser)
    add_task(parser)
    add_pictures(parser, "no_tail")
    parser.add_argument("--map", type=int, check=NOT_NEGATIVE, help="number of a digit or item")
    add_data(
        parser,
        ("--test-digits", 1000, "number of test digits"),
        ("--searched", 100, "number of test digits for the slow methods"),
        ("--seeds", 3, "number of evaluations"),
        ("--steps", 200, "CA steps from the empty state"),
    )
    parser.add_argument(
        "--seed", type=int, default=0, check=NOT_NEGATIVE, help="first seed (default: %(default)s)"
    )
    parser.add_argument(
        "--out", default="out/placement", help="output folder (default: %(default)s)"
    )
