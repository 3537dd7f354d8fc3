"""The dense engine: every cell of the grid in `keras.ops`, on any device."""

import functools

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
) -> tf.Tensor:
    """Runs a step `steps` times in one loop; tensors that `rollout.run` checked."""

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

    return tf.while_loop(lambda t, _: t < steps, one, (tf.constant(0), state))[1]


@functools.cache
def uses_xla(engine: str) -> bool:
    """Whether to compile with XLA: it pays on a GPU, and makes this graph slower on a CPU."""
    return engine == "dense" and bool(tf.config.list_logical_devices("GPU"))
