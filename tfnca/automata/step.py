"""The step, which maps a state to the next state and is the base of every experiment."""

import itertools
import warnings
import weakref
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from tfnca.automata.checks import check_channels, check_own_draws, is_concrete
from tfnca.automata.context import Context
from tfnca.automata.perturbations import StatePerturbation
from tfnca.types import Array


class Step(keras.layers.Layer):
    """A layer that maps a state to the next state.

    `NeuralCA`, `GrowingCA` and `MNISTCA` are steps; `Injected` and `Perturbed` wrap a frozen step
    and are steps themselves. So one rollout, one trainer, one evaluator and one exporter work for
    all of them: they read the attributes below and never check a step's class.

    To write your own step, set `channels` and override `advance`. An attack also sets `host`, to a
    `freeze_copy`.

    Call arguments (the same for every step):
        state: Tensor ``(batch, height, width, channels)``; a state is float32 under every dtype
            policy; the policy only sets the precision of the networks.
        mask, seed, index, fire_mask, noise, network, age, inputs: The fields of a `Context`.
        context: All of these fields in one object, instead of the separate arguments.

    Returns:
        Tensor of the same shape as `state`.

    Example:

    >>> import tfnca
    >>> class Blur(tfnca.Step):
    ...     channels = 4
    ...     def advance(self, state, context):
    ...         return ops.average_pool(state, 3, strides=1, padding="same")
    >>> tfnca.rollout(Blur(), tfnca.seed_state(16, channels=4), steps=5).shape
    TensorShape([1, 16, 16, 4])
    """

    channels: int = 0
    """Channels of the state that the step works on."""

    host: "Step" = None  # type: ignore[assignment]
    """The frozen step that this one attacks; None for a plain CA."""

    tolerance: float | None = None
    """Largest allowed deviation from the host's rule; None for no deviation test."""

    mode: str = "silence"
    """What the deviation test does to a cell above the tolerance: ``"silence"`` or ``"clip"``."""

    perturbation: StatePerturbation = None  # type: ignore[assignment]
    """The `StatePerturbation` applied before each step of the host, or None."""

    fire_rate: float = 0.5
    """Probability that a cell updates in a step."""

    message_bound: float | None = None
    """Largest absolute value that a cell reads from a state; None for no bound."""

    noise_std: float | None = None
    """Standard deviation of the noise on every update; None for a step that takes no noise."""

    state_bound: float | None = None
    """Largest absolute value in a perturbed state, which is clipped to it; None for no bound."""

    _HIDDEN = frozenset({"networks", "trained", "layers_in_order", "weights_in_order"})

    def __init__(self, **kwargs: Any):
        # A state stays float32 -> None: each step adds to it, thousands of times over.
        super().__init__(autocast=False, **kwargs)
        self.supports_masking = True

    def __dir__(self):
        # Keras saves and loads what dir() lists; these refer to objects that it has saved already.
        return [name for name in super().__dir__() if name not in self._HIDDEN]

    def call(
        self,
        state: Array,
        mask: Array | None = None,
        seed: Any = None,
        index: Any = 0,
        fire_mask: Any = None,
        noise: Any = None,
        network: Any = 0,
        age: Any = None,
        inputs: Any = None,
        context: Context | None = None,
    ) -> Array:
        if context is None:
            context = Context(seed, index, age, mask, fire_mask, noise, inputs, network)
        check_channels(state, self.channels, type(self).__name__)
        check_own_draws(context.fire_mask, context.noise, state, self)
        return self.advance(ops.cast(state, "float32"), context)

    def advance(self, state: Array, context: Context) -> Array:
        """Computes the next state; override this in your own step.

        Args:
            state: float32 tensor ``(batch, height, width, channels)``.
            context: The seed, the mask and so on; to call a step inside this one, see `next_state`.

        Returns:
            Tensor of the same shape as `state`.
        """
        raise NotImplementedError(
            f"{type(self).__name__} must say what one step does: override "
            "advance(state, context), which returns the next state."
        )

    def living(self, state: Array) -> Array | None:
        """The living cells, which are the ones that a perturbation changes.

        Returns:
            Boolean tensor ``(batch, height, width, 1)``; None if all cells are alive.
        """
        return None

    @property
    def networks(self) -> list["CellularAutomaton"]:
        """The steps that draw and compute, host first: the host's, or the step itself."""
        return [self] if self.host is None else self.host.networks  # type: ignore[list-item]

    def confine(self, state: Array, changed: Array) -> Array:
        """Applies a change to the living cells of a state, within the bounds of the rule.

        Args:
            state: Tensor ``(batch, height, width, channels)``.
            changed: The state with the change applied to all cells.

        Returns:
            Tensor of the same shape; dead cells are zero. It equals `state` if nothing was changed,
            all dead cells are zero and no value exceeds `state_bound`.
        """
        bounded = clipped(changed, self.state_bound)
        alive = self.living(state)
        return bounded if alive is None else ops.where(alive, bounded, 0.0)

    @property
    def trained(self) -> keras.layers.Layer:
        """What training changes and a job saves: the step, its adversary or its perturbation."""
        return self

    @property
    def has_adversary(self) -> bool:
        """Whether the step takes a mask."""
        return len(self.networks) > 1

    @property
    def changing(self) -> int:
        """The number of channels that a step changes, which are the last ones."""
        inside = (ca.changing for ca in self.networks if ca is not self)
        return max(inside, default=self.channels)

    @property
    def adds_noise(self) -> bool:
        """Whether the step takes noise."""
        return any(ca.noise_std is not None for ca in self.networks)

    def compute_mask(self, inputs: Any, mask: Array | None = None) -> None:
        """Keras would pass `mask` on to the next layer, but here it marks the adversaries."""
        return None

    def compute_output_shape(self, state_shape: tuple, **kwargs: Any) -> tuple:
        return state_shape


