"""The best cells for adversaries in a digit: influence maps, searches, and their evaluation."""

from typing import TYPE_CHECKING

from tfnca.lazy import lazily

if TYPE_CHECKING:
    from tfnca.placement.influence import InfluenceMap, influence_maps
    from tfnca.placement.search import anneal, at_random, exhaust, greedy
    from tfnca.placement.trials import Outcome, Trials

__all__ = [
    "InfluenceMap",
    "Outcome",
    "Trials",
    "anneal",
    "at_random",
    "exhaust",
    "greedy",
    "influence_maps",
]

if not TYPE_CHECKING:
    _, __getattr__, __dir__ = lazily(
        __name__,
        {
            "influence": "InfluenceMap influence_maps",
            "search": "anneal at_random exhaust greedy",
            "trials": "Outcome Trials",
        },
    )
