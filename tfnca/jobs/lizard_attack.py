"""Shared parts of both attacks on a CA that grows a picture: host, targets, and a picture."""

from typing import Any

import numpy as np

from tfnca.automata.identity import model_facts
from tfnca.automata.state import ALPHA, no_picture, to_rgb
from tfnca.automata.step import CellularAutomaton, Step
from tfnca.data.targets import load_target, pad_target
from tfnca.engines.rollout import trajectory
from tfnca.files import arrays_sha256
from tfnca.formats.load import load
from tfnca.formats.names import shipped
from tfnca.jobs.options.lizard_attack import Attack
from tfnca.jobs.run import make_trainer
from tfnca.measures.lizard import MEASURED_PADDING, grown_states
from tfnca.pictures import tile
from tfnca.training.losses import TargetLoss
from tfnca.training.trainer import Trainer


def attack_facts(config: Attack, host: CellularAutomaton) -> dict[str, str]:
    """Checksums of the files in an attack's options."""
    return {
        **model_facts("host", host),
        "target_sha256": arrays_sha256(load_target(config.target)),
    }


def load_host(
    path: str, name: str | None = None, convention: str | None = None
) -> CellularAutomaton:
    """Loads the host of an attack; raises ValueError if it is not a CA that grows a picture."""
    host = load(shipped(path), name, convention)
    reason = no_picture(host) if isinstance(host, CellularAutomaton) else "it is no CA"
    if reason:
        raise ValueError(
            f"--host must be a CA that grows a picture, and {reason}. "
            f"Received: {type(host).__name__}"
        )
    return host


def padded_target(
    config: Attack, padding: int = MEASURED_PADDING, name: str = "target"
) -> np.ndarray:
    """A target of a configuration, ``(height, width, 4)``, with empty cells around it."""
    return pad_target(load_target(getattr(config, name), config.size), padding)


def draw_attack(
    config: Attack,
    step: Step,
    host: CellularAutomaton,
    mask: np.ndarray | None = None,
    padding: int = MEASURED_PADDING,
) -> np.ndarray:
    """The target, and the attacked lizard 0, 100, 300 and 500 steps after it was grown.

    The label of each picture is its MSE against the target. The mask is ``(1, height, width)``, and
    `padding` the number of empty cells around the target, as for the mask.
    """
    target = padded_target(config, padding)
    state = grown_states(host, target.shape[:2], 1, seed=1)
    run = trajectory(step, state, 500, every=100, mask=mask, seed=1, step_offset=200)
    pictures, labels = [target[None]], ["target"]
    for at, state in run:
        if at - 200 in (0, 100, 300, 500):
            pictures.append(np.asarray(state)[..., : ALPHA + 1])
            error = np.square(pictures[-1] - target).mean()
            labels.append(f"{f'step {at - 200}' if at > 200 else 'before'}: {error:.4f}")
    return tile(to_rgb(np.concatenate(pictures)), columns=5, scale=3, labels=labels)


def attack_trainer(
    config: Attack, step: Step, loss: TargetLoss, optimizer: str = "adam"
) -> Trainer:
    """The compiled `Trainer` of an attack."""
    recovery: dict[str, Any] = {}
    if config.recovery_items:
        plain = padded_target(config, config.padding, "host_target")
        recovery = {"recovery_items": config.recovery_items, "recovery_loss": TargetLoss(plain)}
    steps = config.min_ca_steps, config.max_ca_steps
    return make_trainer(config, step, loss, steps, optimizer, **recovery)


def pool_options(config: Attack, target: np.ndarray) -> dict[str, Any]:
    """Arguments of both attacks' pools, except their `starts`."""
    return {
        "size": config.pool_size,
        "batch_size": config.batch_size,
        "restarts": config.restarts,
        "reset_policy": config.reset_policy,
        "reset_threshold": config.reset_threshold * float(np.square(target).mean()) or None,
        "damaged": config.damaged,
        "seed": config.seed,
    }
