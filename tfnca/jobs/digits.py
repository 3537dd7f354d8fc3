"""Shared parts of the digit jobs."""

from typing import Any

from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.state import no_digits
from tfnca.automata.step import Step
from tfnca.data.digits import Digits, load_digits
from tfnca.files import arrays_sha256
from tfnca.formats.load import load
from tfnca.formats.names import shipped
from tfnca.jobs.options.digits import DigitJob
from tfnca.jobs.run import make_trainer
from tfnca.training.losses import ClassLoss
from tfnca.training.pools import DigitPool
from tfnca.training.trainer import Trainer

_QUICK = 200
"""Number of test digits for ``--measure quick``."""


def load_both(config: DigitJob) -> tuple[Digits, Digits]:
    """The digits for training and those for measurements."""
    digits = load_digits("train", config.data_dir)
    test = load_digits("test", config.data_dir, config.test_digits)
    print(f"Digits: {len(digits.labels)} for training from {digits.source}.")
    return digits, test


def load_digit_ca(option: str, path: str, name: str | None = None) -> NeuralCA:
    """Loads the model of an option; raises ValueError if it is not a CA of digits."""
    model = load(shipped(path), name)
    reason = no_digits(model) if isinstance(model, NeuralCA) else "it has no rule"
    if reason:
        raise ValueError(
            f"{option} must name a CA of digits, such as an MNIST CA, and {reason}. "
            f"Received: {type(model).__name__}"
        )
    return model


def digit_pool(
    config: DigitJob,
    step: Step,
    digits: Digits,
    density: float | tuple[float, float] | None = None,
) -> DigitPool:
    """The pool of a configuration for a step; `density` is the adversary fraction, or its range."""
    return DigitPool(
        digits,
        config.pool_size,
        config.batch_size,
        step.channels,
        density=density,
        new_digits=config.new_digits,
        swapped_digits=config.swapped_digits,
        seed=config.seed,
    )


def digit_trainer(
    config: DigitJob, step: Step, loss: ClassLoss, recovery_items: int = 0
) -> Trainer:
    """The compiled `Trainer` of a configuration."""
    recovery: dict[str, Any] = {"recovery_items": recovery_items, "recovery_loss": ClassLoss()}
    return make_trainer(config, step, loss, config.ca_steps, **recovery)


def digit_facts(digits: Digits) -> dict[str, str]:
    """Source and checksum of a run's digits."""
    return {
        "source": digits.source,
        "data_dir_sha256": arrays_sha256(digits.images, digits.labels),
    }


def quick_digits(digits: Digits) -> dict[str, Any]:
    """Arguments of the digit measurements for ``--measure quick``."""
    return {"digits": digits.first(_QUICK), "seeds": (0,)}
