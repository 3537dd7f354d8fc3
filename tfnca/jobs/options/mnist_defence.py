"""Trains an MNIST CA that resists adversaries: its cells learn to agree among adversarial cells.

The adversaries are trained models, frozen. With several in --bank they take turns, a hundred
training steps each. To measure how well the host resists, train an adversary against it
(tfnca attack mnist). Add that adversary to the bank of the next round.
"""

from dataclasses import dataclass

from tfnca.commands import FRACTION, MOMENTUM, NOT_NEGATIVE, POSITIVE
from tfnca.jobs.options import DROPS, in_order, option
from tfnca.jobs.options.digits import DigitJob


@dataclass(frozen=True)
class Config(DigitJob):
    out: str = option("out/mnist_defence", "folder for results and snapshots")
    start: str = option("mnist", "initial CA of digits")
    bank: str = option("mnist_adversary", "adversaries, separated by commas")
    message_bound: float | None = option(
        None,
        "largest absolute value that a cell reads from a state (default: that of --start)",
        POSITIVE,
    )
    lowest: float = option(
        0.85, "smallest fraction of host cells, in (0, 1]; each digit draws its own", FRACTION
    )
    highest: float = option(1.0, "largest fraction of host cells, in (0, 1]", FRACTION)
    steps: int = option(4000, "training steps", POSITIVE)
    new_digits: int = option(
        2, "new digits in a batch, which start from an empty state", NOT_NEGATIVE
    )
    swapped_digits: int = option(
        2, "digits in a batch that are swapped under their state", NOT_NEGATIVE
    )
    drops: str = option(
        "0.6,0.9", "fractions of the run at which the learning rate is divided by 10", DROPS
    )
    ema: float = option(
        0.99, "momentum of an exponential average of the weights; 0: no average", MOMENTUM
    )

    def check(self) -> None:
        super().check()
        in_order(self, "lowest", "highest")
