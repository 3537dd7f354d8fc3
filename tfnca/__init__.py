"""tfnca: adversarial reprogramming of neural cellular automata, in Keras 3."""

from tfnca.checkpoints import load, load_perturbation
from tfnca.digits import Digits, cell_labels, load_digits
from tfnca.growing import GrowingCA
from tfnca.injection import Injected, random_mask
from tfnca.losses import ClassLoss, TargetLoss
from tfnca.mnist import MNISTCA
from tfnca.optimizers import WhitenedAdam
from tfnca.perturbation import Perturbation, Perturbed, combine
from tfnca.pool import DigitPool, GrowingPool
from tfnca.rollout import rollout, trajectory
from tfnca.state import class_logits, digit_state, living_mask, seed_state, to_rgb
from tfnca.targets import TARGETS, lizard, load_target, pad_target
from tfnca.trainer import Trainer

__all__ = [
    "MNISTCA",
    "TARGETS",
    "ClassLoss",
    "DigitPool",
    "Digits",
    "GrowingCA",
    "GrowingPool",
    "Injected",
    "Perturbation",
    "Perturbed",
    "TargetLoss",
    "Trainer",
    "WhitenedAdam",
    "cell_labels",
    "class_logits",
    "combine",
    "digit_state",
    "living_mask",
    "lizard",
    "load",
    "load_digits",
    "load_perturbation",
    "load_target",
    "pad_target",
    "random_mask",
    "rollout",
    "seed_state",
    "to_rgb",
    "trajectory",
]
