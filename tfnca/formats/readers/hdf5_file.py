"""Reads HDF5: the weights of a Keras model in ``.weights.h5`` or ``.h5`` of Keras 2 or 3."""

from tfnca.formats.foreign import build_foreign
from tfnca.formats.hdf5 import read_hdf5
from tfnca.formats.readers.base import Models, Source, reader


@reader(lambda name, data: data.startswith(b"\x89HDF\r\n\x1a\n") or name.endswith(".h5"))
def read(source: Source) -> Models:
    arrays = read_hdf5(source.where, source.data, source.budget)
    return build_foreign(source, arrays)
