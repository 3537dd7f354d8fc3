"""Which engine runs a step, and whether this process can run one at all."""

import os
import sys

import tensorflow as tf

from tfnca.automata.step import Step, in_xla
from tfnca.engines import sparse

ENGINES = ("auto", "dense", "sparse")


def resolve_engine(engine: str, step: Step) -> str:
    """``"dense"`` or ``"sparse"`` for a step.

    ``"auto"`` is sparse if that engine can run the step, TensorFlow sees no GPU, and XLA does not
    compile the function that is being traced.

    Raises:
        ValueError: If the engine is unknown, or ``"sparse"`` cannot run the step.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {ENGINES}. Received: engine={engine!r}")
    if engine == "dense" or (engine == "auto" and tf.config.list_logical_devices("GPU")):
        return "dense"
    reason = sparse.supports(step)
    if reason is None and in_xla():
        reason = "XLA (jit_compile=True) compiles TensorFlow's own operations only"
    if reason is None:
        return "sparse"
    kind = type(step).__name__
    if engine == "sparse":
        raise ValueError(
            f"The sparse engine does not run this step: {reason}. engine='dense' runs any step. "
            f"Received: {kind}"
        )
    say_once(f"{kind} is run by the dense engine: {reason}.")
    return "dense"


_life = {"ran": False, "forked": False}
"""Whether this process has run anything, and whether it is the fork of one that had."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _life.update(forked=_life["ran"]))


def refuse_forks() -> None:
    """Raises RuntimeError in the fork of a process that ran a step; TensorFlow would hang."""
    if _life["forked"]:
        raise RuntimeError(
            "TensorFlow does not work in a fork of a process in which it ran. Start processes by "
            "multiprocessing.get_context('spawn'). Received: a call in a forked process"
        )
    _life["ran"] = True


_said: set[str] = set()


def say_once(line: str) -> None:
    """Prints a line to the error stream, once per process."""
    if line not in _said:
        _said.add(line)
        print(line, file=sys.stderr)
