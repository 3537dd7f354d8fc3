"""Files as other projects write them: textures in PNG pictures, flax trees, ONNX graphs."""

import base64
import io

import msgpack
import numpy as np
from PIL import Image


def textures_document(count, seed=0, channels=4, hidden=6):
    """JSON of texture CAs and the matrices in it, ``{name: [matrix, matrix]}``."""
    random, layers, held = np.random.default_rng(seed), [], {f"m{i}": [] for i in range(count)}
    across = 2
    down = -(-count // across)
    for rows, columns in ((4 * channels + 1, hidden), (hidden + 1, channels)):
        wide = -(-columns // 4) * 4
        values = random.integers(0, 256, (across * down, rows, wide), np.uint8)
        scale = float(random.uniform(1, 3))
        for name, matrix in zip(held, values, strict=False):
            held[name].append((matrix[:, :columns].astype(np.float32) - 127) / 255 * scale)
        tiles = values.reshape(down, across, rows, wide).swapaxes(1, 2)
        out = io.BytesIO()
        Image.fromarray(tiles.reshape(down * rows, across * wide // 4, 4), "RGBA").save(out, "png")
        layers.append(
            {
                "scale": scale,
                "data": "data:image/PNG;base64," + base64.b64encode(out.getvalue()).decode(),
                "shape": [rows, columns],
                "layout": [across, down],
            }
        )
    return {"model_names": list(held), "layers": layers}, held


def flax_msgpack(tensors):
    """A tree of a flax model's parameters: a Growing CA's two layers."""

    def pack(array):
        return msgpack.ExtType(
            1, msgpack.packb((array.shape, array.dtype.name, array.tobytes()), use_bin_type=True)
        )

    names = [(layer, part) for layer in ("Conv_0", "Conv_1") for part in ("kernel", "bias")]
    tree = {"Conv_0": {}, "Conv_1": {}}
    for (layer, part), tensor in zip(names, tensors, strict=True):
        tree[layer][part] = pack(np.ascontiguousarray(tensor))
    return msgpack.packb({"params": tree, "step": 3}, use_bin_type=True)


def onnx_file(named):
    """An ONNX graph that does nothing, with these initialisers and a shape beside them."""
    import onnx

    initialisers = [onnx.numpy_helper.from_array(array, name) for name, array in named.items()]
    initialisers.append(onnx.numpy_helper.from_array(np.array([1, 2]), "shape"))
    graph = onnx.helper.make_graph([], "ca", [], [], initialisers)
    return onnx.helper.make_model(graph).SerializeToString()
