"""The TensorFlow side of the living-cells engine: which steps it runs, and how it describes them.

numba and the rest of the engine load with the first run, not with the package. TensorFlow never
frees the Python functions that a graph calls, so they hold numbers and no layer.
"""

import numbers
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from tfnca.automata.alive import Alpha, Stroke
from tfnca.automata.injection import Injected
from tfnca.automata.invasion import Invasion
from tfnca.automata.neural_ca import NeuralCA, activation_of, rectify
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.rule import Rule
from tfnca.automata.step import Step
from tfnca.automata.verified import Verified, unit_of_deviation

# This engine runs the rule of a `NeuralCA`, and steps that wrap it. A replaced method or a changed
# layer may compute anything, which compiled code would not notice.

_DENSE = {"lora_enabled": False, "quantization_mode": None}
_CONVOLUTION = _DENSE | {
    "kernel_size": (3, 3),
    "strides": (1, 1),
    "dilation_rate": (1, 1),
    "groups": 1,
    "data_format": "channels_last",
}
_METHODS = (
    *("call", "advance", "propose", "living", "confine", "layers_in_order", "_read", "_update"),
)
_CLIPS = "message_bound", "state_clip", "network_clip"
_VALUES = "fire_rate", "step_size", "noise_std", "negative_slope", *_CLIPS
_ACTIVATIONS = {"linear": 0, "relu": 1, "leaky_relu": 2, "tanh": 3}
"""Their numbers in `tfnca.engines.kernels`."""
_ALIVE = {type(None): 0, Alpha: 1, Stroke: 2}
"""The numbers of alive rules in `tfnca.engines.form`."""


def supports(step: Step) -> str | None:
    """None if this engine computes exactly what a step's `call` does; otherwise the reason."""
    kind = type(step)
    if kind not in (Injected, Verified, Perturbed, Invasion):
        if not isinstance(step, NeuralCA):
            return f"the sparse one knows the rule of a NeuralCA, and {kind.__name__} has none"
        if changed := [name for name in _METHODS if _own(kind, name)]:
            return f"the sparse one does not know the method {changed[0]} of {kind.__name__}"
        return _changed(step) or unsupported(step.rule) or _unlike(step, step.rule)
    if reason := _changed(step):
        return reason
    if kind is Perturbed:
        if type(step.host) in (Verified, Perturbed, Invasion):
            return f"the sparse one perturbs no {type(step.host).__name__}"
        reason = _not_affine(step.perturbation, step.channels) or supports(step.host)
        if reason is None and not isinstance(step.networks[0].rule.alive, Alpha):
            reason = "the sparse one perturbs only cells that live by alpha"
        return reason
    if reason := next(filter(None, map(supports, step.networks)), None):
        return reason
    if len(step.networks) > 2:
        return "the sparse one runs two species, a host and one adversary"
    host, adversary = (ca.rule for ca in step.networks)
    for name in ("channels", "fixed", "alive", "padding"):
        if getattr(host, name) != getattr(adversary, name):
            return f"host and adversary differ in `{name}`"
    if kind is Invasion:
        return _no_species(step)
    if kind is not Verified:
        return None
    if not all(_can_be_tested(ca.rule) for ca in step.networks):
        return (
            "the sparse one tests cells on a stroke that perceive by a learned convolution, with a "
            "step size of 1 and without clips"
        )
    return None


def _no_species(step: Step) -> str | None:
    """None if the engine decides as `Invasion` does which cells belong to which species."""
    if replaced := [name for name in ("belongs", "seen", "propose") if name in vars(step)]:
        return f"the method {replaced[0]} of '{step.name}' was replaced"
    if step.networks[0].rule.state_clip is not None:
        return "the sparse one clips no state that species share"
    return None


def _can_be_tested(rule: Rule) -> bool:
    """Whether the deviation test of `tfnca.engines.kernels` computes what `Verified` does."""
    plain = rule.step_size == 1 and rule.state_clip is None and rule.network_clip is None
    return plain and isinstance(rule.alive, Stroke) and not rule.filters


