"""What the tests share: one step of each kind, states that live and die, published weights."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf

import tfnca
from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.perturbations.matrix import Perturbation
from tfnca.automata.perturbed import Perturbed


def counted(layer, scale=1.0):
    """Fills each weight with 0, 1, 2 … (centred, scaled), so that no two entries are alike."""
    for weight in layer.weights:
        size = int(np.prod(weight.shape))
        values = (np.arange(size) / size - 0.4).reshape(weight.shape)
        weight.assign(scale * values / np.sqrt(size / weight.shape[-1]))
    return layer


def shuffled(layer, seed, scale=1.0):
    """Fills the weights at random."""
    random = np.random.default_rng(seed)
    for weight in layer.weights:
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 16
        weight.assign(scale * random.normal(size=weight.shape) / np.sqrt(fan_in))
    return layer


def symmetric(seed, strength=0.1, channels=16):
    """A symmetric matrix near the identity, of all different entries."""
    noise = np.random.default_rng(seed).normal(size=(channels, channels))
    return (np.eye(channels) + strength * (noise + noise.T)).astype(np.float32)


def _two(kind, **kwargs):
    return Injected(counted(kind(**kwargs)), shuffled(kind(**kwargs), seed=1))


LAYERS = {
    "GrowingCA": lambda: counted(GrowingCA(angle=0.3, step_size=0.7, name="lizard")),
    "MNISTCA": lambda: counted(MNISTCA(noise_std=0.05)),
    "Injected": lambda: _two(GrowingCA),
    "Injected MNISTCA": lambda: _two(MNISTCA, fire_rate=0.6),
    "Perturbation": lambda: Perturbation(matrix=symmetric(2)),
    "Perturbed": lambda: Perturbed(counted(GrowingCA()), symmetric(3)),
    "Perturbed Injected": lambda: Perturbed(_two(GrowingCA, step_size=0.8), symmetric(4)),
}
"""Makes a layer of each kind, its weights filled. Keys start with the class's name."""

STEPS = [name for name in LAYERS if name != "Perturbation"]


def random_state(layer, shape=(2, 6, 7), seed=0):
    """A state ``(*shape, channels)`` in which about half of the cells live."""
    random = np.random.default_rng(seed)
    state = random.normal(scale=0.5, size=(*shape, layer.channels))
    seeds = random.random(shape)
    if layer.channels == 16:
        state[..., 3] = np.where(seeds < 0.08, 0.2 + seeds * 10, seeds - 0.95)
    else:
        state[..., 0] = np.where(seeds < 0.5, 0.2 + seeds, 0.1 * (seeds - 0.5))
    return state.astype(np.float32)


def random_draws(step, shape, steps, seed=0):
    """Fire masks and noise to hand in, and an adversary mask, as `rollout` takes them."""
    random = np.random.default_rng(seed)
    networks = len(step.networks)
    draws = {"fire_masks": random.random((steps, networks, *shape)) < 0.6}
    if isinstance(step.networks[0], MNISTCA):
        size = (steps, networks, *shape, step.channels - 1)
        draws["noise"] = random.normal(scale=0.05, size=size).astype(np.float32)
    return draws | random_masks(step, shape, seed=seed)


def random_masks(step, shape, density=0.4, seed=0):
    """``{"mask": mask}`` for a step with an adversary, else nothing."""
    if len(getattr(step, "networks", [])) < 2:
        return {}
    return {"mask": tfnca.random_mask(np.ones(shape, bool), density, seed)}


@pytest.fixture(params=["dense", "sparse"])
def engine(request):
    return request.param


def gradients(function, layer, state, upstream):
    """The result of ``function(state)`` and the gradients of its product with `upstream`.

    The gradients are those of the state and of the weights that training changes.
    """
    trained = getattr(layer, "trained", layer)
    state, variables = tf.convert_to_tensor(state), [weight.value for weight in trained.weights]
    with tf.GradientTape() as tape:
        tape.watch(state)
        result = function(state)
        total = tf.reduce_sum(result * upstream)
    return [value.numpy() for value in [result, *tape.gradient(total, [state, *variables])]]
