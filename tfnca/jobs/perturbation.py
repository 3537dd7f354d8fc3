"""Trains a perturbation of a CA that grows a picture: see `tfnca.jobs.options.perturbation`."""

import functools

import numpy as np

from tfnca.automata.perturbations import KINDS, StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.state import ALPHA, seed_state
from tfnca.automata.step import CellularAutomaton
from tfnca.formats.load import load_perturbation
from tfnca.jobs.lizard_attack import (
    attack_facts,
    attack_trainer,
    draw_attack,
    load_host,
    padded_target,
    pool_options,
)
from tfnca.jobs.options.perturbation import Config
from tfnca.jobs.results import QUICK_LIZARD, measured, save_array, save_results
from tfnca.jobs.run import train
from tfnca.measures.lizard import grown_states, measure_bounds
from tfnca.measures.protocol import measure_perturbation
from tfnca.training.losses import TargetLoss
from tfnca.training.pools import GrowingPool

GROWN = 2e-3
"""MSE of RGBA up to which a host has grown a picture: ten times that of the article's lizard. Two
versions of the lizard differ by 0.003 or more."""

NOTHING = 5e-5
"""MSE of RGBA below which the identity has no effect: a quarter of the MSE of the article's lizard
against its target."""


def say_identity(host: CellularAutomaton, size: tuple[int, int]) -> None:
    """Prints the effect of the identity matrix on the host, and warns if there is any."""
    found = measure_bounds(host, size, runs=4)
    cost = found["identity"]["median"]
    print(f"MSE of the identity matrix against the baseline, 500 steps, median of 4: {cost:.1e}.")
    if not cost <= NOTHING:
        print(
            f"Warning: the host's states reach {max(found['growing'], found['grown']):.1f}, a "
            "perturbation clips them at 3, so every matrix must first compensate. Train the host "
            "with --recipe bounded, or continue its training with tfnca train growing --start HOST "
            "--recipe bounded. host.scaled(factors) is the same rule within the bound, but its "
            "seed must be scaled too, which this command does not do: train in Python then."
        )


def say_growth(grown: np.ndarray, target: np.ndarray) -> None:
    """Warns if a grown state is far from the picture that the host should grow."""
    error = float(np.square(np.asarray(grown)[..., : ALPHA + 1] - target).mean())
    if not error <= GROWN:
        print(
            f"Warning: from the usual seed the host does not grow --host-target (MSE {error:.4f} "
            "after 200 steps). Give the picture that it grows. If the host was scaled, its seed "
            "must be scaled too, which this command does not do: train in Python, with "
            "factors * tfnca.seed_state(72) among the pool's starts."
        )


def first_perturbation(config: Config, host: CellularAutomaton) -> StatePerturbation:
    """The initial perturbation."""
    if config.kind not in KINDS:
        raise ValueError(
            f"--kind must be one of {', '.join(sorted(KINDS))}. Received: --kind {config.kind}"
        )
    if config.start is None:
        return KINDS[config.kind](host.channels)
    perturbation = load_perturbation(config.start)
    if perturbation.kind != config.kind:
        raise ValueError(
            f"--start must be a perturbation of --kind {config.kind}. "
            f"Received: a {perturbation.kind} in {config.start}"
        )
    return perturbation


def main(config: Config) -> None:
    host = load_host(config.host, config.host_name, config.host_convention)
    target = padded_target(config, config.padding)
    size = target.shape[:2]
    step = Perturbed(host, first_perturbation(config, host))
    say_identity(host, size)
    grown = grown_states(host, size, 1, seed=config.seed)
    say_growth(grown, padded_target(config, config.padding, "host_target"))
    starts = np.concatenate([seed_state(size, 1, host.channels), grown])
    pool = GrowingPool(starts, **pool_options(config, target))
    loss = TargetLoss(target, drift_penalty=config.drift_penalty)
    trainer = attack_trainer(config, step, loss, config.optimizer)

    def preview():
        return draw_attack(config, step, host)

    facts = attack_facts(config, host)
    history = train(config, trainer, pool, config.steps, preview, **facts)
    save_array(config, "perturbation.npy", step.perturbation.to_array())
    plain = padded_target(config, name="host_target")
    measure = functools.partial(measure_perturbation, step, padded_target(config), plain)
    metrics = measured(config, measure, QUICK_LIZARD)
    save_results(config, history, metrics, preview(), **facts)
