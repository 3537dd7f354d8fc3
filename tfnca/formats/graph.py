"""Graph-model JSON, the weights as constants of a frozen graph."""

import math

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from tfnca.formats.archive import MAX_NODES, decode, parse_json, refusing, some
from tfnca.formats.build import build_ca


def read_graph(where, member, files):
    document = parse_json(where, decode(where, files[member]))
    return {"": build_ca(where, _graph_tensors(where, document))}


_SAME_NUMBERS = {"Identity", "Reshape", "Squeeze"}
_BIAS = {"BiasAdd", "Add", "AddV2"}

_DATA_PATH = {*_SAME_NUMBERS, *_BIAS, "Transpose"}
"""Between two layers. A Dense layer on a grid is a transpose, a reshape, MatMul and a reshape."""


def _graph_tensors(where, document):
    """Kernels and biases of a frozen graph, found by following the data through it.

    Node names and order differ from file to file, and shapes alone do not tell the two biases
    and the square kernel of an MNIST CA apart.
    """
    with refusing(where, "graph model"):
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
            f"Received: {len(graph.node) - len(nodes)} names twice, unknown inputs {some(broken)}"
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
            f"Received: a chain of {some(chain)}; left over {some(set(kernels) - set(chain))}"
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
            f"{where}: each tensor must be used. Received: left over {some(weights - read)}"
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
