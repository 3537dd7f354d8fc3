"""Measures the article's claims and writes ``docs/claims.md``.

Every sentence of the article that can be checked is measured with our models and, if their files
are present, with the article's models. Measurements are kept in --cache, so that an interrupted run
continues. Delete that folder to measure again.
"""

from tfnca.commands import Parser

WORK = "tfnca.article.claims:main"


def add_options(parser: Parser) -> None:
    parser.add_argument("--out", default="docs/claims.md", help="default: %(default)s")
    parser.add_argument("--cache", default="out/claims", help="default: %(default)s")
    parser.add_argument("--models", choices=["ours", "published"], help="only these models")
