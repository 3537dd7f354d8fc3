"""Trains an adversary of the MNIST CA: a few of its cells turn every digit into one class.

The host is frozen. At each restart of a digit 10 % of the pixels, drawn at random, run the
adversary's rule. Defaults are the published settings; the article finds 2,000 steps enough.
"""

import functools
from dataclasses import dataclass

import numpy as np

from tfnca.automata.identity import model_facts
from tfnca.automata.injection import Injected
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.state import digit_state
from tfnca.automata.verified import Verified
from tfnca.commands import DIGIT, MOMENTUM, NOT_NEGATIVE, POSITIVE, SHARE
from tfnca.data.digits import load_digits
from tfnca.engines.rollout import rollout
from tfnca.formats.load import load
from tfnca.jobs.digits import check_digits, digit_facts, quick_digits
from tfnca.jobs.options import Common, in_order, option, run
from tfnca.jobs.results import measured, save_results
from tfnca.jobs.run import CA_STEPS, DROPS, make_optimizer, schedule, train
from tfnca.measures.digits import attack_digits, digit_mask
from tfnca.pictures import draw_digits
from tfnca.training.losses import ClassLoss
from tfnca.training.pools import DigitPool
from tfnca.training.trainer import Trainer


@dataclass(frozen=True)
class Config(Common):
    out: str = option("out/mnist_adversary", "folder for results and snapshots")
    host: str = option("saved_models/mnist/model.keras", "the MNIST CA to attack, any format")
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
    data_dir: str | None = option(None, "folder with MNIST's four idx files, plain or gzipped")
    steps: int = option(100_000, "training steps", POSITIVE)
    batch_size: int = option(16, "digits in a batch", POSITIVE)
    pool_size: int = option(160, "states in the pool", POSITIVE)
    fresh: int = option(4, "of a batch, new digits that start from an empty state", NOT_NEGATIVE)
    mutated: int = option(4, "of a batch, digits that change under a settled state", NOT_NEGATIVE)
    lifted: int = option(
        0,
        "of a batch, digits that go on without adversaries and must be themselves again",
        NOT_NEGATIVE,
    )
    ca_steps: int = option(20, "CA steps per training step", CA_STEPS)
    learning_rate: float = option(1e-3, "at the start", POSITIVE)
    drops: str = option("0.3,0.7", "fractions of the run at which the rate is divided by 10", DROPS)
    ema: float = option(
        0.0, "momentum of an exponential average of the weights; 0 for none", MOMENTUM
    )
    test_digits: int = option(1000, "test digits to measure on", POSITIVE)

    def check(self) -> None:
        check_digits(self)
        in_order(self, "lifted", "batch_size")
        if self.least_density is not None:
            in_order(self, "least_density", "density")


def main(config: Config) -> None:
    loss = ClassLoss(digit=config.digit)
    host = load(config.host, config.host_name)
    if not isinstance(host, MNISTCA):
        raise ValueError(f"--host must be an MNIST CA. Received: {type(host).__name__}")
    digits = load_digits("train", config.data_dir)
    test = load_digits("test", config.data_dir, config.test_digits)
    facts = digit_facts(digits) | model_facts("host", host)
    print(f"Digits: {len(digits.labels)} for training from {digits.source}.")
    adversary = MNISTCA(noise_std=host.noise_std)
    if config.start is not None:
        adversary = load(config.start)
        if not isinstance(adversary, MNISTCA):
            kind = type(adversary).__name__
            raise ValueError(f"--start must name an MNIST CA. Received: {kind}")
        facts |= model_facts("start", adversary)
    step = Injected(host, adversary)
    if config.tolerance is not None:
        step = Verified(host, adversary, config.tolerance, holds=True)
    shares = config.density
    if config.least_density is not None:
        shares = (config.least_density, config.density)
    pool = DigitPool(
        digits,
        config.pool_size,
        config.batch_size,
        density=shares,
        fresh=config.fresh,
        mutated=config.mutated,
        seed=config.seed,
    )
    trainer = Trainer(
        step,
        loss,
        config.ca_steps,
        engine=config.engine,
        seed=config.seed,
        lifted=config.lifted,
        lifted_loss=ClassLoss(),
    )
    rate = schedule(config.learning_rate, config.steps, config.drops)
    trainer.compile(make_optimizer("adam", rate, config.ema))

    few = test.first(60)

    def preview():
        mask = digit_mask(few, config.density, config.seed)
        state = rollout(host, digit_state(few.images), 200, seed=config.seed)
        state = rollout(step, state, 200, mask=mask, seed=config.seed, step_offset=200)
        return draw_digits(state, few.labels, np.asarray(mask))

    history = train(config, trainer, pool, config.steps, preview, **facts)
    measure = functools.partial(
        attack_digits, step, digits=test, density=config.density, target=config.digit
    )
    metrics = measured(config, measure, quick_digits(test))
    save_results(config, history, metrics, preview(), **facts)


if __name__ == "__main__":
    run(Config, main, __doc__)
