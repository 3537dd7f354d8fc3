"""Trains an adversary of the MNIST CA: a few of its cells turn every digit into one class.

The host is frozen. At each restart of a digit 10 % of the pixels, drawn at random, run the
adversary's rule. Defaults are the published settings; the article finds 2,000 steps enough.
"""

from dataclasses import dataclass

from tfnca.commands import DIGIT, NOT_NEGATIVE, POSITIVE, SHARE
from tfnca.jobs.options import in_order, option
from tfnca.jobs.options.digits import DigitJob


@dataclass(frozen=True)
class Config(DigitJob):
    out: str = option("out/mnist_adversary", "folder for results and snapshots")
    host: str = option("mnist", "the MNIST CA to attack: a bundled one's name, or any format")
    host_name: str | None = option(None, "which model, where that file holds several")
    start: str | None = option(None, "an adversary to begin with; an untrained one if not given")
    tolerance: float | None = option(
        None,
        "stay within so many standard deviations of the noise from the host's rule, so that cells "
        "which check it (tfnca.Verified) go on listening; none if not given",
        POSITIVE,
    )
    digit: int = option(8, "the class that every digit should get, 0 to 9", DIGIT)
    density: float = option(0.1, "share of pixels that are adversaries, in (0, 1]", SHARE)
    least_density: float | None = option(
        None,
        "each digit draws its own share, between this one and --density, few as likely as many; "
        "all have --density if not given",
        SHARE,
    )
    recovery_items: int = option(
        0,
        "of a batch, digits that go on without adversaries and must be themselves again",
        NOT_NEGATIVE,
    )

    def check(self) -> None:
        super().check()
        in_order(self, "recovery_items", "batch_size")
        if self.least_density is not None:
            in_order(self, "least_density", "density")
