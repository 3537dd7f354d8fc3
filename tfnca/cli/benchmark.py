"""Compares hosts and attacks as a leaderboard.

FOLDER contains a folder for each model, with its model.keras and the config.json of its training. A
model whose config.json names a host is an attack, any other model is a host.

On digits, each attack is placed in each host, at random cells and at the most harmful single cell,
without and with a deviation test (tfnca.Verified). With the test, each attack also runs clipped to
the tolerance, as an adversary that knows of the test would do. Hosts are ranked by the attack that
harms them most. A `*` marks an attack that was trained against this host and defence.

With --task lizard, each perturbation and each adversary of a CA that grows a picture attacks each
such host, 500 and 5,000 steps long. The table has the MSE against the target of the attack, over
that without an attack, and against the picture of the host 200 steps after the attack.

Writes benchmark.json, and README.md with the table. To add your model, put its folder into FOLDER
and run this again.
"""

from tfnca.choices import TARGET_DIGIT, TOLERANCE
from tfnca.cli.shared import add_data
from tfnca.commands import DIGIT, POSITIVE, Parser

WORK = "tfnca.defence.benchmark:main"


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", help="contains a folder for each model")
    parser.add_argument(
        "--task",
        default="digits",
        choices=["digits", "lizard"],
        help="what the hosts do; the options about digits and tolerance are for the first "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--digit",
        type=int,
        default=TARGET_DIGIT,
        check=DIGIT,
        help="target class of the adversaries (default: %(default)s)",
    )
    add_data(
        parser,
        ("--test-digits", 300, "number of test digits"),
        ("--mapped", 20, "test digits for the most harmful cell"),
        ("--seeds", 3, "number of runs"),
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=TOLERANCE,
        check=POSITIVE,
        help="tolerance of the deviation test, in standard deviations of the noise "
        "(default: %(default)s)",
    )
    parser.add_argument("--out", default="out/benchmark", help="folder (default: %(default)s)")
