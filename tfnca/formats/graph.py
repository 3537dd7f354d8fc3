"""Reads graph models: finds the networks in a frozen graph by following its data.

Names and order of nodes differ between files, and shapes alone do not distinguish the two biases
and the square kernel of an MNIST CA.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import json_format

from tfnca.automata.perception import NUM_KERNELS, SOBEL_X, sobel_kernels
from tfnca.formats.archive import MAX_NODES, count_values, refusing, some
from tfnca.formats.tensors import Tensors

_SAME_NUMBERS = {"Identity", "Reshape", "Squeeze"}
_BIAS = {"BiasAdd", "Add", "AddV2"}
_PRODUCTS = {"Conv2D", "MatMul", "BatchMatMulV2"}
_FUSED = "_FusedConv2D"
_SELECT = {"Select", "SelectV2"}

_MAX_LAYERS = 16

_DATA_PATH = {*_SAME_NUMBERS, *_BIAS, "Transpose"}
"""Operations between two layers. A Dense layer on a grid is a transpose, a reshape, a MatMul and a
reshape, or with Keras 3.13 a BatchMatMulV2."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A CA in a graph: its tensors, (name, array) of kernel, bias, kernel, bias …; further settings
    of the layer, ``angle`` or ``step_size``; and the nodes of its layers, in order."""

    tensors: Tensors
    options: dict[str, float]
    layers: list[str]


class Graph:
    """A frozen graph, with the constants from shards by the names of their nodes.

    With `drops_zeros` a layer may have no bias, because exports of tfnca omit a bias of zeros.

    Attributes:
        mixed: The Const nodes with perturbations as exports of tfnca stack them: Aᵢ - I, or bᵢ,
            each in a row.

    Raises:
        ValueError: If it is not a graph, or too large.
    """

    mixed: list[str]

    def __init__(
        self,
        where: str,
        document: Any,
        weights: Mapping[str, np.ndarray] | None = None,
        drops_zeros: bool = False,
    ) -> None:
        self.where = where
        self.weights = dict(weights or {})
        self.drops_zeros = drops_zeros
        with refusing(where, "graph model"):
            parts = [self._part(node) for node in document["modelTopology"]["node"]]
            graph = json_format.ParseDict({"node": parts}, tf.compat.v1.GraphDef())
        self.nodes = {node.name: node for node in graph.node}
        self.inputs = {
            name: [source.split(":")[0] for source in node.input if source[:1] != "^"]
            for name, node in self.nodes.items()
        }
        self._outputs: dict[str, list[str]] = {}
        for name, sources in self.inputs.items():
            for source in sources:
                self._outputs.setdefault(source, []).append(name)
        broken = {name for sources in self.inputs.values() for name in sources} - set(self.nodes)
        if len(self.nodes) != len(graph.node) or broken:
            raise ValueError(
                f"{where}: the graph's nodes must have names of their own and inputs among them. "
                f"Received: {len(graph.node) - len(self.nodes)} names twice, "
                f"unknown inputs {some(broken)}"
            )
        if len(self.nodes) > MAX_NODES:
            raise ValueError(
                f"{where}: the graph must have at most {MAX_NODES} nodes. "
                f"Received: {len(self.nodes)}"
            )
        if unknown := set(self.weights) - {n for n in self.nodes if self.nodes[n].op == "Const"}:
            raise ValueError(
                f"{where}: each weight must be a constant of the graph. Received: {some(unknown)}"
            )
        self._kernels, self._biases = self._layers()

    def _part(self, node: Mapping[str, Any]) -> dict[str, Any]:
        """The needed fields of a node; the article's files have others that do not parse."""
        part = {key: node[key] for key in ("name", "op", "input") if key in node}
        wanted = {"Const": "value", _FUSED: "fused_ops"}.get(node["op"])
        if wanted in node.get("attr", {}) and node["name"] not in self.weights:
            part["attr"] = {wanted: node["attr"][wanted]}
        return part

    def _layers(self) -> tuple[dict[str, str | None], dict[str, tuple[str, str]]]:
        """By layer: the node of its kernel, if constant; the node of its bias, and of the sum."""
        kernels: dict[str, str | None] = {}
        biases: dict[str, tuple[str, str]] = {}
        for name, node in self.nodes.items():
            sources = self.inputs[name]
            if node.op in _PRODUCTS and len(sources) == 2:
                kernels[name] = self.constant(sources[1])
            elif node.op == _FUSED and len(sources) == 3:
                kernels[name] = self.constant(sources[1])
                if (bias := self.constant(sources[2])) and self._fused(name)[:1] == ["BiasAdd"]:
                    biases[name] = bias, name
        if len(kernels) > _MAX_LAYERS:
            raise ValueError(
                f"{self.where}: the graph must hold a chain of 2 layers (Growing CA) or 3 (MNIST "
                f"CA). Received: {len(kernels)} layers"
            )
        mixtures = self._mixtures(list(kernels))
        self.mixed = sorted(set(mixtures.values()))
        for mixed in mixtures:
            del kernels[mixed]
        for name, node in self.nodes.items():
            if node.op in _BIAS and len(self.inputs[name]) == 2:
                added = [bias for bias in map(self.constant, self.inputs[name]) if bias]
                layer, passed = self._walk_up(name, _DATA_PATH)
                one = len(added) == 1 and len(_BIAS.intersection(passed)) == 1
                if one and layer in kernels and layer not in biases:
                    biases[layer] = added[0], name
        return kernels, biases

    def _fused(self, name: str) -> list[str]:
        """The operations that a convolution's node includes."""
        return [op.decode() for op in self.nodes[name].attr["fused_ops"].list.s]

    def constant(self, name: str) -> str | None:
        """The Const node behind `name`, or None."""
        for _ in range(16):  # a hostile graph may have a cycle
            if self.nodes[name].op not in _SAME_NUMBERS or not self.inputs[name]:
                break
            name = self.inputs[name][0]
        return name if self.nodes[name].op == "Const" else None

    def _walk_up(self, name: str, through: set[str]) -> tuple[str, list[str]]:
        """Follows data up through `through`; returns the last node and the operations passed."""
        passed: list[str] = []
        while (
            (kind := self._kind(name)) in through
            and len(self.inputs[name]) in (1, 2)
            and len(passed) < 32
        ):
            passed.append(kind)
            sources = self.inputs[name]
            name = next((up for up in sources if not self.constant(up)), sources[0])
        return name, passed

    def _kind(self, name: str) -> str:
        """A node's operation; a maximum with 0 is a Relu."""
        kind = self.nodes[name].op
        if kind == "Maximum" and any(map(self._is_zero, self.inputs[name])):
            return "Relu"
        return kind

    def _is_zero(self, name: str) -> bool:
        """Whether a node is a constant of zeros."""
        constant = self.constant(name)
        if constant is None:
            return False
        if constant in self.weights:
            return not self.weights[constant].any()
        tensor = self.nodes[constant].attr["value"].tensor
        return not any(tensor.float_val) and not any(tensor.tensor_content)

    def _below(self, name: str) -> set[str]:
        """Every node that depends on this one, including itself."""
        found: set[str] = set()
        pending = [name]
        while pending:
            name = pending.pop()
            if name not in found:
                found.add(name)
                pending += self._outputs.get(name, [])
        return found

    def _mixtures(self, layers: list[str]) -> dict[str, str]:
        """The stacked perturbations, by nodes that look like layers but apply strengths.

        In exports of tfnca, the strengths k are an input: the state is multiplied by
        I + Σ kᵢ(Aᵢ - I), a product of k with all Aᵢ - I, or Σ kᵢbᵢ is added to it.
        """
        found: dict[str, str] = {}
        for product in layers:
            strengths, _ = self._walk_up(self.inputs[product][0], {"ExpandDims", *_SAME_NUMBERS})
            stacked = self.constant(self.inputs[product][1])
            if self.nodes[product].op == "MatMul" and strengths == "k" and stacked:
                below = self._below(product)
                applied = [layer for layer in layers if self.inputs[layer][1] in below]
                found |= dict.fromkeys([product, *applied], stacked)
        return found

    def networks(self) -> list[Network]:
        """The CAs in the graph, the host first.

        Raises:
            ValueError: If there is none, or if the parts of the graph do not fit together.
        """
        chains = self._chains()
        if len(chains) == 2:
            chains = self._host_first(chains)
        networks = [self._network(chain) for chain in chains]
        read = {
            self.constant(source)
            for name, node in self.nodes.items()
            if node.op not in _SAME_NUMBERS
            for source in self.inputs[name]
        }
        weights = {name for name in self.nodes if self._is_large(name)}
        if weights - read:
            raise ValueError(
                f"{self.where}: each tensor must be used. "
                f"Received: left over {some(weights - read)}"
            )
        return networks

    def network(self) -> Network:
        """The one CA in the graph; raises ValueError if there are two."""
        networks = self.networks()
        if len(networks) != 1:
            raise ValueError(f"{self.where}: the graph must hold one CA. Received: {len(networks)}")
        return networks[0]

    def _chains(self) -> list[list[str]]:
        """The layers of each CA, in order."""
        kernels, heads = self._kernels, []
        following: dict[str, str] = {}
        for layer in kernels:
            above, passed = self._walk_up(self.inputs[layer][0], {*_DATA_PATH, "Relu"})
            if above not in kernels:
                heads.append(layer)
                continue
            relus = passed.count("Relu") + self._fused(above).count("Relu")
            if relus != 1:
                raise ValueError(
                    f"{self.where}: there must be one Relu between {above} and {layer}. "
                    f"Received: {passed}"
                )
            following[above] = layer
        chains = []
        for head in heads:
            chain = [head]
            while chain[-1] in following:
                chain.append(following.pop(chain[-1]))
            chains.append(chain)
        left_over = set(kernels).difference(*chains)
        fits = chains and {len(chain) for chain in chains} in ({2}, {3}) and len(chains) <= 2
        if not fits or left_over:
            raise ValueError(
                f"{self.where}: the graph must hold a chain of 2 layers (Growing CA) or 3 (MNIST "
                f"CA), and no more than two of them. Received: a chain of "
                f"{some(some(chain) for chain in chains)}; left over {some(left_over)}"
            )
        return chains

    def _host_first(self, chains: list[list[str]]) -> list[list[str]]:
        """Sorts host and adversary by the graph's choice between their results."""
        below = [self._below(chain[-1]) for chain in chains]
        for name, node in self.nodes.items():
            if node.op in _SELECT and len(self.inputs[name]) == 3:
                # Whether each of the two results depends on (the first chain, the second).
                stands, elsewhere = (
                    tuple(source in each for each in below) for source in self.inputs[name][1:]
                )
                if stands == (False, True) and elsewhere == (True, False):
                    return chains
                if stands == (True, False) and elsewhere == (False, True):
                    return chains[::-1]
        raise ValueError(
            f"{self.where}: each cell must choose the result of one of two networks. "
            f"Received: {some(map(some, chains))}, and no choice between them"
        )

    def _network(self, chain: list[str]) -> Network:
        tensors: Tensors = []
        for layer in chain:
            bias, _ = self._biases.get(layer, (None, layer))
            for part, name in (("kernel", self._kernels[layer]), ("bias", bias)):
                if part == "bias" and name is None and self.drops_zeros:
                    tensors.append(("no bias", np.zeros(tensors[-1][1].shape[-1:], np.float32)))
                    continue
                if name is None:
                    raise ValueError(
                        f"{self.where}: {layer} must have a constant {part}. "
                        "Received: it is missing"
                    )
                tensors.append((name, self.value(name)))
        if "Relu" in self._fused(chain[-1]):
            raise ValueError(f"{self.where}: the update must be linear. Received: a Relu after it")
        options = self._options(chain) if len(chain) == 2 else self._bound(chain[0])
        return Network(tensors, options, chain)

    def _options(self, chain: list[str]) -> dict[str, float]:
        """The constants of a Growing CA's graph: the angle of its perception, and its step size."""
        options = {}
        _, update = self._biases.get(chain[-1], (None, chain[-1]))
        for name, node in self.nodes.items():
            sources = self.inputs[name]
            if node.op == "Mul" and update in (self._walk_up(s, _SAME_NUMBERS)[0] for s in sources):
                scales = [scale for scale in map(self.constant, sources) if scale]
                if len(scales) == 1 and self.value(scales[0]).size == 1:
                    options["step_size"] = self.value(scales[0]).item()
        perception, _ = self._walk_up(self.inputs[chain[0]][0], _DATA_PATH)
        if self.nodes[perception].op == "DepthwiseConv2dNative":
            kernel = self.constant(self.inputs[perception][1])
            if kernel is not None:
                options["angle"] = self._angle(kernel)
        return options

    def _bound(self, head: str) -> dict[str, float]:
        """The message bound of an MNIST CA's graph: the bound of a clip before its first layer."""
        clip, _ = self._walk_up(self.inputs[head][0], _SAME_NUMBERS)
        if self.nodes[clip].op not in {"Minimum", "Maximum", "ClipByValue"}:
            return {}
        _, passed = self._walk_up(clip, {"Minimum", "Maximum"})
        bounds, name = set(), clip
        for _ in passed or [clip]:
            bounds |= {self.value(c).item() for c in map(self.constant, self.inputs[name]) if c}
            name = next(up for up in self.inputs[name] if not self.constant(up))
        if len(bounds) != 2 or sum(bounds) != 0:
            raise ValueError(
                f"{self.where}: an MNIST CA must read states as they are, or clipped at -b and b. "
                f"Received: clipped at {some(bounds)}"
            )
        return {"message_bound": max(bounds)}

    def _angle(self, name: str) -> float:
        """The angle of a constant perception."""
        kernels = self.value(name)
        if kernels.ndim == 4 and kernels.shape[:2] == (3, 3) and kernels.shape[3] == NUM_KERNELS:
            x = kernels[:, :, 0, 1]
            angle = math.atan2(-np.sum(x * SOBEL_X.T), np.sum(x * SOBEL_X))
            if np.allclose(kernels, sobel_kernels(angle)[:, :, None, :], atol=1e-5):
                return angle if abs(angle) > 1e-6 else 0.0
        raise ValueError(
            f"{self.where}: a Growing CA must perceive by Sobel's kernels. "
            f"Received: another {name} of shape {kernels.shape}"
        )

    def _is_large(self, name: str) -> bool:
        """Whether a Const may be a kernel or a bias. The article's lizard has an unused 3×3 one."""
        if name in self.weights:
            return self.weights[name].dtype == np.float32 and self.weights[name].size > 9
        if self.nodes[name].op != "Const":
            return False
        tensor = self.nodes[name].attr["value"].tensor
        size = count_values([axis.size for axis in tensor.tensor_shape.dim])
        return tensor.dtype == tf.float32.as_datatype_enum and size > 9

    def value(self, name: str) -> np.ndarray:
        """A Const node's array of float32; a single value in the graph is repeated."""
        if name in self.weights:
            array = self.weights[name]
            if array.dtype != np.float32:
                raise ValueError(f"{self.where}: {name} must be float32. Received: {array.dtype}")
            return array
        tensor = self.nodes[name].attr["value"].tensor
        shape = tuple(axis.size for axis in tensor.tensor_shape.dim)
        size = count_values(shape)
        values = np.array(tensor.float_val, np.float32)
        if tensor.tensor_content and len(tensor.tensor_content) % 4 == 0:
            values = np.frombuffer(tensor.tensor_content, "<f4")
        is_splat = not tensor.tensor_content and values.size == 1
        is_float = tensor.dtype == tf.float32.as_datatype_enum
        if not is_float or min(shape, default=0) < 0 or not (is_splat or values.size == size):
            raise ValueError(
                f"{self.where}: {name} must hold float32 values of shape {shape}. "
                f"Received: {values.size} values{'' if is_float else ' of another type'}"
            )
        return values.reshape(shape) if values.size == size else np.broadcast_to(values, shape)
