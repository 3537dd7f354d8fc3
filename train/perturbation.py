"""Trains a perturbation: a symmetric matrix on every living cell that turns a Growing CA's pattern
into another one.

The host is frozen; the matrix is all that learns. The pool starts as seeds and grown hosts.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfnca.automata.perturbed import Perturbed
from tfnca.automata.state import seed_state
from tfnca.files import weights_sha256
from tfnca.formats.load import load_perturbation
from tfnca.jobs.lizard_attack import (
    Attack,
    attack_trainer,
    draw_attack,
    load_host,
    padded_target,
    pool_options,
)
from tfnca.jobs.options import option, run
from tfnca.jobs.results import save_array, save_results
from tfnca.jobs.run import OPTIMIZERS, train
from tfnca.measures.lizard import grown_states
from tfnca.measures.protocol import measure_perturbation
from tfnca.training.losses import TargetLoss
from tfnca.training.pools import GrowingPool


@dataclass(frozen=True)
class Config(Attack):
    RECIPES: ClassVar[dict] = {
        "published": Attack.RECIPES["published"]
        | {"restarts": 2, "lifted": 0, "optimizer": "adam"},
        "stable": Attack.RECIPES["stable"]
        | {"restarts": 1, "lifted": 2, "optimizer": "whitened", "drops": "0.6,0.9"},
    }

    out: str = option("out/perturbation", "folder for results and snapshots")
    optimizer: str | None = option(
        None,
        "'adam', or 'whitened': Adam with the gradients' whole second moment, which matters to a "
        "matrix, whose entries act together",
        choices=list(OPTIMIZERS),
    )
    start: str | None = option(
        None,
        "a matrix to begin with, any format; the identity, which changes nothing, if not given",
    )


def main(config):
    host = load_host(config.host)
    target = padded_target(config, config.padding)
    size = target.shape[:2]
    step = Perturbed(host, load_perturbation(config.start) if config.start else None)
    starts = np.concatenate(
        [seed_state(size, 1, host.channels), grown_states(host, size, 1, seed=config.seed)]
    )
    pool = GrowingPool(starts, **pool_options(config, target))
    trainer = attack_trainer(config, step, TargetLoss(target, still=config.still), config.optimizer)

    def preview():
        return draw_attack(config, step, host)

    history = train(config, trainer, pool, config.steps, preview)
    save_array(config, "perturbation.npy", np.asarray(step.perturbation.matrix))
    metrics = measure_perturbation(
        step, padded_target(config), padded_target(config, name="host_target")
    )
    save_results(config, history, metrics, preview(), host_sha256=weights_sha256(host))


if __name__ == "__main__":
    run(Config, main, __doc__)
