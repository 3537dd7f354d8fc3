"""What the two attacks on a Growing CA share: options, host, targets, and a picture."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tfnca.automata.growing import GrowingCA
from tfnca.automata.identity import model_facts
from tfnca.automata.state import ALPHA, to_rgb
from tfnca.automata.step import Step
from tfnca.commands import MOMENTUM, NOT_NEGATIVE, POSITIVE
from tfnca.data.targets import TARGETS, load_target, pad_target
from tfnca.engines.rollout import trajectory
from tfnca.files import arrays_sha256
from tfnca.formats.load import load
from tfnca.jobs.options import Common, in_order, option
from tfnca.jobs.run import CA_STEPS, DROPS, make_optimizer, schedule
from tfnca.measures.lizard import MEASURED_PADDING, grown_states
from tfnca.pictures import tile
from tfnca.training.losses import TargetLoss
from tfnca.training.trainer import Trainer


@dataclass(frozen=True)
class Attack(Common):
    """Options of both attacks; a recipe fills in what is None."""

    RECIPES: ClassVar[dict] = {
        "published": {
            "steps": 8000, "pool_size": 1024, "hopeless": 0.0, "learning_rate": 2e-3,
            "drops": "0.25", "ema": 0.0,
        },
        "stable": {
            "steps": 2000, "pool_size": 256, "hopeless": 0.5, "learning_rate": 1e-3,
            "drops": "0.4,0.9", "ema": 0.99,
        },
    }  # fmt: skip

    recipe: str = option(
        "stable",
        "'published', or 'stable': fewer slots, so that states grow "
        "old and a pattern must last, while what fell apart starts anew; "
        "averaged weights; a perturbation must let go of the host once lifted, an "
        "adversary starts as the host and must persuade its cells",
        choices=["published", "stable"],
    )
    host: str = option(
        "saved_models/growing_lizard/model.keras",
        "the Growing CA to attack, any format",
    )
    host_name: str | None = option(None, "which model, where that file holds several")
    host_target: str = option("lizard", "what the host grows, for measuring")
    target: str = option(
        "no_tail", f"what to turn it into: {', '.join(TARGETS)}, a picture file, or an emoji"
    )
    size: int = option(40, "side that the picture is shrunk to fit, in cells", POSITIVE)
    padding: int = option(16, "empty cells around the picture", NOT_NEGATIVE)
    steps: int = option(None, "training steps", POSITIVE)
    batch_size: int = option(8, "states in a batch", POSITIVE)
    pool_size: int = option(None, "states in the pool", POSITIVE)
    restarts: int = option(1, "states of a batch that start anew", NOT_NEGATIVE)
    chosen: str = option("worst", "which: the 'worst', or 'any'", choices=["worst", "any"])
    hopeless: float = option(
        None,
        "share of an empty grid's loss above which a state starts anew; 0: no such bound",
        NOT_NEGATIVE,
    )
    damaged: int = option(3, "states of a batch, the best, that lose a circle", NOT_NEGATIVE)
    lifted: int = option(
        0,
        "states of a batch, the best, that go on without the attack and must become what the "
        "host grows",
        NOT_NEGATIVE,
    )
    still: float = option(
        0.0,
        "error for each squared cell by which a pattern's centre moves in a training step",
        NOT_NEGATIVE,
    )
    min_ca_steps: int = option(64, "fewest CA steps per training step", CA_STEPS)
    max_ca_steps: int = option(95, "most CA steps per training step", CA_STEPS)
    learning_rate: float = option(None, "at the start", POSITIVE)
    drops: str = option(None, "fractions of the run at which the rate is divided by 10", DROPS)
    ema: float = option(
        None, "momentum of an exponential average of the weights; 0: none", MOMENTUM
    )

    def check(self) -> None:
        in_order(self, "min_ca_steps", "max_ca_steps")
        in_order(self, "batch_size", "pool_size")
        for name in ("restarts", "damaged", "lifted"):
            in_order(self, name, "batch_size")


def attack_facts(config: Attack, host: GrowingCA) -> dict[str, str]:
    """What the files held that an attack's options name."""
    return {
        **model_facts("host", host),
        "target_sha256": arrays_sha256(load_target(config.target)),
    }


def load_host(path: str, name: str | None = None) -> GrowingCA:
    """A host for an attack; raises ValueError if it is not a Growing CA."""
    host = load(path, name)
    if not isinstance(host, GrowingCA):
        raise ValueError(f"--host must be a Growing CA. Received: {type(host).__name__}")
    return host


def padded_target(
    config: Attack, padding: int = MEASURED_PADDING, name: str = "target"
) -> np.ndarray:
    """One of a configuration's targets, ``(height, width, 4)``, on a grid of its own."""
    return pad_target(load_target(getattr(config, name), config.size), padding)


def draw_attack(
    config: Attack,
    step: Step,
    host: GrowingCA,
    mask: np.ndarray | None = None,
    padding: int = MEASURED_PADDING,
) -> np.ndarray:
    """The target, and the attacked lizard 0, 100, 300 and 500 steps after it was grown.

    Above each stands how far it is from the target.

    Args:
        config: The run's `Attack`.
        step: The attacked step.
        host: Its host.
        mask: Where adversaries stand, ``(1, height, width)``, or None.
        padding: Empty cells around the target, as for the mask.

    Returns:
        Picture ``(height, width, 3)``.
    """
    target = padded_target(config, padding)
    state = grown_states(host, target.shape[:2], 1, seed=1)
    run = trajectory(step, state, 500, every=100, mask=mask, seed=1, step_offset=200)
    pictures, labels = [target[None]], ["target"]
    for at, state in run:
        if at - 200 in (0, 100, 300, 500):
            pictures.append(np.asarray(state)[..., : ALPHA + 1])
            error = np.square(pictures[-1] - target).mean()
            labels.append(f"{f'step {at - 200}' if at > 200 else 'nothing'}: {error:.4f}")
    return tile(to_rgb(np.concatenate(pictures)), columns=5, scale=3, labels=labels)


def attack_trainer(
    config: Attack, step: Step, loss: TargetLoss, optimizer: str = "adam"
) -> Trainer:
    """A compiled `Trainer` for either attack, as its options say."""
    lifted = config.lifted
    trainer = Trainer(
        step,
        loss,
        (config.min_ca_steps, config.max_ca_steps),
        engine=config.engine,
        seed=config.seed,
        lifted=lifted,
        lifted_loss=TargetLoss(padded_target(config, config.padding, "host_target"))
        if lifted
        else None,
    )
    rate = schedule(config.learning_rate, config.steps, config.drops)
    trainer.compile(make_optimizer(optimizer, rate, config.ema))
    return trainer


def pool_options(config: Attack, target: np.ndarray) -> dict[str, Any]:
    """What both attacks' pools are made with, beside their starts."""
    return {
        "size": config.pool_size,
        "batch_size": config.batch_size,
        "restarts": config.restarts,
        "chosen": config.chosen,
        "hopeless": config.hopeless * float(np.square(target).mean()) or None,
        "damaged": config.damaged,
        "seed": config.seed,
    }