def unsupported(rule: Rule) -> str | None:
    """None if this engine can run a rule; otherwise the reason."""
    for name in _VALUES:
        value = getattr(rule, name)
        if value is not None and not isinstance(value, numbers.Real):
            return f"{name} is not a number but a {type(value).__name__}"
    learned, dies = rule.learned, isinstance(rule.alive, Alpha)
    activations = [rule.activation] * bool(rule.hidden)
    activations += [] if learned is None else [learned.activation]
    reasons = {
        "it is given inputs in each step": rule.inputs,
        f"the sparse one does not pad by {rule.padding!r}": rule.padding
        not in ("zero", "circular"),
        "its learned perception is depthwise": learned is not None and learned.multiplier,
        "it has fixed filters and a learned perception": learned is not None and rule.filters,
        f"the sparse one does not compute {' and '.join(activations)}": not set(activations)
        <= set(_ACTIVATIONS),
        "its cells die, and it has fixed channels": dies and rule.fixed,
        "its cells die, and it adds noise": dies and rule.noise_std is not None,
        "it adds noise, and clips the state": rule.noise_std is not None and rule.state_clip,
        "it has a message_bound, and fixed filters": rule.message_bound and rule.filters,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def _own(kind: type, name: str) -> bool:
    """Whether a class has a method that is not `NeuralCA`'s."""
    return getattr(kind, name) is not getattr(NeuralCA, name)


def _changed(layer: keras.layers.Layer) -> str | None:
    """The reason why a layer may not compute what its class does; None if it does."""
    policy = layer.dtype_policy
    if {policy.compute_dtype, policy.variable_dtype} != {"float32"}:
        return f"the sparse one computes in float32, and '{layer.name}' in {policy.name}"
    if replaced := [name for name in _METHODS if name in vars(layer)]:
        return f"the method {replaced[0]} of '{layer.name}' was replaced"
    if type(layer).__call__ is not keras.layers.Layer.__call__:
        return f"the method __call__ of '{layer.name}' was replaced"
    if layer.activity_regularizer is not None:
        return f"'{layer.name}' has an activity regulariser"
    return None


def _unlike(ca: NeuralCA, rule: Rule) -> str | None:
    """The reason why a CA's layers do not match its rule; None if they match."""
    layers, inputs = ca.layers_in_order, rule.channels * (len(rule.filters) or 1)
    names = [] if rule.learned is None else [rule.learned.activation]
    names += [rule.activation] * len(rule.hidden) + ["linear"]
    if len(layers) != len(names):
        return f"it has {len(layers)} layers, where its rule has {len(names)}"
    for layer, name in zip(layers, names, strict=True):
        learned = layer is ca.perceive
        kind = keras.layers.Conv2D if learned else keras.layers.Dense
        if type(layer) is not kind or not layer.built:
            return f"'{layer.name}' is a {type(layer).__name__}, where a {kind.__name__} should be"
        settings = _CONVOLUTION | {"padding": "same" if rule.padding == "zero" else "valid"}
        for setting, expected in (settings if learned else _DENSE).items():
            if (value := getattr(layer, setting, expected)) != expected:
                found = f"{setting}={value!r}"
                return f"'{layer.name}' has {found}, and the sparse one {expected!r} only"
        if not _is_activation(layer.activation, name, rule.negative_slope):
            return f"'{layer.name}' has another activation"
        if reason := _changed(layer):
            return reason
        shape, width = tuple(layer.kernel.shape), layer.kernel.shape[-1]
        if shape != ((3, 3) if learned else ()) + (inputs, width):
            return f"the kernel of '{layer.name}' has the shape {shape}"
        if layer.use_bias != (layer.bias is not None):
            return f"'{layer.name}' has use_bias={layer.use_bias}, which its bias belies"
        if layer.bias is not None and tuple(layer.bias.shape) != (width,):
            return f"'{layer.name}' has no bias of its width {width}"
        inputs = width
    if width != rule.changing:
        return f"its last layer changes {width} of {rule.channels} channels"
    return None


def _is_activation(function: Callable, name: str, negative_slope: float) -> bool:
    expected = activation_of(name, negative_slope)
    return function == expected or (name == "relu" and function is rectify)


def _not_affine(perturbation: StatePerturbation, channels: int) -> str | None:
    """The reason why a perturbation is not just its matrix and vector; None if it is."""
    if (
        not perturbation.is_affine
        or type(perturbation).call is not StatePerturbation.call
        or perturbation.channels != channels
    ):
        return f"the sparse one runs affine perturbations, and no {type(perturbation).__name__}"
    return _changed(perturbation)


def run(
    step: Step,
    state: tf.Tensor,
    steps: tf.Tensor,
    mask: tf.Tensor | None,
    seed: tf.Tensor,
    first_step: tf.Tensor,
    fire_masks: tf.Tensor | None = None,
    noise: tf.Tensor | None = None,
    record: bool = False,
) -> tf.Tensor:
    """Runs a batch `steps` steps; differentiable once, in the state and all weights.

    The step is one that the engine `supports`; see `tfnca.engines.rollout.run` for the tensors.
    With `record`, a gradient of the trained weights, and of no frozen ones, will be requested. A
    gradient without a recording is still correct, at the cost of a second run.
    """
    form, numbers, stencils = _describe(step, frozen=record)
    weights = _weights(step)
    mask, fire_masks, noise = (
        tf.zeros([0], tf.float32) if value is None else tf.cast(value, tf.float32)
        for value in (mask, fire_masks, noise)
    )
    of_run = tf.stack([tf.cast(value, tf.int64) for value in (steps, seed, first_step)])

    @tf.custom_gradient
    def call(state, noise, *weights):
        inputs = [form, numbers, stencils, state, mask, fire_masks, noise, of_run, *weights]
        final, ticket = tf.numpy_function(
            _forward_recorded if record else _forward, inputs, [tf.float32, tf.int64]
        )
        final.set_shape(state.shape)

        def gradient(upstream):
            of_state, *of_weights = _first_derivatives(ticket, upstream, inputs)
            return of_state, tf.zeros_like(noise), *of_weights

        return final, gradient

    return call(tf.convert_to_tensor(state, tf.float32), noise, *weights)


def _first_derivatives(ticket, upstream, inputs):
    """Gradients of the state and weights in `inputs`; they cannot be differentiated again."""
    sources = [inputs[3], *inputs[8:]]

    @tf.custom_gradient
    def derivatives(upstream, *_):
        results = tf.numpy_function(
            _backward, [ticket, upstream, *inputs], [tf.float32] * len(sources)
        )
        for result, like in zip(results, sources, strict=True):
            result.set_shape(like.shape)
        refuse = _refuse("a second derivative, or one in forward mode", [upstream, *sources])
        return results, refuse

    return derivatives(upstream, *sources)


def without_gradient(noise: tf.Tensor) -> tf.Tensor:
    """Noise, unchanged; requesting its gradient is an error rather than zeros."""

    @tf.custom_gradient
    def same(noise):
        return tf.identity(noise), _refuse("one of noise", [noise])

    return same(noise)


def _refuse(what, likes):
    """A gradient function that fails; in a graph only once the gradient is computed.

    TensorFlow builds such graphs in advance, for a second tape that is watching.
    """

    def fail(*_):
        raise ValueError(
            "The sparse engine gives first derivatives, of the state and the weights; "
            f"engine='dense' gives second ones, and those of noise. Received: a request for {what}"
        )

    def refuse(*upstream):
        if tf.executing_eagerly():
            fail()
        types = [like.dtype for like in likes]
        failing = tf.numpy_function(fail, [upstream[0]], types, stateful=False)
        for result, like in zip(failing, likes, strict=True):
            result.set_shape(like.shape)
        return failing

    return refuse


def _weights(step: Step) -> list[tf.Tensor]:
    """Kernels and biases of all networks; then the perturbation's matrix; then its vector."""
    weights = []
    for ca in step.networks:
        for layer in ca.layers_in_order:
            bias = layer.bias
            weights.append(layer.kernel.value)
            weights.append(tf.zeros(layer.kernel.shape[-1:]) if bias is None else bias.value)
    if step.perturbation is not None:
        affine = step.perturbation.matrix, step.perturbation.vector
        weights += [tf.cast(part, tf.float32) for part in affine if part is not None]
    return [tf.convert_to_tensor(weight) for weight in weights]


def _describe(step: Step, frozen: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A step as numbers: its form (see `_read_form`), its networks' numbers and perceptions.

    With `frozen`, frozen networks need no gradient of their weights.
    """
    networks, perturbation = step.networks, step.perturbation
    rules = [ca.rule for ca in networks]
    alive = rules[0].alive
    form = [
        _ALIVE[type(alive)],
        0 if alive is None else alive.channel,
        rules[0].padding == "circular",
        rules[0].channels,
        rules[0].changing,
        isinstance(step, Invasion),
        perturbation is not None and perturbation.matrix is not None,
        perturbation is not None and perturbation.vector is not None,
        *(len(ca.layers_in_order) for ca in networks),
        *(not frozen or bool(ca.trainable_weights) for ca in networks),
        *(len(rule.filters) for rule in rules),
        *(
            _ACTIVATIONS[rule.learned.activation if rule.learned else rule.activation]
            for rule in rules
        ),
        *(_ACTIVATIONS.get(rule.activation, 0) for rule in rules),
    ]
    unlimited = -1.0  # see `tfnca.engines.form.Inputs`
    tolerance = unlimited
    if step.tolerance is not None and step.tolerance < np.inf:
        tolerance = step.tolerance * unit_of_deviation(networks[0])
    most = max(len(rule.filters) for rule in rules)
    rows, stencils = [], np.zeros((len(rules), 3, 3, most), np.float32)
    for rule, stencil in zip(rules, stencils, strict=True):
        stencil[..., : len(rule.filters)] = rule.stencils
        limits = [rule.message_bound, tolerance, rule.state_clip, rule.network_clip]
        limits.append(networks[0].state_bound)
        rows.append(
            (
                rule.fire_rate,
                rule.step_size,
                -1.0 if rule.noise_std is None else rule.noise_std,
                float(step.mode == "clip"),
                rule.negative_slope,
                0.0 if alive is None else alive.threshold,
                *(unlimited if limit in (None, np.inf) else limit for limit in limits),
            )
        )
    return np.array(form, np.int64), np.array(rows, np.float32), stencils


# Called by TensorFlow with arrays, in the order of `inputs` above


def _forward(form, *inputs):
    return _load().forward(_read_form(form), False, _read(inputs))


def _forward_recorded(form, *inputs):
    return _load().forward(_read_form(form), True, _read(inputs))


def _backward(ticket, upstream, form, *inputs):
    return _load().backward(_read_form(form), ticket, upstream, _read(inputs))


def _load():
    from tfnca.engines import tiles  # with numba: not before it is needed

    return tiles


def _read_form(form):
    alive, alive_at, circular, channels, changing, invaded, has_matrix, has_vector = map(
        int, form[:8]
    )
    layers, trained, *rest = np.reshape(form[8:], (5, -1)).tolist()
    return _load().Form(
        alive,
        alive_at,
        bool(circular),
        channels,
        changing,
        bool(has_matrix),
        bool(has_vector),
        tuple(layers),
        tuple(map(bool, trained)),
        *map(tuple, rest),
        invaded=bool(invaded),
    )


def _read(inputs: Sequence):
    return _load().Inputs(*inputs[:7], inputs[7:])
