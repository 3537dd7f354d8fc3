"""Options that the two attacks on a Growing CA share."""

from dataclasses import dataclass
from typing import ClassVar

from tfnca.commands import MOMENTUM, NOT_NEGATIVE, POSITIVE
from tfnca.data.drawing import DRAWN
from tfnca.jobs.options import CA_STEPS, DROPS, Common, in_order, option


@dataclass(frozen=True)
class Attack(Common):
    """Options of both attacks; a recipe fills in what is None."""

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
        "'published', or 'stable': fewer slots, so that states grow "
        "old and a pattern must last, while what fell apart starts anew; "
        "averaged weights; a perturbation must let go of the host once lifted, an "
        "adversary starts as the host and must persuade its cells",
        choices=["published", "stable"],
    )
    host: str = option(
        "growing_lizard", "the Growing CA to attack: a bundled one's name, or any format"
    )
    host_name: str | None = option(None, "which model, where that file holds several")
    host_target: str = option("lizard", "what the host grows, for measuring")
    target: str = option(
        "no_tail", f"what to turn it into: {', '.join(DRAWN)}, a picture file, or an emoji"
    )
    size: int = option(40, "side that the picture is shrunk to fit, in cells", POSITIVE)
    padding: int = option(16, "empty cells around the picture", NOT_NEGATIVE)
    steps: int = option(None, "training steps", POSITIVE)
    batch_size: int = option(8, "states in a batch", POSITIVE)
    pool_size: int = option(None, "states in the pool", POSITIVE)
    restarts: int = option(1, "states of a batch that start anew", NOT_NEGATIVE)
    reset_policy: str = option("worst", "which: the 'worst', or 'any'", choices=["worst", "any"])
    reset_threshold: float = option(
        None,
        "share of an empty grid's loss above which a state starts anew; 0: no such bound",
        NOT_NEGATIVE,
    )
    damaged: int = option(3, "states of a batch, the best, that lose a circle", NOT_NEGATIVE)
    recovery_items: int = option(
        0,
        "states of a batch, the best, that go on without the attack and must become what the "
        "host grows",
        NOT_NEGATIVE,
    )
    drift_penalty: float = option(
        0.0,
        "error for each squared cell by which a pattern's centre moves in a training step",
        NOT_NEGATIVE,
    )
    min_ca_steps: int = option(64, "fewest CA steps per training step", CA_STEPS)
    max_ca_steps: int = option(95, "most CA steps per training step", CA_STEPS)
    learning_rate: float = option(None, "at the start", POSITIVE)
    drops: str = option(None, "fractions of the run at which the rate is divided by 10", DROPS)
    ema: float = option(
        None, "momentum of an exponential average of the weights; 0: none", MOMENTUM
    )

    def check(self) -> None:
        in_order(self, "min_ca_steps", "max_ca_steps")
        in_order(self, "batch_size", "pool_size")
        for name in ("restarts", "damaged", "recovery_items"):
            in_order(self, name, "batch_size")
