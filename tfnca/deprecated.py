"""Old names of arguments, options and classes. They work for one release, with a warning.

Files that contain old names load forever, without a warning: see `current_settings`.
"""

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])

ARGUMENTS = {
    "among": "region",
    "chosen": "reset_policy",
    "fresh": "new_digits",
    "hopeless": "reset_threshold",
    "lifted": "recovery_items",
    "lifted_loss": "recovery_loss",
    "mutated": "swapped_digits",
    "still": "drift_penalty",
}
"""Old arguments, options and keys of ``config.json``, each with its new name."""

CLASSES = {"Perturbation": "MatrixPerturbation", "StateShift": "ShiftPerturbation"}
"""Old classes, each with its new name. In files they keep the old one."""


def warn(old: str, new: str, frames: int = 1) -> str:
    """Warns of an old name and returns the message; `frames` are the calls since the user's."""
    message = f"{old} is now {new}. The old name works until the next release."
    warnings.warn(message, DeprecationWarning, stacklevel=frames + 2)
    return message


def takes_old_names(function: Function) -> Function:
    """Decorates a function so that it takes its arguments by their old names too."""
    signature = inspect.signature(function)
    renamed = {old: new for old, new in ARGUMENTS.items() if new in signature.parameters}

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        for old in renamed.keys() & kwargs.keys():
            new = renamed[old]
            if new in kwargs:
                raise ValueError(f"{new} and {old} are one argument. Received: both")
            warn(old, new)
            kwargs[new] = kwargs.pop(old)
        return function(*args, **kwargs)

    call.__signature__ = signature  # type: ignore[attr-defined]  # Keras looks at the arguments
    return call  # type: ignore[return-value]


def current_class(name: str, offered: Mapping[str, Any], module: str) -> Any:
    """For a module's ``__getattr__``: the class in the module's contents that an old name means.

    Raises AttributeError if it is not an old name.
    """
    if (new := CLASSES.get(name, "")) not in offered:
        raise AttributeError(f"module {module!r} has no attribute {name!r}")
    warn(name, new, frames=2)
    return offered[new]


def current_words(words: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """A command line with each old option of a command replaced by its new name."""
    renamed = {flag(old): flag(new) for old, new in ARGUMENTS.items() if flag(new) in options}
    current = []
    for word in words:
        name, equals, value = word.partition("=")
        if name in renamed:
            # Python shows warnings of this kind to programmers only.
            print(f"note: {warn(name, renamed[name])}", file=sys.stderr)
            name = renamed[name]
        current.append(name + equals + value)
    return current


def current_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a ``config.json``, each under its present name."""
    return {ARGUMENTS.get(name, name): value for name, value in settings.items()}


def flag(name: str) -> str:
    """An argument's option, as it is typed: ``"--batch-size"`` for ``"batch_size"``."""
    return "--" + name.replace("_", "-")
