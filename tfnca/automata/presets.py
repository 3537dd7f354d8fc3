"""The article's two CAs. Each tells its rule (`parts`), its weights' sizes, and its `task`."""

from tfnca.automata.growing import GrowingCA
from tfnca.automata.mnist import MNISTCA

Preset = type[GrowingCA] | type[MNISTCA]

PRESETS: dict[str, Preset] = {"growing": GrowingCA, "digits": MNISTCA}
"""By the names of their conventions: see `tfnca.formats.conventions`."""
