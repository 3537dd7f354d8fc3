"""Options that all digit jobs share."""

from dataclasses import dataclass

from tfnca.commands import MOMENTUM, NOT_NEGATIVE, POSITIVE
from tfnca.jobs.options import CA_STEPS, DROPS, Common, in_order, option


@dataclass(frozen=True)
class DigitJob(Common):
    """Options of training on digits. The defaults are the article's settings."""

    data_dir: str | None = option(None, "folder with MNIST's four idx files, plain or gzipped")
    steps: int = option(100_000, "training steps", POSITIVE)
    batch_size: int = option(16, "digits in a batch", POSITIVE)
    pool_size: int = option(160, "states in the pool", POSITIVE)
    new_digits: int = option(
        4, "new digits in a batch, which start from an empty state", NOT_NEGATIVE
    )
    swapped_digits: int = option(
        4, "digits in a batch that are swapped under their state", NOT_NEGATIVE
    )
    ca_steps: int = option(20, "CA steps per training step", CA_STEPS)
    learning_rate: float = option(1e-3, "initial learning rate", POSITIVE)
    drops: str = option(
        "0.3,0.7", "fractions of the run at which the learning rate is divided by 10", DROPS
    )
    ema: float = option(
        0.0, "momentum of an exponential average of the weights; 0: no average", MOMENTUM
    )
    test_digits: int = option(1000, "number of test digits for measurements", POSITIVE)

    def check(self) -> None:
        in_order(self, "batch_size", "pool_size")
        if self.new_digits + self.swapped_digits > self.batch_size:
            raise ValueError(
                "--new-digits and --swapped-digits must sum to at most --batch-size. Received: "
                f"--new-digits {self.new_digits}, --swapped-digits {self.swapped_digits}, "
                f"--batch-size {self.batch_size}"
            )
