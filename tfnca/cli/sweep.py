"""The attack bench: sweeps the share of adversaries.

Digits: how many say the target, how fast, and how many recover once the adversaries are gone.
Lizards: how far the pattern is from the target as time goes on. Of the host's own cells the same is
given beside, since adversaries that paint themselves prove nothing. Writes sweep.json, sweep.csv
and plots to --out, and each share's numbers as soon as they are there: a sweep that was killed goes
on.
"""

from tfnca.choices import DENSITIES
from tfnca.cli.shared import add_data, add_digit, add_host, add_lizard, add_model
from tfnca.commands import POSITIVE, Parser, must

WORK = "tfnca.measures.sweep:main"


def add_options(parser: Parser) -> None:
    add_model(parser, "the adversary, in any format that tfnca.load reads")
    add_host(parser, "the CA that is attacked", required=True)
    parser.add_argument(
        "--densities",
        default=",".join(f"{100 * density:g}" for density in DENSITIES),
        help="shares of adversaries in percent (default: %(default)s)",
    )
    parser.add_argument(
        "--horizon",
        type=int,
        check=POSITIVE,
        help="CA steps under attack (default: 200 for digits, 2000 for lizards)",
    )
    add_lizard(parser, "no_tail")
    add_digit(parser)
    add_data(parser, ("--test-digits", 200, "test digits"), ("--seeds", 3, "runs with digits"))
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        check=must("be positive, or -1 for all cores", lambda jobs: jobs > 0 or jobs == -1),
        help="densities side by side, through joblib; one uses all cores already "
        "(default: %(default)s)",
    )
    parser.add_argument("--out", default="out/sweep", help="folder (default: %(default)s)")
