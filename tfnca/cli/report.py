"""Writes a one-page report of an MNIST adversary: report.html in FOLDER.

FOLDER is the --out of ``train/mnist_adversary.py``: the adversary, its settings and measurements.
"""

from tfnca.commands import Parser

WORK = "tfnca.article.report:main"


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", help="a finished run of train/mnist_adversary.py")
