"""Checkpoints: every published file, and our own, as a step or a perturbation.

A reader takes one file's bytes and returns the models inside. The formats are told apart by
content. Files from elsewhere are not trusted: everything is checked before a weight is assigned,
and whatever is wrong with a file ends in a ValueError that names it.
"""

import base64
import contextlib
import io
import json
import math
import re
import stat
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from statistics import mode

import h5py
import keras
import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from tfnca.growing import GrowingCA
from tfnca.injection import Injected
from tfnca.mnist import MNISTCA
from tfnca.perception import NUM_KERNELS
from tfnca.perturbation import Perturbation, Perturbed, check_matrix
from tfnca.sparse import engine_weights
from tfnca.state import ALPHA, GROWING_CHANNELS, MNIST_CHANNELS, NUM_CLASSES
from tfnca.step import Step

MAX_BYTES = 256 * 2**20
MAX_TEXT_BYTES = 16 * 2**20
MAX_FILES = 1000
MAX_NODES = 10_000
MAX_SIDE = 4096
"""Bounds on what is read: in all, as text, files in a zip or folder, a graph, a layer's width."""

DEMO_PERTURBATIONS = ("tail", "leg", "head", "arm", "red", "blue")
"""The order of the matrices in the article's `gca_data.js`."""


def load(path, name=None):
    """Loads a model: our `.keras` files and every format that the article's authors published.

    The formats are TF2 checkpoints, graph-model JSON, the article's demo data (`data.js`,
    `gca_data.js`), 8-bit WebGL JSON, and `.npy` matrices, each also inside a zip or a folder.
    Fire rate and noise are not part of the published files: they get the layers' defaults.

    Args:
        path: A file, a checkpoint's prefix, a zip, or a folder (its own files, no subfolders).
        name: Which model to take where there are several: a file's name with or without its
            ending, a matrix (``"tail"``), or ``"host"`` and ``"adversary"`` of a `data.js`.

    Returns:
        A step or a `Perturbation`. A `data.js` gives an `Injected`, a `gca_data.js` its host.

    Raises:
        ValueError: If there is no such file, nothing or more than one model in it, or anything
            in it is missing, left over, of the wrong shape, not finite, or not safe to read.

    Example:

    >>> import keras, tempfile, tfnca
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keras.saving.save_model(tfnca.Perturbation(), f"{folder}/model.keras")
    ...     type(load(f"{folder}/model.keras")).__name__
    'Perturbation'
    """
    return _pick(path, name, (Step, Perturbation))


def load_perturbation(path, name=None):
    """Loads a perturbation's matrix.

    Args:
        path: A `.npy`, our `.keras`, the article's `gca_data.js`, or a zip or folder of them.
        name: Which one to take where there are several, such as ``"tail"``.

    Returns:
        A `Perturbation`.

    Raises:
        ValueError: As `load`.

    Example:

    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/tail_sym_t.npy", np.eye(16, dtype="float32"))
    ...     load_perturbation(folder, name="tail").channels
    16
    """
    return _pick(path, name, Perturbation)


# ---------------------------------------------------------------------------------------------
# Which files, and which model among theirs
# ---------------------------------------------------------------------------------------------