class CellularAutomaton(Step):
    """A step with a single network, which `Injected` can mix and an engine can run.

    To write your own, set `channels` and override `advance`, which draws from its context:
    `Context.fires` and `Context.normal`. Exports and the article's files also need
    `layers_in_order`.
    """

    step_size = 1.0
    angle = 0.0

    @property
    def layers_in_order(self) -> list[keras.layers.Layer]:
        """The layers that hold a kernel and a bias, from perception to update."""
        raise NotImplementedError

    @property
    def weights_in_order(self) -> list[keras.Variable]:
        """Their variables: kernel, bias, kernel, bias …; a layer without a bias has none."""
        both = [weight for layer in self.layers_in_order for weight in (layer.kernel, layer.bias)]
        return [weight for weight in both if weight is not None]


def check_step(step: Any, name: str = "step") -> None:
    """Raises ValueError unless `step` is a `Step`."""
    if isinstance(step, Step):
        return
    hint = ""
    if isinstance(step, StatePerturbation):
        hint = "; a perturbation takes a host: tfnca.Perturbed(host, perturbation)"
    raise ValueError(
        f"{name} must be a Step, such as a GrowingCA, an MNISTCA, or one wrapped round them{hint}. "
        f"Received: {type(step).__name__}"
    )


def next_state(step: Step, state: Array, context: Context, **keywords: Any) -> Array:
    """Calls a step; a custom `call` receives only the fields of the context that it accepts.

    Keywords are arguments that Keras knows, such as ``training``.
    """
    call = step.call
    if getattr(call, "__func__", None) is Step.call:
        return step(state, context=context, **keywords)
    return step(state, **context.keywords(call), **keywords)


def freeze_copy(step: Step) -> Step:
    """A frozen copy of a step, so that wrapping does not change the caller's object."""
    copy = copy_from_config(step)
    # In a copy of a frozen step the inner layers are not frozen, and Keras passes `trainable` on
    # to them only when the value changes.
    copy.trainable = True
    copy.trainable = False
    return copy


