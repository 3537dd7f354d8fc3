"""Trains the MNIST CA: see `tfnca.jobs.options.mnist`."""

import functools

from tfnca.automata.presets import PRESETS
from tfnca.automata.state import digit_state
from tfnca.engines.rollout import rollout
from tfnca.jobs.digits import digit_facts, digit_pool, digit_trainer, load_both, quick_digits
from tfnca.jobs.options.mnist import Config
from tfnca.jobs.results import measured, save_results
from tfnca.jobs.run import train
from tfnca.measures.digits import base_digits
from tfnca.pictures import draw_digits
from tfnca.training.losses import ClassLoss


def main(config: Config) -> None:
    digits, test = load_both(config)
    step = PRESETS["digits"](noise_std=config.noise)
    pool = digit_pool(config, step, digits)
    trainer = digit_trainer(config, step, ClassLoss(config.loss))

    def preview():
        state = rollout(step, digit_state(test.images[:60]), 200, seed=config.seed)
        return draw_digits(state, test.labels[:60])

    facts = digit_facts(digits)
    history = train(config, trainer, pool, config.steps, preview, **facts)
    measure = functools.partial(base_digits, step, digits=test, seeds=range(config.test_seeds))
    metrics = measured(config, measure, quick_digits(test) | {"horizon": 500})
    save_results(config, history, metrics, preview(), **facts)
