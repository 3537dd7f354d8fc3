"""What each command takes, known before TensorFlow loads: a file a command.

A file has a docstring, which ``--help`` says first; `add_options`; and `WORK`, the function of the
options that does the work, by its name.
"""

import importlib
from collections.abc import Sequence
from typing import Any

from tfnca.commands import Parser, work


def run(
    name: str, prog: str | None = None, words: Sequence[str] | None = None, **settings: Any
) -> None:
    """Parses a command's options and does its work; bad input becomes one line and exit code 2.

    Args:
        name: A file of this package.
        prog: What the command is called in messages.
        words: The command line without the command's name; that of this process if None.
        **settings: What its `add_options` takes besides the parser.
    """
    command = importlib.import_module(f"{__name__}.{name}")
    parser = Parser(prog, settings.pop("description", command.__doc__))
    command.add_options(parser, **settings)
    options = parser.parse_args(words)
    work(command.WORK, options, plugins=options.plugin)
