"""Rewrites the cards, exports or previews of the models in a folder."""

from tfnca.commands import Parser

WORK = "tfnca.jobs.refresh:main"


def add_options(parser: Parser, what: str) -> None:
    text = "folder of models (default: saved_models of this project)"
    if what == "previews":
        parser.add_argument("--models", dest="folder", help=text)
    else:
        parser.add_argument("folder", nargs="?", help=text)
    parser.set_defaults(what=what)
