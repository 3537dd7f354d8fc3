"""What every command shares: its parser, checks of its options, and plain errors in one line."""

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
"""A function of an option's name and value that raises ValueError if the value is wrong."""


class Parser(argparse.ArgumentParser):
    """Checks each option by its own check, and says what is wrong in one line.

    ``add_argument`` takes a `check` beside argparse's own arguments: see `must`.

    Args:
        prog: What the command is called; as argparse says if None.
        description: What ``--help`` says first, its lines as they are.
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
            help="a Python module of yours to import first: it registers classes of its own",
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
        """The options, each checked; those that are not set and have no default are None."""
        words = sys.argv[1:] if words is None else words
        options = super().parse_args(current_words(words, self._option_string_actions))
        with plain_errors():
            for name, key, check in self._checks:
                if (value := getattr(options, key)) is not None:
                    check(name, value)
        return options

    def error(self, message: str) -> NoReturn:
        fail(message)


def work(place: str, *arguments: Any, plugins: Sequence[str] = ()) -> Any:
    """Does a command's work, once its options are known to be right.

    Args:
        place: The function that does it, as ``"package.module:function"``: it is imported only
            now, and TensorFlow with it.
        *arguments: What it is called with.
        plugins: Modules to import before it.

    Returns:
        What the function returns.
    """
    with plain_errors():
        load_tensorflow()
        if plugins and "" not in sys.path:
            sys.path.insert(0, "")  # a module in this folder, as ``python -m`` finds it
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
            "--plugin must name a Python module that can be imported, such as my_project.cas, from "
            f"this folder or PYTHONPATH. Received: {name}, {type(error).__name__}: {error}"
        ) from error


def fail(message: object) -> NoReturn:
    """Prints one line, apart from any bar, and exits with code 2."""
    from tqdm import tqdm  # not before it is needed

    tqdm.write(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    raise SystemExit(2)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turns bad input into one line with exit code 2, and Ctrl-C into exit code 130."""
    # The error is left, and what its frames held is collected: at its own end Python 3.12 crashes
    # on TensorFlow's graphs.
    try:
        yield
        return
    except (ValueError, OSError) as error:
        said: str | None = str(error)
    except KeyboardInterrupt:
        said = None
    gc.collect()
    if said is None:
        print("Stopped.", file=sys.stderr)
        raise SystemExit(130)
    fail(said)


def must(rule: str, holds: Callable[[Any], bool]) -> Check:
    """A check of an option's value.

    Args:
        rule: What the value must do, for the message.
        holds: Whether it does.

    Example:

    >>> must("be even", lambda value: value % 2 == 0)("--steps", 3)
    Traceback (most recent call last):
    ValueError: --steps must be even. Received: 3
    """

    def check(name: str, value: Any) -> None:
        if not holds(value):
            raise ValueError(f"{name} must {rule}. Received: {value}")

    return check


INFINITY = float("inf")
POSITIVE = must("be positive", lambda value: 0 < value < INFINITY)
NOT_NEGATIVE = must("not be negative", lambda value: 0 <= value < INFINITY)
SHARE = must("lie in (0, 1]", lambda value: 0 < value <= 1)
WEIGHT = must("lie in [0, 1]", lambda value: 0 <= value <= 1)
MOMENTUM = must("lie in [0, 1)", lambda value: 0 <= value < 1)
DIGIT = must("lie in 0 to 9", lambda value: 0 <= value <= 9)
SEED = must("lie in 0 to 2**32 - 1", lambda value: 0 <= value < 2**32)


def check_output(path: str | Path) -> None:
    """Makes the folder of a file that is to be written, before the work is done for nothing.

    Raises:
        ValueError: If the path is a folder.
        OSError: If its folder cannot be made.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"--out must name a file. Received: the folder {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
