"""Exports a step to TensorFlow.js, as a graph model for `tf.loadGraphModel`."""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
from tensorflow.python.grappler import tf_optimizer

from tfnca.automata.step import Step
from tfnca.choices import QUANTIZE
from tfnca.export.signatures import Signatures, metadata, stored_weights
from tfnca.files import replacing

TFJS_OPS = frozenset(
    files("tfnca.export").joinpath("tfjs_ops.txt").read_text(encoding="utf-8").split()
)
"""The operations of TensorFlow.js: the `op_list` of @tensorflow/tfjs-converter 4.22.0."""

FUSED = (["BiasAdd"], ["BiasAdd", "Relu"])
"""The operations that may follow a convolution inside one node."""

_OPTIMISERS = ["constfold", "arithmetic", "common_subgraph_elimination", "dependency"]
_CPU = "/device:CPU:0"


def save_tfjs(
    step: Step, folder: str | Path, quantize: str | None = None, measures: dict | None = None
) -> None:
    """Writes a step as a TensorFlow.js graph model, for any batch and grid size.

    TensorFlow.js lacks the stateless random operations that a seed needs, so fire mask and noise
    are inputs. All inputs are float32 and have the names and shapes of the signature
    ``step_masked`` of `tfnca.export.saved_model.save_saved_model`.

    Args:
        step: Any step.
        folder: The folder for ``model.json`` and ``weights.bin``; an older export is replaced.
        quantize: ``"uint8"`` or ``"float16"`` for the learned kernels; float32 if None.
        measures: See `tfnca.export.signatures.metadata`; it is written to ``userDefinedMetadata``.

    Raises:
        ValueError: If `folder` contains something else, if `quantize` is unknown, or if the step
            needs an operation that TensorFlow.js lacks.
    """
    if quantize not in (None, *QUANTIZE):
        raise ValueError(f"quantize must be one of {QUANTIZE}. Received: quantize={quantize!r}")
    function = Signatures(step).traced("step_masked")
    graph = optimised(function, fuse=True)
    if not all(_runs(node) for node in graph.node if _fused(node)):
        graph = optimised(function, fuse=False)
    check_ops(graph)
    kernels = {node.input[1] for node in graph.node if "Conv2D" in node.op}
    entries, data, arrays = [], b"", {}
    for node in graph.node:
        if node.op == "Const":
            array = arrays[node.name] = tf.make_ndarray(node.attr["value"].tensor)
            entry, part = _weight(array, quantize if node.name in kernels else None)
            entries.append({"name": node.name, **entry})
            data += part
            del node.attr["value"]
    about = metadata(step, measures)
    if "rules" in about and (names := stored_weights(step, arrays)):
        about["weights"] = names
    document = {
        "format": "graph-model",
        "generatedBy": f"TensorFlow {tf.__version__}",
        "convertedBy": "tfnca",
        "signature": json_format.MessageToDict(_signature(function)),
        "userDefinedMetadata": about,
        "modelTopology": json_format.MessageToDict(graph),
        "weightsManifest": [{"paths": ["weights.bin"], "weights": entries}],
    }
    with replacing(folder, "model.json") as temporary:
        # Sorted, because maps in protobuf have no order.
        text = json.dumps(document, separators=(",", ":"), sort_keys=True)
        (temporary / "model.json").write_text(text, encoding="utf-8")
        (temporary / "weights.bin").write_bytes(data)


def check_ops(graph: Any) -> None:
    """Raises ValueError unless TensorFlow.js has every operation of a GraphDef."""
    for node in graph.node:
        if not _runs(node):
            fused = _fused(node)
            layer, _, name = node.name.rpartition("/")
            op = f"{node.op} of {fused}" if fused else node.op
            raise ValueError(
                "A step may use only operations that TensorFlow.js has. "
                f"Received: {op} ({name}) in layer {layer or 'at the top'}"
            )


def _fused(node):
    """The operations that follow a node's own inside it."""
    return [name.decode() for name in node.attr["fused_ops"].list.s]


def _runs(node):
    """Whether TensorFlow.js has a node's operation."""
    return node.op in TFJS_OPS and (not _fused(node) or _fused(node) in FUSED)


