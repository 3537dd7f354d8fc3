"""Trains an MNIST CA that resists adversaries: see `tfnca.jobs.options.mnist_defence`."""

import functools

import keras
import numpy as np

from tfnca.automata.identity import model_facts
from tfnca.automata.injection import Injected
from tfnca.automata.masks import random_mask
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.state import digit_state
from tfnca.engines.rollout import rollout
from tfnca.jobs.digits import (
    digit_facts,
    digit_pool,
    digit_trainer,
    load_both,
    load_digit_ca,
    quick_digits,
)
from tfnca.jobs.options.mnist_defence import Config
from tfnca.jobs.results import measured, save_results
from tfnca.jobs.run import EPOCH, train
from tfnca.measures.digits import base_digits
from tfnca.pictures import draw_digits
from tfnca.training.losses import ClassLoss


class TakeTurns(keras.callbacks.Callback):
    """Gives the frozen adversary the weights of each model of a bank in turn."""

    def __init__(self, adversary: NeuralCA, bank: list[NeuralCA]) -> None:
        super().__init__()
        self.adversary, self.bank = adversary, bank

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._take(int(self.model.steps_done))

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if (done := int(self.model.steps_done)) % EPOCH == 0:
            self._take(done)

    def _take(self, done: int) -> None:
        self.adversary.set_weights(self.bank[done // EPOCH % len(self.bank)].get_weights())


def main(config: Config) -> None:
    host = load_digit_ca("--start", config.start)
    bank = [load_digit_ca("--bank", path) for path in config.bank.split(",")]
    digits, test = load_both(config)
    if config.message_bound is not None:
        weights = host.get_weights()
        host = type(host).from_config(host.get_config() | {"message_bound": config.message_bound})
        host.set_weights(weights)
    # As in an attack, but the frozen cells are adversaries, and those of the mask learn to resist.
    step = Injected(bank[0], host)
    pool = digit_pool(config, step, digits, (config.lowest, config.highest))
    trainer = digit_trainer(config, step, ClassLoss(others_weight=0.0))

    few = test.first(60)
    own = np.asarray(random_mask(np.ones_like(few.images), 0.9, config.seed))

    def preview():
        state = rollout(
            step, digit_state(few.images, host.channels), 200, mask=own, seed=config.seed
        )
        return draw_digits(state, few.labels, 1 - own)

    facts = digit_facts(digits) | model_facts("start", host) | model_facts("bank", *bank)
    turns = TakeTurns(step.host, bank)
    history = train(config, trainer, pool, config.steps, preview, [turns], **facts)
    measure = functools.partial(base_digits, host, digits=test)
    metrics = measured(config, measure, quick_digits(test) | {"horizon": 500})
    save_results(config, history, metrics, preview(), **facts)
