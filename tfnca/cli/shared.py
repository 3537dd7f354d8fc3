"""Options of several commands."""

from tfnca.choices import REGIONS, TARGET_DIGIT
from tfnca.commands import DIGIT, POSITIVE, Parser

TRAINED = "as in the model's config.json, otherwise"
CONVENTION = "name of the rule that tfnca identify shows"


def add_model(parser: Parser, text: str, many: bool = False) -> None:
    """Adds the model, or models, and ``--name``."""
    name, number = ("models", "+") if many else ("model", None)
    parser.add_argument(name, metavar="MODEL", nargs=number, help=text)
    parser.add_argument("--name", help="name of the model, if MODEL contains several")
    parser.add_argument("--convention", help=f"{CONVENTION}, if MODEL is another project's file")


def add_host(parser: Parser, text: str, required: bool = False) -> None:
    """Adds ``--host`` and ``--host-name``."""
    parser.add_argument("--host", required=required, help=text)
    parser.add_argument("--host-name", help="name of the host, if its file contains several")
    text = f"{CONVENTION}, if the host is another project's file"
    parser.add_argument("--host-convention", help=text)


def add_numbers(parser: Parser, *options: tuple[str, int, str]) -> None:
    """Adds options for positive integers: name, default and help of each."""
    for name, default, text in options:
        text += " (default: %(default)s)"
        parser.add_argument(name, type=int, default=default, check=POSITIVE, help=text)


def add_data(parser: Parser, *options: tuple[str, int, str]) -> None:
    """Adds ``--data-dir`` and options for positive integers."""
    parser.add_argument("--data-dir", help="folder with MNIST's four idx files")
    add_numbers(parser, *options)


def add_digit(parser: Parser) -> None:
    """Adds ``--digit``."""
    text = f"target class of the adversaries (default: {TRAINED} {TARGET_DIGIT})"
    parser.add_argument("--digit", type=int, check=DIGIT, help=text)


def add_task(parser: Parser) -> None:
    """Adds ``--task`` and ``--goal``."""
    parser.add_argument("--task", metavar="NAME", help="what MODEL, or its host, is for")
    parser.add_argument("--goal", metavar="NAME", help="the task that an attack is for")


def add_pictures(parser: Parser, target: str) -> None:
    """Adds the pictures of a lizard, by default `target`."""
    parser.add_argument(
        "--target", help=f"target picture: a name or a PNG (default: {TRAINED} {target})"
    )
    parser.add_argument(
        "--host-target", help=f"picture that the host grows (default: {TRAINED} lizard)"
    )


def add_lizard(parser: Parser, target: str) -> None:
    """Adds the pictures of a lizard, by default `target`, and the region of its adversaries."""
    add_pictures(parser, target)
    parser.add_argument(
        "--region",
        choices=REGIONS,
        help="placement region of a lizard's adversaries: the opaque cells of the 'target', as in "
        f"the article, or of the 'host' as well (default: {TRAINED} target)",
    )
