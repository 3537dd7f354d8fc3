"""The dense engine: every cell of the grid in `keras.ops`, on any device."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfnca.automata.context import Context
from tfnca.automata.step import Step, next_state


def run(
    step: Step,
    state: tf.Tensor,
    steps: tf.Tensor,
    mask: tf.Tensor | None,
    seed: tf.Tensor,
    first_step: tf.Tensor,
    fire_masks: tf.Tensor | None = None,
    noise: tf.Tensor | None = None,
    first_age: tf.Tensor | None = None,
    most: int | None = None,
) -> tf.Tensor:
    """Runs a step `steps` times in one loop; tensors that `rollout.run` checked.

    A gradient keeps every state on the way. XLA, which knows all sizes beforehand, must be told
    how many they can be: `most`.
    """

    first_age = first_step if first_age is None else first_age

    def one(t, state):
        number = tf.cast(t, tf.int64)
        context = Context(
            seed=seed,
            index=first_step + number,
            age=first_age + number,
            mask=mask,
            fire_mask=of_networks(fire_masks, t, lambda fires: fires[..., None] > 0.5),
            noise=of_networks(noise, t, lambda noise: noise),
        )
        return t + 1, tf.ensure_shape(next_state(step, state, context), state.shape)

    def of_networks(given, t, read):
        if given is None:
            return None
        each = [read(part) for part in tf.unstack(given[t], num=len(step.networks))]
        return each[0] if len(each) == 1 else each

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
