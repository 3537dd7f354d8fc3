"""Loads TensorFlow for a command: says so, since it takes seconds, and keeps TensorFlow's log off
the terminal, where it speaks of missing GPUs in the tone of errors."""

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
"""A program that hands on all but lines of these levels of TensorFlow's log."""


def load_tensorflow() -> None:
    """Loads TensorFlow unless it is loaded, with a notice in a terminal."""
    if "tensorflow" in sys.modules:
        return
    if sys.stderr.isatty():
        print("Loading TensorFlow …", file=sys.stderr, flush=True)
    with _without_log():
        import tensorflow as tf

        tf.config.list_physical_devices()  # it speaks of drivers only then
    tf.get_logger().setLevel("ERROR")  # of graphs that are traced anew


@contextlib.contextmanager
def _without_log() -> Iterator[None]:
    """Within this, no log of TensorFlow below TF_CPP_MIN_LOG_LEVEL comes to stderr.

    TensorFlow obeys that variable only once it is loaded. All else is handed on, by a process of
    its own: what TensorFlow says when it ends this one is not lost.
    """
    level = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "0")
    levels = "IWE"[: int(level)] if level.isdecimal() else ""
    if not levels or not sys.executable:
        yield
        return
    sys.stderr.flush()
    stderr = os.dup(2)
    # In a session of its own, so that Ctrl-C leaves it alone.
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
