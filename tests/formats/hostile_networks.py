"""Broken and hostile networks: checkpoints, graphs, demo data, 8-bit models."""

import json
import re

import numpy as np
import published_formats as formats
from expected import GROWING, MNIST
from published_formats import write


def with_nan(array):
    array = array.copy()
    array.flat[5] = np.nan
    return array


def checkpoint(change):
    def make(folder):
        named = formats.checkpoint_keys(GROWING)
        named = change(named) or named
        return formats.write_checkpoint(folder / "broken", named)

    return make


def damaged_checkpoint(ending, damage):
    def make(folder):
        prefix = checkpoint(lambda named: None)(folder)
        file = folder / f"broken.{ending}"
        data = damage(file.read_bytes())
        file.unlink()
        if data is not None:
            file.write_bytes(data)
        return prefix

    return make


def lost_shard(folder):
    named = formats.checkpoint_keys(GROWING)
    prefix = formats.write_checkpoint(folder / "broken", named, shards=2)
    (folder / "broken.data-00001-of-00002").unlink()
    return prefix


def graph(change):
    def make(folder):
        document = formats.graph_document(MNIST)
        change(document["modelTopology"]["node"], formats.weight_nodes(document), document)
        return write(folder / "broken.json", document)

    return make


def _without(node):
    return lambda nodes, weights, document: nodes.remove(weights[node])


def _without_values(nodes, weights, document):
    del weights[1]["attr"]["value"]["tensor"]["tensorContent"]


def _without_bias(nodes, weights, document):
    biases = [node for node in nodes if node["op"] == "BiasAdd"]
    for node in nodes:
        node["input"] = [
            biases[1]["input"][0] if name == biases[1]["name"] else name
            for name in node.get("input", [])
        ]
    nodes.remove(biases[1])


def _without_relu(nodes, weights, document):
    relu = next(node for node in nodes if node["op"] == "Relu")
    relu["op"] = "Identity"


def _with_tanh(nodes, weights, document):
    relu = next(node for node in nodes if node["op"] == "Relu")
    relu["op"] = "Tanh"


def _left_over(nodes, weights, document):
    nodes.append({**weights[0], "name": "one_more"})
    nodes.append({"name": "read", "op": "Identity", "input": ["one_more"]})


def _huge_splat(nodes, weights, document):
    tensor = weights[1]["attr"]["value"]["tensor"]
    del tensor["tensorContent"]
    tensor["tensorShape"]["dim"] = [{"size": str(10**6)}] * 2
    tensor["floatVal"] = [0.0]


def _wrong_type(nodes, weights, document):
    weights[1]["attr"]["value"]["tensor"]["dtype"] = "DT_INT32"


def _wrong_shape(nodes, weights, document):
    sizes = weights[1]["attr"]["value"]["tensor"]["tensorShape"]["dim"]
    sizes[2]["size"], sizes[3]["size"] = "40", "160"


def _vast(nodes, weights, document):
    nodes += [{"name": f"n{i}", "op": "Add", "input": [f"n{i - 1}", "x"]} for i in range(1, 20_000)]
    nodes.append({"name": "n0", "op": "Add", "input": ["x", "x"]})


def _negative_shape(nodes, weights, document):
    sizes = weights[1]["attr"]["value"]["tensor"]["tensorShape"]["dim"]
    sizes[2]["size"], sizes[3]["size"] = "-80", "-80"


def _circle(nodes, weights, document):
    for node in nodes:
        if node["op"] in ("Relu", "Identity"):
            node["input"] = [node["name"]]


def demo(change):
    def make(folder):
        text = formats.mnist_demo(MNIST, formats.mnist_tensors(1))
        return write(folder / "data.js", change(text))

    return make


def growing_demo(change, matrices=None):
    def make(folder):
        all_matrices = matrices or [formats.symmetric_matrix(seed) for seed in range(6)]
        return write(folder / "gca_data.js", change(formats.growing_demo(GROWING, all_matrices)))

    return make


