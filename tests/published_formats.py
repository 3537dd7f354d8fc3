"""Writes models in the formats in which others keep theirs. Nothing here reads them.

A model is a list of arrays: kernel, bias, kernel, bias …; 4 for a Growing CA, 6 for an MNIST CA.
"""

import base64
import io
import json
import zipfile

import h5py
import numpy as np
import tensorflow as tf
from google.protobuf import json_format

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
MATRICES = ("tail", "leg", "head", "arm", "red", "blue")


def write(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def write_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def growing_tensors(seed=0, channels=16, hidden=128):
    shapes = [(1, 1, 3 * channels, hidden), (hidden,), (1, 1, hidden, channels), (channels,)]
    random = np.random.default_rng(seed)
    return [random.normal(scale=0.1, size=shape).astype(np.float32) for shape in shapes]


def mnist_tensors(seed=0, channels=20, hidden=80):
    shapes = [(3, 3, channels, hidden), (hidden,), (1, 1, hidden, hidden), (hidden,)]
    shapes += [(1, 1, hidden, channels - 1), (channels - 1,)]
    random = np.random.default_rng(seed)
    return [random.normal(scale=0.1, size=shape).astype(np.float32) for shape in shapes]


def symmetric_matrix(seed=0, size=16):
    noise = np.random.default_rng(seed).normal(scale=0.05, size=(size, size))
    return (np.eye(size) + noise + noise.T).astype(np.float32)


def checkpoint_keys(tensors):
    """The tensors under the keys of a TF2 object checkpoint."""
    layers = ["dmodel/layer_with_weights-0", "dmodel/layer_with_weights-1"]
    if len(tensors) == 6:
        layers = ["perceive/layer_with_weights-0", *layers]
    keys = [f"{layer}/{part}{VALUE}" for layer in layers for part in ("kernel", "bias")]
    return dict(zip(keys, tensors, strict=True))


def write_checkpoint(prefix, named, shards=1):
    """Writes ``{key: array}`` as ``prefix.index`` and `shards` data files."""
    names, parts = list(named), []
    for shard in range(shards):
        part = str(prefix) if shards == 1 else f"{prefix}-part{shard}"
        keys = names[shard::shards]
        tf.raw_ops.SaveV2(
            prefix=part,
            tensor_names=keys,
            shape_and_slices=[""] * len(keys),
            tensors=[tf.constant(named[key]) for key in keys],
        )
        parts.append(part)
    if shards > 1:
        tf.raw_ops.MergeV2Checkpoints(checkpoint_prefixes=parts, destination_prefix=str(prefix))
    return prefix


def _sobel():
    identity, dx = np.outer([0, 1, 0], [0, 1, 0]), np.outer([1, 2, 1], [-1, 0, 1]) / 8
    return np.stack([identity, dx, dx.T], -1)[:, :, None, :].astype(np.float32)


def _growing_graph(tensors):
    channels = tensors[3].size

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec((None, None, None, channels))] + [tf.TensorSpec(())] * 3,
    )
    def step(x, fire_rate, angle, step_size):
        living = tf.nn.max_pool2d(x[..., 3:4], 3, 1, "SAME") > 0.1
        turned = tf.stack([tf.ones_like(angle), tf.cos(angle), tf.cos(angle)])
        kernel = tf.repeat(tf.constant(_sobel()) * turned, channels, axis=2)
        y = tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")
        y = tf.nn.bias_add(tf.nn.conv2d(y, tf.identity(tensors[0]), 1, "VALID"), tensors[1])
        y = tf.nn.conv2d(tf.nn.relu(y), tf.identity(tensors[2]), 1, "VALID")
        y = tf.nn.bias_add(y, tf.identity(tensors[3])) * step_size
        fire = tf.random.uniform(tf.shape(x[..., :1])) <= fire_rate
        x = x + y * tf.cast(fire, tf.float32)
        living = living & (tf.nn.max_pool2d(x[..., 3:4], 3, 1, "SAME") > 0.1)
        return x * tf.cast(living, tf.float32)

    return step


