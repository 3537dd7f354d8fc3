"""Trains an adversary of a Growing CA: some of its cells turn the pattern into another one.

The host is frozen. At each restart a share of the cells where the target is opaque (--region host:
or what the host grows), drawn at random, run the adversary's rule; the pool carries each state's
own mask. The article: tailless at 10 %, with 32 empty cells around the picture, and red at 60 %,
with 16.
"""

from dataclasses import dataclass
from typing import ClassVar

from tfnca.choices import REGIONS
from tfnca.commands import SHARE, WEIGHT
from tfnca.jobs.options import option
from tfnca.jobs.options.lizard_attack import Attack


@dataclass(frozen=True)
class Config(Attack):
    RECIPES: ClassVar[dict] = {
        "published": Attack.RECIPES["published"] | {"start": "zero", "own_weight": 1.0},
        "stable": Attack.RECIPES["stable"] | {"start": "host", "own_weight": 0.2},
    }

    out: str = option("out/growing_adversary", "folder for results and snapshots")
    density: float = option(0.1, "share of the cells that are adversaries, in (0, 1]", SHARE)
    first_density: float | None = option(
        None,
        "share at first, from which new masks go evenly to --density by half of the run; the same "
        "throughout if not given",
        SHARE,
    )
    region: str = option(
        "target",
        "whose opaque cells adversaries are drawn among: the 'target''s, so that none stands in "
        "what is to go, as published; or the 'host''s as well",
        choices=REGIONS,
    )
    start: str = option(
        None,
        "the adversary's first rule: a copy of the 'host'; 'zero', which changes nothing; or an "
        "adversary to go on from, any format",
    )
    own_weight: float = option(
        None,
        "what the error of the adversary's own cells counts, in [0, 1], beside 1 for the host's: "
        "less than 1 makes it persuade",
        WEIGHT,
    )
