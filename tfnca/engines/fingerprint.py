"""What a graph holds as constants: once it changes, the graph is an old one.

A graph reads a step's numbers, activations and layers once, when it is traced. Variables it reads
at every run, so that values assigned to them need no new graph.
"""

import dataclasses
import functools
import sys
import types
import weakref
from typing import Any

import keras
import numpy as np

_PLAIN = frozenset((int, float, bool, str, bytes, complex, type(None)))

_OPAQUE = frozenset(sys.stdlib_module_names) | {"keras", "tensorflow", "numpy"}
"""Packages whose objects are known by identity; those of any others are looked into."""

_BOOKKEEPING = frozenset(vars(keras.layers.Layer())) - {
    "_dtype_policy",
    "_trainable",
    "_layers",
    "activity_regularizer",
    "autocast",
} | {f"{name}_{kind}" for name in ("kernel", "bias") for kind in ("initializer", "constraint")}
"""What Keras notes on layers and does not compute with."""


@dataclasses.dataclass
class Fingerprint:
    """What a graph holds, to be compared with ``==``; no list, into which Keras would look."""

    parts: list


def fingerprint(*things: Any) -> Fingerprint:
    """All that a graph of these objects would hold as constants.

    Layers, and objects that are neither Keras' nor of the standard library, are looked into:
    attributes, and those of their classes. Numbers, texts and arrays count by value, variables
    and all else by identity. It keeps nothing alive.
    """
    parts: list = []
    _note(things, parts, set())
    return Fingerprint(parts)


def _note(value: Any, parts: list, seen: set[int]) -> None:
    kind = type(value)
    if kind in _PLAIN:
        parts.append(value)
        return
    sort = _sort(kind)  # type: ignore[arg-type]
    if sort == "array":
        parts += [value.dtype.str, value.shape, hash(value.tobytes())]
    elif sort == "policy":
        parts.append(value.name)
    elif sort == "method":
        _identify(value.__self__, parts)
        _identify(value.__func__, parts)
    elif sort == "variable":
        _identify(value, parts)
        parts.append(value.trainable)
    elif sort == "opaque":
        _identify(value, parts)
    elif sort == "collection":
        parts.append(len(value))
        if id(value) not in seen:
            seen.add(id(value))
            is_map = isinstance(value, dict)
            for each in [part for item in value.items() for part in item] if is_map else value:
                _note(each, parts, seen)
    else:
        _identify(value, parts)
        if id(value) not in seen:
            seen.add(id(value))
            _look_into(value, parts, seen)


@functools.lru_cache(256)
def _sort(kind: type) -> str:
    """How objects of a class are noted."""
    for sort, kinds in (
        ("variable", keras.Variable),
        ("collection", (list, tuple, set, frozenset, dict)),
        ("array", (np.ndarray, np.generic)),
        ("policy", keras.DTypePolicy),
        ("method", types.MethodType),
        ("open", keras.layers.Layer),
    ):
        if issubclass(kind, kinds):
            return sort
    return "opaque" if _package(kind) in _OPAQUE else "open"


def _look_into(value: Any, parts: list, seen: set[int]) -> None:
    for name, each in getattr(value, "__dict__", {}).items():
        if name not in _BOOKKEEPING:
            parts.append(name)
            _note(each, parts, seen)
    for cls in _classes(type(value)):  # type: ignore[arg-type]
        for name, each in vars(cls).items():
            if not name.startswith("__"):
                parts.append(name)
                _note(each, parts, seen)


@functools.lru_cache(256)
def _classes(kind: type) -> tuple[type, ...]:
    """The user's own classes among those that a class derives from."""
    return tuple(cls for cls in kind.__mro__ if _package(cls) not in _OPAQUE | {"tfnca"})


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]


def _identify(value: Any, parts: list) -> None:
    """Notes which object this is. A number alone would not do: another may get it later."""
    parts.append(id(value))
    try:
        parts.append(weakref.ref(value))
    except TypeError:
        parts.append(None)
