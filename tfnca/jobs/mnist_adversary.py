"""Trains an adversary of the MNIST CA: see `tfnca.jobs.options.mnist_adversary`."""

import functools

import numpy as np

from tfnca.automata.identity import model_facts
from tfnca.automata.injection import Injected
from tfnca.automata.presets import PRESETS
from tfnca.automata.state import digit_state
from tfnca.automata.verified import Verified
from tfnca.engines.rollout import rollout
from tfnca.jobs.digits import (
    digit_facts,
    digit_pool,
    digit_trainer,
    load_both,
    load_digit_ca,
    quick_digits,
)
from tfnca.jobs.options.mnist_adversary import Config
from tfnca.jobs.results import measured, save_results
from tfnca.jobs.run import train
from tfnca.measures.digits import attack_digits, digit_mask
from tfnca.pictures import draw_digits
from tfnca.training.losses import ClassLoss


def main(config: Config) -> None:
    loss = ClassLoss(digit=config.digit)
    host = load_digit_ca("--host", config.host, config.host_name)
    digits, test = load_both(config)
    facts = digit_facts(digits) | model_facts("host", host)
    preset = PRESETS["digits"]
    adversary = preset(channels=host.channels, noise_std=host.noise_std or 0.0)
    if config.start is not None:
        adversary = load_digit_ca("--start", config.start)
        facts |= model_facts("start", adversary)
    step = Injected(host, adversary)
    if config.tolerance is not None:
        step = Verified(host, adversary, config.tolerance, mode="clip")
    least = config.least_density
    density = config.density if least is None else (least, config.density)
    pool = digit_pool(config, step, digits, density)
    trainer = digit_trainer(config, step, loss, config.recovery_items)
    few = test.first(60)

    def preview():
        mask = digit_mask(few, config.density, config.seed)
        state = rollout(host, digit_state(few.images, host.channels), 200, seed=config.seed)
        state = rollout(step, state, 200, mask=mask, seed=config.seed, step_offset=200)
        return draw_digits(state, few.labels, np.asarray(mask))

    history = train(config, trainer, pool, config.steps, preview, **facts)
    measure = functools.partial(
        attack_digits, step, digits=test, density=config.density, target=config.digit
    )
    metrics = measured(config, measure, quick_digits(test))
    save_results(config, history, metrics, preview(), **facts)
