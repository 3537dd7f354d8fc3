"""Reads ``.npz``: a CA's arrays with any names."""

from tfnca.formats.archive import some, unzip
from tfnca.formats.foreign import build_foreign
from tfnca.formats.readers.base import Models, Source, reader
from tfnca.formats.readers.npy import parse_npy


# By its name: the same content in a ``.zip`` may be a collection of perturbations.
@reader(lambda name, data: name.lower().endswith(".npz"))
def read(source: Source) -> Models:
    files = unzip(source.where, source.data, source.budget)
    if others := [name for name in files if not name.endswith(".npy")]:
        raise ValueError(f"{source.where} must hold only .npy arrays. Received: {some(others)}")
    arrays = {
        name.removesuffix(".npy"): parse_npy(f"{source.where}: {name}", data)
        for name, data in files.items()
    }
    return build_foreign(source, arrays)
