"""Trains a perturbation of every living cell that turns a Growing CA's pattern into another one.

The host is frozen; the perturbation is all that learns: by default the article's symmetric matrix.
The pool starts as seeds and grown hosts.
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
        "'adam', or 'whitened': Adam with the gradients' whole second moment, which matters to a "
        "matrix, whose entries act together",
        choices=OPTIMIZERS,
    )
    kind: str = option(
        "matrix", "what is done to a living cell: 'matrix', 'shift', or a --plugin's"
    )
    start: str | None = option(
        None,
        "a perturbation to begin with, any format; one that changes nothing if not given",
    )
