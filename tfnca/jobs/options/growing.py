"""Trains a Growing CA: from one cell to a picture, which it keeps and repairs.

Regimes: 'growing' starts every run from the seed; 'persistent' goes on from a pool, so that the
picture stays; 'regenerating' also cuts circles out of it.
"""

from dataclasses import dataclass
from typing import ClassVar

from tfnca.commands import MOMENTUM, NOT_NEGATIVE, POSITIVE, must
from tfnca.data.drawing import DRAWN
from tfnca.jobs.options import CA_STEPS, DROPS, Common, in_order, option

REGIMES = {"growing": (None, 0), "persistent": (1, 0), "regenerating": (1, 3)}
"""How many of a batch start anew (all if None), and how many are damaged."""

RADIUS = must("lie in (0, 2]", lambda value: 0 < value <= 2)


@dataclass(frozen=True)
class Config(Common):
    RECIPES: ClassVar[dict] = {
        "published": {"drops": "0.25", "ema": 0.0, "bound_weight": 0.0},
        "bounded": {"drops": "0.25,0.8", "ema": 0.995, "bound_weight": 0.1},
    }

    recipe: str = option(
        "bounded",
        "'published', or 'bounded': states that stay within ±3, where "
        "a perturbation's clip does nothing; averaged weights and a second drop "
        "of the rate",
        choices=["published", "bounded"],
    )
    start: str | None = option(
        None,
        "a Growing CA to begin with, any format, its hidden channels scaled to keep --bound; one "
        "that does nothing yet if not given",
    )
    out: str = option("out/growing", "folder for results and snapshots")
    target: str = option("lizard", f"what to grow: {', '.join(DRAWN)}, a picture file, or an emoji")
    regime: str = option("regenerating", "what to learn", choices=list(REGIMES))
    size: int = option(40, "side that the picture is shrunk to fit, in cells", POSITIVE)
    padding: int = option(16, "empty cells around the picture", NOT_NEGATIVE)
    steps: int = option(8000, "training steps", POSITIVE)
    batch_size: int = option(8, "states in a batch", POSITIVE)
    min_radius: float = option(0.1, "of a circle cut out, the grid spanning [-1, 1]²", RADIUS)
    max_radius: float = option(0.4, "of a circle cut out", RADIUS)
    pool_size: int = option(1024, "states in the pool", POSITIVE)
    min_ca_steps: int = option(64, "fewest CA steps per training step", CA_STEPS)
    max_ca_steps: int = option(95, "most CA steps per training step", CA_STEPS)
    learning_rate: float = option(2e-3, "at the start", POSITIVE)
    drops: str = option(None, "fractions of the run at which the rate is divided by 10", DROPS)
    ema: float = option(
        None, "momentum of an exponential average of the weights; 0: none", MOMENTUM
    )
    bound: float = option(
        2.7, "what no channel should exceed, either sign; a perturbation clips at 3", POSITIVE
    )
    bound_weight: float = option(
        None,
        "what the mean excess over --bound counts beside the picture's error; 0: no bound",
        NOT_NEGATIVE,
    )
    colour_limit: float | None = option(
        None,
        "the largest norm of the last layer's weights for red, green and blue each; a smaller one "
        "makes colours slower, and an attack can shift them farther",
        POSITIVE,
    )

    def check(self) -> None:
        in_order(self, "min_radius", "max_radius")
        in_order(self, "min_ca_steps", "max_ca_steps")
        in_order(self, "batch_size", "pool_size")
        damaged = REGIMES[self.regime][1]
        if self.batch_size < damaged:
            raise ValueError(
                f"--batch-size must be at least {damaged} with --regime {self.regime}, which "
                f"damages as many. Received: {self.batch_size}"
            )
