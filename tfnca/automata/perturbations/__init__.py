"""Kinds of perturbations, one a file.

A file that is added to this folder is a kind that everything knows: the engines, `tfnca.load`, the
exporters, the measures, and ``train/perturbation.py --kind``.
"""

import importlib
import pkgutil

from tfnca.automata.perturbations.base import KINDS, StatePerturbation, combine

for _module in pkgutil.iter_modules(__path__, f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = ["KINDS", "StatePerturbation", "combine"]
