"""The living-cells engine, from TensorFlow: which steps it runs, and their numbers in its terms.

numba and the rest of the engine load with the first run, not with the package. What TensorFlow
keeps of a graph for ever, the functions it calls back, holds numbers and no layer.
"""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.mnist import MNISTCA, rectify
from tfnca.automata.perception import sobel_kernels
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.step import GROWING, CellularAutomaton, Step
from tfnca.automata.verified import Verified, unit_of_deviation

_FLOAT32 = {"float32"}


def runs(step: Step) -> bool:
    """Whether this engine runs a step: it runs exactly the classes that it knows.

    A subclass, or an object whose `call` was replaced, may do anything that this engine would not
    see.
    """
    if not _is_own(step):
        return False
    if type(step) is Perturbed:
        return runs(step.host) and _is_affine(step.perturbation)
    if type(step) in (Injected, Verified):
        return all(runs(ca) for ca in step.networks)
    return type(step) in (GrowingCA, MNISTCA) and _is_plain(step)


def is_float32(step: Step) -> bool:
    """Whether all of a step's networks compute in float32, as compiled code does."""
    layers = [layer for ca in step.networks for layer in (ca, *ca.layers_in_order)]
    return all(_has_float32(layer) for layer in layers)


def _has_float32(layer: keras.layers.Layer) -> bool:
    policy = layer.dtype_policy
    return {policy.compute_dtype, policy.variable_dtype} == _FLOAT32


def _is_own(layer: keras.layers.Layer) -> bool:
    """Whether the layer's `call` is its class's."""
    return "call" not in vars(layer)


def _is_plain(ca: CellularAutomaton) -> bool:
    """Whether a CA's layers are those that it was built with, and compute in float32."""
    layers = ca.layers_in_order
    hidden, last = {keras.activations.relu, rectify}, {keras.activations.linear}
    activations = [hidden] * (len(layers) - 1) + [last]
    return is_float32(ca) and all(
        type(layer) in (keras.layers.Dense, keras.layers.Conv2D)
        and _is_own(layer)
        and layer.activation in allowed
        and not getattr(layer, "lora_enabled", False)
        and getattr(layer, "quantization_mode", None) is None
        for layer, allowed in zip(layers, activations, strict=True)
    )


def _is_affine(perturbation: StatePerturbation) -> bool:
    """Whether a perturbation is its matrix and its vector, and nothing besides."""
    return (
        _is_own(perturbation)
        and perturbation.is_affine
        and type(perturbation).call is StatePerturbation.call
        and type(perturbation).__call__ is keras.layers.Layer.__call__
    )


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
    """Runs a batch `steps` steps; differentiable in the state and all weights.

    Args:
        step: A step that the engine `runs`.
        state: Tensor ``(batch, height, width, channels)``.
        steps: Scalar integer tensor.
        mask: ``(batch, height, width)`` or None.
        seed: Scalar int64 tensor.
        first_step: Scalar integer tensor.
        fire_masks: ``(steps, networks, batch, height, width)`` or None.
        noise: ``(steps, networks, batch, height, width, channels - 1)`` or None.
        record: Whether a gradient will be asked for. If not recorded it is still right, at the
            cost of a second run.

    Returns:
        The final state.
    """
    form, numbers, stencils = _describe(step)
    weights = _weights(step)
    given = [
        tf.zeros([0], tf.float32) if value is None else tf.cast(value, tf.float32)
        for value in (mask, fire_masks, noise)
    ]
    of_run = tf.stack([tf.cast(value, tf.int64) for value in (steps, seed, first_step)])

    @tf.custom_gradient
    def call(state, *weights):
        inputs = [form, numbers, stencils, state, *given, of_run, *weights]
        final, ticket = tf.numpy_function(
            _forward_recorded if record else _forward, inputs, [tf.float32, tf.int64]
        )
        final.set_shape(state.shape)

        def gradient(upstream):
            results = tf.numpy_function(
                _backward, [ticket, upstream, *inputs], [tf.float32] * (1 + len(weights))
            )
            for result, like in zip(results, [state, *weights], strict=True):
                result.set_shape(like.shape)
            return results

        return final, gradient

    return call(tf.convert_to_tensor(state, tf.float32), *weights)


def _weights(step: Step) -> list[tf.Tensor]:
    """Kernels and biases of all networks; then the perturbation's matrix; then its vector."""
    weights = [weight.value for ca in step.networks for weight in ca.weights_in_order]
    if step.perturbation is not None:
        affine = step.perturbation.matrix, step.perturbation.vector
        weights += [tf.cast(part, tf.float32) for part in affine if part is not None]
    return [tf.convert_to_tensor(weight) for weight in weights]


def _describe(step: Step) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A step as numbers: its form (see `_read_form`), its networks' numbers and perceptions."""
    networks, perturbation = step.networks, step.perturbation
    form = [
        step.family == GROWING,
        step.channels,
        perturbation is not None and perturbation.matrix is not None,
        perturbation is not None and perturbation.vector is not None,
        *(len(ca.layers_in_order) for ca in networks),
        *(bool(ca.trainable_weights) for ca in networks),
    ]
    unit = unit_of_deviation(networks[0])
    tolerance = np.inf if step.tolerance is None else step.tolerance * unit
    checks = tolerance, float(step.holds)
    numbers = [
        (ca.fire_rate, ca.step_size, ca.noise_std or 0.0, ca.message_bound or np.inf, *checks)
        for ca in networks
    ]
    stencils = [sobel_kernels(ca.angle) for ca in networks]
    return np.array(form, np.int64), np.array(numbers, np.float32), np.stack(stencils)


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
