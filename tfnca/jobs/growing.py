"""Trains a Growing CA: see `tfnca.jobs.options.growing`."""

import functools

import numpy as np

from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.presets import PRESETS
from tfnca.automata.scaling import with_colour_pace
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD, no_picture, seed_state, to_rgb
from tfnca.data.targets import load_target, pad_target
from tfnca.engines.rollout import rollout, trajectory
from tfnca.files import arrays_sha256
from tfnca.formats.load import load
from tfnca.jobs.options.growing import REGIMES, Config
from tfnca.jobs.results import QUICK_LIZARD, measured, save_results
from tfnca.jobs.run import make_trainer, train
from tfnca.measures.protocol import measure_base
from tfnca.pictures import tile
from tfnca.training.losses import TargetLoss
from tfnca.training.pools import GrowingPool


def first_rule(config: Config, size: tuple[int, int]) -> NeuralCA:
    """The initial CA, its hidden channels scaled to keep the bound."""
    if not config.start:
        return PRESETS["growing"]()
    rule = load(config.start)
    reason = no_picture(rule) if isinstance(rule, NeuralCA) else "it has no rule"
    if reason:
        raise ValueError(
            f"--start must be a Growing CA, or another CA that grows a picture, and {reason}. "
            f"Received: {type(rule).__name__}"
        )
    rule = with_colour_pace(rule, config.colour_pace)
    if not config.bound_weight:
        return rule
    along = trajectory(rule, seed_state(size, 1, rule.channels), 400, every=4, seed=config.seed)
    largest = np.max([np.abs(state).max((0, 1, 2)) for _, state in along], axis=0)
    factors = np.minimum(1.0, config.bound / np.maximum(largest, 1e-6))
    factors[: ALPHA + 1] = 1.0
    return rule.scaled(factors)


def main(config: Config) -> None:
    target = pad_target(load_target(config.target, config.size), config.padding)
    height, width = target.shape[:2]
    if target[height // 2, width // 2, ALPHA] <= LIVING_THRESHOLD:
        print(
            "The picture is empty at its centre, where the seed is. The rule may learn to kill the "
            "seed before it learns to grow. If the loss does not fall, shift the picture."
        )
    step = first_rule(config, target.shape[:2])
    restarts, damaged = REGIMES[config.regime]
    pool = GrowingPool(
        seed_state(target.shape[:2], 1, step.channels),
        config.pool_size,
        config.batch_size,
        restarts=config.batch_size if restarts is None else restarts,
        damaged=damaged,
        radii=(config.min_radius, config.max_radius),
        seed=config.seed,
    )
    loss = TargetLoss(target, overflow=config.bound_weight, bound=config.bound)
    trainer = make_trainer(config, step, loss, (config.min_ca_steps, config.max_ca_steps))

    def preview():
        seed = seed_state(target.shape[:2], 1, step.channels)
        states = [seed]
        for now in (0, 50, 100, 200):
            steps = {0: 50, 50: 50, 100: 100, 200: 300}[now]
            states.append(rollout(step, states[-1], steps, seed=config.seed, step_offset=now))
        kept = pool.variables["states"][:16]
        rows = [to_rgb(np.concatenate([target[None], *[s[..., :4] for s in states[1:]]]))]
        pictures = np.concatenate([*rows, to_rgb(kept)[:10]])
        labels = ["target", *(f"step {now}" for now in (50, 100, 200, 500))]
        labels += ["in the pool"] * (len(pictures) - len(labels))
        return tile(pictures, columns=5, scale=3, labels=labels)

    facts = {"target_sha256": arrays_sha256(load_target(config.target))}
    history = train(config, trainer, pool, config.steps, preview, **facts)
    metrics = measured(config, functools.partial(measure_base, step, target), QUICK_LIZARD)
    save_results(config, history, metrics, preview(), **facts)