def _pick(path, name, kinds):
    """The one model of `kinds` in `path`, or the one called `name`."""
    path = Path(path)
    files, is_container = _gather(path)
    readers = {member: reader for member in files if (reader := _reader(member, files[member]))}
    # A .keras file knows more than a published one of the same weights: it comes first.
    members = sorted(readers, key=lambda member: (readers[member] is not _read_keras, member))
    entries = []  # (what it may be called, whether it is what its file stands for, model)
    for member in [member for member in members if name in _names(member)] or members:
        where = f"{path}/{member}" if is_container else str(path)
        for number, (inner, model) in enumerate(readers[member](where, member, files).items()):
            names = [inner] if number else [member, inner, *_names(member)]
            if isinstance(model, kinds):
                entries.append((names, number == 0, model))
    if name is None:
        chosen = [entry for entry in entries if entry[1]] or entries
    else:
        chosen = [entry for entry in entries if name in entry[0]]
    distinct = []
    for entry in chosen:
        if not any(_same(entry[2], other[2]) for other in distinct):
            distinct.append(entry)
    if len(distinct) == 1:
        return distinct[0][2]
    what = "perturbation" if kinds is Perturbation else "model"
    if distinct:
        names = sorted(entry[0][-1 if name is None else 0] for entry in distinct)
        raise ValueError(
            f"{path} holds several {what}s: choose one by its name, {_some(names)}. "
            f"Received: name={name!r}"
        )
    which = "in a format that tfnca knows" if name is None else f"called {name!r}"
    names = sorted({entry[0][-1] for entry in entries}) or sorted(files)
    raise ValueError(f"{path} holds no {what} {which}. Received: {_some(names)}")


def _gather(path):
    """Reads the files that `path` stands for.

    Returns:
        ``({name: bytes}, whether they come from a zip or a folder)``.
    """
    prefix = Path(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", str(path)))
    part = re.compile(re.escape(prefix.name) + r"\.(index|data-\d{5}-of-\d{5})")
    paths = None
    with _refusing(path, "file or folder"):
        if Path(f"{prefix}.index").is_file():
            paths = [file for file in prefix.parent.iterdir() if part.fullmatch(file.name)]
        elif path.is_dir():
            # Snapshots and videos may stand beside a model, and no model is as large as they are.
            paths = [file for file in path.iterdir() if file.is_file()]
            paths = [file for file in paths if file.stat().st_size <= MAX_TEXT_BYTES]
        elif path.is_file():
            paths = [path]
        size = sum(file.stat().st_size for file in paths or ())
    if paths is None:
        raise ValueError(
            f"path must be a file, a folder or a checkpoint's prefix. Received: path={str(path)!r}"
        )
    _check_amount(path, len(paths), size)
    with _refusing(path, "file or folder"):
        files = {file.name: file.read_bytes() for file in sorted(paths)}
    if paths == [path] and _is_zip(data := files[path.name]) and not _reader(path.name, data):
        return _unzip(path, data), True
    return files, path.is_dir()


def _unzip(where, data):
    """The files in a zip as ``{name: bytes}``, if it is safe to read."""
    files, total = {}, 0
    with contextlib.ExitStack() as stack:
        with _refusing(where, "zip"):
            archive = stack.enter_context(zipfile.ZipFile(io.BytesIO(data)))
        members = archive.infolist()
        _check_amount(where, len(members), sum(member.file_size for member in members))
        for member in members:
            name = member.filename.replace("\\", "/")
            parts = PurePosixPath(name).parts
            if not parts or parts[0] == "/" or ":" in parts[0] or ".." in parts:
                raise ValueError(
                    f"{where} must hold files below its own folder. Received: {member.filename!r}"
                )
            if stat.S_ISLNK(member.external_attr >> 16):
                raise ValueError(f"{where} must hold no links. Received: the link {name!r}")
            if name in files:
                raise ValueError(f"{where} must hold each file once. Received: {name!r} twice")
            if not member.is_dir():
                with _refusing(f"{where}/{name}", "member of a zip"), archive.open(member) as file:
                    files[name] = file.read(member.file_size + 1)
                total += len(files[name])
                _check_amount(where, len(files), total)
    return files


def _reader(member, data):
    """The reader for a file's content, or None if it is no model."""
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if PurePosixPath(member).name.startswith(".") or member.startswith("__MACOSX/"):
        return None
    if _is_zip(data):
        return _read_keras if _is_keras(data) else None
    if data.startswith(b"\x93NUMPY"):
        return _read_npy
    if data.endswith(b"\x57\xfb\x80\x8b\x24\x75\x47\xdb") or member.endswith(".index"):
        return _read_checkpoint
    if text.startswith(b"{") and b'"modelTopology"' in text:
        return _read_graph
    if text.startswith(b"[") and b'"data_b64"' in text:
        return _read_webgl
    if re.search(rb"\bGRAPH_URL\s*=|\bPERTURBATIONS\s*=\s*\[", text):
        return _read_growing_demo
    return _read_mnist_demo if re.search(rb"WEIGHTS_B64\s*=\s*\[", text) else None


def _is_zip(data):
    return data.startswith((b"PK\3\4", b"PK\5\6"))


def _is_keras(data):
    """Whether a zip is a ``.keras`` file itself, not an archive that holds some."""
    with contextlib.suppress(zipfile.BadZipFile, NotImplementedError):
        return "model.weights.h5" in zipfile.ZipFile(io.BytesIO(data)).namelist()
    return b"model.weights.h5" in data


def _names(member):
    """What a file may be called; the last is its short name."""
    file = PurePosixPath(member)
    return member, file.name, file.stem, file.stem.removesuffix("_sym_t")


def _same(model, other):
    """Whether two models are of one kind and hold the same numbers."""
    numbers = [
        [model.matrix] if isinstance(model, Perturbation) else model.get_weights()
        for model in (model, other)
    ]
    return type(model) is type(other) and all(map(np.array_equal, *numbers))


# ---------------------------------------------------------------------------------------------
# Readers: one format each, ``(where, member, files)`` → ``{inner name: model}``, the main one first
# ---------------------------------------------------------------------------------------------


def _read_keras(where, member, files):
    parts = _unzip(where, files[member])
    expected = {"config.json", "metadata.json", "model.weights.h5"}
    if set(parts) != expected:
        raise ValueError(f"{where} must hold {_some(expected)}. Received: {_some(parts)}")
    config = _parse_json(where, _decode(where, parts["config.json"]))
    with _refusing(where, "Keras file of tfnca"):
        _check_config(config)
        tensors = {}
        with h5py.File(io.BytesIO(parts["model.weights.h5"])) as weights:
            weights.visititems(
                lambda name, item: tensors.update({name: getattr(item, "shape", None)})
            )
        tensors = {name: shape for name, shape in tensors.items() if shape is not None}
        _check_amount(where, len(tensors), 4 * sum(map(math.prod, tensors.values())))
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "model.keras").write_bytes(files[member])
            model = keras.saving.load_model(
                Path(folder, "model.keras"), compile=False, safe_mode=True
            )
    if not isinstance(model, Step | Perturbation):
        raise ValueError(f"{where} must hold a step or a perturbation. Received: {model!r}")
    if len(tensors) != len(model.variables):
        raise ValueError(
            f"{where} must hold {len(model.variables)} tensors and no other. "
            f"Received: {_some(tensors)}"
        )
    for variable in model.variables:
        _check_finite(where, variable.path, variable.numpy())
    return {"": model}


