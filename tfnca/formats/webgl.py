"""The Growing CA article's 8-bit WebGL models."""

import numpy as np

from tfnca.automata.perception import NUM_KERNELS
from tfnca.formats.archive import decode, decode_base64, parse_json, refusing
from tfnca.formats.build import build_ca


def read_webgl(where, member, files):
    layers = parse_json(where, decode(where, files[member]))
    tensors = []
    for number, layer in enumerate(layers):
        name = f"layer {number}"
        with refusing(where, f"8-bit WebGL model ({name})"):
            data, kind = layer["data_b64"], layer["type"]
            rows, columns = int(layer["in_ch"]) + 1, int(layer["out_ch"])
            scale, bias_scale = float(layer["weight_scale"]), float(layer["bias_scale"])
        data = np.frombuffer(decode_base64(where, f"{name}: data_b64", data), np.uint8)
        if kind != "uint8" or rows < 2 or columns < 1 or data.size != rows * columns:
            raise ValueError(
                f"{where}: {name} must hold {rows} x {columns} values of type uint8. "
                f"Received: {data.size} values of type {kind}"
            )
        values = data.reshape(rows, columns) / 255 - 0.5
        with np.errstate(over="ignore"):  # an overflow is found as not finite
            kernel = (values[:-1] * scale).astype(np.float32)
            bias = (values[-1] * bias_scale).astype(np.float32)
        if number == 0 and len(kernel) % NUM_KERNELS == 0:  # rows come kernel by kernel
            kernel = kernel.reshape(NUM_KERNELS, -1, columns).swapaxes(0, 1).reshape(-1, columns)
        tensors += [(f"{name} kernel", kernel), (f"{name} bias", bias)]
    return {"": build_ca(where, tensors)}
