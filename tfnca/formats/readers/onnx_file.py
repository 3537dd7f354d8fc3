"""Reads ``.onnx``: the initialisers of a graph, a CA's arrays with any names.

An export of tfnca has its metadata in ``metadata_props``; other files do not say their rule.
"""

import numpy as np

from tfnca.formats.archive import MAX_FILES, parse_json, refusing
from tfnca.formats.described import METADATA_KEY, assemble, build_described, in_keras_order
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
        description = {entry.key: entry.value for entry in model.metadata_props}.get(METADATA_KEY)
    if description is None:
        return build_foreign(source, arrays)
    about = parse_json(source.where, description)
    return assemble(
        source.where, about, build_described(source.where, about, in_keras_order(arrays))
    )