def _check_config(config, key=""):
    """Raises ValueError unless a Keras file's configuration names only classes of this package."""
    if isinstance(config, dict):
        if "class_name" in config:
            made = [config.get(key) for key in ("registered_name", "module", "class_name")]
            known = [f"tfnca>{layer.__name__}" for layer in _LAYERS]
            if made[0] not in known and made != [None, "keras", "DTypePolicy"]:
                raise ValueError(f"its classes must be among {known}, found {made}")
        for name, value in config.items():
            _check_config(value, name)
    elif isinstance(config, list):
        for value in config:
            _check_config(value)
    elif isinstance(config, int | float) and key != "shared_object_id" and abs(config) > MAX_SIDE:
        raise ValueError(f"{key} must be at most {MAX_SIDE}, found {config}")


_LAYERS = (GrowingCA, MNISTCA, Injected, Perturbed, Perturbation)


def _read_npy(where, member, files):
    file = io.BytesIO(files[member])
    with _refusing(where, ".npy file"):
        matrix = np.load(file, allow_pickle=False)
    if rest := len(file.read()):
        raise ValueError(f"{where} must end with its matrix. Received: {rest} bytes left over")
    return {"": _perturbation(f"{where}: the matrix", matrix)}


def _read_checkpoint(where, member, files):
    prefix = member.removesuffix(".index")
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    with tempfile.TemporaryDirectory() as folder:
        for name, data in files.items():
            if re.fullmatch(re.escape(prefix) + r"\.(index|data-\d{5}-of-\d{5})", name):
                Path(folder, f"model{name.removeprefix(prefix)}").write_bytes(data)
        with _refusing(where, "TF2 checkpoint", f"{folder}/model"):
            reader = tf.train.load_checkpoint(f"{folder}/model")
            shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        layers = ["dmodel/layer_with_weights-0", "dmodel/layer_with_weights-1"]
        if any(key.startswith("perceive/") for key in shapes):
            layers.insert(0, "perceive/layer_with_weights-0")
        keys = [f"{layer}/{part}{value}" for layer in layers for part in ("kernel", "bias")]
        # What training leaves beside the weights: the object graph, counters, optimiser slots.
        beside = re.compile(r"_CHECKPOINTABLE_OBJECT_GRAPH|save_counter/|optimizer/|.*/\.OPTIMIZER")
        models = {key for key in shapes if dtypes[key] != tf.string and not beside.match(key)}
        if models != set(keys):
            missing, left_over = sorted(set(keys) - models), sorted(models - set(keys))
            raise ValueError(
                f"{where} must hold kernel and bias of {_some(layers)}, and no other tensors. "
                f"Received: missing {_some(missing)}; left over {_some(left_over)}"
            )
        for key in keys:
            if dtypes[key] != tf.float32:
                raise ValueError(f"{where}: {key} must be float32. Received: {dtypes[key].name}")
        _check_amount(where, len(keys), 4 * sum(math.prod(shapes[key]) for key in keys))
        with _refusing(where, "TF2 checkpoint", f"{folder}/model"):
            tensors = [(key, reader.get_tensor(key)) for key in keys]
    return {"": _build(where, tensors)}


