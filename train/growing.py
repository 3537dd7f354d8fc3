"""Trains a Growing CA: from one cell to a picture, which it keeps and repairs.

Regimes: 'growing' starts every run from the seed; 'persistent' goes on from a pool, so that the
picture stays; 'regenerating' also cuts circles out of it.
"""

import functools
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tfnca.automata.growing import GrowingCA
from tfnca.automata.state import ALPHA, LIVING_THRESHOLD, seed_state, to_rgb
from tfnca.commands import MOMENTUM, NOT_NEGATIVE, POSITIVE, must
from tfnca.data.targets import TARGETS, load_target, pad_target
from tfnca.engines.rollout import rollout, trajectory
from tfnca.files import arrays_sha256
from tfnca.formats.load import load
from tfnca.jobs.options import Common, in_order, option, run
from tfnca.jobs.results import QUICK_LIZARD, measured, save_results
from tfnca.jobs.run import CA_STEPS, DROPS, make_optimizer, schedule, train
from tfnca.measures.protocol import measure_base
from tfnca.pictures import tile
from tfnca.training.losses import TargetLoss
from tfnca.training.pools import GrowingPool
from tfnca.training.trainer import Trainer

REGIMES = {"growing": (None, 0), "persistent": (1, 0), "regenerating": (1, 3)}
"""How many of a batch start anew (all if None), and how many are damaged."""

RADIUS = must("lie in (0, 2]", lambda value: 0 < value <= 2)


@dataclass(frozen=True)
class Config(Common):
    RECIPES: ClassVar[dict] = {
        "published": {"drops": "0.25", "ema": 0.0, "bound_weight": 0.0},
        "bounded": {"drops": "0.25,0.8", "ema": 0.995, "bound_weight": 0.1},
    }

    recipe: str = option(
        "bounded",
        "'published', or 'bounded': states that stay within ±3, where "
        "a perturbation's clip does nothing; averaged weights and a second drop "
        "of the rate",
        choices=["published", "bounded"],
    )
    start: str | None = option(
        None,
        "a Growing CA to begin with, any format, its hidden channels scaled to keep --bound; one "
        "that does nothing yet if not given",
    )
    out: str = option("out/growing", "folder for results and snapshots")
    target: str = option(
        "lizard", f"what to grow: {', '.join(TARGETS)}, a picture file, or an emoji"
    )
    regime: str = option("regenerating", "what to learn", choices=list(REGIMES))
    size: int = option(40, "side that the picture is shrunk to fit, in cells", POSITIVE)
    padding: int = option(16, "empty cells around the picture", NOT_NEGATIVE)
    steps: int = option(8000, "training steps", POSITIVE)
    batch_size: int = option(8, "states in a batch", POSITIVE)
    min_radius: float = option(0.1, "of a circle cut out, the grid spanning [-1, 1]²", RADIUS)
    max_radius: float = option(0.4, "of a circle cut out", RADIUS)
    pool_size: int = option(1024, "states in the pool", POSITIVE)
    min_ca_steps: int = option(64, "fewest CA steps per training step", CA_STEPS)
    max_ca_steps: int = option(95, "most CA steps per training step", CA_STEPS)
    learning_rate: float = option(2e-3, "at the start", POSITIVE)
    drops: str | None = option(
        None, "fractions of the run at which the rate is divided by 10", DROPS
    )
    ema: float | None = option(
        None, "momentum of an exponential average of the weights; 0: none", MOMENTUM
    )
    bound: float = option(
        2.7, "what no channel should exceed, either sign; a perturbation clips at 3", POSITIVE
    )
    bound_weight: float | None = option(
        None,
        "what the mean excess over --bound counts beside the picture's error; 0: no bound",
        NOT_NEGATIVE,
    )

    def check(self) -> None:
        in_order(self, "min_radius", "max_radius")
        in_order(self, "min_ca_steps", "max_ca_steps")
        in_order(self, "batch_size", "pool_size")
        damaged = REGIMES[self.regime][1]
        if self.batch_size < damaged:
            raise ValueError(
                f"--batch-size must be at least {damaged} with --regime {self.regime}, which "
                f"damages as many. Received: {self.batch_size}"
            )


def first_rule(config: Config, size: tuple[int, int]) -> GrowingCA:
    """The Growing CA that training begins with, its hidden channels scaled to keep the bound."""
    if not config.start:
        return GrowingCA()
    rule = load(config.start)
    if not isinstance(rule, GrowingCA):
        raise ValueError(f"--start must be a Growing CA. Received: {type(rule).__name__}")
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
            "The picture is empty in its middle, where the seed stands: a rule may learn to let it "
            "die before it learns to grow. If the loss stands still, shift the picture."
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
    trainer = Trainer(
        step,
        TargetLoss(target, overflow=config.bound_weight, bound=config.bound),
        (config.min_ca_steps, config.max_ca_steps),
        engine=config.engine,
        seed=config.seed,
    )
    rate = schedule(config.learning_rate, config.steps, config.drops)
    trainer.compile(make_optimizer("adam", rate, config.ema))

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


if __name__ == "__main__":
    run(Config, main, __doc__)
