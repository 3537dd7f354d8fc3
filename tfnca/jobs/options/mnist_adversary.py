"""Trains an adversary of the MNIST CA: a few cells make all others choose one class.

The host is frozen. In 10 % of the pixels, drawn at random for each new digit, the adversary's rule
replaces the host's. The defaults are the article's settings. In the article 2,000 steps suffice.
"""

from dataclasses import dataclass

from tfnca.commands import DIGIT, FRACTION, NOT_NEGATIVE, POSITIVE
from tfnca.jobs.options import in_order, option
from tfnca.jobs.options.digits import DigitJob


@dataclass(frozen=True)
class Config(DigitJob):
    out: str = option("out/mnist_adversary", "folder for results and snapshots")
    host: str = option(
        "mnist", "CA of digits to attack: the name of a bundled model, or a file in any format"
    )
    host_name: str | None = option(None, "name of the model, if the file contains several")
    start: str | None = option(None, "initial adversary (default: untrained)")
    tolerance: float | None = option(
        None,
        "clip adversaries to this deviation from the host's rule, in standard deviations of the "
        "noise, so that they pass a deviation test (tfnca.Verified) (default: no limit)",
        POSITIVE,
    )
    digit: int = option(8, "class that every digit should be classified as, 0 to 9", DIGIT)
    density: float = option(0.1, "adversary fraction of all pixels, in (0, 1]", FRACTION)
    least_density: float | None = option(
        None,
        "smallest adversary fraction: each digit draws its own between this and --density, uniform "
        "in the logarithm (default: --density)",
        FRACTION,
    )
    recovery_items: int = option(
        0,
        "digits in a batch that continue without adversaries and must recover their class",
        NOT_NEGATIVE,
    )

    def check(self) -> None:
        super().check()
        in_order(self, "recovery_items", "batch_size")
        if self.least_density is not None:
            in_order(self, "least_density", "density")
