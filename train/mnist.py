"""Trains the self-classifying MNIST CA.

The cells of a digit learn to agree on which digit they are, and to change their mind when the
digit changes under them. Defaults are the published settings.
"""

import functools
from dataclasses import dataclass

from tfnca.automata.mnist import MNISTCA
from tfnca.automata.state import digit_state
from tfnca.commands import MOMENTUM, NOT_NEGATIVE, POSITIVE
from tfnca.data.digits import load_digits
from tfnca.engines.rollout import rollout
from tfnca.jobs.digits import check_digits, digit_facts, quick_digits
from tfnca.jobs.options import Common, option, run
from tfnca.jobs.results import measured, save_results
from tfnca.jobs.run import CA_STEPS, DROPS, make_optimizer, schedule, train
from tfnca.measures.digits import base_digits
from tfnca.pictures import draw_digits
from tfnca.training.losses import ClassLoss
from tfnca.training.pools import DigitPool
from tfnca.training.trainer import Trainer


@dataclass(frozen=True)
class Config(Common):
    out: str = option("out/mnist", "folder for results and snapshots")
    data_dir: str | None = option(None, "folder with MNIST's four idx files, plain or gzipped")
    steps: int = option(100_000, "training steps", POSITIVE)
    batch_size: int = option(16, "digits in a batch", POSITIVE)
    pool_size: int = option(160, "states in the pool", POSITIVE)
    fresh: int = option(4, "of a batch, new digits that start from an empty state", NOT_NEGATIVE)
    mutated: int = option(4, "of a batch, digits that change under a settled state", NOT_NEGATIVE)
    ca_steps: int = option(20, "CA steps per training step", CA_STEPS)
    loss: str = option("l2", "loss of each cell", choices=ClassLoss.KINDS)
    learning_rate: float = option(1e-3, "at the start", POSITIVE)
    drops: str = option("0.3,0.7", "fractions of the run at which the rate is divided by 10", DROPS)
    noise: float = option(0.02, "standard deviation of the noise on every update", NOT_NEGATIVE)
    ema: float = option(
        0.0, "momentum of an exponential average of the weights; 0 for none", MOMENTUM
    )
    test_digits: int = option(1000, "test digits to measure on", POSITIVE)
    test_seeds: int = option(3, "runs of the measures", POSITIVE)

    def check(self) -> None:
        check_digits(self)


def main(config: Config) -> None:
    digits = load_digits("train", config.data_dir)
    test = load_digits("test", config.data_dir, config.test_digits)
    print(f"Digits: {len(digits.labels)} for training from {digits.source}.")
    step = MNISTCA(noise_std=config.noise)
    pool = DigitPool(
        digits,
        config.pool_size,
        config.batch_size,
        fresh=config.fresh,
        mutated=config.mutated,
        seed=config.seed,
    )
    trainer = Trainer(
        step, ClassLoss(config.loss), config.ca_steps, engine=config.engine, seed=config.seed
    )
    rate = schedule(config.learning_rate, config.steps, config.drops)
    trainer.compile(make_optimizer("adam", rate, config.ema))

    def preview():
        state = rollout(step, digit_state(test.images[:60]), 200, seed=config.seed)
        return draw_digits(state, test.labels[:60])

    facts = digit_facts(digits)
    history = train(config, trainer, pool, config.steps, preview, **facts)
    measure = functools.partial(base_digits, step, digits=test, seeds=range(config.test_seeds))
    metrics = measured(config, measure, quick_digits(test) | {"horizon": 500})
    save_results(config, history, metrics, preview(), **facts)


if __name__ == "__main__":
    run(Config, main, __doc__)
