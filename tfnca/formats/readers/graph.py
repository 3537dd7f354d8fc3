"""Reads frozen graph models as JSON, with their weights inside or in ``.bin`` shards."""

from typing import Any

import numpy as np

from tfnca.automata.perturbed import Perturbed
from tfnca.automata.step import CellularAutomaton, Step
from tfnca.formats.archive import count_values, refusing, some, starts_text
from tfnca.formats.build import build_ca, build_perturbation
from tfnca.formats.described import assemble, build_described, check_kind, joined
from tfnca.formats.graph import Graph
from tfnca.formats.readers.base import Models, Source, reader

_DTYPES = {
    "float32": "<f4", "int32": "<i4", "bool": "?", "float16": "<f2", "uint8": "u1", "uint16": "<u2"
}  # fmt: skip


@reader(lambda name, data: starts_text(data, b"{") and b'"modelTopology"' in data)
def read(source: Source) -> Models:
    where, document = source.where, source.json
    manifest = document.get("weightsManifest") or []
    # The metadata of an export by tfnca, whose graph has fire masks and noise as inputs.
    is_ours = document.get("convertedBy") == "tfnca"
    about = (document.get("userDefinedMetadata") or {}) if is_ours else {}
    weights = read_manifest(source, manifest)
    graph = Graph(where, document, weights, drops_zeros=is_ours)
    if "weights" in about:
        own = {
            name: array
            for name, array in weights.items()
            if not graph.mixed or (name not in graph.mixed and not _is_identity(array))
        }
        cas = build_described(where, about, own)
    else:
        cas = _from_the_graph(source, graph, about, "channel" if is_ours else source.row_order)
    if not graph.mixed:
        return assemble(where, about, cas)
    host = joined(where, about, cas)
    check_kind(where, about, "Perturbed", host)
    with refusing(where, "description of a model (userDefinedMetadata)"):
        return _perturbed(where, host, graph, about["perturbations"])


def _from_the_graph(
    source: Source, graph: Graph, about: dict[str, Any], order: str
) -> list[CellularAutomaton]:
    """The article's CAs, which a graph shows by its layers and their order."""
    networks = graph.networks()
    with refusing(source.where, "description of a model (userDefinedMetadata)"):
        said = [
            {key: about[key][number] for key in ("fire_rate", "noise_std") if key in about}
            for number in range(len(networks))
        ]
        return [
            build_ca(source.where, network.tensors, order, network.options | options)
            for network, options in zip(networks, said, strict=True)
        ]


def _is_identity(array: np.ndarray) -> bool:
    """Whether it is the I of I + Σ kᵢ(Aᵢ - I)."""
    return array.ndim == 2 and np.array_equal(array, np.eye(*array.shape))


def _perturbed(where: str, step: Step, graph: Graph, names: list[str]) -> Models:
    """A host and its perturbations; an export contains Aᵢ - I, or bᵢ, in a row each."""
    if len(graph.mixed) != 1:
        raise ValueError(f"perturbations must be of one kind, found {len(graph.mixed)}")
    channels, rows = step.channels, graph.value(graph.mixed[0])
    if rows.shape[1:] != (channels,):
        rows = rows.reshape(-1, channels, channels) + np.eye(channels, dtype=np.float32)
    perturbations = {
        name: build_perturbation(f"{where}: {name}", row)
        for name, row in zip(names, rows, strict=True)
    }
    # An export of one perturbation is an attack; of several, a host with them, like the demo data.
    attack = {"": Perturbed(step, *perturbations.values())} if len(rows) == 1 else {}
    return {**attack, "host": step, **perturbations}


def read_manifest(source: Source, manifest: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    """Reads the weights in the shards of a `weightsManifest`.

    Args:
        source: The graph model.
        manifest: Groups of ``paths``, whose bytes are concatenated, and ``weights``, each with its
            ``name``, ``shape``, ``dtype``, and possibly ``quantization``.

    Returns:
        ``{name: array}``, float32 where they were quantized.

    Raises:
        ValueError: If a shard is missing, outside the folder, named twice, too short or too long,
            or if a weight has an unknown type.
    """
    where = source.where
    arrays: dict[str, np.ndarray] = {}
    seen: set[str] = set()
    with refusing(where, "manifest of weights"):
        groups = [(list(group["paths"]), list(group["weights"])) for group in manifest]
    for paths, weights in groups:
        parts = []
        for path in paths:
            if path in seen:
                raise ValueError(f"{where} must name each shard once. Received: {path!r} twice")
            seen.add(path)
            parts.append(source.beside(path))
        data, end = b"".join(parts), 0
        source.budget.take(where, len(paths) + len(weights), len(data))
        for weight in weights:
            with refusing(where, "manifest of weights"):
                name = str(weight["name"])
                if name in arrays:
                    raise ValueError(f"the weight {name!r} is there twice")
                array, end = _weight(weight, data, end)
                arrays[name] = array
        if end != len(data):
            raise ValueError(
                f"{where}: the shards {some(paths)} must hold {end} bytes. Received: {len(data)}"
            )
    return arrays


def _weight(weight: dict[str, Any], data: bytes, begin: int) -> tuple[np.ndarray, int]:
    """The weight that begins at a byte, and the byte at which it ends."""
    quantization = weight.get("quantization") or {}
    dtype, shape = weight["dtype"], weight["shape"]
    stored = quantization.get("dtype", dtype)
    if stored not in _DTYPES or (quantization and dtype != "float32"):
        raise ValueError(f"{weight['name']} has the type {dtype}, stored as {stored}")
    if not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"{weight['name']} has the shape {shape}")
    end = begin + count_values(shape) * np.dtype(_DTYPES[stored]).itemsize
    if end > len(data):
        raise ValueError(
            f"{weight['name']} must end at byte {end} of its shards, which have {len(data)}"
        )
    array = np.frombuffer(data[begin:end], _DTYPES[stored]).reshape(shape)
    if quantization:
        with np.errstate(over="ignore", invalid="ignore"):  # detected as non-finite values
            # As TensorFlow.js does: in double precision, then to float32.
            scale, low = quantization.get("scale", 1.0), quantization.get("min", 0.0)
            array = (array.astype(np.float64) * scale + low).astype(np.float32)
    return array, end
