"""Reads ``.msgpack``: trees of arrays, as flax writes them (`flax.serialization.to_bytes`)."""

from typing import Any

import msgpack
import numpy as np

from tfnca.formats.archive import MAX_FILES, check_array_name, count_values, refusing
from tfnca.formats.foreign import build_foreign
from tfnca.formats.readers.base import Models, Source, reader

_ARRAY, _SCALAR = 1, 3
"""Flax's codes of an array and of a NumPy scalar, both packed as (shape, dtype, bytes)."""

_LONGEST_DTYPE = 16
"""Characters; the name of any data type of numbers has fewer."""


def _is_msgpack(name: str, data: bytes) -> bool:
    is_map = data[:1] in (b"\xde", b"\xdf") or 0x80 < (data[:1] or b"\0")[0] <= 0x8F
    return is_map and name.lower().endswith((".msgpack", ".flax", ".mpk"))


@reader(_is_msgpack)
def read(source: Source) -> Models:
    with refusing(source.where, "msgpack file of flax"):
        tree = msgpack.unpackb(source.data, ext_hook=_unpack, strict_map_key=False, raw=False)
        arrays: dict[str, np.ndarray] = {}
        _flatten(tree, (), arrays)
    return build_foreign(source, arrays)


def _flatten(tree: Any, path: tuple[str, ...], arrays: dict[str, np.ndarray]) -> None:
    """Adds the arrays in a tree to `arrays`, with names joined by slashes."""
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            _flatten(value, (*path, str(key)), arrays)
    elif isinstance(tree, np.ndarray):
        check_array_name(name := "/".join(path))
        arrays[name] = tree
        if len(arrays) > MAX_FILES:
            raise ValueError(f"it holds more than {MAX_FILES} arrays")


def _unpack(code: int, data: bytes) -> np.ndarray | None:
    """An array, or None if the data are not an array."""
    if code not in (_ARRAY, _SCALAR):
        return None
    shape, name, values = msgpack.unpackb(data, raw=True)
    if len(name) > _LONGEST_DTYPE:  # NumPy parses lists of types, which may be long
        raise ValueError(f"a data type whose name has {len(name)} characters")
    dtype = np.dtype(name.decode())
    if dtype.kind not in "fiub" or count_values(shape) * dtype.itemsize != len(values):
        raise ValueError(f"an array {name} of shape {shape} in {len(values)} bytes")
    return np.frombuffer(values, dtype).reshape(shape)
