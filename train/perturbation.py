"""Trains a perturbation: a symmetric matrix on every living cell that turns a Growing CA's pattern
into another one.

The host is frozen; the matrix is all that learns. The pool starts as seeds and grown hosts.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfnca import experiment
from tfnca.checkpoints import load_perturbation
from tfnca.evaluation import grown_states, measure_bounds, measure_perturbation
from tfnca.experiment import option
from tfnca.lizard_attack import (
    Attack,
    attack_trainer,
    draw_attack,
    load_host,
    padded_target,
    pool_options,
)
from tfnca.losses import TargetLoss
from tfnca.perturbation import Perturbed
from tfnca.pool import GrowingPool
from tfnca.state import seed_state


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
        choices=list(experiment.OPTIMIZERS),
    )
    start: str | None = option(
        None,
        "a matrix to begin with, any format; the identity, which changes nothing, if not given",
    )


NOTHING = 5e-5
"""Mean squared difference of RGBA below which the identity does nothing: a quarter of the published
lizard's own error."""


def say_identity(host, size):
    """Prints what the identity alone does to the host, and warns where it is not nothing."""
    found = measure_bounds(host, size, runs=4)
    cost = found["identity"]["median"]
    print(f"The identity, 500 steps against the plain run: {cost:.1e} (median of 4 runs).")
    if not cost <= NOTHING:
        print(
            f"Warning: the host's states reach {max(found['growing'], found['grown']):.1f}, a "
            "perturbation clips them at 3, and every matrix must first make up for that. Hosts by "
            "train/growing.py --recipe bounded stay within."
        )


def main(config):
    host = load_host(config.host)
    target = padded_target(config, config.padding)
    size = target.shape[:2]
    say_identity(host, size)
    step = Perturbed(host, load_perturbation(config.start) if config.start else None)
    starts = np.concatenate(
        [seed_state(size, 1, host.channels), grown_states(host, size, 1, seed=config.seed)]
    )
    pool = GrowingPool(starts, **pool_options(config, target))
    trainer = attack_trainer(config, step, TargetLoss(target, still=config.still), config.optimizer)

    def preview():
        return draw_attack(config, step, host)

    history = experiment.train(config, trainer, pool, config.steps, preview)
    experiment.save_array(config, "perturbation.npy", np.asarray(step.perturbation.matrix))
    metrics = measure_perturbation(
        step, padded_target(config), padded_target(config, name="host_target")
    )
    experiment.save_results(
        config, history, metrics, preview(), host_sha256=experiment.weights_sha256(host)
    )


if __name__ == "__main__":
    experiment.run(Config, main, __doc__)
