"""Trains an MNIST CA that resists: its cells learn to agree while liars stand among them.

The liars are adversaries trained before, frozen; with several in --bank each has a hundred training
steps in turn. A host that has learned to resist them is judged by an adversary that was trained
against it (train/mnist_adversary.py), which then joins the bank of the next round.
"""

import tfnca.patience  # noqa: F401 - before Keras loads TensorFlow

# isort: split
import functools
import itertools
from dataclasses import dataclass

import keras
import numpy as np

from tfnca.automata.identity import model_facts
from tfnca.automata.injection import Injected
from tfnca.automata.masks import random_mask
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.state import digit_state
from tfnca.commands import MOMENTUM, NOT_NEGATIVE, POSITIVE, SHARE
from tfnca.data.digits import load_digits
from tfnca.engines.rollout import rollout
from tfnca.formats.load import load
from tfnca.jobs.digits import check_digits, digit_facts, quick_digits
from tfnca.jobs.options import Common, in_order, option, run
from tfnca.jobs.results import measured, save_results
from tfnca.jobs.run import CA_STEPS, DROPS, EPOCH, make_optimizer, schedule, train
from tfnca.measures.digits import base_digits
from tfnca.pictures import draw_digits
from tfnca.training.losses import ClassLoss
from tfnca.training.pools import DigitPool
from tfnca.training.trainer import Trainer


@dataclass(frozen=True)
class Config(Common):
    out: str = option("out/mnist_defence", "folder for results and snapshots")
    start: str = option("saved_models/mnist/model.keras", "the MNIST CA to begin with")
    bank: str = option(
        "saved_models/mnist_adversary/model.keras", "adversaries, with commas between them"
    )
    message_bound: float | None = option(
        None,
        "largest value that a cell reads of a state, either sign; --start's if not given",
        POSITIVE,
    )
    lowest: float = option(0.85, "smallest share of the host's own cells, in (0, 1]", SHARE)
    highest: float = option(1.0, "largest, in (0, 1]; each digit draws its own", SHARE)
    data_dir: str | None = option(None, "folder with MNIST's four idx files, plain or gzipped")
    steps: int = option(4000, "training steps", POSITIVE)
    batch_size: int = option(16, "digits in a batch", POSITIVE)
    pool_size: int = option(160, "states in the pool", POSITIVE)
    fresh: int = option(2, "of a batch, new digits that start from an empty state", NOT_NEGATIVE)
    mutated: int = option(2, "of a batch, digits that change under a settled state", NOT_NEGATIVE)
    ca_steps: int = option(20, "CA steps per training step", CA_STEPS)
    learning_rate: float = option(1e-3, "at the start", POSITIVE)
    drops: str = option("0.6,0.9", "fractions of the run at which the rate is divided by 10", DROPS)
    ema: float = option(
        0.99, "momentum of an exponential average of the weights; 0 for none", MOMENTUM
    )
    test_digits: int = option(1000, "test digits to measure on", POSITIVE)

    def check(self) -> None:
        check_digits(self)
        in_order(self, "lowest", "highest")


class TakeTurns(keras.callbacks.Callback):
    """Gives the frozen liar the weights of each of a bank in turn, as the training step says."""

    def __init__(self, liar: MNISTCA, bank: list[MNISTCA]) -> None:
        super().__init__()
        self.liar, self.bank = liar, bank

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._take(int(self.model.steps_done))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if (done := int(self.model.steps_done)) % EPOCH == 0:
            self._take(done)

    def _take(self, done: int) -> None:
        self.liar.set_weights(self.bank[done // EPOCH % len(self.bank)].get_weights())


def main(config: Config) -> None:
    host, bank = load(config.start), [load(path) for path in config.bank.split(",")]
    for name, model in (("--start", host), *zip(itertools.repeat("--bank"), bank)):
        if not isinstance(model, MNISTCA):
            raise ValueError(f"{name} must name MNIST CAs. Received: {type(model).__name__}")
    digits = load_digits("train", config.data_dir)
    test = load_digits("test", config.data_dir, config.test_digits)
    print(f"Digits: {len(digits.labels)} for training from {digits.source}.")
    if config.message_bound is not None:
        host = MNISTCA.from_config(host.get_config() | {"message_bound": config.message_bound})
        host.set_weights(load(config.start).get_weights())
    # As in an attack, but the frozen cells are the liars and the trained ones, the mask's, resist.
    step = Injected(bank[0], host)
    pool = DigitPool(
        digits,
        config.pool_size,
        config.batch_size,
        density=(config.lowest, config.highest),
        fresh=config.fresh,
        mutated=config.mutated,
        seed=config.seed,
    )
    loss = ClassLoss(others_weight=0.0)
    trainer = Trainer(step, loss, config.ca_steps, engine=config.engine, seed=config.seed)
    rate = schedule(config.learning_rate, config.steps, config.drops)
    trainer.compile(make_optimizer("adam", rate, config.ema))

    few = test.first(60)
    own = np.asarray(random_mask(np.ones_like(few.images), 0.9, config.seed))

    def preview():
        state = rollout(step, digit_state(few.images), 200, mask=own, seed=config.seed)
        return draw_digits(state, few.labels, 1 - own)

    facts = digit_facts(digits) | model_facts("start", host) | model_facts("bank", *bank)
    turns = TakeTurns(step.host, bank)
    history = train(config, trainer, pool, config.steps, preview, [turns], **facts)
    measure = functools.partial(base_digits, host, digits=test)
    metrics = measured(config, measure, quick_digits(test) | {"horizon": 500})
    save_results(config, history, metrics, preview(), **facts)


if __name__ == "__main__":
    run(Config, main, __doc__)
