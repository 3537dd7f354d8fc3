"""Trains an adversary that invades a Growing CA: see `tfnca.jobs.options.invasion`."""

import functools

import numpy as np

from tfnca.automata.identity import model_facts
from tfnca.automata.invasion import Invasion
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.state import ALPHA, to_rgb
from tfnca.automata.step import freeze_copy
from tfnca.data.targets import load_target, pad_target
from tfnca.files import arrays_sha256
from tfnca.formats.load import load
from tfnca.formats.names import shipped
from tfnca.jobs.options.invasion import Config
from tfnca.jobs.results import measured, save_results
from tfnca.jobs.run import make_trainer, train
from tfnca.measures.invasion import Beginning, measure_from, measure_invasion
from tfnca.pictures import tile
from tfnca.training.invasion import InvasionLoss
from tfnca.training.pools import GrowingPool

QUICK = {"runs": 4, "at": (120, 500)}


def load_ca(config: Config, path: str, name: str | None = None) -> NeuralCA:
    """A host or an adversary; raises ValueError if it is not a CA that can invade or be invaded."""
    ca = load(shipped(path), name, config.convention)
    if not isinstance(ca, NeuralCA):
        raise ValueError(
            f"--host and --start must be CAs that live by their alpha. Received: {path}, of kind "
            f"{type(ca).__name__}"
        )
    return ca


def beginning(config: Config) -> Beginning:
    return Beginning(config.age, config.seed_cell, config.spray, config.patch)


def draw(config: Config, step: Invasion, target: np.ndarray) -> np.ndarray:
    """The target, and one invasion after 0, 60, 120 and 500 steps."""
    begins = beginning(config)
    state = begins.invaded(step, begins.grown(step.host, target.shape[:2], 1, 1), seed=1)
    at = (0, 60, 120, 500)
    rows, states = measure_invasion(step, state, at, target, seed=1, first_step=config.age)
    labels = ["target"] + [
        f"{row['step']}: {row['error'][0]:.4f}, {100 * row['share'][0]:.0f} %" for row in rows
    ]
    shown = [target[None], *(step.seen(each)[..., : ALPHA + 1] for each in states)]
    return tile(to_rgb(np.concatenate(shown)), columns=5, scale=4, labels=labels)


def main(config: Config) -> None:
    host = load_ca(config, config.host, config.host_name)
    target = pad_target(load_target(config.target, config.size), config.padding)
    adversary = host if config.start == "host" else load_ca(config, config.start)
    adversary = freeze_copy(adversary)  # a copy, so that host and adversary are two
    adversary.trainable = True
    step = Invasion(host, adversary)
    begins = beginning(config)
    starts = begins.grown(host, target.shape[:2], config.pool_size, config.seed)
    pool = GrowingPool(
        np.asarray(begins.invaded(step, starts, config.seed)),
        size=config.pool_size,
        batch_size=config.batch_size,
        restarts=config.restarts,
        damaged=config.damaged,
        seed=config.seed,
    )
    loss = InvasionLoss(target, config.cell_cost)
    trainer = make_trainer(config, step, loss, (config.min_ca_steps, config.max_ca_steps))
    facts = {
        "attack": "invasion",  # tells an adversary that spreads from one that needs a mask
        **model_facts("host", host),
        "target_sha256": arrays_sha256(load_target(config.target)),
    }

    def preview():
        return draw(config, step, target)

    history = train(config, trainer, pool, config.steps, preview, **facts)
    metrics = measured(config, functools.partial(measure_from, begins, step, target), QUICK)
    save_results(config, history, metrics, preview(), **facts)
