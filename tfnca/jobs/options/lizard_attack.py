"""Options that both attacks on a Growing CA share."""

from dataclasses import dataclass
from typing import ClassVar

from tfnca.commands import MOMENTUM, NOT_NEGATIVE, POSITIVE
from tfnca.data.drawing import DRAWN
from tfnca.jobs.options import CA_STEPS, DROPS, Common, in_order, option


@dataclass(frozen=True)
class Attack(Common):
    """Options of both attacks. A recipe sets those that are None."""

    RECIPES: ClassVar[dict] = {
        "published": {
            "steps": 8000, "pool_size": 1024, "reset_threshold": 0.0, "learning_rate": 2e-3,
            "drops": "0.25", "ema": 0.0,
        },
        "stable": {
            "steps": 2000, "pool_size": 256, "reset_threshold": 0.5, "learning_rate": 1e-3,
            "drops": "0.4,0.9", "ema": 0.99,
        },
    }  # fmt: skip

    recipe: str = option(
        "stable",
        "'published', or 'stable': a smaller pool, so states live longer and the pattern must "
        "persist; collapsed states are reset; weights are averaged; the host must recover after a "
        "perturbation is removed; an adversary starts as a copy of the host and must change its "
        "cells",
        choices=["published", "stable"],
    )
    host: str = option(
        "growing_lizard",
        "CA to attack, which grows a picture: the name of a bundled model, or a file in any format",
    )
    host_name: str | None = option(None, "name of the model, if the file contains several")
    host_convention: str | None = option(
        None, "name of the rule that tfnca identify shows, for another project's file"
    )
    host_target: str = option(
        "lizard", "picture that the host grows: the target of recovery, and of --region host"
    )
    target: str = option(
        "no_tail", f"target picture: {', '.join(DRAWN)}, a picture file, or an emoji"
    )
    size: int = option(
        40, "largest side of the picture in cells; larger pictures are shrunk", POSITIVE
    )
    padding: int = option(16, "empty cells around the picture", NOT_NEGATIVE)
    steps: int = option(None, "training steps", POSITIVE)
    batch_size: int = option(8, "states in a batch", POSITIVE)
    pool_size: int = option(None, "states in the pool", POSITIVE)
    restarts: int = option(1, "states in a batch that are reset", NOT_NEGATIVE)
    reset_policy: str = option("worst", "which states are reset", choices=["worst", "any"])
    reset_threshold: float = option(
        None,
        "loss above which a state is reset too, as a fraction of an empty grid's loss; 0: no "
        "threshold",
        NOT_NEGATIVE,
    )
    damaged: int = option(3, "states in a batch, the best, that lose a circle", NOT_NEGATIVE)
    recovery_items: int = option(
        0,
        "states in a batch, the best, that continue without the attack and must recover the host's "
        "pattern",
        NOT_NEGATIVE,
    )
    drift_penalty: float = option(
        0.0,
        "loss per squared cell that the pattern's centre moves in a training step",
        NOT_NEGATIVE,
    )
    min_ca_steps: int = option(64, "fewest CA steps per training step", CA_STEPS)
    max_ca_steps: int = option(95, "most CA steps per training step", CA_STEPS)
    learning_rate: float = option(None, "initial learning rate", POSITIVE)
    drops: str = option(
        None, "fractions of the run at which the learning rate is divided by 10", DROPS
    )
    ema: float = option(
        None, "momentum of an exponential average of the weights; 0: no average", MOMENTUM
    )

    def check(self) -> None:
        in_order(self, "min_ca_steps", "max_ca_steps")
        in_order(self, "batch_size", "pool_size")
        for name in ("restarts", "damaged", "recovery_items"):
            in_order(self, name, "batch_size")
