"""Where adversaries of a digit should stand: influence maps, searches, and what they are worth."""

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
