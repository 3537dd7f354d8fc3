"""The options of each command, one file per command. No file here loads TensorFlow.

A file has a docstring, which is the description in ``--help``; `add_options`; and `WORK`, the name
of the function that runs with the parsed options.
"""

import importlib
from collections.abc import Sequence
from typing import Any

from tfnca.commands import Parser, work


def run(
    name: str, prog: str | None = None, words: Sequence[str] | None = None, **settings: Any
) -> None:
    """Parses a command's options and runs it. Invalid input: one line and exit code 2.

    The words are the command line without the command's name; None: that of this process. Settings
    are further arguments of its `add_options`, and its `description`.
    """
    command = importlib.import_module(f"{__name__}.{name}")
    parser = Parser(prog, settings.pop("description", command.__doc__))
    command.add_options(parser, **settings)
    options = parser.parse_args(words)
    work(command.WORK, options, plugins=options.plugin)