def webgl(change):
    def make(folder):
        document, _ = formats.webgl_document()
        return write(folder / "lizard.json", change(document) or document)

    return make


def plain(name, content):
    return lambda folder: write(folder / name, content)


KERNEL = "dmodel/layer_with_weights-0/kernel" + formats.VALUE
BIAS = "dmodel/layer_with_weights-1/bias" + formats.VALUE
NETWORKS = {
    # checkpoints
    "checkpoint without a kernel": (
        checkpoint(lambda named: {k: v for k, v in named.items() if k != KERNEL}),
        KERNEL,
    ),
    "checkpoint without any layer": (checkpoint(lambda named: {"x": named[BIAS]}), "left over x"),
    "checkpoint with a tensor left over": (
        checkpoint(lambda named: named | {"dmodel/layer_with_weights-2/bias": GROWING[1]}),
        "left over dmodel/layer_with_weights-2/bias",
    ),
    "checkpoint transposed": (
        checkpoint(lambda named: named | {KERNEL: GROWING[0].swapaxes(2, 3)}),
        r"layer_with_weights-0/kernel.*\(1, 1, 48, 128\).*\(1, 1, 128, 48\)",
    ),
    "checkpoint with a wrong bias": (
        checkpoint(lambda named: named | {BIAS: np.zeros(15, np.float32)}),
        r"layer_with_weights-1/bias.*\(16,\).*\(15,\)",
    ),
    "checkpoint with NaN": (
        checkpoint(lambda named: named | {KERNEL: with_nan(GROWING[0])}),
        "layer_with_weights-0/kernel.* must be finite.*1 value",
    ),
    "checkpoint of another type": (
        checkpoint(lambda named: named | {KERNEL: GROWING[0].astype(np.float64)}),
        "must be float32.*float64",
    ),
    "checkpoint of integers": (
        checkpoint(lambda named: named | {BIAS: np.zeros(16, np.int32)}),
        "must be float32.*int32",
    ),
    "cut index": (damaged_checkpoint("index", lambda data: data[:-30]), "TF2 checkpoint"),
    "empty index": (damaged_checkpoint("index", lambda data: b""), "TF2 checkpoint"),
    "cut data": (
        damaged_checkpoint("data-00000-of-00001", lambda data: data[: len(data) // 2]),
        "TF2 checkpoint",
    ),
    "flipped data": (
        damaged_checkpoint("data-00000-of-00001", lambda data: data[:50] + b"?" + data[51:]),
        "TF2 checkpoint",
    ),
    "index without data": (
        damaged_checkpoint("data-00000-of-00001", lambda data: None),
        "TF2 checkpoint",
    ),
    "data without index": (damaged_checkpoint("index", lambda data: None), "path must be"),
    "lost shard": (lost_shard, "TF2 checkpoint.*data-00001-of-00002"),
    # graphs
    "cut graph": (
        lambda folder: write(
            folder / "cut.json", json.dumps(formats.graph_document(MNIST))[:90_000]
        ),
        "not a readable JSON file",
    ),
    "graph without a kernel": (graph(_without(0)), "unknown inputs"),
    "graph without values": (
        graph(_without_values),
        r"must hold float32.*\(1, 1, 80, 80\).*0 values",
    ),
    "graph without a bias": (graph(_without_bias), "constant bias.*missing"),
    "graph without Relu": (graph(_without_relu), "one Relu"),
    "graph with Tanh": (graph(_with_tanh), "chain"),
    "graph with a tensor left over": (graph(_left_over), "left over one_more"),
    "graph with a huge splat": (graph(_huge_splat), r"must have shape.*1000000"),
    "graph of integers": (graph(_wrong_type), "must hold float32.*another type"),
    "graph of very many nodes": (graph(_vast), "at most 10000 nodes"),
    "graph that bites its tail": (graph(_circle), "graph|chain|constant"),
    "graph with a name twice": (
        graph(lambda nodes, weights, document: nodes.append(weights[0])),
        "names twice",
    ),
    "graph without nodes": (
        plain("a.json", {"format": "graph-model", "modelTopology": {}}),
        "graph model",
    ),
    "graph of nonsense": (plain("a.json", {"modelTopology": {"node": [{"op": 3}, 7]}}), "graph"),
    "graph with a wrong shape": (
        graph(_wrong_shape),
        r"must have shape \(1, 1, 80, 80\).*\(1, 1, 40, 160\)",
    ),
    "graph with a negative shape": (graph(_negative_shape), "must hold float32.*-80"),
    "graph with NaN": (
        lambda folder: write(
            folder / "a.json", formats.graph_document([*MNIST[:2], with_nan(MNIST[2]), *MNIST[3:]])
        ),
        "must be finite",
    ),
    "deep JSON": (plain("a.json", '{"modelTopology": ' + "[" * 200_000), "JSON"),
    # demo data
    "demo without adversary": (demo(lambda text: text.split("window.ADV")[0]), "ADV_WEIGHTS_B64"),
    "cut demo": (demo(lambda text: text[:-5000]), "ADV_WEIGHTS_B64"),
    "demo with a tensor too few": (
        demo(lambda text: text.replace('", "', '"]; //', 1)),
        "must hold 4 tensors.*Received: 1",
    ),
    "demo with bad base64": (demo(lambda text: text.replace('["', '["?')), r"WEIGHTS_B64\[0\]"),
    "demo with half a number": (
        demo(lambda text: re.sub(r'\["[^"]*"', '["AAAA"', text)),
        r"WEIGHTS_B64\[0\] must be float32.*3 bytes",
    ),
    "demo of the wrong size": (
        demo(lambda text: re.sub(r'\["[^"]*"', '["AAAAAA=="', text)),
        r"WEIGHTS_B64\[0\] must have shape \(3, 3, 20, 80\).*\(1,\)",
    ),
    "demo of two kinds": (
        lambda folder: write(folder / "data.js", formats.mnist_demo(MNIST, GROWING)),
        "same channels",
    ),
    "growing demo without matrices": (
        growing_demo(lambda text: text.split("window.PERT")[0]),
        "matrices missing",
    ),
    "cut growing demo": (growing_demo(lambda text: text[:-200]), "JSON"),
    "growing demo with five matrices": (
        growing_demo(lambda text: text, [formats.symmetric_matrix()] * 5),
        "6 matrices.*Received: 5",
    ),
    "growing demo with a small matrix": (
        growing_demo(lambda text: text, [formats.symmetric_matrix()] * 5 + [np.eye(15)]),
        r"blue.*\(16, 16\).*\(15, 15\)",
    ),
    "growing demo with words": (
        growing_demo(lambda text: re.sub(r"\[\[\[[^,]*", '[[["1"', text)),
        "tail must hold numbers",
    ),
    "demo that opens a list a million times": (
        plain("data.js", "WEIGHTS_B64 = [" * 10**6),
        "WEIGHTS_B64.*no complete one",
    ),
    "demo that opens a graph a million times": (
        plain("data.js", "GRAPH_URL = " * 10**6),
        "graph missing",
    ),
    # 8 bit
    "8 bit, vast": (
        webgl(lambda layers: layers[0].update(in_ch=10**10, out_ch=0, data_b64="")),
        "x 0 values of type uint8",
    ),
    "8 bit, other type": (webgl(lambda layers: layers[0].update(type="float16")), "uint8"),
    "8 bit, short": (webgl(lambda layers: layers[1].update(in_ch=129)), "130 x 16.*2064 values"),
    "8 bit, one layer": (webgl(lambda layers: layers[:1]), "4 tensors.*Received: 2"),
    "8 bit, no scale": (webgl(lambda layers: layers[0].pop("bias_scale") and None), "bias_scale"),
    "8 bit, infinite": (webgl(lambda layers: layers[1].update(weight_scale=1e300)), "finite"),
    "8 bit, NaN": (webgl(lambda layers: layers[1].update(weight_scale=float("nan"))), "NaN"),
}