def _mnist_graph(tensors):
    channels = tensors[5].size + 1

    @tf.function(
        autograph=False,
        input_signature=[
            tf.TensorSpec((None, None, None, channels)),
            tf.TensorSpec(()),
            tf.TensorSpec((None, None, None, channels - 1)),
        ],
    )
    def step(x, fire_rate, manual_noise):
        y = x
        for layer in range(3):
            kernel, bias = tensors[2 * layer], tensors[2 * layer + 1]
            y = tf.nn.relu(y) if layer else y
            y = tf.nn.bias_add(tf.nn.conv2d(y, tf.identity(kernel), 1, "SAME"), tf.identity(bias))
        fire = (tf.random.uniform(tf.shape(x[..., :1])) <= fire_rate) & (x[..., :1] > 0.1)
        change = (y + manual_noise) * tf.cast(fire, tf.float32)
        return tf.concat([x[..., :1], x[..., 1:] + change], -1)

    return step


def graph_of(concrete):
    """A graph-model document of a concrete function whose weights are constants."""
    topology = json_format.MessageToDict(concrete.graph.as_graph_def())
    topology["versions"] = {"producer": "1.14"}  # as the published files have it
    return {"format": "graph-model", "modelTopology": topology, "weightsManifest": []}


def graph_document(tensors, seed=None):
    """A graph-model document; with a seed, nodes get other names and another order."""
    graph = (_growing_graph if len(tensors) == 4 else _mnist_graph)(tensors)
    document = graph_of(graph.get_concrete_function())
    if seed is not None:
        random = np.random.default_rng(seed)
        nodes = document["modelTopology"]["node"]
        numbers = random.permutation(len(nodes))
        names = {node["name"]: f"n{i}" for node, i in zip(nodes, numbers, strict=True)}
        for node in nodes:
            node["name"] = names[node["name"]]
            inputs = [name.partition(":") for name in node.get("input", [])]
            node["input"] = [names[name] + colon + number for name, colon, number in inputs]
        random.shuffle(nodes)
    return document


def weight_nodes(document):
    """The Const nodes that hold kernels and biases, the largest first."""
    nodes = [node for node in document["modelTopology"]["node"] if node["op"] == "Const"]
    nodes = [node for node in nodes if "tensorContent" in node["attr"]["value"]["tensor"]]
    content = lambda node: len(node["attr"]["value"]["tensor"]["tensorContent"])  # noqa: E731
    return sorted((node for node in nodes if content(node) > 80), key=content, reverse=True)


