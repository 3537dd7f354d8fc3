"""``.npy`` matrices."""

import io

import numpy as np

from tfnca.formats.archive import refusing
from tfnca.formats.build import build_perturbation


def read_npy(where, member, files):
    file = io.BytesIO(files[member])
    with refusing(where, ".npy file"):
        matrix = np.load(file, allow_pickle=False)
    if rest := len(file.read()):
        raise ValueError(f"{where} must end with its matrix. Received: {rest} bytes left over")
    return {"": build_perturbation(f"{where}: the matrix", matrix)}
