"""The living-cells engine, from TensorFlow: which steps it runs, and their numbers in its terms.

numba and the rest of the engine load with the first run, not with the package. What TensorFlow
keeps of a graph for ever, the functions it calls back, holds numbers and no layer.
"""

import numbers
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.mnist import MNISTCA, rectify
from tfnca.automata.perception import NUM_KERNELS, sobel_kernels
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.state import ALPHA, GREY
from tfnca.automata.step import GROWING, CellularAutomaton, Step
from tfnca.automata.verified import Verified, unit_of_deviation

# What this engine runs: exactly what it was written for. A subclass, a replaced method or a changed
# layer may compute anything, which compiled code would not see.

_DENSE = {"use_bias": True, "lora_enabled": False, "quantization_mode": None}
_CONVOLUTION = _DENSE | {
    "kernel_size": (3, 3),
    "strides": (1, 1),
    "dilation_rate": (1, 1),
    "groups": 1,
    "padding": "same",
    "data_format": "channels_last",
}
_METHODS = ("call", "advance", "_read")
_HIDDEN, _LAST = (keras.activations.relu, rectify), (keras.activations.linear,)


def supports(step: Step) -> str | None:
    """None if this engine computes exactly what a step's `call` does; else why it does not."""
    kind = type(step)
    if kind not in (GrowingCA, MNISTCA, Injected, Verified, Perturbed):
        return f"the sparse one knows tfnca's own classes, and {kind.__name__} is not one of them"
    if reason := _changed(step):
        return reason
    if kind is Perturbed:
        if type(step.host) not in (GrowingCA, Injected):
            return f"the sparse one perturbs no {type(step.host).__name__}"
        return _not_affine(step.perturbation, step.channels) or supports(step.host)
    if kind in (GrowingCA, MNISTCA):
        return _unlike(step)
    kinds = {type(ca) for ca in step.networks}
    if len(kinds) > 1 or any(ca.channels != step.channels for ca in step.networks):
        return "host and adversary are no longer of the same kind and channels"
    if kind is Verified and (kinds != {MNISTCA} or not _is_positive(step.tolerance)):
        return "the sparse one checks MNIST CAs, by a tolerance that is a positive number"
    return next(filter(None, map(supports, step.networks)), None)


def _changed(layer: keras.layers.Layer) -> str | None:
    """Why a layer does not do what its class says, if so."""
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


def _unlike(ca: CellularAutomaton) -> str | None:
    """Why a CA's numbers or layers are not those that compiled code runs, if so."""
    growing, layers = type(ca) is GrowingCA, ca.layers_in_order
    if ca.channels <= (ALPHA if growing else GREY + 1):
        return f"its states have {ca.channels} channels, too few for a {type(ca).__name__}"
    settings: dict[str, Any] = {"fire_rate": ca.fire_rate}
    if growing:
        settings |= {"step_size": ca.step_size, "angle": ca.angle}
        if ca.noise_std is not None:
            return "the sparse one adds no noise to a GrowingCA"
    else:
        settings |= {"noise_std": ca.noise_std or 0.0, "message_bound": ca.message_bound or 0.0}
    for name, value in settings.items():
        if not _is_number(value):
            return f"{name} is not a number but a {type(value).__name__}"
    if ca.message_bound is not None and not ca.message_bound >= 0:
        return f"message_bound is negative: {ca.message_bound}"
    if not layers:
        return "it has no layers"
    inputs = (NUM_KERNELS if growing else 1) * ca.channels
    for layer in layers:
        learned = layer is layers[0] and not growing
        kind = keras.layers.Conv2D if learned else keras.layers.Dense
        if type(layer) is not kind or not layer.built:
            return f"'{layer.name}' is a {type(layer).__name__}, where a {kind.__name__} should be"
        for name, expected in (_CONVOLUTION if learned else _DENSE).items():
            if (value := getattr(layer, name, expected)) != expected:
                return f"'{layer.name}' has {name}={value!r}, and the sparse one {expected!r} only"
        if layer.activation not in (_LAST if layer is layers[-1] else _HIDDEN):
            return f"'{layer.name}' has another activation"
        if reason := _changed(layer):
            return reason
        shape, width = tuple(layer.kernel.shape), layer.kernel.shape[-1]
        if shape != ((3, 3) if learned else ()) + (inputs, width):
            return f"the kernel of '{layer.name}' has the shape {shape}"
        if layer.bias is None or tuple(layer.bias.shape) != (width,):
            return f"'{layer.name}' has no bias of its width {width}"
        inputs = width
    if width != ca.channels - (not growing):
        return f"its last layer changes {width} of {ca.channels} channels"
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real)


