"""A fingerprint of the constants in a graph: once it changes, the graph is out of date.

A graph reads a step's numbers, activations and layers once, when it is traced. It reads variables
in every run, so assigning a value to a variable does not require a new graph.
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
"""Packages whose objects count by identity; objects of other packages are inspected."""

_BOOKKEEPING = frozenset(vars(keras.layers.Layer())) - {
    "_dtype_policy",
    "_trainable",
    "_layers",
    "activity_regularizer",
    "autocast",
} | {f"{name}_{kind}" for name in ("kernel", "bias") for kind in ("initializer", "constraint")}
"""Attributes of layers that Keras keeps but does not compute with."""


@dataclasses.dataclass
class Fingerprint:
    """A graph's constants, compared with ``==``; not a list, which Keras would track."""

    parts: list


def fingerprint(*things: Any) -> Fingerprint:
    """All that a graph of these objects would hold as constants.

    It inspects the attributes, and class attributes, of layers and of objects that are not from
    Keras, TensorFlow, NumPy or the standard library. Numbers, strings and arrays count by value;
    variables and everything else by identity. It keeps no object alive.
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
    """How objects of a class are recorded."""
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
    """Records an object's identity. Its `id` is not enough: a later object may get the same one."""
    parts.append(id(value))
    try:
        parts.append(weakref.ref(value))
    except TypeError:
        parts.append(None)
