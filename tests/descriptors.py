"""A descriptor of each public layer: how to make one, how to call it, and what it is made of.

A new kind of layer joins the conformance suite, the engines' tests and the goldens by one line of
`LAYERS`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np
from rules import RULES, filled, some_state

import tfnca
from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.invasion import Invasion
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.perturbations.matrix import MatrixPerturbation
from tfnca.automata.perturbations.shift import ShiftPerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.step import Step
from tfnca.automata.verified import Verified


@dataclass(frozen=True)
class Descriptor:
    """How the suite makes and calls a layer; called, it makes one with its weights filled."""

    make: Callable[[], keras.layers.Layer]
    wrap: Callable[[Step], Step] | None = None
    """For a wrapper: the same kind of step round a given host."""
    weights_alone: tuple[str, ...] = ()
    """Arguments of ``__init__`` that live in the weights, not in the configuration."""

    def __call__(self):
        return self.make()

    @functools.cached_property
    def _kept(self):
        layer = self.make()
        return layer, layer.get_config(), layer.get_weights()

    def shared(self):
        """One layer for all tests that change nothing of it but weights, which are filled anew.

        TensorFlow traces its rollouts once, where each new layer's would take a second.
        """
        layer, config, weights = self._kept
        assert layer.get_config() == config, "a test changed a layer that others share"
        layer.set_weights(weights)
        return layer

    @property
    def is_step(self):
        return isinstance(self.shared(), Step)

    def call(self, layer, state):
        """Calls the layer with arguments that are the same each time."""
        return layer(state, **self.arguments(layer, state.shape[:3]))

    def arguments(self, layer, shape):
        """Keyword arguments for a call on a grid of this shape, ``(batch, height, width)``."""
        if not isinstance(layer, Step):
            return {}
        return {"seed": 7, "index": 3, **random_masks(layer, shape)}


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


def pushing(seed, strength=0.1, channels=16):
    """A vector of all different entries."""
    return np.random.default_rng(seed).normal(scale=strength, size=channels).astype(np.float32)


def _two(kind, **kwargs):
    return Injected(counted(kind(**kwargs)), shuffled(kind(**kwargs), seed=1))


def _inject(host):
    return Injected(host, shuffled(type(host)(), seed=5))


def _invade(host):
    return Invasion(host, shuffled(type(host)(), seed=5))


def _verify(host):
    return Verified(host, shuffled(type(host)(), seed=5), 46.0)


def _shifted(host, vector=None):
    return Perturbed(host, ShiftPerturbation(vector=vector))


LAYERS = {
    "GrowingCA": Descriptor(lambda: counted(GrowingCA(angle=0.3, step_size=0.7, name="lizard"))),
    "MNISTCA": Descriptor(lambda: counted(MNISTCA(noise_std=0.05))),
    "NeuralCA": Descriptor(lambda: filled(RULES["texture, clipped"])),
    "NeuralCA of every part": Descriptor(
        lambda: filled(
            {
                "channels": 6,
                "learned": {"multiplier": 2, "activation": "relu"},
                "hidden": (9, 5),
                "activation": "leaky_relu",
                "padding": "replicate",
                "alive": tfnca.Alpha(4, 0.2),
                "fixed": 1,
                "noise_std": 0.05,
            }
        )
    ),
    "NeuralCA segmenter": Descriptor(lambda: filled(RULES["segmenter"])),
    "Injected": Descriptor(lambda: _two(GrowingCA), _inject),
    "Injected MNISTCA": Descriptor(lambda: _two(MNISTCA, fire_rate=0.6), _inject),
    "Invasion": Descriptor(
        lambda: Invasion(counted(GrowingCA()), shuffled(GrowingCA(fire_rate=0.6), seed=1)), _invade
    ),
    "Verified": Descriptor(
        lambda: Verified(
            counted(MNISTCA(noise_std=0.05)), shuffled(MNISTCA(noise_std=0.05), seed=1), 46.0
        ),
        _verify,
    ),
    "Perturbation": Descriptor(
        lambda: MatrixPerturbation(matrix=symmetric(2)), weights_alone=("matrix",)
    ),
    "StateShift": Descriptor(
        lambda: ShiftPerturbation(vector=pushing(5)), weights_alone=("vector",)
    ),
    "Perturbed": Descriptor(lambda: Perturbed(counted(GrowingCA()), symmetric(3)), Perturbed),
    "Perturbed Injected": Descriptor(
        lambda: Perturbed(_two(GrowingCA, step_size=0.8), symmetric(4)), Perturbed
    ),
    "Perturbed StateShift": Descriptor(
        lambda: _shifted(counted(GrowingCA()), pushing(6)), _shifted
    ),
}
"""Keys start with the class's name in files, which the goldens have too."""

OTHERS = NeuralCA, Invasion
STEPS = [name for name, d in LAYERS.items() if d.is_step and type(d.shared()) not in OTHERS]
"""The article's. Those of other rules are compared over the table in `rules.py`; an invasion runs
in one engine only."""


def grows(layer):
    """Whether a layer is a perturbation, or a step of a Growing CA."""
    return not hasattr(layer, "networks") or isinstance(layer.networks[0], tfnca.GrowingCA)


LIZARDS = [name for name, d in LAYERS.items() if grows(d.shared())]
"""Those of a Growing CA."""
WRAPPERS = [name for name, descriptor in LAYERS.items() if descriptor.wrap]


def random_state(layer, shape=(2, 6, 7), seed=0):
    """A state ``(*shape, channels)`` in which about half of the cells live."""
    if type(getattr(layer, "networks", [None])[0]) is NeuralCA:
        return some_state(layer.networks[0].rule, shape, seed)
    random = np.random.default_rng(seed)
    state = random.normal(scale=0.5, size=(*shape, layer.channels))
    seeds = random.random(shape)
    if grows(layer):
        state[..., 3] = np.where(seeds < 0.08, 0.2 + seeds * 10, seeds - 0.95)
    else:
        state[..., 0] = np.where(seeds < 0.5, 0.2 + seeds, 0.1 * (seeds - 0.5))
    return state.astype(np.float32)


def random_masks(step, shape, density=0.4, seed=0):
    """``{"mask": mask}`` for a step with an adversary, else nothing."""
    if not getattr(step, "has_adversary", False):
        return {}
    return {"mask": tfnca.random_mask(np.ones(shape, bool), density, seed)}
