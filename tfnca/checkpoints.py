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
from tfnca.perturbation import Perturbation, check_matrix
from tfnca.sparse import engine_weights
from tfnca.state import ALPHA, GROWING_CHANNELS, MNIST_CHANNELS, NUM_CLASSES
from tfnca.step import Step

MAX_BYTES = 256 * 2**20
MAX_TEXT_BYTES = 16 * 2**20
MAX_FILES = 1000
MAX_SIDE = 4096
"""Bounds on what is read: in all, as text, files in a zip or folder, and a layer's width."""

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
    files, is_container = _gather(Path(path))
    readers = {member: reader for member in files if (reader := _reader(member, files[member]))}
    # A .keras file knows more than a published one of the same weights: it comes first.
    members = sorted(readers, key=lambda member: (readers[member] is not _read_keras, member))
    wanted = [member for member in members if name in _names(member)] or members
    found, labels = [], set()
    for member in wanted:
        where = f"{path}/{member}" if is_container else str(path)
        models = readers[member](where, member, files)
        main = next(iter(models))
        called = name is None or name in _names(member)
        for inner, model in models.items():
            if not isinstance(model, kinds):
                continue
            label = inner or (member if called and name else _names(member)[-1])
            labels.add(label)
            if name == inner or (called and inner == main):
                found.append((label, model))
        if called and not isinstance(models[main], kinds):
            found += [(inner, model) for inner, model in models.items() if isinstance(model, kinds)]
    distinct = []
    for label, model in found:
        if not any(_same(model, other) for _, other in distinct):
            distinct.append((label, model))
    if len(distinct) == 1:
        return distinct[0][1]
    what = "perturbation" if kinds is Perturbation else "model"
    if distinct:
        raise ValueError(
            f"{path} holds several {what}s: choose one by its name, one of "
            f"{sorted(label for label, _ in distinct)}. Received: name={name!r}"
        )
    if labels:
        raise ValueError(f"name must be one of {sorted(labels)} in {path}. Received: name={name!r}")
    raise ValueError(
        f"{path} holds no {what} in a format that tfnca knows. Received: {_some(files)}"
    )


