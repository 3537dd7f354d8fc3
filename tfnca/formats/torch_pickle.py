"""Reads PyTorch state dicts without PyTorch and without unpickling, so nothing in a file is run.

`pickle` would call any function that a file names. The small machine in this module knows only the
thirty operations that a state dict needs. It builds dictionaries, lists, numbers, texts and
descriptions of tensors, and refuses every name that is not in `_NAMES`.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from tfnca.formats.archive import MAX_FILES, MAX_NODES, Budget, check_array_name, count_values

_DTYPES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": "<u2",
    "LongStorage": "<i8", "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "i1",
    "ByteStorage": "u1", "BoolStorage": "?",
}  # fmt: skip

_DICT, _TENSOR, _PARAMETER, _SIZE = "dict", "tensor", "parameter", "size"
_NAMES = {
    ("collections", "OrderedDict"): _DICT,
    ("torch._utils", "_rebuild_tensor_v2"): _TENSOR,
    ("torch._utils", "_rebuild_parameter"): _PARAMETER,
    ("torch", "Size"): _SIZE,
    **{("torch", name): name for name in _DTYPES},
}
"""All names that a file may contain, with their meanings in this module."""

_OLD_MAGIC = 0x1950A86A20F9469CFC6C
"""The first object in a file by PyTorch before 1.6."""

_MOST_OPERATIONS = 200_000
_DEEPEST = 16

_MARK = object()


class UnknownNameError(ValueError):
    """A file names a class or a function that a state dict does not need."""


class _Storage(NamedTuple):
    key: str
    dtype: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


def is_old_format(data: bytes) -> bool:
    """Whether a file has the format of PyTorch before 1.6."""
    return data[:2] == b"\x80\x02" and data[2:14] == b"\x8a\x0a" + _OLD_MAGIC.to_bytes(10, "little")


def arrays_in_zip(files: Mapping[str, bytes], main: str, budget: Budget) -> dict[str, np.ndarray]:
    """Reads the arrays in a file by PyTorch 1.6 or later, whose ``data.pkl`` is `main`.

    The budget is for the arrays, because several may share one storage. Nested names are joined
    with dots.

    Raises:
        UnknownNameError: If the file contains a name that a state dict does not need.
        Exception: If the file is broken.
    """
    folder = main.removesuffix("data.pkl")
    if files.get(f"{folder}byteorder", b"little") != b"little":
        raise ValueError("its numbers are big-endian; only little-endian ones are read")
    found, _ = _run(files[main], 0)
    return _arrays(found, lambda key: files[f"{folder}data/{key}"], budget)


def arrays_in_old_file(data: bytes, budget: Budget) -> dict[str, np.ndarray]:
    """Reads the arrays in a file by PyTorch before 1.6; see `arrays_in_zip`."""
    place, objects = 0, []
    for _ in range(5):  # magic number, protocol, system, the object, the storages' keys
        found, place = _run(data, place)
        objects.append(found)
    *_, system, found, keys = objects
    if not system.get("little_endian", True):
        raise ValueError("its numbers are big-endian; only little-endian ones are read")
    dtypes = {tensor.storage.key: tensor.storage.dtype for _, tensor in _leaves(found)}
    storages = {}
    for key in keys:
        (count,) = struct.unpack_from("<q", data, place)
        size = np.dtype(_DTYPES[dtypes[key]]).itemsize * count
        if not 0 <= size <= len(data) - place - 8:
            raise ValueError(f"storage {key} has {count} numbers, more than are left")
        storages[key] = data[place + 8 : place + 8 + size]
        place += 8 + size
    return _arrays(found, storages.__getitem__, budget)


def _run(data: bytes, place: int) -> tuple[Any, int]:
    """The object that a pickle at `place` describes, and the end of the pickle."""
    return _Machine(data, place).run()


class _Machine:
    """Builds one object from the operations of a pickle."""

    def __init__(self, data: bytes, place: int) -> None:
        self.data, self.place = data, place
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.left = _MOST_OPERATIONS

    def run(self) -> tuple[Any, int]:
        while self.left > 0:
            self.left -= 1
            code = self.take(1)
            if code == b".":
                (found,) = self.stack
                return found, self.place
            if code not in _OPERATIONS:
                raise ValueError(f"operation {code!r} at byte {self.place - 1} is not allowed")
            _OPERATIONS[code](self)
        raise ValueError(f"it takes more than {_MOST_OPERATIONS} operations")

    def take(self, count: int) -> bytes:
        if count < 0 or self.place + count > len(self.data):
            raise ValueError(f"it ends at byte {len(self.data)}, where {count} more should follow")
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, form: str) -> Any:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0]

    def text(self, form: str) -> str:
        return self.take(self.number(form)).decode()

    def line(self) -> str:
        end = self.data.index(b"\n", self.place)
        return self.take(end + 1 - self.place)[:-1].decode()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def since_mark(self) -> list[Any]:
        at = next(i for i in reversed(range(len(self.stack))) if self.stack[i] is _MARK)
        values = self.stack[at + 1 :]
        del self.stack[at:]
        return values

    def several(self, count: int) -> tuple:
        values = tuple(self.stack[len(self.stack) - count :])
        if len(values) != count:
            raise ValueError("it takes more from its stack than the stack has")
        del self.stack[len(self.stack) - count :]
        return values

    def name(self, module: str, name: str) -> None:
        if (module, name) not in _NAMES:
            raise UnknownNameError(f"{module}.{name}")
        self.push(_Name(_NAMES[module, name]))

    def call(self) -> None:
        what, arguments = self.several(2)
        if not isinstance(what, _Name) or not isinstance(arguments, tuple):
            raise ValueError("it calls something that is not a function of a state dict")
        # They are copied, and a pickle may pass the same ones again and again.
        self.left -= sum(len(each) for each in arguments if isinstance(each, tuple | list | dict))
        self.push(_call(what.meaning, arguments))

    def refer(self) -> None:
        kind, storage, key, *_ = self.stack.pop()
        if kind != "storage" or not isinstance(storage, _Name) or storage.meaning not in _DTYPES:
            raise ValueError(f"it refers to a {kind!r}")
        self.push(_Storage(str(key), storage.meaning))

    def set_items(self, items: list[Any]) -> None:
        if len(items) % 2 or not isinstance(self.stack[-1], dict):
            raise ValueError("it sets items of something that is not a dictionary")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | int):
                raise ValueError("it has a key that is neither a text nor a number")
            self.stack[-1][key] = value

    def append(self, items: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise ValueError("it appends to something that is not a list")
        self.stack[-1].extend(items)

    def build(self) -> None:
        # The state of an object. That of a dictionary is its `_metadata`, which has no weights.
        self.several(1)


class _Name(NamedTuple):
    meaning: str


def _call(meaning: str, arguments: tuple) -> Any:
    """What a function of `_NAMES` returns."""
    if meaning == _DICT:
        return dict(*arguments)
    if meaning == _SIZE:
        return tuple(*arguments)
    if meaning == _PARAMETER:
        return arguments[0]
    if meaning == _TENSOR:
        storage, offset, shape, strides, *_ = arguments
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor has no storage")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))
    raise ValueError(f"it calls {meaning}")


_OPERATIONS = {
    b"\x80": lambda m: m.take(1),  # the protocol
    b"\x95": lambda m: m.take(8),  # a frame
    b"(": lambda m: m.push(_MARK),
    b")": lambda m: m.push(()),
    b"]": lambda m: m.push([]),
    b"}": lambda m: m.push({}),
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"K": lambda m: m.push(m.number("B")),
    b"M": lambda m: m.push(m.number("H")),
    b"J": lambda m: m.push(m.number("i")),
    b"\x8a": lambda m: m.push(int.from_bytes(m.take(m.number("B")), "little", signed=True)),
    b"G": lambda m: m.push(struct.unpack(">d", m.take(8))[0]),
    b"X": lambda m: m.push(m.text("I")),
    b"\x8c": lambda m: m.push(m.text("B")),
    b"c": lambda m: m.name(m.line(), m.line()),
    b"\x93": lambda m: m.name(*map(str, m.several(2))),
    b"R": _Machine.call,
    b"Q": _Machine.refer,
    b"b": _Machine.build,
    b"t": lambda m: m.push(tuple(m.since_mark())),
    b"\x85": lambda m: m.push(m.several(1)),
    b"\x86": lambda m: m.push(m.several(2)),
    b"\x87": lambda m: m.push(m.several(3)),
    b"a": lambda m: m.append([m.stack.pop()]),
    b"e": lambda m: m.append(m.since_mark()),
    b"s": lambda m: m.set_items([*m.several(2)]),
    b"u": lambda m: m.set_items(m.since_mark()),
    b"q": lambda m: m.memo.__setitem__(m.number("B"), m.stack[-1]),
    b"r": lambda m: m.memo.__setitem__(m.number("I"), m.stack[-1]),
    b"\x94": lambda m: m.memo.__setitem__(len(m.memo), m.stack[-1]),
    b"h": lambda m: m.push(m.memo[m.number("B")]),
    b"j": lambda m: m.push(m.memo[m.number("I")]),
}  # fmt: skip


def _leaves(value: Any) -> list[tuple[str, _Tensor]]:
    """The tensors in an object, by their names."""
    found, visited, left = [], 0, [("", value, 0)]
    while left:
        name, value, depth = left.pop()
        visited += 1
        if visited > MAX_NODES or depth > _DEEPEST:
            raise ValueError(f"it holds more than {MAX_NODES} parts, or is nested too deeply")
        if isinstance(value, _Tensor):
            found.append((name, value))
        elif isinstance(value, dict | list):
            if visited + len(left) + len(value) > MAX_NODES:
                raise ValueError(f"it holds more than {MAX_NODES} parts")
            check_array_name(name)
            items = value.items() if isinstance(value, dict) else enumerate(value)
            inner = [(f"{name}.{key}" if name else str(key), each) for key, each in items]
            left += [(key, each, depth + 1) for key, each in reversed(inner)]
    if len(found) > MAX_FILES:
        raise ValueError(f"it holds {len(found)} tensors, more than {MAX_FILES}")
    return found


def _arrays(value: Any, storage: Callable[[str], bytes], budget: Budget) -> dict[str, np.ndarray]:
    """The arrays of all tensors in an object; `storage` gives the bytes of a key."""
    arrays = {}
    for name, tensor in _leaves(value):
        arrays[name] = _array(name, tensor, storage(tensor.storage.key))
        budget.take(name, 1, arrays[name].nbytes)
    return arrays


def _array(name: str, tensor: _Tensor, data: bytes) -> np.ndarray:
    numbers = [tensor.offset, *tensor.shape, *tensor.strides]
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"{name} has offset, shape and strides {numbers}")
    dtype = np.dtype(_DTYPES[tensor.storage.dtype])
    values = np.frombuffer(data, dtype, count=len(data) // dtype.itemsize)
    size = count_values(tensor.shape)
    steps = [(side - 1) * stride for side, stride in zip(tensor.shape, tensor.strides, strict=True)]
    if size and (size > values.size or tensor.offset + sum(steps) >= values.size):
        raise ValueError(f"{name} of shape {tensor.shape} is larger than its storage {values.size}")
    values = values[tensor.offset :] if size else values[:0]
    strides = [stride * dtype.itemsize for stride in tensor.strides]
    array = np.lib.stride_tricks.as_strided(values, tensor.shape, strides).copy()
    if tensor.storage.dtype == "BFloat16Storage":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array