def optimised(function: Any, fuse: bool) -> Any:
    """The frozen GraphDef of a concrete function, with as few and as cheap nodes as possible.

    Constants are ``Const`` nodes. With `fuse`, convolutions include their biases and activations.
    """
    frozen = convert_variables_to_constants_v2(function)
    graph = frozen.graph.as_graph_def()
    _products_to_convolutions(graph, frozen.graph)
    for node in graph.node:
        node.device = _CPU  # convolutions are fused only where they run on a CPU
    with tf.Graph().as_default() as whole:
        tf.import_graph_def(graph, name="")
        meta = tf.compat.v1.train.export_meta_graph(graph_def=graph, graph=whole)
    meta.signature_def["step"].CopyFrom(_signature(function))
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.optimizers.extend(_OPTIMISERS + ["remap"] * fuse)
    options.meta_optimizer_iterations = options.ONE
    options.min_graph_nodes = -1
    graph = tf_optimizer.OptimizeGraph(config, meta)
    for node in graph.node:
        node.device = ""
        for name in [name for name in node.attr if name.startswith("_")]:
            del node.attr[name]
    graph.ClearField("library")
    return graph


def _products_to_convolutions(graph, shapes):
    """Turns products with a matrix over the channels into 1x1 convolutions.

    TensorFlow writes such a product as ``<name>/transpose``, ``<name>/MatMul`` and a dozen other
    nodes around ``<name>``. With Keras 3.13 it is a single BatchMatMulV2. The GraphDef is changed
    in place; `shapes` is the same graph as a `tf.Graph`.
    """
    nodes = {node.name: node for node in graph.node}
    floats, integers = tf.float32.as_datatype_enum, tf.int32.as_datatype_enum
    for name, product in nodes.items():
        if f"{name}/transpose" in nodes and f"{name}/MatMul" in nodes:
            source, kernel = nodes[f"{name}/transpose"].input[0], nodes[f"{name}/MatMul"].input[1]
        elif product.op == "BatchMatMulV2" and _ranks(shapes, name) == [4, 2]:
            source, kernel = product.input
        else:
            continue
        axis = graph.node.add(name=f"{name}/kernel_axis", op="Const")
        axis.attr["dtype"].type = integers
        axis.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(0))
        for number in range(2):
            expanded = graph.node.add(name=f"{name}/kernel_{number}", op="ExpandDims")
            expanded.input.extend([kernel, axis.name])
            expanded.attr["T"].type, expanded.attr["Tdim"].type = floats, integers
            kernel = expanded.name
        product.Clear()
        product.name, product.op = name, "Conv2D"
        product.input.extend([source, kernel])
        product.attr["T"].type = floats
        product.attr["strides"].list.i.extend([1, 1, 1, 1])
        product.attr["padding"].s = b"VALID"


def _ranks(shapes, name):
    return [tensor.shape.rank for tensor in shapes.get_operation_by_name(name).inputs]


def _signature(function):
    """The inputs and outputs of a concrete function, by name."""
    signature = meta_graph_pb2.SignatureDef()
    inputs = {tensor.op.name: tensor for tensor in function.inputs if tensor.dtype == tf.float32}
    outputs = dict(zip(function.structured_outputs, function.outputs, strict=True))
    for infos, tensors in ((signature.inputs, inputs), (signature.outputs, outputs)):
        for name, tensor in tensors.items():
            infos[name].name = tensor.name
            infos[name].dtype = tensor.dtype.as_datatype_enum
            infos[name].tensor_shape.CopyFrom(tensor.shape.as_proto())
    return signature


def _weight(array, quantize):
    """An entry of the weights manifest, without its name, and its bytes."""
    entry = {"shape": list(array.shape), "dtype": array.dtype.name}
    if quantize == "float16":
        entry["quantization"] = {"dtype": "float16", "original_dtype": "float32"}
        array = array.astype("<f2")
    elif quantize == "uint8":
        low, high = min(float(array.min()), 0.0), max(float(array.max()), 0.0)
        scale = (high - low) / 255 or 1.0
        low = round(low / scale) * scale  # a weight of zero stays zero
        entry["quantization"] = {
            "dtype": "uint8",
            "min": low,
            "scale": scale,
            "original_dtype": "float32",
        }
        array = np.clip(np.round((array - low) / scale), 0, 255).astype(np.uint8)
    elif array.dtype not in (np.float32, np.int32, np.bool_):
        raise ValueError(
            f"Constants must be float32, int32 or bool. Received: {array.dtype} of {array.shape}"
        )
    return entry, np.ascontiguousarray(array).tobytes()
