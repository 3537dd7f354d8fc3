"""Loads TensorFlow for a command, with a notice, because it takes seconds.

TensorFlow's log is kept out of the terminal, because its messages about missing GPUs look like
errors.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

_FILTER = """
import re, sys
hidden = re.compile(rb"[{levels}]\\d{{4}} |WARNING: All log messages before absl::InitializeLog")
for line in sys.stdin.buffer:
    if not hidden.match(line):
        sys.stderr.buffer.write(line)
        sys.stderr.buffer.flush()
"""
"""A program that passes on everything except lines of these levels of TensorFlow's log."""


def load_tensorflow() -> None:
    """Loads TensorFlow unless it is loaded already, and prints a notice in a terminal."""
    if "tensorflow" in sys.modules:
        return
    if sys.stderr.isatty():
        print("Loading TensorFlow …", file=sys.stderr, flush=True)
    with _without_log():
        import tensorflow as tf

        tf.config.list_physical_devices()  # only this logs the messages about drivers
    tf.get_logger().setLevel("ERROR")  # no warnings about repeated tracing


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Keeps TensorFlow's log below TF_CPP_MIN_LOG_LEVEL out of stderr.

    TensorFlow obeys that variable only after it is loaded. Everything else is passed on by a
    separate process, so TensorFlow's last message is not lost if it ends this process.
    """
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0")
    levels = "IWE"[: int(level)] if level.isdecimal() else ""
    if not levels or not sys.executable:
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    # In its own session, so that Ctrl-C does not reach it.
    reader = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _FILTER.format(levels=levels)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert reader.stdin is not None
    os.dup2(reader.stdin.fileno(), 2)
    try:
        yield
    finally:
        sys.stderr.flush()
        os.dup2(stderr, 2)
        os.close(stderr)
        reader.stdin.close()
        reader.wait()