def _read_webgl(where, member, files):
    layers = _parse_json(where, _decode(where, files[member]))
    tensors = []
    for number, layer in enumerate(layers):
        name = f"layer {number}"
        with _refusing(where, f"8-bit WebGL model ({name})"):
            data, kind = layer["data_b64"], layer["type"]
            rows, columns = int(layer["in_ch"]) + 1, int(layer["out_ch"])
            scale, bias_scale = float(layer["weight_scale"]), float(layer["bias_scale"])
        data = np.frombuffer(_decode_base64(where, f"{name}: data_b64", data), np.uint8)
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
    return {"": _build(where, tensors)}


def _read_mnist_demo(where, member, files):
    text = _decode(where, files[member])
    steps = {}
    for step, variable in (("host", "WEIGHTS_B64"), ("adversary", "ADV_WEIGHTS_B64")):
        start = re.search(rf"\b{variable}\s*=\s*\[", text)
        end = text.find("]", start.end()) if start else -1
        if end < 0:
            raise ValueError(f"{where} must hold a list {variable}. Received: none that is whole")
        tensors = []
        quotes = text[start.end() : end].rstrip().removesuffix(",").split(",")
        for number, quoted in enumerate(quotes):
            name = f"{variable}[{number}]"
            data = _decode_base64(where, name, quoted.strip().strip("\"'`"))
            if len(data) % 4:
                raise ValueError(f"{where}: {name} must be float32. Received: {len(data)} bytes")
            tensors.append((name, np.frombuffer(data, "<f4")))
        steps[step] = _build(where, tensors, flat=True)
    with _refusing(where, "pair of host and adversary"):
        return {"": Injected(**steps), **steps}


