"""Reads ``.npy``: the array of a perturbation, a matrix or a vector."""

import io

import numpy as np

from tfnca.formats.archive import count_values, refusing
from tfnca.formats.build import build_perturbation
from tfnca.formats.readers.base import Models, Source, reader

MAGIC = b"\x93NUMPY"


@reader(lambda name, data: data.startswith(MAGIC))
def read(source: Source) -> Models:
    array = parse_npy(source.where, source.data)
    return {"": build_perturbation(f"{source.where}: the array", array)}


def parse_npy(where: str, data: bytes) -> np.ndarray:
    """The array in a ``.npy`` file; it must not contain objects or be larger than the file."""
    file = io.BytesIO(data)
    with refusing(where, ".npy file"):
        major, _ = np.lib.format.read_magic(file)
        read_header = getattr(np.lib.format, f"read_array_header_{major}_0")
        shape, _, dtype = read_header(file)
        if count_values(shape) * dtype.itemsize > len(data):
            raise ValueError(f"its header says {dtype} of shape {shape}, and it has {len(data)}")
        file.seek(0)
        array = np.load(file, allow_pickle=False)
    if rest := len(file.read()):
        raise ValueError(f"{where} must end with its array. Received: {rest} bytes left over")
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{where} must hold numbers. Received: {array.dtype}")
    return array
