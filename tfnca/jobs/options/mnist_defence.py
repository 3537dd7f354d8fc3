"""Trains an MNIST CA that resists: its cells learn to agree while liars stand among them.

The liars are adversaries trained before, frozen; with several in --bank each has a hundred training
steps in turn. A host that has learned to resist them is judged by an adversary that was trained
against it (train/mnist_adversary.py), which then joins the bank of the next round.
"""

from dataclasses import dataclass

from tfnca.commands import MOMENTUM, NOT_NEGATIVE, POSITIVE, SHARE
from tfnca.jobs.options import DROPS, in_order, option
from tfnca.jobs.options.digits import DigitJob


@dataclass(frozen=True)
class Config(DigitJob):
    out: str = option("out/mnist_defence", "folder for results and snapshots")
    start: str = option("mnist", "the MNIST CA to begin with")
    bank: str = option("mnist_adversary", "adversaries, with commas between them")
    message_bound: float | None = option(
        None,
        "largest value that a cell reads of a state, either sign; --start's if not given",
        POSITIVE,
    )
    lowest: float = option(0.85, "smallest share of the host's own cells, in (0, 1]", SHARE)
    highest: float = option(1.0, "largest, in (0, 1]; each digit draws its own", SHARE)
    steps: int = option(4000, "training steps", POSITIVE)
    new_digits: int = option(
        2, "of a batch, new digits that start from an empty state", NOT_NEGATIVE
    )
    swapped_digits: int = option(
        2, "of a batch, digits that change under a settled state", NOT_NEGATIVE
    )
    drops: str = option("0.6,0.9", "fractions of the run at which the rate is divided by 10", DROPS)
    ema: float = option(
        0.99, "momentum of an exponential average of the weights; 0 for none", MOMENTUM
    )

    def check(self) -> None:
        super().check()
        in_order(self, "lowest", "highest")