def encode(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def mnist_demo(host, adversary):
    lists = (json.dumps([encode(array) for array in tensors]) for tensors in (host, adversary))
    return "window.WEIGHTS_B64 = {};\nwindow.ADV_WEIGHTS_B64 = {};\n".format(*lists)


def growing_demo(host, matrices):
    graph, matrices = json.dumps(graph_document(host)), [matrix.tolist() for matrix in matrices]
    blob = f"new Blob([`{graph}`], {{type: 'application/json'}})"
    return (
        f"\n  window.GRAPH_URL = URL.createObjectURL({blob});\n"
        f"  window.PERTURBATIONS = {json.dumps(matrices)}\n"
    )


def webgl_document(seed=0, channels=16, hidden=128):
    """An 8-bit document and the four tensors that it stands for."""
    random = np.random.default_rng(seed)
    document, tensors = [], []
    for number, (rows, columns) in enumerate([(3 * channels, hidden), (hidden, channels)]):
        bytes_, scale, bias_scale = random.integers(0, 256, (rows + 1, columns)), 1.25, 0.5
        document.append(
            {
                "data_b64": encode(bytes_.astype(np.uint8)),
                "in_ch": rows,
                "out_ch": columns,
                "weight_scale": scale,
                "bias_scale": bias_scale,
                "type": "uint8",
            }
        )
        kernel = (bytes_[:-1] / 255 - 0.5) * scale
        if number == 0:  # from kernel by kernel to channel by channel
            order = [kind * channels + channel for channel in range(channels) for kind in range(3)]
            kernel = kernel[order]
        tensors += [kernel, (bytes_[-1] / 255 - 0.5) * bias_scale]
    return document, [tensor.astype(np.float32) for tensor in tensors]


# --- What others save -------------------------------------------------------------------------

LAYERS = {4: ("hidden", "update"), 6: ("perceive", "hidden", "update")}
"""What layers are called here, by the number of tensors."""


def named_tensors(tensors, pattern="{layer}.{part}", parts=("kernel", "bias")):
    """``{name: array}`` after a pattern of ``layer``, ``part``, and ``number`` of the layer."""
    names = [
        pattern.format(layer=layer, part=part, number=number)
        for number, layer in enumerate(LAYERS[len(tensors)])
        for part in parts
    ]
    return dict(zip(names, tensors, strict=True))


def torch_tensors(tensors, flat=False):
    """The tensors in PyTorch's order of axes: (out, in, height, width), or (out, in) if flat."""
    turned = [t.transpose(3, 2, 0, 1) if t.ndim == 4 else t for t in tensors]
    return [t[..., 0, 0] if flat and t.shape[2:] == (1, 1) else t for t in turned]


def kernel_major(tensors):
    """The tensors of a Growing CA whose first kernel has row k·channels + c."""
    rows, hidden = tensors[0].shape[-2:]
    turned = tensors[0].reshape(rows // 3, 3, hidden).swapaxes(0, 1)
    return [turned.reshape(tensors[0].shape), *tensors[1:]]


def safetensors(named, metadata=None):
    """A ``.safetensors`` file, its arrays in the order of their names as the library has them."""
    dtypes = {"<f8": "F64", "<f4": "F32", "<f2": "F16", "<i8": "I64", "|b1": "BOOL"}
    header, body = {"__metadata__": metadata} if metadata else {}, b""
    for name in sorted(named):
        data = np.ascontiguousarray(named[name]).tobytes()
        header[name] = {
            "dtype": dtypes[named[name].dtype.str],
            "shape": list(named[name].shape),
            "data_offsets": [len(body), len(body) + len(data)],
        }
        body += data
    return safetensors_of(header, body)


def safetensors_of(header, body):
    """A ``.safetensors`` file of any header."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def hdf5(named, attributes=None):
    """An HDF5 file of ``{path: array}``."""
    file = io.BytesIO()
    with h5py.File(file, "w") as root:
        root.attrs.update(attributes or {})
        for name, array in named.items():
            root[name] = array
    return file.getvalue()


def shards(document, sizes=(1,), quantize=None):
    """A graph model's document with its constants in shards.

    Args:
        document: A graph-model document, which is changed.
        sizes: Shares of the bytes that each shard gets.
        quantize: ``"float16"``, ``"uint8"`` or ``"uint16"`` for what is larger than a bias.

    Returns:
        ``{name: bytes}`` of the shards.
    """
    weights, data = [], b""
    for node in weight_nodes(document):
        array = tf.make_ndarray(
            json_format.ParseDict(node["attr"]["value"]["tensor"], tf.make_tensor_proto(0.0))
        )
        entry = {"name": node["name"], "shape": list(array.shape), "dtype": "float32"}
        if quantize and array.ndim > 1:
            entry["quantization"], array = _quantized(array, quantize)
        weights.append(entry)
        data += array.tobytes()
        del node["attr"]["value"]
    ends = (np.cumsum(sizes) / np.sum(sizes) * len(data)).astype(int)
    names = [f"group1-shard{i + 1}of{len(sizes)}.bin" for i in range(len(sizes))]
    document["weightsManifest"] = [{"paths": names, "weights": weights}]
    starts = [0, *ends[:-1]]
    return {n: data[i:j] for n, i, j in zip(names, starts, ends, strict=True)}


def _quantized(array, dtype):
    if dtype == "float16":
        return {"dtype": dtype, "original_dtype": "float32"}, array.astype("<f2")
    low, scale = float(array.min()), float(np.ptp(array)) / np.iinfo(dtype).max
    stored = np.round((array - low) / scale).astype(dtype)
    return {"dtype": dtype, "min": low, "scale": scale, "original_dtype": "float32"}, stored
