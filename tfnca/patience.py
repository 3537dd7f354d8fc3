"""Says at once that a command is on its way: loading TensorFlow takes seconds.

TensorFlow's own log, which speaks of missing GPUs in the tone of errors, is off unless
TF_CPP_MIN_LOG_LEVEL says otherwise.
"""

import os
import sys
from pathlib import Path

_FOLDERS = {"train", "export", "web"}
"""Of this project's scripts. A module that is run by ``-m`` is not yet named while it loads."""


def say_that_it_loads() -> None:
    """Prints a line for whoever looks on, if this is a command and TensorFlow is still to come."""
    command = sys.argv[0] if sys.argv else ""
    ours = command == "-m" or Path(command).absolute().parent.name in _FOLDERS
    if ours and sys.stderr.isatty() and "tensorflow" not in sys.modules:
        print("Loading TensorFlow …", file=sys.stderr, flush=True)


say_that_it_loads()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
