"""Trains an adversary of a Growing CA: some of its cells turn the pattern into another one.

The host is frozen. At each restart a share of the cells where the target is opaque (--among host:
or what the host grows), drawn at random, run the adversary's rule; the pool carries each state's
own mask. The article: tailless at 10 %, with 32 empty cells around the picture, and red at 60 %,
with 16.
"""

import tfnca.patience  # noqa: F401 - before Keras loads TensorFlow

# isort: split
import functools
from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np

from tfnca.automata.checks import check_density
from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD
from tfnca.commands import SHARE, WEIGHT
from tfnca.formats.load import load
from tfnca.jobs.lizard_attack import (
    Attack,
    attack_facts,
    attack_trainer,
    draw_attack,
    load_host,
    padded_target,
    pool_options,
)
from tfnca.jobs.options import option, run
from tfnca.jobs.results import QUICK_LIZARD, measured, save_results
from tfnca.jobs.run import train
from tfnca.measures.lizard import (
    AMONG,
    MEASURED_PADDING,
    grown_states,
    standing_room,
    target_masks,
)
from tfnca.measures.protocol import measure_adversary
from tfnca.training.losses import TargetLoss
from tfnca.training.pools import GrowingPool


@dataclass(frozen=True)
class Config(Attack):
    RECIPES: ClassVar[dict] = {
        "published": Attack.RECIPES["published"] | {"start": "zero", "own_weight": 1.0},
        "stable": Attack.RECIPES["stable"] | {"start": "host", "own_weight": 0.2},
    }

    out: str = option("out/growing_adversary", "folder for results and snapshots")
    density: float = option(0.1, "share of the cells that are adversaries, in (0, 1]", SHARE)
    first_density: float | None = option(
        None,
        "share at first, from which new masks go evenly to --density by half of the run; the same "
        "throughout if not given",
        SHARE,
    )
    among: str = option(
        "target",
        "whose opaque cells adversaries are drawn among: the 'target''s, so that none stands in "
        "what is to go, as published; or the 'host''s as well",
        choices=AMONG,
    )
    start: str = option(
        None,
        "the adversary's first rule: a copy of the 'host'; 'zero', which changes nothing; or an "
        "adversary to go on from, any format",
    )
    own_weight: float = option(
        None,
        "what the error of the adversary's own cells counts, in [0, 1], beside 1 for the host's: "
        "less than 1 makes it persuade",
        WEIGHT,
    )


def first_rule(start: str, host: GrowingCA) -> GrowingCA:
    """The adversary that training begins with."""
    if start not in ("host", "zero"):
        return load(start)
    rule = GrowingCA(channels=host.channels)
    if start == "host":
        rule.set_weights(host.get_weights())
    return rule


def share(config: Config) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The share of adversaries in new masks: a number, or a schedule; raises ValueError if out of
    (0, 1]."""
    density = check_density(config.density)
    if config.first_density is None:
        return density
    first = check_density(config.first_density)
    return keras.optimizers.schedules.PolynomialDecay(first, max(config.steps // 2, 1), density)


def room(config: Config, padding: int = MEASURED_PADDING) -> np.ndarray:
    """The picture whose opaque cells adversaries are drawn among."""
    target = padded_target(config, padding)
    return standing_room(config.among, target, padded_target(config, padding, "host_target"))


def main(config: Config) -> None:
    density = share(config)
    host = load_host(config.host, config.host_name)
    target = padded_target(config, config.padding)
    step = Injected(host, first_rule(config.start, host))
    pool = GrowingPool(
        grown_states(host, target.shape[:2], 1, seed=config.seed),
        **pool_options(config, target),
        where=room(config, config.padding)[..., ALPHA] >= LIVING_THRESHOLD,
        density=density,
    )
    trainer = attack_trainer(config, step, TargetLoss(target, config.own_weight, config.still))
    masks = target_masks(room(config), config.density, 1, seed=1)

    def preview():
        return draw_attack(config, step, host, masks)

    facts = attack_facts(config, host)
    history = train(config, trainer, pool, config.steps, preview, **facts)
    measure = functools.partial(
        measure_adversary, step, padded_target(config), config.density, room(config)
    )
    metrics = measured(config, measure, QUICK_LIZARD)
    save_results(config, history, metrics, preview(), **facts)


if __name__ == "__main__":
    run(Config, main, __doc__)
