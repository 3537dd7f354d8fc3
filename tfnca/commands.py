"""Shared parts of all commands: the parser, checks of options, and one-line errors."""

import argparse
import contextlib
import gc
import importlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from tfnca.deprecated import current_words
from tfnca.patience import load_tensorflow

Check = Callable[[str, Any], None]
"""A function of an option's name and value. It raises ValueError if the value is invalid."""


class Parser(argparse.ArgumentParser):
    """An argument parser that checks each option and reports errors in one line.

    Its ``add_argument`` takes a `check` in addition to argparse's arguments: see `must`.

    Args:
        prog: Name of the command; None for argparse's default.
        description: First paragraphs of ``--help``, with their line breaks.
    """

    def __init__(self, prog: str | None = None, description: str | None = None) -> None:
        self._checks: list[tuple[str, str, Check]] = []
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(prog=prog, description=description, formatter_class=formatter)
        self.add_argument(
            "--plugin",
            metavar="MODULE",
            action="append",
            default=[],
            help="Python module to import first, for example one that registers your classes",
        )

    def add_argument(
        self, *names: str, check: Check | None = None, **options: Any
    ) -> argparse.Action:
        action = super().add_argument(*names, **options)
        if check is not None:
            self._checks.append((names[0], action.dest, check))
        return action

    def parse_args(  # type: ignore[override]
        self, words: Sequence[str] | None = None
    ) -> argparse.Namespace:
        """Parses and checks the options. An option without value and default is None."""
        options = super().parse_args(self.current_words(words))
        with plain_errors():
            for name, key, check in self._checks:
                if (value := getattr(options, key)) is not None:
                    check(name, value)
        return options

    def current_words(self, words: Sequence[str] | None = None) -> list[str]:
        """A command line with the present names of options. None: that of this process."""
        return current_words(sys.argv[1:] if words is None else words, self._option_string_actions)

    def error(self, message: str) -> NoReturn:
        fail(message)


def work(place: str, *arguments: Any, plugins: Sequence[str] = ()) -> Any:
    """Runs the function of a command and returns its result. Call it after the options are checked.

    The function is ``"package.module:function"``. Its module, and TensorFlow with it, is imported
    only now, after the plug-ins.
    """
    with plain_errors():
        load_tensorflow()
        if plugins and "" not in sys.path:
            sys.path.insert(0, "")  # finds modules in this folder, as ``python -m`` does
        for name in plugins:
            _import_plugin(name)
        return find(place)(*arguments)


def find(place: str) -> Callable[..., Any]:
    """The function at ``"package.module:function"``."""
    module, function = place.split(":")
    return getattr(importlib.import_module(module), function)


def _import_plugin(name: str) -> None:
    try:
        importlib.import_module(name)
    except Exception as error:
        raise ValueError(
            "--plugin must name a Python module in this folder or PYTHONPATH that can be imported, "
            f"for example my_project.cas. Received: {name}, {type(error).__name__}: {error}"
        ) from error


def fail(message: object) -> NoReturn:
    """Prints one line, separate from progress bars, and exits with code 2."""
    from tqdm import tqdm  # late, because it is rarely needed

    tqdm.write(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    raise SystemExit(2)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turns bad input into one line with exit code 2, and Ctrl-C into exit code 130."""
    # Leaves the exception, then collects the objects of its frames. Otherwise Python 3.12 crashes
    # at exit, on TensorFlow's graphs.
    try:
        yield
        return
    except (ValueError, OSError) as error:
        message: str | None = str(error)
    except KeyboardInterrupt:
        message = None
    gc.collect()
    if message is None:
        print("Stopped.", file=sys.stderr)
        raise SystemExit(130)
    fail(message)


def must(rule: str, is_valid: Callable[[Any], bool]) -> Check:
    """A check of an option's value, with the rule for the message, for example "be even".

    Example:

    >>> must("be even", lambda value: value % 2 == 0)("--steps", 3)
    Traceback (most recent call last):
    ValueError: --steps must be even. Received: 3
    """

    def check(name: str, value: Any) -> None:
        if not is_valid(value):
            raise ValueError(f"{name} must {rule}. Received: {value}")

    return check


INFINITY = float("inf")
POSITIVE = must("be positive", lambda value: 0 < value < INFINITY)
FINITE = must("be finite", lambda value: -INFINITY < value < INFINITY)
NOT_NEGATIVE = must("not be negative", lambda value: 0 <= value < INFINITY)
FRACTION = must("be in (0, 1]", lambda value: 0 < value <= 1)
WEIGHT = must("be in [0, 1]", lambda value: 0 <= value <= 1)
MOMENTUM = must("be in [0, 1)", lambda value: 0 <= value < 1)
DIGIT = must("be in 0 to 9", lambda value: 0 <= value <= 9)
SEED = must("be in 0 to 2**32 - 1", lambda value: 0 <= value < 2**32)


def check_output(path: str | Path) -> None:
    """Creates the folder of an output file. Call it before the work, so that errors come early.

    Raises ValueError if the path is a folder, OSError if its folder cannot be created.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"--out must name a file. Received: the folder {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
