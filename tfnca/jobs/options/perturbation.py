"""Trains a perturbation of every living cell that changes a Growing CA's pattern to another one.

The host is frozen and only the perturbation is trained, by default the article's symmetric matrix.
The pool starts with seeds and grown patterns.
"""

from dataclasses import dataclass
from typing import ClassVar

from tfnca.choices import OPTIMIZERS
from tfnca.jobs.options import option
from tfnca.jobs.options.lizard_attack import Attack


@dataclass(frozen=True)
class Config(Attack):
    RECIPES: ClassVar[dict] = {
        "published": Attack.RECIPES["published"]
        | {"restarts": 2, "recovery_items": 0, "optimizer": "adam"},
        "stable": Attack.RECIPES["stable"]
        | {"restarts": 1, "recovery_items": 2, "optimizer": "whitened", "drops": "0.6,0.9"},
    }

    out: str = option("out/perturbation", "folder for results and snapshots")
    optimizer: str = option(
        None,
        "'adam', or 'whitened': Adam with the full second moment of the gradients, for a matrix "
        "whose entries interact",
        choices=OPTIMIZERS,
    )
    kind: str = option("matrix", "kind of perturbation: 'matrix', 'shift', or one from a --plugin")
    start: str | None = option(
        None,
        "initial perturbation, in any format (default: one that changes nothing)",
    )