def _is_positive(value: Any) -> bool:
    return isinstance(value, numbers.Real) and float(value) > 0


def _not_affine(perturbation: StatePerturbation, channels: int) -> str | None:
    """Why a perturbation is more than its matrix and its vector, if so."""
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

    Args:
        step: A step that the engine `supports`.
        state: Tensor ``(batch, height, width, channels)``.
        steps: Scalar integer tensor.
        mask: ``(batch, height, width)`` or None.
        seed: Scalar int64 tensor.
        first_step: Scalar integer tensor.
        fire_masks: ``(steps, networks, batch, height, width)`` or None.
        noise: ``(steps, networks, batch, height, width, channels - 1)`` or None.
        record: Whether a gradient of the trained weights will be asked for, and of no frozen ones.
            If not recorded it is still right, at the cost of a second run.

    Returns:
        The final state.
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
    """Of the state and the weights among `inputs`; they have no derivatives themselves."""
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
    """Noise as it is; a request for its gradient is an error, in place of zeros."""

    @tf.custom_gradient
    def same(noise):
        return tf.identity(noise), _refuse("one of noise", [noise])

    return same(noise)


def _refuse(what, likes):
    """A gradient function that fails; in a graph only once the gradient is computed.

    TensorFlow builds such graphs beforehand, for a second tape that looks on.
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
    weights = [weight.value for ca in step.networks for weight in ca.weights_in_order]
    if step.perturbation is not None:
        affine = step.perturbation.matrix, step.perturbation.vector
        weights += [tf.cast(part, tf.float32) for part in affine if part is not None]
    return [tf.convert_to_tensor(weight) for weight in weights]


def _describe(step: Step, frozen: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A step as numbers: its form (see `_read_form`), its networks' numbers and perceptions.

    Args:
        step: A step that the engine `supports`.
        frozen: Whether frozen networks need no gradient of their weights.
    """
    networks, perturbation = step.networks, step.perturbation
    form = [
        step.family == GROWING,
        step.channels,
        perturbation is not None and perturbation.matrix is not None,
        perturbation is not None and perturbation.vector is not None,
        *(len(ca.layers_in_order) for ca in networks),
        *(not frozen or bool(ca.trainable_weights) for ca in networks),
    ]
    unlimited = -1.0  # see `sheets.Inputs`
    tolerance = unlimited
    if step.tolerance is not None and step.tolerance < np.inf:
        tolerance = step.tolerance * unit_of_deviation(networks[0])
    rows = []
    for ca in networks:
        step_size = ca.step_size if step.family == GROWING else 1.0
        bound = unlimited if ca.message_bound in (None, np.inf) else ca.message_bound
        noise = max(ca.noise_std or 0.0, 0.0)
        rows.append((ca.fire_rate, step_size, noise, bound, tolerance, float(step.holds)))
    stencils = [sobel_kernels(ca.angle) for ca in networks]
    return np.array(form, np.int64), np.array(rows, np.float32), np.stack(stencils)


# Called by TensorFlow with arrays, in the order of `inputs` above


def _forward(form, *inputs):
    return _load().forward(_read_form(form), False, _read(inputs))


def _forward_recorded(form, *inputs):
    return _load().forward(_read_form(form), True, _read(inputs))


def _backward(ticket, upstream, form, *inputs):
    return _load().backward(_read_form(form), ticket, upstream, _read(inputs))


def _load():
    from tfnca.engines import sheets  # with numba: not before it is needed

    return sheets


def _read_form(form):
    growing, channels, has_matrix, has_vector, *of_networks = (int(number) for number in form)
    layers, trained = np.reshape(of_networks, (2, -1)).tolist()
    return _load().Form(
        bool(growing),
        channels,
        tuple(layers),
        tuple(map(bool, trained)),
        bool(has_matrix),
        bool(has_vector),
    )


def _read(inputs: Sequence):
    return _load().Inputs(*inputs[:7], inputs[7:])
