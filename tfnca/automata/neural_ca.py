"""Any neural CA that consists of a perception, a few dense layers, and an alive rule."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from tfnca.automata.alive import Alpha, Stroke
from tfnca.automata.checks import check_inputs, reject_mask, reject_noise
from tfnca.automata.context import Context
from tfnca.automata.perception import pad, perceive
from tfnca.automata.rule import Learned, Rule, as_json
from tfnca.automata.scaling import rescale
from tfnca.automata.state import GROWING_CHANNELS
from tfnca.automata.step import CellularAutomaton, clipped, grid_shape, in_xla
from tfnca.types import Array


def rectify(values: Array) -> Array:
    """The positive part, like `keras.activations.relu`, except that NaN stays NaN.

    TensorFlow fuses a convolution and a Relu into one operation, which returns 0 for NaN on some
    processors.
    """
    return ops.maximum(0.0, values)  # in this order the gradient at 0 is 0, like a Relu's


@keras.saving.register_keras_serializable("tfnca")
class NeuralCA(CellularAutomaton):
    """A neural CA defined by its rule: what cells perceive and compute, and when they are alive.

    Each cell perceives its 3×3 neighbourhood, through fixed filters, a learned convolution, or
    both. Dense layers turn that into an update, which a random part of the cells apply. The fire
    mask is part of the model: it is drawn in training and in use, and rescales nothing.

    `GrowingCA` and `MNISTCA` are the article's two rules under their own names.

    Args:
        channels: Channels of the state.
        filters: Any number of fixed filters: names from `tfnca.automata.filters`, such as
            ``"laplacian"`` (divided by 8; ``"laplacian_unscaled"`` is not) or
            ``"sobel_y_flipped"``, or 3×3 arrays. The order of the perceived values is
            channel-major: filter k of channel c is number ``len(filters) * c + k``.
        learned: A learned perception, appended to the fixed one: ``dict(filters=80)`` is a full
            3×3 convolution, ``dict(multiplier=3)`` a depthwise one. ``bias=False`` leaves out its
            bias; ``activation`` is ``"linear"`` by default.
        hidden: Widths of the hidden layers; ``()`` for none.
        activation: Their activation: ``"relu"``, ``"leaky_relu"``, ``"tanh"``, ``"gelu"``,
            ``"sigmoid"``, ``"silu"``, ``"elu"``, or ``"linear"``.
        negative_slope: Slope of ``"leaky_relu"`` below 0: 0.2 in Keras, 0.01 in PyTorch.
        last_bias: Whether the last layer, whose kernel starts at zero, has a bias.
        padding: What a border cell perceives beyond the border: ``"zero"``; ``"circular"``, the
            opposite side; ``"replicate"``, the border row again; ``"reflect"``, the row before
            the border.
        alive: `Alpha`, cells grow and die; `Stroke`, only cells on a fixed stroke change; None,
            all cells live.
        fixed: Number of leading channels that never change, such as an image.
        inputs: Number of channels that each step receives in addition to the state, such as a
            goal. Cells perceive them after the state's channels; under an `Alpha` rule only living
            cells receive them.
        state_clip: Largest absolute value of a channel that a step has changed.
        network_clip: Largest absolute value of perceptions, hidden layers and updates.
        fire_rate: Probability that a cell updates in a step, in [0, 1].
        step_size: Factor on every update.
        noise_std: Standard deviation of the noise that is added to every update, in training and
            in use; None for a rule that takes no noise.
        message_bound: Largest absolute value that a cell reads from a state.

    Call arguments:
        See `Step`.

    Returns:
        The next state, ``(batch, height, width, channels)``.

    Raises:
        ValueError: If an argument is out of its range, two do not fit each other, or a state has
            a different number of channels. Or if an argument that shaped the layers is set later.

    Example:

    >>> import numpy as np, tfnca
    >>> texture = tfnca.NeuralCA(
    ...     channels=12,
    ...     filters=("identity", "sobel_x", "sobel_y", "laplacian"),
    ...     hidden=(96,),
    ...     padding="circular",
    ... )
    >>> texture(np.zeros((1, 32, 32, 12)), seed=0, index=0).shape
    TensorShape([1, 32, 32, 12])

    Reference:
        Mordvintsev et al., "Growing Neural Cellular Automata", and Niklasson et al.,
        "Self-Organising Textures", Distill, 2020 and 2021.
    """

    arguments: tuple[str, ...] = tuple(field.name for field in fields(Rule))
    """The arguments in the configuration; a preset such as `GrowingCA` has fewer, and fixes the
    rest of the rule."""

    task: str | None = None
    """The name of the task that a preset is for; None for any other rule."""

    def __init__(
        self,
        channels: int = GROWING_CHANNELS,
        filters: Sequence[str | Array | Sequence] | None = ("identity", "sobel_x", "sobel_y"),
        learned: Mapping[str, Any] | Learned | None = None,
        hidden: int | Sequence[int] = (128,),
        activation: str = "relu",
        negative_slope: float = 0.2,
        last_bias: bool = True,
        padding: str = "zero",
        alive: Alpha | Stroke | Mapping | None = None,
        fixed: int = 0,
        inputs: int = 0,
        state_clip: float | None = None,
        network_clip: float | None = None,
        fire_rate: float = 0.5,
        step_size: float = 1.0,
        noise_std: float | None = None,
        message_bound: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given: dict[str, Any] = {
            "channels": channels,
            "filters": filters,
            "learned": learned,
            "hidden": hidden,
            "activation": activation,
            "negative_slope": negative_slope,
            "last_bias": last_bias,
            "padding": padding,
            "alive": alive,
            "fixed": fixed,
            "inputs": inputs,
            "state_clip": state_clip,
            "network_clip": network_clip,
            "fire_rate": fire_rate,
            "step_size": step_size,
            "noise_std": noise_std,
            "message_bound": message_bound,
        }
        rule = Rule(**given)
        for field in fields(rule):
            setattr(self, field.name, getattr(rule, field.name))
        self.perceive = self._perception(rule.learned, rule) if rule.learned else None
        self.update_layers = self._update_layers(rule)
        self.built = True

    def __setattr__(self, name: str, value: Any) -> None:
        if name in NeuralCA.arguments and getattr(self, "built", False):
            self._reject_what_is_fixed({name: value})
            rule = NeuralCA.rule.fget(self)  # type: ignore[attr-defined]
            if replace(rule, **{name: value}).layers != rule.layers:
                raise ValueError(
                    f"{name} of a {type(self).__name__} cannot be set after its layers were made; "
                    f"{_another(name)}. Received: {name}={value!r}"
                )
        super().__setattr__(name, value)

    def _reject_what_is_fixed(self, given: Mapping[str, Any]) -> None:
        """Raises an error for what a preset fixes: its file would not have it."""
        for name in NeuralCA.arguments:
            if name in given and name not in self.arguments:
                raise ValueError(
                    f"{name} of a {type(self).__name__} cannot be set, as it is fixed; "
                    f"{_another(name)}. Received: {name}={given[name]!r}"
                )

    @property
    def rule(self) -> Rule:
        """The rule that the attributes currently describe."""
        return Rule(**{field.name: getattr(self, field.name) for field in fields(Rule)})

    @property
    def layers_in_order(self) -> list[keras.layers.Layer]:
        return [layer for layer in (self.perceive, *self.update_layers) if layer is not None]

    def _perception(self, learned: Learned, rule: Rule) -> keras.layers.Layer:
        settings: dict[str, Any] = {
            "kernel_size": 3,
            "padding": "same" if rule.padding == "zero" else "valid",
            "activation": rectify
            if learned.activation == "relu"
            else activation_of(learned.activation, rule.negative_slope),
            "use_bias": learned.bias,
            "data_format": "channels_last",
            "name": "perceive",
            "dtype": self.dtype_policy,
        }
        if learned.filters:
            layer = layers.Conv2D(learned.filters, **settings)
        else:
            layer = layers.DepthwiseConv2D(depth_multiplier=learned.multiplier, **settings)
        layer.build((None, None, None, rule.seen))
        return layer

    def _update_layers(self, rule: Rule) -> list[keras.layers.Layer]:
        """The layers named hidden, hidden_1 …, and update."""
        made, policy = [], self.dtype_policy
        activation = activation_of(rule.activation, rule.negative_slope)
        for number, width in enumerate(rule.hidden):
            name = f"hidden_{number}" if number else "hidden"
            made.append(layers.Dense(width, activation=activation, name=name, dtype=policy))
        made.append(
            layers.Dense(
                rule.changing,
                use_bias=rule.last_bias,
                kernel_initializer="zeros",
                name="update",
                dtype=policy,
            )
        )
        sizes = rule.perceived, *rule.hidden
        for layer, size in zip(made, sizes, strict=True):
            layer.build((None, size))
        return made

    def propose(
        self, state: Array, context: Context, cells: Array | None = None
    ) -> tuple[Array, Array]:
        """The update that the network computes, and the cells that apply it.

        Args:
            state: float32 tensor ``(batch, height, width, channels)``.
            context: The seed, the inputs and so on.
            cells: The cells whose update is used, booleans ``(batch, height, width, 1)``; by
                default, all. The update of the other cells is undefined.

        Returns:
            The update of the last `changing` channels, with step size and noise; and which cells
            apply it, booleans ``(batch, height, width, 1)``: those in `cells` that fire. A `Stroke`
            rule leaves out cells that are not alive. Whether cells die is up to `advance`.
        """
        rule, name = self.rule, type(self).__name__
        check_inputs(context.inputs, rule.inputs, state, name)
        reject_mask(context.mask, name)
        if rule.noise_std is None:
            reject_noise(context.noise, name)
        shape = grid_shape(state)
        fires = context.fires(shape, rule.fire_rate)
        if isinstance(rule.alive, Stroke):
            fires = ops.logical_and(fires, rule.living(state))
        few = None
        if cells is not None:
            fires = ops.logical_and(fires, cells)
            # XLA needs to know how many cells there are. So does TensorFlow.js, whose graphs take
            # the fire mask as an input.
            few = None if in_xla() or context.fire_mask is not None else fires
        read = self._read(rule, state, context.inputs)
        update = rule.step_size * self._update(rule, read, few)
        if context.noise is not None:
            update = update + ops.cast(context.noise, "float32")
        elif rule.noise_std:
            update = update + rule.noise_std * context.normal(shape, rule.changing)
        return update, fires

    def advance(self, state: Array, context: Context) -> Array:
        rule = self.rule
        update, fires = self.propose(state, context)
        fixed, rest = state[..., : rule.fixed], state
        if rule.fixed:
            rest = state[..., rule.fixed :]
        # Selected rather than multiplied by the masks: 0 times infinity or NaN is not 0.
        rest = ops.where(fires, clipped(rest + update, rule.state_clip), rest)
        following = ops.concatenate([fixed, rest], axis=-1) if rule.fixed else rest
        if not isinstance(rule.alive, Alpha):
            return following
        alive = ops.logical_and(rule.living(state), rule.living(following))
        rest = ops.where(alive, rest, 0.0)
        return ops.concatenate([fixed, rest], axis=-1) if rule.fixed else rest

    @property
    def changing(self) -> int:
        return self.channels - self.rule.fixed

    def living(self, state: Array) -> Array | None:
        return self.rule.living(state)

    def confine(self, state: Array, changed: Array) -> Array:
        rule = self.rule
        alive = rule.living(state)
        changed = clipped(changed, self.state_bound)
        if alive is not None:
            changed = ops.where(alive, changed, 0.0 if isinstance(rule.alive, Alpha) else state)
        fixed = state[..., : rule.fixed]
        return ops.concatenate([fixed, changed[..., rule.fixed :]], -1) if rule.fixed else changed

    def scaled(self, factors: Array) -> "NeuralCA":
        """The same rule in other units: a value x of channel c becomes ``f_c * x``.

        Convert the initial state too: from ``factors * seed_state(72)`` the scaled CA repeats the
        original run, but from ``seed_state(72)`` itself it does not.

        Args:
            factors: Positive, ``(channels,)``; 1 for the channel that decides which cells live.

        Returns:
            A new CA of the same class.

        Raises:
            ValueError: If the factors are not positive or not 1 where they must be, or the rule
                cannot be expressed in other units: it clips values or adds noise, or a subclass
                replaces one of its methods.
        """
        return rescale(self, factors)

    @property
    def state_bound(self) -> float | None:  # type: ignore[override]
        return self.state_clip

    def _read(self, rule: Rule, state: Array, inputs: Array | None) -> Array:
        """The values that a cell reads from itself and its neighbours."""
        read = clipped(state, rule.message_bound)
        if inputs is None:
            return read
        inputs = ops.cast(inputs, "float32")
        if len(inputs.shape) == 2:
            inputs = inputs[:, None, None, :]
        inputs = ops.broadcast_to(inputs, (*grid_shape(state), rule.inputs))
        if isinstance(rule.alive, Alpha):
            inputs = ops.where(rule.living(state), inputs, 0.0)
        return ops.concatenate([read, inputs], axis=-1)

    def _update(self, rule: Rule, read: Array, few: Array | None = None) -> Array:
        """The network's update of the channels that change, as float32.

        Outside the cells of `few`, which saves their computation, it is 0.
        """
        perceived = []
        if rule.filters:
            cast = ops.cast(read, self.compute_dtype)
            perceived.append(perceive(cast, rule.stencils, rule.padding))
        if self.perceive is not None:
            wide = read if rule.padding == "zero" else pad(read, rule.padding)
            perceived.append(self.perceive(wide))
        values = ops.concatenate(perceived, axis=-1) if len(perceived) == 2 else perceived[0]
        values = clipped(values, rule.network_clip)
        places = None if few is None else tf.where(few[..., 0])
        if places is not None:
            values = tf.gather_nd(values, places)
        for layer in self.update_layers:
            values = clipped(layer(values), rule.network_clip)
        if places is not None:
            shape = (*grid_shape(read), rule.changing)
            values = tf.scatter_nd(places, values, tf.cast(tf.stack(shape), places.dtype))
        return ops.cast(values, "float32")

    def get_config(self) -> dict:
        own = {name: as_json(getattr(self, name)) for name in self.arguments}
        return {**super().get_config(), **own}


def _another(name: str) -> str:
    """How to make a CA that differs in one argument."""
    return f'make a new CA: tfnca.NeuralCA(**{{**ca.rule.config(), "{name}": …}})'


@keras.saving.register_keras_serializable("tfnca")
@dataclass(frozen=True)
class LeakyRelu:
    """`keras.activations.leaky_relu` with a slope, which a layer's configuration can hold."""

    negative_slope: float

    def __call__(self, x: Array) -> Array:
        return keras.activations.leaky_relu(x, self.negative_slope)

    def get_config(self) -> dict:
        return {"negative_slope": self.negative_slope}


def activation_of(name: str, negative_slope: float) -> Callable[[Array], Array]:
    """The activation of that name."""
    if name == "leaky_relu":
        return LeakyRelu(negative_slope)
    return keras.activations.get(name)
