"""The article's figures, drawn anew.

Each is a still (PNG) and, where the article moves, a video (mp4 and animated WebP); with our
models and, where they are present, with the published ones.
"""

from tfnca.commands import Parser

WORK = "tfnca.article.figures:main"
NUMBERS = (2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14)


def add_options(parser: Parser) -> None:
    parser.add_argument("--figure", type=int, choices=NUMBERS, help="only this one")
    parser.add_argument("--models", choices=["ours", "published"], help="only this set")
    parser.add_argument("--out", default="out/figures", help="folder (default: %(default)s)")
