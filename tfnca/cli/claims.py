"""The article's claims as numbers; writes ``docs/claims.md``.

Every sentence of the article that can be checked is measured with our models and, where they are
present, with the published ones. Measures are kept in --cache, so that a run that was stopped
goes on; delete the folder to measure anew.
"""

from tfnca.commands import Parser

WORK = "tfnca.article.claims:main"


def add_options(parser: Parser) -> None:
    parser.add_argument("--out", default="docs/claims.md", help="default: %(default)s")
    parser.add_argument("--cache", default="out/claims", help="default: %(default)s")
    parser.add_argument("--models", choices=["ours", "published"], help="only this set")
