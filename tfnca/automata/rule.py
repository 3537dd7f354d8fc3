"""A neural CA as data: everything about its step except the weights.

Layers and the living-cells engine compute a rule; exporters and perturbations read it.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnca.automata.alive import Alpha, Stroke, alive_config, check_alive
from tfnca.automata.checks import check_integer, check_number, check_rate
from tfnca.automata.filters import filter_array
from tfnca.automata.perception import PADDINGS
from tfnca.automata.state import GROWING_CHANNELS
from tfnca.types import Array

ACTIVATIONS = ("linear", "relu", "leaky_relu", "tanh", "gelu", "sigmoid", "silu", "elu")
"""Activations that a rule may use, by their names in Keras."""


_MOST_PARAMETERS = 2**27
"""More than any CA needs, and few enough that a malicious file cannot fill the memory."""


@dataclass(frozen=True)
class Learned:
    """A learned 3×3 perception: a full convolution, or a depthwise one.

    Args:
        filters: Outputs of a full convolution.
        multiplier: Outputs per channel of a depthwise convolution. Give one of the two.
        bias: Whether it has a bias.
        activation: One of `ACTIVATIONS`.
    """

    filters: int | None = None
    multiplier: int | None = None
    bias: bool = True
    activation: str = "linear"

    def __post_init__(self):
        if (self.filters is None) == (self.multiplier is None):
            raise ValueError(
                "learned must be dict(filters=…), a full convolution, or dict(multiplier=…), a "
                f"depthwise one. Received: learned={asdict(self)}"
            )
        check_integer("learned filters or multiplier", self.filters or self.multiplier, 1)
        _check_choice("learned activation", self.activation, ACTIVATIONS)

    def outputs(self, seen: int) -> int:
        """How many values a cell perceives from `seen` channels."""
        return self.filters or (self.multiplier or 0) * seen


@dataclass(frozen=True)
class Rule:
    """A checked rule; see `NeuralCA` for its fields.

    Raises:
        ValueError: If a field is out of its range or two do not fit each other.
    """

    channels: int = GROWING_CHANNELS
    filters: tuple = ("identity", "sobel_x", "sobel_y")
    learned: Learned | None = None
    hidden: tuple[int, ...] = (128,)
    activation: str = "relu"
    negative_slope: float = 0.2
    last_bias: bool = True
    padding: str = "zero"
    alive: Alpha | Stroke | None = None
    fixed: int = 0
    inputs: int = 0
    state_clip: float | None = None
    network_clip: float | None = None
    fire_rate: float = 0.5
    step_size: float = 1.0
    noise_std: float | None = None
    message_bound: float | None = None

    def __post_init__(self):
        channels = self._set("channels", check_integer("channels", self.channels, 1))
        fixed = self._set("fixed", check_integer("fixed", self.fixed, 0, channels - 1))
        self._set("inputs", check_integer("inputs", self.inputs, 0))
        self._set("filters", tuple(map(_hashable, self.filters or ())))
        self._set("learned", _as_learned(self.learned))
        if not self.filters and self.learned is None:
            raise ValueError(
                "A rule needs filters, or a learned perception, or both. "
                f"Received: filters={self.filters!r}, learned=None"
            )
        widths = self.hidden if isinstance(self.hidden, list | tuple) else (self.hidden,)
        self._set("hidden", tuple(check_integer("hidden", width, 1) for width in widths))
        _check_choice("activation", self.activation, ACTIVATIONS)
        _check_choice("padding", self.padding, PADDINGS)
        self._set("alive", check_alive(self.alive, channels, fixed))
        self._check_numbers()
        if self.parameters > _MOST_PARAMETERS:
            raise ValueError(
                f"A rule may have at most {_MOST_PARAMETERS:,} parameters. "
                f"Received: {self.parameters:,}, for {self}"
            )

    def _check_numbers(self) -> None:
        """Skips variables and tensors, which training may change."""
        for field in fields(self):
            name, value = field.name, getattr(self, field.name)
            if value is None or tf.is_tensor(value) or isinstance(value, keras.Variable):
                continue
            if name in ("fire_rate", "noise_std"):
                check_rate(name, value, 0.0, 1.0 if name == "fire_rate" else float("inf"))
            elif name in ("step_size", "negative_slope"):
                check_number(name, value)
            elif name in ("state_clip", "network_clip", "message_bound") and not value > 0:
                raise ValueError(f"{name} must be positive. Received: {name}={value}")

    def _set(self, name: str, value: Any) -> Any:
        object.__setattr__(self, name, value)  # the dataclass is frozen
        return value

    @property
    def seen(self) -> int:
        """Channels that a cell reads from itself and from each neighbour: state and inputs."""
        return self.channels + self.inputs

    @property
    def changing(self) -> int:
        """Channels that a step changes."""
        return self.channels - self.fixed

    @property
    def stencils(self) -> np.ndarray:
        """The fixed filters, ``(3, 3, count)``."""
        arrays = [filter_array(each) for each in self.filters]
        return np.stack(arrays, -1) if arrays else np.zeros((3, 3, 0), np.float32)

    @property
    def perceived(self) -> int:
        """How many values a cell perceives."""
        learned = self.learned.outputs(self.seen) if self.learned else 0
        return len(self.filters) * self.seen + learned

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of a layer's weights with this rule: kernel, bias, kernel, bias …"""
        found: list[tuple[int, ...]] = []
        if (learned := self.learned) is not None:
            found = [(3, 3, self.seen, learned.filters or learned.multiplier or 0)]
            found += [(learned.outputs(self.seen),)] * learned.bias
        for inputs, width in itertools.pairwise((self.perceived, *self.hidden, self.changing)):
            found += [(inputs, width), (width,)]
        return found if self.last_bias else found[:-1]

    @property
    def layers(self) -> tuple:
        """What a CA's layers are made from; with equal ones, a rule can replace another."""
        learned = self.learned and (self.learned, self.padding == "zero")
        return self.shapes, self.activation, self.negative_slope, learned

    @property
    def parameters(self) -> int:
        """How many weights a layer with this rule has, without biases."""
        return sum(math.prod(shape) for shape in self.shapes if len(shape) > 1)

    def living(self, state: Array) -> Array | None:
        """The living cells, booleans ``(batch, height, width, 1)``; None if all cells are alive."""
        return None if self.alive is None else self.alive.living(state, self.padding)

    def config(self) -> dict[str, Any]:
        """The rule as a JSON-able dictionary; ``Rule(**rule.config())`` restores it."""
        return {field.name: as_json(getattr(self, field.name)) for field in fields(self)}


def as_json(value: Any) -> Any:
    """A field's value in a JSON-able form that `Rule` accepts."""
    if isinstance(value, Alpha | Stroke):
        return alive_config(value)
    return asdict(value) if isinstance(value, Learned) else value


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {choices}. Received: {name}={value!r}")


def _hashable(given: Any) -> Any:
    """A filter's name, or its numbers as nested tuples; checked."""
    numbers = tuple(map(tuple, filter_array(given).tolist()))
    return given if isinstance(given, str) else numbers


def _as_learned(given: Any) -> Learned | None:
    if given is None or isinstance(given, Learned):
        return given
    known = {field.name for field in fields(Learned)}
    if not isinstance(given, Mapping) or not set(given) <= known:
        raise ValueError(
            f"learned must be None or a dictionary of {sorted(known)}. Received: learned={given!r}"
        )
    return Learned(**given)
