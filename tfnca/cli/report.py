"""The report of the main job, one page: report.html in FOLDER.

FOLDER is what ``train/mnist_adversary.py`` left: the adversary, its configuration and measures.
"""

from tfnca.commands import Parser

WORK = "tfnca.article.report:main"


def add_options(parser: Parser) -> None:
    parser.add_argument("folder", help="a finished run of train/mnist_adversary.py")
