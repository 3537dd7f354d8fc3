"""The dense engine: every cell of the grid in `keras.ops`, on any device."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfnca.automata.step import Step


def run(
    step: Step,
    state: tf.Tensor,
    steps: tf.Tensor,
    mask: tf.Tensor | None,
    seed: tf.Tensor,
    first_step: tf.Tensor,
    fire_masks: tf.Tensor | None = None,
    noise: tf.Tensor | None = None,
    most: int | None = None,
) -> tf.Tensor:
    """Runs a step `steps` times in one loop; tensors that `rollout.run` checked.

    A gradient keeps every state on the way. XLA, which knows all sizes beforehand, must be told
    how many they can be: `most`.
    """

    def one(t, state):
        given = {}
        for name, values in (("fire_mask", fire_masks), ("noise", noise)):
            if values is not None:
                per_network = tf.unstack(values[t], num=len(step.networks))
                if name == "fire_mask":
                    per_network = [value[..., None] > 0.5 for value in per_network]
                given[name] = per_network[0] if len(per_network) == 1 else per_network
        if mask is not None:
            given["mask"] = mask
        following = step(state, seed=seed, index=first_step + tf.cast(t, tf.int64), **given)
        return t + 1, tf.ensure_shape(following, state.shape)

    first = (tf.constant(0), state)
    return tf.while_loop(lambda t, _: t < steps, one, first, maximum_iterations=most)[1]


@functools.cache
def uses_xla(engine: str) -> bool:
    """Whether to compile with XLA: it pays on a GPU, and makes this graph slower on a CPU."""
    return engine == "dense" and bool(tf.config.list_logical_devices("GPU"))


def by_xla(reference: Callable[[], Any]) -> Callable:
    """A rollout compiled by XLA, as a function of `run`'s tensors.

    What a compiled loop keeps for its gradient cannot leave the compiled function, so the gradient
    is a second one, which runs the loop again. It is that of the state and of the weights.

    Args:
        reference: Gives the step, which it does not keep alive.
    """
    options = {"autograph": False, "reduce_retracing": True, "jit_compile": True}
    forward = tf.function(functools.partial(_with_weights, reference), **options)
    backward = tf.function(functools.partial(_gradients, reference), **options)

    def rollout(state: tf.Tensor, steps: tf.Tensor, *rest: tf.Tensor | None) -> tf.Tensor:
        # Rounded up, so that few graphs do for all numbers of steps.
        most = 1 << int(tf.get_static_value(steps)).bit_length()

        @tf.custom_gradient
        def differentiable(*sources):
            def gradient(upstream):
                return backward(most, upstream, sources, steps, *rest)

            given = [tf.stop_gradient(source) for source in sources]  # a tape would look inside
            return forward(given, steps, *rest), gradient

        return differentiable(state, *[weight.value for weight in _learned(reference())])

    return rollout


def _learned(step: Step) -> list[keras.Variable]:
    """What a tape watches by itself."""
    return [weight for weight in step.weights if weight.value.trainable]


def _with_weights(reference, sources, *inputs, most=None):
    """A run from a state and weights that are given, so that nothing of the step is recorded."""
    step, (state, *weights) = reference(), sources
    with keras.StatelessScope(zip(_learned(step), weights, strict=True)):
        return run(step, state, *inputs, most=most)


def _gradients(reference, most, upstream, sources, *inputs):
    """Of the state and of the weights, given that of the last state."""
    with tf.GradientTape() as tape:
        tape.watch(sources)
        final = _with_weights(reference, sources, *inputs, most=most)
    zero = tf.UnconnectedGradients.ZERO
    return tape.gradient(final, sources, output_gradients=upstream, unconnected_gradients=zero)
