"""The kinds of perturbations, one per file.

To add a kind, add a file to this folder. The engines, `tfnca.load`, the exporters, the measures,
and ``train/perturbation.py --kind`` then find it.
"""

import importlib
import pkgutil

from tfnca.automata.perturbations.base import KINDS, StatePerturbation, combine

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = ["KINDS", "StatePerturbation", "combine"]
