"""Reads the 8-bit WebGL models of the Growing CA article."""

import numpy as np

from tfnca.formats.archive import decode_base64, refusing, starts_text
from tfnca.formats.build import build_ca
from tfnca.formats.readers.base import Models, Source, reader


@reader(lambda name, data: starts_text(data, b"[") and b'"data_b64"' in data)
def read(source: Source) -> Models:
    where, tensors = source.where, []
    for number, layer in enumerate(source.json):
        name = f"layer {number}"
        with refusing(where, f"8-bit WebGL model ({name})"):
            data, kind = layer["data_b64"], layer["type"]
            rows, columns = int(layer["in_ch"]) + 1, int(layer["out_ch"])
            scale, bias_scale = float(layer["weight_scale"]), float(layer["bias_scale"])
        values = np.frombuffer(decode_base64(where, f"{name}: data_b64", data), np.uint8)
        if kind != "uint8" or rows < 2 or columns < 1 or values.size != rows * columns:
            raise ValueError(
                f"{where}: {name} must hold {rows} x {columns} values of type uint8. "
                f"Received: {values.size} values of type {kind}"
            )
        weights = values.reshape(rows, columns) / 255 - 0.5
        with np.errstate(over="ignore"):  # overflows are detected as non-finite values
            kernel = (weights[:-1] * scale).astype(np.float32)
            bias = (weights[-1] * bias_scale).astype(np.float32)
        tensors += [(f"{name} kernel", kernel), (f"{name} bias", bias)]
    # In this format, the rows of the first layer are ordered kernel by kernel.
    return {"": build_ca(where, tensors, "kernel")}
