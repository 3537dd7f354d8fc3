"""Placement by the shape of a digit alone: which cells touch, without a host or a rollout."""

from collections.abc import Callable

import networkx as nx
import numpy as np

from tfnca.placement.search import Placement
from tfnca.placement.trials import Trials


def stroke_graph(alive: np.ndarray) -> nx.Graph:
    """The living cells of a digit, booleans ``(height, width)``, as a graph.

    Neighbours are connected, corners included. A node is ``row * width + column``.
    """
    height, width = alive.shape
    graph = nx.Graph()
    graph.add_nodes_from(np.flatnonzero(alive).tolist())
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        for row, column in np.argwhere(alive):
            y, x = row + down, column + right
            if y < height and 0 <= x < width and alive[y, x]:
                graph.add_edge(int(row * width + column), int(y * width + x))
    return graph


def _eigenvector(graph: nx.Graph) -> dict[int, float]:
    """Eigenvector centrality within each connected part, larger parts first."""
    scores: dict[int, float] = {}
    for part in nx.connected_components(graph):
        own = nx.eigenvector_centrality_numpy(graph.subgraph(part)) if len(part) > 2 else {}
        scores |= {node: len(part) + abs(own.get(node, 0.0)) for node in part}
    return scores


CENTRALITIES: dict[str, Callable[[nx.Graph], dict[int, float]]] = {
    "most neighbours": nx.degree_centrality,
    "betweenness": nx.betweenness_centrality,
    "eigenvector": _eigenvector,
}
"""Measures of centrality by name: functions from a graph to each node's score."""


def by_centrality(trials: Trials, budget: int, name: str, seed: int = 0) -> list[Placement]:
    """Places adversaries at the most central cells of each digit; ties are broken at random.

    The centrality is one of `CENTRALITIES`.
    """
    draws = np.random.default_rng(seed)
    found = []
    for digit in range(len(trials.alive)):
        scores = CENTRALITIES[name](stroke_graph(trials.alive[digit]))
        cells = draws.permutation(list(scores)).tolist()
        found.append(sorted(cells, key=lambda cell: -round(scores[cell], 9))[:budget])
    return found
