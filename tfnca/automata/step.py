"""A step: the one idea behind every experiment. It maps a state to the next state."""

from typing import Any

import keras
from keras import ops

from tfnca.automata.perturbations import StatePerturbation
from tfnca.types import Array

GROWING, MNIST = "growing", "mnist"
"""What the channels of a state mean: RGBA and hidden ones, or grey, hidden ones and classes."""


class Step(keras.layers.Layer):
    """A layer that maps a state to the next state.

    `GrowingCA` and `MNISTCA` are steps; `Injected` and `Perturbed` wrap a frozen step and are
    steps themselves. So one rollout, one trainer, one evaluator and one exporter serve all: they
    ask a step what it is by the attributes below, never for its class.

    Call arguments (the same for every step):
        state: Tensor ``(batch, height, width, channels)``; a state is float32 under every dtype
            policy, which decides only what the networks compute in.
        mask: Where adversaries stand, ``(batch, height, width)``, 0 or 1; only for a step that
            holds an `Injected`.
        seed: Integer or scalar tensor: what all draws of a run depend on.
        index: Integer or scalar tensor: the step's number in the run.
        fire_mask: Which cells fire, ``(batch, height, width, 1)``, in place of the draw; for a
            step with two networks a pair (host, adversary).
        noise: What is added to the update of an `MNISTCA`, ``(batch, height, width, 19)``, in
            place of the draw; for a step with two networks a pair.

    Returns:
        Tensor of the shape of `state`.
    """

    channels: int = 0
    """Channels of the state that the step works on."""

    family: str = ""
    """`GROWING` or `MNIST`: what those channels mean."""

    host: "Step" = None  # type: ignore[assignment]
    """The frozen step that this one attacks; None for a CA by itself."""

    tolerance: float | None = None
    """Deviation from the host's rule above which a cell is silenced; None for no such check."""

    holds: bool = False
    """Whether such a cell is held to the tolerance instead."""

    perturbation: StatePerturbation = None  # type: ignore[assignment]
    """The `StatePerturbation` before each step of the host, or None."""

    _HIDDEN = frozenset({"networks", "trained", "layers_in_order", "weights_in_order"})

    def __init__(self, **kwargs: Any):
        # A state stays float32 -> None: each step adds to it, thousands of times over.
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def __dir__(self):
        # Keras saves and loads what dir() lists, and these lead back to what it has saved already.
        return [name for name in super().__dir__() if name not in self._HIDDEN]

    @property
    def networks(self) -> list["CellularAutomaton"]:
        """The `CellularAutomaton` layers inside, host first."""
        raise NotImplementedError

    @property
    def trained(self) -> keras.layers.Layer:
        """What training changes and what a job saves: the step, or its adversary, or its matrix."""
        return self

    @property
    def has_adversary(self) -> bool:
        """Whether the step takes a mask."""
        return len(self.networks) > 1

    @property
    def adds_noise(self) -> bool:
        """Whether the step takes noise."""
        return any(ca.noise_std is not None for ca in self.networks)

    def compute_mask(self, inputs: Any, mask: Array | None = None) -> None:
        """Keras would carry `mask` on to the next layer; here it says where adversaries stand."""
        return None

    def compute_output_shape(self, state_shape: tuple, **kwargs: Any) -> tuple:
        return state_shape


class CellularAutomaton(Step):
    """A step that is one network: what `Injected` mixes and an engine runs.

    A class of its own says its `family` and `channels`, and builds `layers_in_order`.
    """

    fire_rate = 0.5
    step_size = 1.0
    angle = 0.0
    message_bound: float | None = None
    """Largest value, either sign, that a cell reads of a state; None for no bound."""
    noise_std: float | None = None
    """Standard deviation of the noise on every update; None for a kind that takes no noise."""

    @property
    def networks(self) -> list["CellularAutomaton"]:
        return [self]

    @property
    def layers_in_order(self) -> list[keras.layers.Layer]:
        """The layers that hold a kernel and a bias, from perception to update."""
        raise NotImplementedError

    @property
    def weights_in_order(self) -> list[keras.Variable]:
        """Their variables: kernel, bias, kernel, bias …"""
        return [weight for layer in self.layers_in_order for weight in (layer.kernel, layer.bias)]


def freeze_copy(step: Step) -> Step:
    """A frozen copy of a step, so that wrapping leaves the caller's object as it was."""
    copy = type(step).from_config(step.get_config())
    copy.set_weights(step.get_weights())
    # A copy of what is frozen already has inner layers that are not, and Keras passes `trainable`
    # on to them only where it changes.
    copy.trainable = True
    copy.trainable = False
    return copy


def grid_shape(state: Array) -> tuple:
    """``(batch, height, width)`` of a state, static where known."""
    return tuple(ops.shape(state)[:3])
