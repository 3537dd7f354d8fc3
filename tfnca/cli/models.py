"""Lists the bundled models, or those in a folder: hosts first, then the attacks on them."""

from tfnca.commands import Parser

WORK = "tfnca.zoo.models:main"


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", nargs="?", help="contains a folder for each model")
