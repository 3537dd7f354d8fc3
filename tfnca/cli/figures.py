"""Draws the article's figures again.

Each figure is a picture (PNG) and, if the article shows a video, also a video (mp4 and animated
WebP). Each is drawn with our models and, if their files are present, with the article's models.
"""

from tfnca.commands import Parser

WORK = "tfnca.article.figures:main"
NUMBERS = (2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14)


def add_options(parser: Parser) -> None:
    parser.add_argument("--figure", type=int, choices=NUMBERS, help="only this figure")
    parser.add_argument("--models", choices=["ours", "published"], help="only these models")
    parser.add_argument("--out", default="out/figures", help="output folder (default: %(default)s)")
