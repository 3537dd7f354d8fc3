"""Compiles the kernels once per machine, with a notice, both entries at the same time."""

import atexit
import contextlib
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import event

_lock = threading.Lock()
_companion: subprocess.Popen | None = None

_PATIENCE = 120
"""Longest time to wait for the companion process, in seconds."""


class _Beginning(event.Listener):
    """Calls a function if and when compilation begins."""

    def __init__(self, begin):
        self.begin = begin
        self.begun = False

    def on_start(self, _):
        if not self.begun:
            self.begun = True
            self.begin()

    def on_end(self, _):
        pass


_COMPANION = """
import pickle, sys, types
package = types.ModuleType("tfnca")  # not the real one: Keras would take as long as compiling
package.__path__ = [sys.argv[1]]
sys.modules["tfnca"] = package
from tfnca.engines import kernels
getattr(kernels, sys.argv[2]).compile(pickle.loads(bytes.fromhex(sys.argv[3])))
"""


def prepare(
    kernel: Any,
    arguments: tuple,
    other: Any = None,
    arguments_of_other: Callable[[], tuple] | None = None,
) -> None:
    """Compiles an entry of `kernels`, or loads it from the cache, for its only signature.

    Numba compiles one function at a time in each process. So while this process compiles one entry,
    a companion process compiles the `other`, if it will be needed too. Arguments of the right types
    for it are made only then.
    """
    if numba.config.DISABLE_JIT:  # the kernels are plain Python then, for debugging or coverage
        return
    with _lock:
        if kernel.signatures:
            return
        kept = kernel.stats.cache_path is not None

        def begin():
            where = (
                "once on this machine"
                if kept
                else "for this process only, since no cache folder can be written (NUMBA_CACHE_DIR)"
            )
            print(f"tfnca: compiling the living-cells engine, {where} …", file=sys.stderr)
            if kept and other is not None and arguments_of_other is not None:
                _start(other.__name__, _signature(arguments_of_other()))

        _wait_for_companion()
        with event.install_listener("numba:compile", _Beginning(begin)):
            try:
                kernel.compile(_signature(arguments))
            except OSError as error:  # compilation succeeded, but writing the cache failed
                if not kernel.signatures:
                    raise
                print(f"tfnca: the compiled engine could not be kept: {error}", file=sys.stderr)
        kernel.disable_compile()  # another signature would be a mistake, and slow to compile


def _signature(arguments):
    return tuple(numba.typeof(argument) for argument in arguments)


def _start(name, signature):
    """Starts the companion; if that fails, this process compiles both entries in turn."""
    global _companion
    if (os.cpu_count() or 1) < 2 or not sys.executable or getattr(sys, "frozen", False):
        return
    package = Path(__file__).parents[1]
    command = [sys.executable, "-c", _COMPANION, package, name, pickle.dumps(signature).hex()]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    try:
        _companion = subprocess.Popen(command, env=environment, **quiet)
    except OSError:
        _companion = None


def _wait_for_companion():
    global _companion
    if _companion is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            _companion.wait(_PATIENCE)
        _end_companion()


@atexit.register
def _end_companion():
    """Ends the companion, which must not outlive this process."""
    global _companion
    if _companion is not None:
        _companion.kill()
        _companion.wait()
        _companion = None