def _read_growing_demo(where, member, files):
    text = _decode(where, files[member])
    graph = text.partition("GRAPH_URL")[2].split("`", 2)
    matrices = re.search(r"\bPERTURBATIONS\s*=\s*(?=\[)", text)
    if len(graph) < 3 or matrices is None:
        raise ValueError(
            f"{where} must hold GRAPH_URL with a graph in backquotes, and PERTURBATIONS. "
            f"Received: the {'matrices' if len(graph) == 3 else 'graph'} missing"
        )
    host = _build(where, _graph_tensors(where, _parse_json(where, graph[1])))
    matrices = _parse_json(where, text[matrices.end() :], to_the_end=False)
    if len(matrices) != len(DEMO_PERTURBATIONS):
        raise ValueError(
            f"{where}: PERTURBATIONS must hold the {len(DEMO_PERTURBATIONS)} matrices "
            f"{DEMO_PERTURBATIONS}. Received: {len(matrices)}"
        )
    models = {"host": host}
    for name, matrix in zip(DEMO_PERTURBATIONS, matrices, strict=True):
        with _refusing(where, f"matrix ({name})"):
            matrix = np.array(matrix)
        models[name] = _perturbation(f"{where}: the matrix {name}", matrix)
    return models


def _read_graph(where, member, files):
    document = _parse_json(where, _decode(where, files[member]))
    return {"": _build(where, _graph_tensors(where, document))}


_SAME_NUMBERS = {"Identity", "Reshape", "Squeeze"}
_BIAS = {"BiasAdd", "Add", "AddV2"}
_DATA_PATH = {*_SAME_NUMBERS, *_BIAS, "Transpose"}
"""Between two layers. A Dense layer on a grid is a transpose, a reshape, MatMul and a reshape."""


def _graph_tensors(where, document):
    """Kernels and biases of a frozen graph, found by following the data through it.

    Node names and order differ from file to file, and shapes alone do not tell the two biases
    and the square kernel of an MNIST CA apart.
    """
    with _refusing(where, "graph model"):
        # Only what is needed: the published files say "producer": "1.14", which is no integer.
        parts = [
            {key: node[key] for key in ("name", "op", "input") if key in node}
            | ({"attr": {"value": node["attr"]["value"]}} if node["op"] == "Const" else {})
            for node in document["modelTopology"]["node"]
        ]
        graph = json_format.ParseDict({"node": parts}, tf.compat.v1.GraphDef())
    nodes = {node.name: node for node in graph.node}
    inputs = {
        name: [source.split(":")[0] for source in node.input if source[:1] != "^"]
        for name, node in nodes.items()
    }
    broken = {name for sources in inputs.values() for name in sources} - set(nodes)
    if len(nodes) != len(graph.node) or broken:
        raise ValueError(
            f"{where}: the graph's nodes must have names of their own and inputs among them. "
            f"Received: {len(graph.node) - len(nodes)} names twice, unknown inputs {_some(broken)}"
        )
    if len(nodes) > MAX_NODES:
        raise ValueError(
            f"{where}: the graph must have at most {MAX_NODES} nodes. Received: {len(nodes)}"
        )

    def walk_up(name, through):
        """Follows the data up through `through`: where it ends, and the operations passed."""
        passed = []
        while nodes[name].op in through and len(inputs[name]) in (1, 2) and len(passed) < 32:
            passed.append(nodes[name].op)
            name = next((up for up in inputs[name] if not constant(up)), inputs[name][0])
        return name, passed

    def constant(name):
        """The Const node behind `name`, or None."""
        for _ in range(16):  # a graph may be a circle
            if nodes[name].op not in _SAME_NUMBERS or not inputs[name]:
                break
            name = inputs[name][0]
        return name if nodes[name].op == "Const" else None

    kernels, biases = {}, {}
    for name, node in nodes.items():
        if node.op in ("Conv2D", "MatMul") and len(inputs[name]) == 2:
            kernels[name] = constant(inputs[name][1])
    for name, node in nodes.items():
        if node.op in _BIAS and len(inputs[name]) == 2:
            added = [source for source in map(constant, inputs[name]) if source]
            layer, passed = walk_up(name, _DATA_PATH)
            if len(added) == 1 and layer in kernels and len(_BIAS.intersection(passed)) == 1:
                biases[layer] = added[0]

    following = {}
    for layer in kernels:
        above, passed = walk_up(inputs[layer][0], {*_DATA_PATH, "Relu"})
        if above in kernels and passed.count("Relu") != 1:
            raise ValueError(
                f"{where}: one Relu must stand between {above} and {layer}. Received: {passed}"
            )
        following[above if above in kernels else None] = layer
    chain, layer = [], following.pop(None, None)
    while layer:
        chain.append(layer)
        layer = following.pop(layer, None)
    if len(chain) not in (2, 3) or len(chain) != len(kernels):
        raise ValueError(
            f"{where}: the graph must hold a chain of 2 layers (Growing CA) or 3 (MNIST CA). "
            f"Received: a chain of {_some(chain)}; left over {_some(set(kernels) - set(chain))}"
        )
    tensors = []
    for layer in chain:
        for part, names in (("kernel", kernels), ("bias", biases)):
            if names.get(layer) is None:
                raise ValueError(
                    f"{where}: {layer} must have a constant {part}. Received: it is missing"
                )
            tensors.append((names[layer], _constant_value(where, nodes[names[layer]])))
    read = {
        constant(source)
        for name, node in nodes.items()
        if node.op not in _SAME_NUMBERS
        for source in inputs[name]
    }
    weights = {name for name, node in nodes.items() if node.op == "Const" and _is_large(node)}
    if weights - read:
        raise ValueError(
            f"{where}: each tensor must be used. Received: left over {_some(weights - read)}"
        )
    return tensors


