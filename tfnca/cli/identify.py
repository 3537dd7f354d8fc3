"""Shows what a file of another project does under each rule that fits its shapes.

Shapes do not say which filters, which padding and which alive rule a file was trained with. Under
the right rule a model usually grows, stays within bounds, and settles. Under a wrong one it dies,
explodes, or keeps changing. The table has a row for each candidate, the picture a tile.
"""

from tfnca.cli.shared import add_numbers
from tfnca.commands import NOT_NEGATIVE, Parser

WORK = "tfnca.measures.identify:main"


def add_options(parser: Parser) -> None:
    parser.add_argument("file", metavar="FILE", help="weights in any format that tfnca.load reads")
    parser.add_argument("--name", help="name of the model, if FILE contains several")
    add_numbers(
        parser, ("--steps", 300, "number of CA steps"), ("--size", 64, "side of the grid, in cells")
    )
    parser.add_argument(
        "--seed", type=int, default=0, check=NOT_NEGATIVE, help="random seed (default: %(default)s)"
    )
    parser.add_argument("--out", help="output file, PNG: a picture of each candidate")
