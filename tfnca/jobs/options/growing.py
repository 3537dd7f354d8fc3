"""Trains a Growing CA, which grows a picture from one cell, keeps it and repairs it.

Regimes: 'growing' starts every run from the seed. 'persistent' continues states of a pool, so that
the CA learns to keep the picture. 'regenerating' also cuts out circles, which it learns to repair.
"""

from dataclasses import dataclass
from typing import ClassVar

from tfnca.commands import MOMENTUM, NOT_NEGATIVE, POSITIVE, must
from tfnca.data.drawing import DRAWN
from tfnca.jobs.options import CA_STEPS, DROPS, Common, in_order, option

REGIMES = {"growing": (None, 0), "persistent": (1, 0), "regenerating": (1, 3)}
"""Number of batch items that are reset (None: all), and that are damaged."""

RADIUS = must("be in (0, 2]", lambda value: 0 < value <= 2)


@dataclass(frozen=True)
class Config(Common):
    RECIPES: ClassVar[dict] = {
        "published": {"drops": "0.25", "ema": 0.0, "bound_weight": 0.0},
        "bounded": {"drops": "0.25,0.8", "ema": 0.995, "bound_weight": 0.1},
    }

    recipe: str = option(
        "bounded",
        "'published', or 'bounded': keeps states within ±3, where a perturbation's clip has no "
        "effect, averages weights, and drops the learning rate twice",
        choices=["published", "bounded"],
    )
    start: str | None = option(
        None,
        "initial CA that grows a picture, in any format; its hidden channels are scaled to keep "
        "--bound (default: untrained)",
    )
    colour_pace: float = option(
        1.0,
        "initial factor on how fast the colours of --start change; slow colours are easier for an "
        "attack to shift",
        POSITIVE,
    )
    out: str = option("out/growing", "folder for results and snapshots")
    target: str = option(
        "lizard", f"picture to grow: {', '.join(DRAWN)}, a picture file, or an emoji"
    )
    regime: str = option("regenerating", "training regime", choices=list(REGIMES))
    size: int = option(
        40, "largest side of the picture in cells; larger pictures are shrunk", POSITIVE
    )
    padding: int = option(16, "empty cells around the picture", NOT_NEGATIVE)
    steps: int = option(8000, "training steps", POSITIVE)
    batch_size: int = option(8, "states in a batch", POSITIVE)
    min_radius: float = option(
        0.1, "smallest radius of the circular damage, in grid coordinates [-1, 1]", RADIUS
    )
    max_radius: float = option(0.4, "largest radius of the circular damage", RADIUS)
    pool_size: int = option(1024, "states in the pool", POSITIVE)
    min_ca_steps: int = option(64, "fewest CA steps per training step", CA_STEPS)
    max_ca_steps: int = option(95, "most CA steps per training step", CA_STEPS)
    learning_rate: float = option(2e-3, "initial learning rate", POSITIVE)
    drops: str = option(
        None, "fractions of the run at which the learning rate is divided by 10", DROPS
    )
    ema: float = option(
        None, "momentum of an exponential average of the weights; 0: no average", MOMENTUM
    )
    bound: float = option(
        2.7,
        "largest absolute value a channel should reach (a perturbation clips at 3)",
        POSITIVE,
    )
    bound_weight: float = option(
        None,
        "weight of the mean excess over --bound in the loss; 0: no bound",
        NOT_NEGATIVE,
    )

    def check(self) -> None:
        if self.colour_pace != 1 and not self.start:
            raise ValueError(
                "--colour-pace requires --start, the CA whose colours change too fast. "
                f"Received: --colour-pace {self.colour_pace} and no --start"
            )
        in_order(self, "min_radius", "max_radius")
        in_order(self, "min_ca_steps", "max_ca_steps")
        in_order(self, "batch_size", "pool_size")
        damaged = REGIMES[self.regime][1]
        if self.batch_size < damaged:
            raise ValueError(
                f"--batch-size must be at least {damaged}, the number of states that --regime "
                f"{self.regime} damages. Received: {self.batch_size}"
            )