def _is_large(node):
    """Whether a Const may be a kernel or a bias. The published lizard has an unused 3×3 one."""
    tensor = node.attr["value"].tensor
    size = math.prod(axis.size for axis in tensor.tensor_shape.dim)
    return tensor.dtype == tf.float32.as_datatype_enum and size > 9


def _constant_value(where, node):
    """A Const node's array; a single value stands for all."""
    tensor = node.attr["value"].tensor
    shape = tuple(axis.size for axis in tensor.tensor_shape.dim)
    size = math.prod(shape)
    values = np.array(tensor.float_val, np.float32)
    if tensor.tensor_content and len(tensor.tensor_content) % 4 == 0:
        values = np.frombuffer(tensor.tensor_content, "<f4")
    is_splat = not tensor.tensor_content and values.size == 1
    is_float = tensor.dtype == tf.float32.as_datatype_enum
    if not is_float or min(shape, default=0) < 0 or not (is_splat or values.size == size):
        raise ValueError(
            f"{where}: {node.name} must hold float32 values of shape {shape}. "
            f"Received: {values.size} values{'' if is_float else ' of another type'}"
        )
    return np.broadcast_to(values if is_splat else values.reshape(shape), shape)


# ---------------------------------------------------------------------------------------------
# From arrays to layers
# ---------------------------------------------------------------------------------------------


