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
    inputs: tf.Tensor | None = None,
    most: int | None = None,
) -> tf.Tensor:
    """Runs a step `steps` times in one loop, on tensors that `rollout.run` has checked.

    A gradient keeps every intermediate state. XLA needs all sizes in advance, so `most` gives the
    largest number of steps.
    """

    def one(t, state):
        context = _context(step, t, mask, seed, first_step, first_age, fire_masks, noise, inputs)
        return t + 1, tf.ensure_shape(next_state(step, state, context), state.shape)

    first = (tf.constant(0), state)
    return tf.while_loop(lambda t, _: t < steps, one, first, maximum_iterations=most)[1]


def train(
    step: Step,
    state: tf.Tensor,
    steps: tf.Tensor,
    mask: tf.Tensor | None,
    seed: tf.Tensor,
    first_step: tf.Tensor,
    first_age: tf.Tensor,
    most: int | None,
    inputs: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Like `run`, with ``training=True`` for all layers except those of a frozen host.

    Returns:
        The final state, and the sum of the losses that layers added in the run (`add_loss` and
        activity regularisers).
    """

    def one(t, state, added):
        context = _context(step, t, mask, seed, first_step, first_age, inputs=inputs)
        following = next_state(step, state, context, training=True)
        return t + 1, tf.ensure_shape(following, state.shape), added + _added_losses(step)

    first = (tf.constant(0), state, tf.zeros([]))
    return tf.while_loop(lambda t, *_: t < steps, one, first, maximum_iterations=most)[1:]


def _context(step, t, mask, seed, first_step, first_age, fire_masks=None, noise=None, inputs=None):
    """The context of a step in iteration `t` of the loop."""
    number = tf.cast(t, tf.int64)

    def given(values, read):
        if values is None:
            return None
        each = [read(part) for part in tf.unstack(values[t], num=len(step.networks))]
        return each[0] if len(each) == 1 else each

    return Context(
        seed=seed,
        index=first_step + number,
        age=(first_step if first_age is None else first_age) + number,
        mask=mask,
        fire_mask=given(fire_masks, lambda fires: fires[..., None] > 0.5),
        noise=given(noise, lambda noise: noise),
        inputs=inputs,
    )


def _added_losses(step: Step) -> tf.Tensor:
    """The losses of the last call; Keras lists the weights' regularisers after them."""
    regularised = [weight for weight in step.trainable_variables if weight.regularizer is not None]
    losses = step.losses
    return tf.add_n([tf.zeros([]), *losses[: len(losses) - len(regularised)]])


@functools.cache
def uses_xla(engine: str) -> bool:
    """Whether to compile with XLA: it is faster on a GPU, but slower on a CPU for this graph."""
    return engine == "dense" and bool(tf.config.list_logical_devices("GPU"))


def by_xla(reference: Callable[[], Any], traced: Callable[[], None]) -> Callable:
    """A rollout compiled by XLA, as a function of `run`'s tensors.

    The values that a compiled loop keeps for its gradient cannot leave the compiled function. So
    the gradient (of the state, the weights and the noise) is a second function, which runs the loop
    again. `reference` returns the step, without keeping it alive; `traced` is called each time
    after the step was traced.
    """
    options = {"autograph": False, "reduce_retracing": True, "jit_compile": True}
    forward = tf.function(functools.partial(_with_weights, reference, traced), **options)
    backward = tf.function(functools.partial(_gradients, reference, traced), **options)

    def rollout(state, steps, mask, seed, first_step, fire_masks, noise, inputs, first_age):
        rest = mask, seed, first_step, fire_masks, inputs, first_age
        # Rounded up, so that a few graphs suffice for all numbers of steps.
        known = tf.get_static_value(steps)
        most = None if known is None else 1 << int(known).bit_length()

        @tf.custom_gradient
        def differentiable(*sources):
            def gradient(upstream):
                return backward(most, upstream, sources, steps, *rest)

            given = [tf.stop_gradient(source) for source in sources]  # a tape would look inside
            return forward(given, steps, *rest), gradient

        weights = [weight.value for weight in _weights(reference())]
        return differentiable(state, *([] if noise is None else [noise]), *weights)

    return rollout


def _weights(step: Step) -> list[keras.Variable]:
    """The weights that a gradient can be requested for, frozen or not."""
    return [weight for weight in step.weights if weight.value.dtype.is_floating]


def _with_weights(reference, traced, sources, *rest, most=None):
    """A run from given state, noise and weights; records nothing of the step itself."""
    step, weights = reference(), _weights(reference())
    given = len(sources) - len(weights)
    state, *noise = sources[:given]
    with keras.StatelessScope(zip(weights, sources[given:], strict=True)):
        *of_run, inputs, age = rest
        final = run(step, state, *of_run, *noise, first_age=age, inputs=inputs, most=most)
    traced()
    return final


def _gradients(reference, traced, most, upstream, sources, *rest):
    """Gradients of the state, the noise and the weights, from that of the last state."""
    with tf.GradientTape() as tape:
        tape.watch(sources)
        final = _with_weights(reference, traced, sources, *rest, most=most)
    zero = tf.UnconnectedGradients.ZERO
    return tape.gradient(final, sources, output_gradients=upstream, unconnected_gradients=zero)
