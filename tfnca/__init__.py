"""tfnca: adversarial reprogramming of neural cellular automata, in Keras 3.

`import tfnca` loads little. All of it is loaded once a name is asked for, or once Keras is
imported, which then knows our layers.
"""

import os
from typing import TYPE_CHECKING

from tfnca.lazy import lazily, when_keras_is_loaded

if TYPE_CHECKING:
    from tfnca.automata.alive import Alpha, Stroke
    from tfnca.automata.context import Context
    from tfnca.automata.growing import GrowingCA
    from tfnca.automata.injection import Injected
    from tfnca.automata.invasion import Invasion
    from tfnca.automata.masks import random_mask, random_patch
    from tfnca.automata.mnist import MNISTCA
    from tfnca.automata.neural_ca import NeuralCA
    from tfnca.automata.perturbations import combine
    from tfnca.automata.perturbations.matrix import MatrixPerturbation
    from tfnca.automata.perturbations.shift import ShiftPerturbation
    from tfnca.automata.perturbed import Perturbed
    from tfnca.automata.state import class_logits, digit_state, living_mask, seed_state, to_rgb
    from tfnca.automata.step import Step
    from tfnca.automata.verified import Verified
    from tfnca.data.digits import Digits, cell_labels, load_digits
    from tfnca.data.drawing import lizard
    from tfnca.data.targets import TARGETS, load_target, pad_target
    from tfnca.engines.rollout import rollout, trajectory
    from tfnca.formats.load import load, load_arrays, load_perturbation
    from tfnca.tasks.digit import DigitTask
    from tfnca.tasks.pattern import PatternTask
    from tfnca.tasks.segmentation import SegmentationTask
    from tfnca.tasks.task import Task
    from tfnca.tasks.texture import TextureTask
    from tfnca.training.batch import Batch
    from tfnca.training.invasion import InvasionLoss
    from tfnca.training.losses import ClassLoss, TargetLoss
    from tfnca.training.optimizers import WhitenedAdam
    from tfnca.training.pools import DigitPool, GrowingPool
    from tfnca.training.trainer import Trainer
    from tfnca.zoo.models import load_attack, models

__all__ = [
    "MNISTCA",
    "TARGETS",
    "Alpha",
    "Batch",
    "ClassLoss",
    "Context",
    "DigitPool",
    "DigitTask",
    "Digits",
    "GrowingCA",
    "GrowingPool",
    "Injected",
    "Invasion",
    "InvasionLoss",
    "MatrixPerturbation",
    "NeuralCA",
    "PatternTask",
    "Perturbed",
    "SegmentationTask",
    "ShiftPerturbation",
    "Step",
    "Stroke",
    "TargetLoss",
    "Task",
    "TextureTask",
    "Trainer",
    "Verified",
    "WhitenedAdam",
    "cell_labels",
    "class_logits",
    "combine",
    "digit_state",
    "living_mask",
    "lizard",
    "load",
    "load_arrays",
    "load_attack",
    "load_digits",
    "load_perturbation",
    "load_target",
    "models",
    "pad_target",
    "random_mask",
    "random_patch",
    "rollout",
    "seed_state",
    "to_rgb",
    "trajectory",
]

# TensorFlow's log, which speaks of missing GPUs in the tone of errors, is off unless this says
# otherwise.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

if not TYPE_CHECKING:
    _load, __getattr__, __dir__ = lazily(
        __name__,
        {
            "automata.alive": "Alpha Stroke",
            "automata.context": "Context",
            "automata.growing": "GrowingCA",
            "automata.injection": "Injected",
            "automata.invasion": "Invasion",
            "automata.masks": "random_mask random_patch",
            "automata.mnist": "MNISTCA",
            "automata.neural_ca": "NeuralCA",
            "automata.perturbations": "combine",
            "automata.perturbations.matrix": "MatrixPerturbation",
            "automata.perturbations.shift": "ShiftPerturbation",
            "automata.perturbed": "Perturbed",
            "automata.state": "class_logits digit_state living_mask seed_state to_rgb",
            "automata.step": "Step",
            "automata.verified": "Verified",
            "data.digits": "Digits cell_labels load_digits",
            "data.drawing": "lizard",
            "data.targets": "TARGETS load_target pad_target",
            "engines.rollout": "rollout trajectory",
            "formats.load": "load load_arrays load_perturbation",
            "tasks.digit": "DigitTask",
            "tasks.pattern": "PatternTask",
            "tasks.segmentation": "SegmentationTask",
            "tasks.task": "Task",
            "tasks.texture": "TextureTask",
            "training.batch": "Batch",
            "training.invasion": "InvasionLoss",
            "training.losses": "ClassLoss TargetLoss",
            "training.optimizers": "WhitenedAdam",
            "training.pools": "DigitPool GrowingPool",
            "training.trainer": "Trainer",
            "zoo.models": "load_attack models",
        },
    )
    when_keras_is_loaded(_load)