def _gather(path):
    """Reads the files that `path` stands for.

    Returns:
        ``({name: bytes}, whether they come from a zip or a folder)``.
    """
    prefix = Path(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", str(path)))
    if Path(f"{prefix}.index").is_file():
        shards = re.compile(re.escape(prefix.name) + r"\.(index|data-\d{5}-of-\d{5})")
        paths = [file for file in prefix.parent.iterdir() if shards.fullmatch(file.name)]
    elif path.is_dir():
        paths = [file for file in path.iterdir() if file.is_file()]
    elif path.is_file():
        paths = [path]
    else:
        raise ValueError(
            f"path must be a file, a folder or a checkpoint's prefix. Received: path={str(path)!r}"
        )
    with _refusing(path, "file or folder"):
        size = sum(file.stat().st_size for file in paths)
    _check_amount(path, len(paths), size)
    with _refusing(path, "file or folder"):
        files = {file.name: file.read_bytes() for file in sorted(paths)}
    if (
        paths == [path]
        and _is_zip(files[path.name])
        and _reader(path.name, files[path.name]) is None
    ):
        return _unzip(path, files[path.name]), True
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
        return _read_keras if b"model.weights.h5" in data else None
    if data.startswith(b"\x93NUMPY"):
        return _read_npy
    if data.endswith(b"\x57\xfb\x80\x8b\x24\x75\x47\xdb") or member.endswith(".index"):
        return _read_checkpoint
    if text.startswith(b"{") and b'"modelTopology"' in text:
        return _read_graph
    if text.startswith(b"[") and b'"data_b64"' in text:
        return _read_webgl
    if b"GRAPH_URL" in text or b"PERTURBATIONS" in text:
        return _read_growing_demo
    return _read_mnist_demo if b"WEIGHTS_B64" in text else None


def _is_zip(data):
    return data.startswith((b"PK\3\4", b"PK\5\6"))


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
        _check_finite(where, variable.path, keras.ops.convert_to_numpy(variable))
    return {"": model}


def _check_config(config, key=""):
    """Raises ValueError unless a Keras file's configuration names only classes of this package."""
    if isinstance(config, dict):
        if "class_name" in config:
            made = config.get("registered_name") or f"{config.get('module')}>{config['class_name']}"
            known = [*(f"tfnca>{layer.__name__}" for layer in _LAYERS), "keras>DTypePolicy"]
            if made not in known:
                raise ValueError(f"its classes must be among {known}, found {made}")
        for name, value in config.items():
            _check_config(value, name)
    elif isinstance(config, list):
        for value in config:
            _check_config(value)
    elif isinstance(config, int | float) and key != "shared_object_id" and abs(config) > MAX_SIDE:
        raise ValueError(f"{key} must be at most {MAX_SIDE}, found {config}")


_LAYERS = (GrowingCA, MNISTCA, Injected, Perturbation)
_LAYERS += tuple(layer for layer in Step.__subclasses__() if layer not in _LAYERS)


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
        with _refusing(where, "TF2 checkpoint"):
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
            raise ValueError(
                f"{where} must hold the tensors {_some(keys)}. Received: "
                f"missing {_some(set(keys) - models)}; left over {_some(models - set(keys))}"
            )
        for key in keys:
            if dtypes[key] != tf.float32:
                raise ValueError(f"{where}: {key} must be float32. Received: {dtypes[key].name}")
        _check_amount(where, len(keys), 4 * sum(math.prod(shapes[key]) for key in keys))
        with _refusing(where, "TF2 checkpoint"):
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
            scales = np.full((rows, 1), layer["weight_scale"], np.float64)
            scales[-1] = layer["bias_scale"]
        data = np.frombuffer(_decode_base64(where, f"{name}: data_b64", data), np.uint8)
        if kind != "uint8" or rows < 2 or data.size != rows * columns:
            raise ValueError(
                f"{where}: {name} must hold {rows} x {columns} values of type uint8. "
                f"Received: {data.size} values of type {kind}"
            )
        with np.errstate(over="ignore"):  # an overflow is found as not finite
            values = ((data.reshape(rows, columns) / 255 - 0.5) * scales).astype(np.float32)
        kernel, bias = values[:-1], values[-1]
        if number == 0 and len(kernel) % NUM_KERNELS == 0:  # rows come kernel by kernel
            kernel = kernel.reshape(NUM_KERNELS, -1, columns).swapaxes(0, 1).reshape(-1, columns)
        tensors += [(f"{name} kernel", kernel), (f"{name} bias", bias)]
    return {"": _build(where, tensors)}


def _read_mnist_demo(where, member, files):
    text = _decode(where, files[member])
    steps = {}
    for step, variable in (("host", "WEIGHTS_B64"), ("adversary", "ADV_WEIGHTS_B64")):
        match = re.search(rf"\b{variable}\s*=\s*\[([^\]]*)\]", text)
        if match is None:
            raise ValueError(f"{where} must hold a list {variable}. Received: none that is whole")
        tensors = []
        for number, quoted in enumerate(match[1].rstrip().removesuffix(",").split(",")):
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
    graph = re.search(r"\bGRAPH_URL\b[^`]*`([^`]*)`", text)
    matrices = re.search(r"\bPERTURBATIONS\s*=\s*(?=\[)", text)
    if graph is None or matrices is None:
        raise ValueError(
            f"{where} must hold GRAPH_URL and PERTURBATIONS. Received: "
            f"GRAPH_URL {'found' if graph else 'missing'}, "
            f"PERTURBATIONS {'found' if matrices else 'missing'}"
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


_SAME_NUMBERS = {"Identity", "Reshape"}
_BIAS = {"BiasAdd", "Add", "AddV2"}


def _graph_tensors(where, document):
    """Kernels and biases of a frozen graph, found by following the data through it.

    Node names and order differ from file to file, and shapes alone do not tell the two biases
    and the square kernel of an MNIST CA apart.
    """
    with _refusing(where, "graph model"):
        graph = json_format.ParseDict(
            document["modelTopology"], tf.compat.v1.GraphDef(), ignore_unknown_fields=True
        )
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

    def walk_up(name, through):
        """Follows the data up through `through`: where it ends, and the operations passed."""
        passed = []
        while nodes[name].op in through and inputs[name] and len(passed) < len(nodes):
            passed.append(nodes[name].op)
            name = next((up for up in inputs[name] if not constant(up)), inputs[name][0])
        return name, passed

    def constant(name):
        """The Const node behind `name`, or None."""
        for _ in nodes:
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
            layer, passed = walk_up(name, _BIAS | _SAME_NUMBERS)
            if len(added) == 1 and layer in kernels and len(_BIAS.intersection(passed)) == 1:
                biases[layer] = added[0]

    following = {}
    for layer in kernels:
        above, passed = walk_up(inputs[layer][0], _BIAS | _SAME_NUMBERS | {"Relu"})
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
    if unused := _unused_constants(nodes, inputs, chain[-1]):
        raise ValueError(
            f"{where}: the result must use every tensor. Received: left over {_some(unused)}"
        )
    return tensors


def _unused_constants(nodes, inputs, last):
    """Float tensors that nothing after the last layer depends on."""
    outputs = {name: [] for name in nodes}
    for name, sources in inputs.items():
        for source in sources:
            outputs[source].append(name)
    used = _reachable(_reachable({last}, outputs), inputs)
    return [
        name
        for name, node in nodes.items()
        if node.op == "Const"
        and node.attr["value"].tensor.dtype == tf.float32.as_datatype_enum
        and node.attr["value"].tensor.tensor_shape.dim
        and name not in used
    ]


def _reachable(names, edges):
    reached, pending = set(names), list(names)
    while pending:
        for name in edges[pending.pop()]:
            if name not in reached:
                reached.add(name)
                pending.append(name)
    return reached


def _constant_value(where, node):
    """A Const node's array; a single value stands for all."""
    tensor = node.attr["value"].tensor
    shape = tuple(axis.size for axis in tensor.tensor_shape.dim)
    size = math.prod(shape)
    values = np.array(tensor.float_val, np.float32)
    if tensor.tensor_content and len(tensor.tensor_content) % 4 == 0:
        values = np.frombuffer(tensor.tensor_content, "<f4")
    is_splat = not tensor.tensor_content and values.size == 1
    if tensor.dtype != tf.float32.as_datatype_enum or not (is_splat or values.size == size):
        raise ValueError(
            f"{where}: {node.name} must hold {size} float32 values, shape {shape}. Received: "
            f"{values.size} values of type {tf.dtypes.as_dtype(tensor.dtype or 1).name}"
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
    least = ALPHA + 1 if growing else NUM_CLASSES + 2
    if not least <= channels <= MAX_SIDE or not 1 <= hidden <= MAX_SIDE:
        raise ValueError(
            f"{where} must have {least} to {MAX_SIDE} channels and a width of 1 to {MAX_SIDE}. "
            f"Received: channels={channels}, hidden={hidden}"
        )
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
def _refusing(where, what):
    """Turns whatever a parser raises on a broken or hostile file into one ValueError."""
    try:
        yield
    except Exception as error:
        lines = str(error).strip().splitlines() or [""]
        raise ValueError(
            f"{where} is not a readable {what}. Received: {type(error).__name__}: {lines[0][:300]}"
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
