"""Trains the self-classifying MNIST CA.

The cells of a digit learn to agree on its class, and to reclassify after the digit is swapped.
The defaults are the article's settings.
"""

from dataclasses import dataclass

from tfnca.choices import LOSSES
from tfnca.commands import NOT_NEGATIVE, POSITIVE
from tfnca.jobs.options import option
from tfnca.jobs.options.digits import DigitJob


@dataclass(frozen=True)
class Config(DigitJob):
    out: str = option("out/mnist", "folder for results and snapshots")
    loss: str = option("l2", "loss of the cells' classification", choices=LOSSES)
    noise: float = option(0.02, "standard deviation of the noise in every update", NOT_NEGATIVE)
    test_seeds: int = option(3, "runs per measurement", POSITIVE)
