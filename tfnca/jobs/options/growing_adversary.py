"""Trains an adversary of a Growing CA: a fraction of its cells change the pattern to another one.

The host is frozen. In a random fraction of the cells the adversary's rule replaces the host's. They
are drawn among the opaque cells of the target (--region host: also of the host's picture). A reset
draws new ones. The article trains no_tail at 10 %, with 32 empty cells around the picture, and red
at 60 %, with 16.
"""

from dataclasses import dataclass
from typing import ClassVar

from tfnca.choices import REGIONS
from tfnca.commands import FRACTION, WEIGHT
from tfnca.jobs.options import option
from tfnca.jobs.options.lizard_attack import Attack


@dataclass(frozen=True)
class Config(Attack):
    RECIPES: ClassVar[dict] = {
        "published": Attack.RECIPES["published"] | {"start": "zero", "own_weight": 1.0},
        "stable": Attack.RECIPES["stable"] | {"start": "host", "own_weight": 0.2},
    }

    out: str = option("out/growing_adversary", "folder for results and snapshots")
    density: float = option(0.1, "adversary fraction of the allowed cells, in (0, 1]", FRACTION)
    first_density: float | None = option(
        None,
        "initial adversary fraction; it changes linearly to --density in the first half of the run "
        "(default: --density)",
        FRACTION,
    )
    region: str = option(
        "target",
        "placement region of the adversaries: the opaque cells of the 'target', as in the article, "
        "or of the 'host' as well, including the part that should disappear",
        choices=REGIONS,
    )
    start: str = option(
        None,
        "initial adversary: a copy of the 'host', 'zero', which changes nothing, or a model in any "
        "format",
    )
    own_weight: float = option(
        None,
        "weight of the error in the adversary's own cells, in [0, 1]; host cells have weight 1; "
        "below 1 the adversary learns to change host cells",
        WEIGHT,
    )
