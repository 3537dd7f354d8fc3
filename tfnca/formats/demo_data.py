"""The data of the article's two demo pages."""

import re

import numpy as np

from tfnca.automata.injection import Injected
from tfnca.formats.archive import decode, decode_base64, parse_json, refusing
from tfnca.formats.build import build_ca, build_perturbation
from tfnca.formats.graph import _graph_tensors

DEMO_PERTURBATIONS = ("tail", "leg", "head", "arm", "red", "blue")
"""The order of the matrices in the article's `gca_data.js`."""


def read_mnist_demo(where, member, files):
    text = decode(where, files[member])
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
            data = decode_base64(where, name, quoted.strip().strip("\"'`"))
            if len(data) % 4:
                raise ValueError(f"{where}: {name} must be float32. Received: {len(data)} bytes")
            tensors.append((name, np.frombuffer(data, "<f4")))
        steps[step] = build_ca(where, tensors, flat=True)
    with refusing(where, "pair of host and adversary"):
        return {"": Injected(**steps), **steps}


def read_growing_demo(where, member, files):
    text = decode(where, files[member])
    graph = text.partition("GRAPH_URL")[2].split("`", 2)
    matrices = re.search(r"\bPERTURBATIONS\s*=\s*(?=\[)", text)
    if len(graph) < 3 or matrices is None:
        raise ValueError(
            f"{where} must hold GRAPH_URL with a graph in backquotes, and PERTURBATIONS. "
            f"Received: the {'matrices' if len(graph) == 3 else 'graph'} missing"
        )
    host = build_ca(where, _graph_tensors(where, parse_json(where, graph[1])))
    matrices = parse_json(where, text[matrices.end() :], to_the_end=False)
    if len(matrices) != len(DEMO_PERTURBATIONS):
        raise ValueError(
            f"{where}: PERTURBATIONS must hold the {len(DEMO_PERTURBATIONS)} matrices "
            f"{DEMO_PERTURBATIONS}. Received: {len(matrices)}"
        )
    models = {"host": host}
    for name, matrix in zip(DEMO_PERTURBATIONS, matrices, strict=True):
        with refusing(where, f"matrix ({name})"):
            matrix = np.array(matrix)
        models[name] = build_perturbation(f"{where}: the matrix {name}", matrix)
    return models