def copy_from_config(step: Step) -> Step:
    """A copy of a step, as a file would restore it.

    Raises:
        ValueError: If the step's configuration does not describe it, because a layer or an
            attribute was changed after the step was made.
    """
    copy = type(step).from_config(step.get_config())
    for mine, restored in itertools.zip_longest(_layers_in(step), _layers_in(copy)):
        if changed := _changed_since_made(mine, restored):
            layer = mine or restored
            raise ValueError(
                f"The configuration of {type(step).__name__} leaves out a change of {changed} of "
                f"'{layer.name}', so a copy or a file would lose it. Give the value to the "
                "constructor, or return it from get_config. Received: a step changed after it "
                "was made"
            )
    copy.set_weights(step.get_weights())
    return copy


def _layers_in(layer: keras.layers.Layer) -> Iterator[keras.layers.Layer]:
    """A layer and those in its attributes; Keras' own list keeps layers that were replaced."""
    yield layer
    for name, value in vars(layer).items():
        if not name.startswith("_"):
            for each in value if isinstance(value, list | tuple) else [value]:
                if isinstance(each, keras.layers.Layer):
                    yield from _layers_in(each)


def _changed_since_made(mine: Any, restored: Any) -> str | None:
    """The name of what differs between a layer and the one that its configuration restores."""
    if type(mine) is not type(restored):
        return "the layers"
    described, its = (_without_ids(each.get_config()) for each in (mine, restored))
    inside = {name for name, value in vars(mine).items() if isinstance(value, _LAYERS)}
    changed = [name for name in described if described[name] != its.get(name, ...)]
    changed = [name for name in changed if name not in inside]  # compared on their own
    if isinstance(mine, Step):  # Keras' own layers also keep notes in their attributes
        attributes = vars(restored)
        changed += [
            name
            for name, value in vars(mine).items()
            if not name.startswith("_")
            and isinstance(value, _COMPARED)
            and value != attributes.get(name, ...)
        ]
    return next((f"`{name}`" for name in changed if name not in _OWN_NAMES), None)


def _without_ids(config: Any) -> Any:
    """A configuration without the numbers that Keras gives to objects while it loads a file."""
    if isinstance(config, dict):
        return {k: _without_ids(v) for k, v in config.items() if k != "shared_object_id"}
    return config


_LAYERS = (keras.layers.Layer, list, tuple)
_COMPARED = (bool, int, float, str, type(None))
_OWN_NAMES = (
    *("name", "trainable", "dtype", "built"),
    *("train_function", "test_function", "predict_function"),
)
"""What a copy may have otherwise: Keras numbers names and policies, a copy is frozen, a step with
weights from its constructor is built by its first call, and an export for LiteRT leaves functions
of None behind."""


_looked_at: "weakref.WeakSet[Step]" = weakref.WeakSet()


def warn_of_clipping(step: Step, states: Array) -> None:
    """Warns once if a perturbation's bound clips the states that a run begins with.

    Only the first states given to a step are checked, because the perturbation may have caused
    later ones.
    """
    if step.perturbation is None or step in _looked_at or not is_concrete(states):
        return
    _looked_at.add(step)
    alive, host = step.living(states), step.networks[0]
    bound = host.state_bound
    largest = ops.max(ops.abs(states if alive is None else ops.where(alive, states, 0.0)))
    if bound is not None and largest > bound:
        message = (
            f"The host's states reach {float(largest):.2g}, a perturbation clips them at "
            f"{bound:g}, so that even the identity matrix changes them."
        )
        if hasattr(host, "scaled") and host.state_clip is None:
            message += " The same rule in other units stays within: host.scaled(factors)."
        warnings.warn(message, stacklevel=3)


def clipped(values: Array, bound: float | None) -> Array:
    """Values clipped to ±bound; None for no bound."""
    return values if bound is None else ops.clip(values, -bound, bound)


def grid_shape(state: Array) -> tuple:
    """``(batch, height, width)`` of a state, static where known."""
    return tuple(ops.shape(state)[:3])


def in_xla() -> bool:
    """Whether XLA will compile the graph that is being traced, or one that it is a part of."""
    graph = None if tf.executing_eagerly() else tf.compat.v1.get_default_graph()
    while graph is not None:
        context = graph._get_control_flow_context()
        while context is not None:
            if context.IsXLAContext():
                return True
            context = context.outer_context
        graph = getattr(graph, "outer_graph", None)
    return False
