"""tfnca: adversarial reprogramming of neural cellular automata, in Keras 3."""

from tfnca.growing import GrowingCA
from tfnca.injection import Injected, random_mask
from tfnca.losses import ClassLoss, TargetLoss
from tfnca.mnist import MNISTCA
from tfnca.perturbation import Perturbation, Perturbed, combine
from tfnca.pool import DigitPool, GrowingPool
from tfnca.rollout import rollout, trajectory
from tfnca.state import digit_state, living_mask, seed_state, to_rgb
from tfnca.targets import TARGETS, lizard, load_target, pad_target
from tfnca.trainer import Trainer
