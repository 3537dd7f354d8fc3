"""Options that several commands share."""

from tfnca.choices import REGIONS, TARGET_DIGIT
from tfnca.commands import DIGIT, POSITIVE, Parser

TRAINED = "what config.json beside the model says, or else"


def add_model(parser: Parser, text: str, many: bool = False) -> None:
    """Adds the model, or models, and ``--name``."""
    name, number = ("models", "+") if many else ("model", None)
    parser.add_argument(name, metavar="MODEL", nargs=number, help=text)
    parser.add_argument("--name", help="which model, where MODEL holds several")


def add_host(parser: Parser, text: str, required: bool = False) -> None:
    """Adds ``--host`` and ``--host-name``."""
    parser.add_argument("--host", required=required, help=text)
    parser.add_argument("--host-name", help="which model, where that file holds several")


def add_numbers(parser: Parser, *options: tuple[str, int, str]) -> None:
    """Adds positive whole numbers, each by its name, its default and its help."""
    for name, default, text in options:
        text += " (default: %(default)s)"
        parser.add_argument(name, type=int, default=default, check=POSITIVE, help=text)


def add_data(parser: Parser, *options: tuple[str, int, str]) -> None:
    """Adds the folder of digits, and numbers."""
    parser.add_argument("--data-dir", help="folder with MNIST's four idx files")
    add_numbers(parser, *options)


def add_digit(parser: Parser) -> None:
    """Adds ``--digit``."""
    text = f"the class that adversaries argue for (default: {TRAINED} {TARGET_DIGIT})"
    parser.add_argument("--digit", type=int, check=DIGIT, help=text)


def add_lizard(parser: Parser, target: str) -> None:
    """Adds what a lizard should grow, by default `target`, and where its adversaries stand."""
    parser.add_argument(
        "--target", help=f"what it should grow: a name, a PNG (default: {TRAINED} {target})"
    )
    parser.add_argument("--host-target", help=f"what the host grows (default: {TRAINED} lizard)")
    parser.add_argument(
        "--region",
        choices=REGIONS,
        help="a lizard's adversaries stand on what is to stay, as published ('target'), or "
        f"anywhere on what the host grows ('host') (default: {TRAINED} target)",
    )
