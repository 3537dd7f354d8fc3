"""Hosts against attacks, on digits.

FOLDER holds a folder for each model: its model.keras and the config.json that its training left. A
model whose config.json names a host is an attack, any other is a host. Each attack is put into each
host, at random places and at the best single one, with cells that listen to all and with cells
that silence who breaks the rule (tfnca.Verified). A host is judged by the attack that hurts it
most; a `*` marks an attack that was trained against this very host and defence. Where liars are
silenced, each attack is also held to the tolerance, as a liar who knows of it would do. Writes
benchmark.json, and README.md with the table; to join it, put your models into a folder of their own
beside the others and run this again.
"""

from tfnca.choices import TARGET_DIGIT, TOLERANCE
from tfnca.cli.shared import add_data
from tfnca.commands import DIGIT, POSITIVE, Parser

WORK = "tfnca.defence.benchmark:main"


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", help="holds a folder for each model")
    parser.add_argument(
        "--digit",
        type=int,
        default=TARGET_DIGIT,
        check=DIGIT,
        help="the class that adversaries argue for (default: %(default)s)",
    )
    add_data(
        parser,
        ("--test-digits", 300, "test digits"),
        ("--mapped", 20, "of them, for the best place"),
        ("--seeds", 3, "runs"),
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        check=POSITIVE,
        help="standard deviations of the noise that are borne (default: %(default)s)",
    )
    parser.add_argument("--out", default="out/benchmark", help="folder (default: %(default)s)")
