"""Reads ``gca_data.js``: host and matrices of the article's demo page on the lizard."""

import re

import numpy as np

from tfnca.automata.checks import check_matrix
from tfnca.automata.perturbations.matrix import MatrixPerturbation
from tfnca.formats.archive import parse_json, refusing
from tfnca.formats.build import build_ca
from tfnca.formats.graph import Graph
from tfnca.formats.readers.base import Models, Source, reader

DEMO_PERTURBATIONS = ("tail", "leg", "head", "arm", "red", "blue")
"""The order of the matrices in the article's `gca_data.js`."""


def _is_demo(name: str, data: bytes) -> bool:
    return re.search(rb"\bGRAPH_URL\s*=|\bPERTURBATIONS\s*=\s*\[", data) is not None


@reader(_is_demo)
def read(source: Source) -> Models:
    where, text = source.where, source.text
    graph = text.partition("GRAPH_URL")[2].split("`", 2)
    start = re.search(r"\bPERTURBATIONS\s*=\s*(?=\[)", text)
    if len(graph) < 3 or start is None:
        raise ValueError(
            f"{where} must hold GRAPH_URL with a graph in backquotes, and PERTURBATIONS. "
            f"Received: the {'matrices' if len(graph) == 3 else 'graph'} missing"
        )
    network = Graph(where, parse_json(where, graph[1])).network()
    host = build_ca(where, network.tensors, options=network.options)
    matrices = parse_json(where, text[start.end() :], to_the_end=False)
    if len(matrices) != len(DEMO_PERTURBATIONS):
        raise ValueError(
            f"{where}: PERTURBATIONS must hold the {len(DEMO_PERTURBATIONS)} matrices "
            f"{DEMO_PERTURBATIONS}. Received: {len(matrices)}"
        )
    models: Models = {"host": host}
    for name, rows in zip(DEMO_PERTURBATIONS, matrices, strict=True):
        with refusing(where, f"matrix ({name})"):
            matrix = np.array(rows)
        matrix = check_matrix(matrix, host.channels, f"{where}: the matrix {name}")
        models[name] = MatrixPerturbation(host.channels, matrix)
    return models
