"""Reads ``.onnx``: the initialisers of a graph, a CA's arrays with any names."""

import numpy as np

from tfnca.formats.archive import MAX_FILES, refusing
from tfnca.formats.foreign import build_foreign
from tfnca.formats.readers.base import Models, Source, reader


@reader(lambda name, data: name.lower().endswith(".onnx"))
def read(source: Source) -> Models:
    try:
        import onnx
    except ImportError as error:
        raise ValueError(
            f"{source.where} needs the package onnx: pip install 'tfnca[export]'. "
            "Received: it is not installed"
        ) from error
    with refusing(source.where, "ONNX file"):
        model = onnx.load_model_from_string(source.data)
        initialisers = model.graph.initializer
        if len(initialisers) > MAX_FILES:
            raise ValueError(f"it holds {len(initialisers)} initialisers, more than {MAX_FILES}")
        arrays: dict[str, np.ndarray] = {}
        for tensor in initialisers:
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                raise ValueError(f"{tensor.name} is stored in another file")
            array = onnx.numpy_helper.to_array(tensor)
            if array.dtype.kind == "f":  # what is not floats says how, not what
                arrays[tensor.name] = array
    return build_foreign(source, arrays)