def _build(where, tensors, flat=False):
    """The CA whose layers hold `tensors`: (name, array) of kernel, bias, kernel, bias …

    Channels and widths are what most shapes say, so that the error names the odd one out.
    `flat` says that kernels come without a shape.
    """
    if len(tensors) not in (4, 6):
        raise ValueError(
            f"{where} must hold 4 tensors (Growing CA) or 6 (MNIST CA). "
            f"Received: {len(tensors)}: {_some(name for name, _ in tensors)}"
        )
    kernels = [array.shape for _, array in tensors[0::2] if array.ndim > 1]
    biases = [array.shape[0] for _, array in tensors[1::2] if array.ndim == 1]
    growing = len(tensors) == 4
    fixed = 0 if growing else 1  # the grey never changes, so an MNIST CA's update has no such row
    widths = [*(shape[-1] for shape in kernels[:-1]), *(shape[-2] for shape in kernels[1:])]
    hidden = mode([*widths, *biases[:-1], 128 if growing else 80])
    channels = [shape[-1] + fixed for shape in kernels[-1:]] + [n + fixed for n in biases[-1:]]
    channels += [shape[-2] // (NUM_KERNELS if growing else 1) for shape in kernels[:1]]
    channels = mode([*channels, GROWING_CHANNELS if growing else MNIST_CHANNELS])
    least = ALPHA + 1 if growing else NUM_CLASSES + 2
    if not least <= channels <= MAX_SIDE or not 1 <= hidden <= MAX_SIDE:
        raise ValueError(
            f"{where} must have {least} to {MAX_SIDE} channels and a width of 1 to {MAX_SIDE}. "
            f"Received: channels={channels}, hidden={hidden}"
        )
    if growing:
        shapes = [(1, 1, NUM_KERNELS * channels, hidden)]
    else:
        shapes = [(3, 3, channels, hidden), (hidden,), (1, 1, hidden, hidden)]
    shapes += [(hidden,), (1, 1, hidden, channels - fixed), (channels - fixed,)]
    for (name, array), shape in zip(tensors, shapes, strict=True):
        plain = shape[2:] if shape[:2] == (1, 1) else shape
        flattened = (math.prod(shape),) if flat else shape
        if array.shape not in (shape, plain, flattened):
            raise ValueError(
                f"{where}: {name} must have shape {shape}. Received: shape={array.shape}"
            )
        _check_finite(where, name, array)
    step = (GrowingCA if growing else MNISTCA)(channels=channels, hidden=hidden)
    for variable, (_, array) in zip(engine_weights(step), tensors, strict=True):
        variable.assign(array.reshape(variable.shape))
    return step


def _perturbation(name, matrix):
    with np.errstate(over="ignore"):  # an overflow is found as not finite
        matrix = check_matrix(matrix, name=name)
    return Perturbation(matrix=check_matrix(matrix, name=name))


# ---------------------------------------------------------------------------------------------
# Checks
# ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _refusing(where, what, copy=None):
    """Turns whatever a parser raises on a broken or hostile file into one ValueError.

    `copy` is a temporary path that the message shall not show.
    """
    try:
        yield
    except Exception as error:
        message = " ".join((str(error).replace(copy, str(where)) if copy else str(error)).split())
        raise ValueError(
            f"{where} is not a readable {what}. Received: {type(error).__name__}: {message[:400]}"
        ) from error


def _check_amount(where, count, size):
    if count > MAX_FILES or size > MAX_BYTES:
        raise ValueError(
            f"{where} must hold at most {MAX_FILES} parts and {MAX_BYTES} bytes. "
            f"Received: {count} parts, {size} bytes"
        )


def _check_finite(where, name, array):
    if not np.isfinite(array).all():
        raise ValueError(
            f"{where}: {name} must be finite. "
            f"Received: {np.size(array) - np.isfinite(array).sum()} values that are NaN or infinite"
        )


def _decode(where, data):
    if len(data) > MAX_TEXT_BYTES:
        raise ValueError(
            f"{where} must be text of at most {MAX_TEXT_BYTES} bytes. Received: {len(data)} bytes"
        )
    with _refusing(where, "text file"):
        return data.decode("utf-8-sig")


def _decode_base64(where, name, text):
    with _refusing(f"{where}: {name}", "base64 string"):
        return base64.b64decode(text, validate=True)


def _parse_json(where, text, to_the_end=True):
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON number")

    with _refusing(where, "JSON file"):
        decoder = json.JSONDecoder(parse_constant=refuse)
        return decoder.decode(text) if to_the_end else decoder.raw_decode(text)[0]


def _some(names, limit=8):
    """A few names for a message."""
    names = list(names)
    listed = ", ".join(map(str, names[:limit])) or "nothing"
    return listed if len(names) <= limit else f"{listed} and {len(names) - limit} more"
