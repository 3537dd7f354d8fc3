"""What every command shares: its parser, and plain errors in one line."""

import argparse
import contextlib
import sys
from pathlib import Path


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message):
        fail(message)


def fail(message):
    """Prints one line and exits with code 2."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr)
    raise SystemExit(2)


@contextlib.contextmanager
def plain_errors():
    """Turns bad input into one line with exit code 2, and Ctrl-C into exit code 130."""
    try:
        yield
    except (ValueError, OSError) as error:
        fail(error)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        raise SystemExit(130) from None


def check_output(path):
    """Makes the folder of a file that is to be written, before the work is done for nothing.

    Raises:
        ValueError: If the path is a folder.
        OSError: If its folder cannot be made.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"--out must name a file. Received: the folder {path}")
    path.parent.mkdir(parents=True, exist_ok=True)


def check_positive(options, *names):
    """Raises ValueError if one of these options, where it is there and set, is below 1."""
    for name in names:
        value = getattr(options, name, None)
        if value is not None and value < 1:
            shown = "--" + name.replace("_", "-")
            raise ValueError(f"{shown} must be positive. Received: {value}")
