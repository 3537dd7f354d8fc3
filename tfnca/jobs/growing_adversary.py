"""Trains an adversary of a CA that grows a picture: see `tfnca.jobs.options.growing_adversary`."""

import functools

import keras
import numpy as np

from tfnca.automata.checks import check_density
from tfnca.automata.injection import Injected
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD
from tfnca.automata.step import CellularAutomaton
from tfnca.formats.load import load
from tfnca.jobs.lizard_attack import (
    attack_facts,
    attack_trainer,
    draw_attack,
    load_host,
    padded_target,
    pool_options,
)
from tfnca.jobs.options.growing_adversary import Config
from tfnca.jobs.results import QUICK_LIZARD, measured, save_results
from tfnca.jobs.run import train
from tfnca.measures.lizard import (
    MEASURED_PADDING,
    grown_states,
    region_picture,
    target_masks,
)
from tfnca.measures.protocol import measure_adversary
from tfnca.training.losses import TargetLoss
from tfnca.training.pools import GrowingPool


def first_rule(start: str, host: CellularAutomaton) -> CellularAutomaton:
    """The initial adversary."""
    if start not in ("host", "zero"):
        return load(start)
    rule = type(host).from_config({**host.get_config(), "name": None})
    if start == "host":
        rule.set_weights(host.get_weights())
    return rule


def adversary_fraction(config: Config) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The adversary fraction of new masks: a number or a schedule. Raises ValueError unless it is
    in (0, 1]."""
    density = check_density(config.density)
    if config.first_density is None:
        return density
    first = check_density(config.first_density)
    return keras.optimizers.schedules.PolynomialDecay(first, max(config.steps // 2, 1), density)


def region(config: Config, padding: int = MEASURED_PADDING) -> np.ndarray:
    """The picture whose opaque cells are the placement region."""
    target = padded_target(config, padding)
    return region_picture(config.region, target, padded_target(config, padding, "host_target"))


def main(config: Config) -> None:
    density = adversary_fraction(config)
    host = load_host(config.host, config.host_name, config.host_convention)
    target = padded_target(config, config.padding)
    step = Injected(host, first_rule(config.start, host))
    pool = GrowingPool(
        grown_states(host, target.shape[:2], 1, seed=config.seed),
        **pool_options(config, target),
        where=region(config, config.padding)[..., ALPHA] >= LIVING_THRESHOLD,
        density=density,
    )
    loss = TargetLoss(target, config.own_weight, config.drift_penalty)
    trainer = attack_trainer(config, step, loss)
    masks = target_masks(region(config), config.density, 1, seed=1)

    def preview():
        return draw_attack(config, step, host, masks)

    facts = attack_facts(config, host)
    history = train(config, trainer, pool, config.steps, preview, **facts)
    measure = functools.partial(
        measure_adversary,
        step,
        padded_target(config),
        config.density,
        region(config),
        padded_target(config, name="host_target"),
    )
    metrics = measured(config, measure, QUICK_LIZARD)
    save_results(config, history, metrics, preview(), **facts)
