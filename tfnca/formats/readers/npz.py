"""Reads ``.npz``: a CA's arrays with any names."""

from tfnca.formats.archive import unzip, zip_names
from tfnca.formats.foreign import build_foreign
from tfnca.formats.readers.base import Models, Source, reader
from tfnca.formats.readers.npy import parse_npy


def _is_npz(name: str, data: bytes) -> bool:
    """Whether the ending is ``.npz``; otherwise it could be a zip of matrices."""
    return name.endswith(".npz") and all(n.endswith(".npy") for n in zip_names(data))


@reader(_is_npz)
def read(source: Source) -> Models:
    arrays = {
        name.removesuffix(".npy"): parse_npy(f"{source.where}: {name}", data)
        for name, data in unzip(source.where, source.data, source.budget).items()
    }
    return build_foreign(source, arrays)
