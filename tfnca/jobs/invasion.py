"""Trains an adversary that invades a Growing CA: see `tfnca.jobs.options.invasion`."""

from typing import Any

import numpy as np
import tensorflow as tf

from tfnca.automata.identity import model_facts
from tfnca.automata.invasion import Invasion
from tfnca.automata.masks import random_mask, random_patch
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD, seed_state, to_rgb
from tfnca.automata.step import freeze_copy
from tfnca.data.targets import load_target, pad_target
from tfnca.engines.rollout import rollout
from tfnca.files import arrays_sha256
from tfnca.formats.load import load
from tfnca.formats.names import shipped
from tfnca.jobs.options.invasion import Config
from tfnca.jobs.results import measured, save_results
from tfnca.jobs.run import make_trainer, train
from tfnca.measures.invasion import measure_invasion
from tfnca.measures.progress import SILENT, Progress
from tfnca.pictures import tile
from tfnca.training.invasion import InvasionLoss
from tfnca.training.pools import GrowingPool

HORIZONS, QUICK = (120, 500, 5000), {"runs": 4, "at": (120, 500)}
"""CA steps after the invasion at which it is measured."""


def load_ca(config: Config, path: str, name: str | None = None) -> NeuralCA:
    """A host or an adversary; raises ValueError if it is not a CA that can invade or be invaded."""
    ca = load(shipped(path), name, config.convention)
    if not isinstance(ca, NeuralCA):
        raise ValueError(
            f"--host and --start must be CAs that live by their alpha. Received: {path}, of kind "
            f"{type(ca).__name__}"
        )
    return ca


def grown(config: Config, host: NeuralCA, size: tuple[int, int], runs: int, seed: int) -> tf.Tensor:
    """The host at the age at which it is invaded, ``(runs, height, width, channels)``."""
    state = seed_state(size, runs, host.channels)
    if config.seed_cell == "alpha":
        state[..., ALPHA + 1 :] = 0.0
    return rollout(host, state, config.age, seed=seed)


def invaded(config: Config, step: Invasion, state: tf.Tensor, seed: int) -> tf.Tensor:
    """Grown states in which the adversary has got its first cells."""
    cells = np.asarray(state)[..., ALPHA] > LIVING_THRESHOLD
    if config.spray is None:
        return step.invade(state, random_patch(cells, config.patch, seed))
    return step.invade(state, random_mask(cells, config.spray, seed))


def measure(
    config: Config,
    step: Invasion,
    target: np.ndarray,
    runs: int = 16,
    at: tuple[int, ...] = HORIZONS,
    progress: Progress = lambda total: SILENT,
) -> dict[str, list]:
    """What `measure_invasion` finds for the invasion, and for its host alone on the same path."""
    bar = progress(2 * at[-1])
    state = grown(config, step.host, target.shape[:2], runs, seed=1)
    path: dict[str, Any] = {
        "at": at,
        "target": target,
        "seed": 1,
        "first_step": config.age,
        "bar": bar,
    }
    found = {
        "invasion": measure_invasion(step, invaded(config, step, state, seed=1), **path)[0],
        "host_alone": measure_invasion(step.host, state, **path)[0],
    }
    bar.close()
    return found


def draw(config: Config, step: Invasion, target: np.ndarray) -> np.ndarray:
    """The target, and one invasion after 0, 60, 120 and 500 steps."""
    state = invaded(config, step, grown(config, step.host, target.shape[:2], 1, 1), seed=1)
    path: dict[str, Any] = {"seed": 1, "first_step": config.age}
    rows, states = measure_invasion(step, state, (0, 60, 120, 500), target, **path)
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
    starts = grown(config, host, target.shape[:2], config.pool_size, config.seed)
    pool = GrowingPool(
        np.asarray(invaded(config, step, starts, config.seed)),
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
    metrics = measured(config, lambda **given: measure(config, step, target, **given), QUICK)
    save_results(config, history, metrics, preview(), **facts)
