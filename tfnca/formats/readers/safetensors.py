"""Reads ``.safetensors``: a CA's arrays with any names, for example from a port to PyTorch.

The file contains the length of a JSON header in 8 bytes, the header
``{name: {dtype, shape, data_offsets}}``, and the arrays' bytes, with offsets from the header's end.
"""

from typing import Any

import numpy as np

from tfnca.formats.archive import (
    MAX_FILES,
    MAX_TEXT_BYTES,
    count_values,
    decode,
    parse_json,
    refusing,
)
from tfnca.formats.foreign import build_foreign
from tfnca.formats.readers.base import Models, Source, reader

_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?", "U8": "u1", "I8": "i1",
    "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4", "U64": "<u8", "I64": "<i8",
}  # fmt: skip


def _is_safetensors(name: str, data: bytes) -> bool:
    length = int.from_bytes(data[:8], "little")
    return name.endswith(".safetensors") or (
        data[8:9] == b"{" and 8 + length <= len(data) and b'"data_offsets"' in data[: 8 + length]
    )


@reader(_is_safetensors)
def read(source: Source) -> Models:
    return build_foreign(source, parse_safetensors(source.where, source.data))


def parse_safetensors(where: str, data: bytes) -> dict[str, np.ndarray]:
    """The arrays by their names; raises ValueError unless they fill the file exactly."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(len(data) - 8, MAX_TEXT_BYTES):
        raise ValueError(
            f"{where} must start with the length of its header, followed by the header. "
            f"Received: {length} of {len(data)} bytes"
        )
    header = parse_json(where, decode(where, data[8 : 8 + length]))
    body, end, arrays = data[8 + length :], 0, {}
    with refusing(where, ".safetensors file"):
        header.pop("__metadata__", None)
        if len(header) > MAX_FILES:
            raise ValueError(f"it has {len(header)} tensors, more than {MAX_FILES}")
        for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
            array = _array(name, entry, body, end)
            end += array.nbytes
            arrays[name] = _from_bfloat16(array) if entry["dtype"] == "BF16" else array
        if end != len(body):
            raise ValueError(f"{len(body) - end} bytes are left over")
    return arrays


def _array(name: str, entry: dict[str, Any], body: bytes, begin: int) -> np.ndarray:
    """One array, whose bytes must follow those of the previous array."""
    shape, offsets = entry["shape"], entry["data_offsets"]
    if set(entry) != {"dtype", "shape", "data_offsets"} or entry["dtype"] not in _DTYPES:
        raise ValueError(f"{name} is described by {entry}")
    if not all(type(number) is int and number >= 0 for number in [*shape, *offsets]):
        raise ValueError(f"{name} has shape {shape} and offsets {offsets}")
    size = count_values(shape) * np.dtype(_DTYPES[entry["dtype"]]).itemsize
    if offsets != [begin, begin + size] or begin + size > len(body):
        raise ValueError(
            f"{name} must take bytes {begin} to {begin + size} of {len(body)}, not {offsets}"
        )
    return np.frombuffer(body[begin : begin + size], _DTYPES[entry["dtype"]]).reshape(shape)


def _from_bfloat16(array: np.ndarray) -> np.ndarray:
    """The upper half of a float32."""
    return (array.astype(np.uint32) << 16).view(np.float32).reshape(array.shape)
