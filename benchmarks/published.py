"""The article's formulas as a plain dense TensorFlow graph: the baseline of the speed-ups.

Like the article's training code, it perceives with one depthwise convolution, runs 1×1 convolutions
on every cell, draws each fire mask with `tf.random.uniform`, evaluates both networks of an
injection in every cell, and loops in the graph.
"""

import keras
import numpy as np
import tensorflow as tf

SOBEL_X = np.outer([1, 2, 1], [-1, 0, 1]) / 8.0
IDENTITY = np.outer([0, 1, 0], [0, 1, 0])
KERNELS = np.float32(np.stack([IDENTITY, SOBEL_X, SOBEL_X.T], -1))


def living_mask(state):
    return tf.nn.max_pool2d(state[..., 3:4], 3, 1, "SAME") > 0.1


def conv(state, kernel, bias):
    return tf.nn.bias_add(tf.nn.conv2d(state, kernel, 1, "SAME"), bias)


def fire(state, fire_rate):
    return tf.random.uniform(tf.shape(state[..., :1])) <= fire_rate


def growing(state, weights, fire_rate, noise_std):
    alive_before = living_mask(state)
    kernels = np.repeat(KERNELS[:, :, None, :], state.shape[-1], axis=2)
    perception = tf.nn.depthwise_conv2d(state, kernels, [1, 1, 1, 1], "SAME")
    update = conv(tf.nn.relu(conv(perception, *weights[:2])), *weights[2:])
    state += update * tf.cast(fire(state, fire_rate), tf.float32)
    alive = alive_before & living_mask(state)
    return state * tf.cast(alive, tf.float32)


def mnist(state, weights, fire_rate, noise_std):
    hidden = tf.nn.relu(conv(state, *weights[:2]))
    update = conv(tf.nn.relu(conv(hidden, *weights[2:4])), *weights[4:])
    update += tf.random.normal(tf.shape(update), stddev=noise_std)
    changes = fire(state, fire_rate) & (state[..., :1] > 0.1)
    return state + tf.pad(update * tf.cast(changes, tf.float32), [[0, 0]] * 3 + [[1, 0]])


def make(problem, engine):
    """Returns a training step and the check of `worker.py`."""
    network = mnist if problem["kind"] == "mnist" else growing
    mask = None if problem["mask"] is None else tf.constant(problem["mask"][..., None])
    target = tf.constant(problem["target"])
    start = tf.constant(problem["state"])

    def one_step(state, parts, fire_rate, noise_std):
        if "matrix" in parts:
            (matrix,) = parts["matrix"]
            upper = tf.linalg.band_part(matrix, 0, -1)
            matrix = upper + tf.transpose(upper - tf.linalg.band_part(matrix, 0, 0))
            alive = tf.cast(living_mask(state), tf.float32)
            state = tf.clip_by_value(tf.matmul(state, matrix), -3.0, 3.0) * alive
        following = network(state, parts["host"], fire_rate, noise_std)
        if mask is not None:
            adversaries = network(state, parts["adversary"], fire_rate, noise_std)
            following = following * (1.0 - mask) + adversaries * mask
        return following

    def forward_and_back(parts, steps, fire_rate, noise_std):
        variables = parts[problem["trained"]]
        with tf.GradientTape() as tape:
            tape.watch(variables)
            state = start
            for _ in tf.range(steps):
                state = one_step(state, parts, fire_rate, noise_std)
            if problem["kind"] == "mnist":
                error = tf.reduce_sum(tf.square(target - state[..., -10:]), [1, 2, 3]) / 2.0
            else:
                error = tf.reduce_mean(tf.square(state[..., :4] - target), [1, 2, 3])
            loss = tf.reduce_mean(error)
        gradients = tape.gradient(loss, variables)
        return state, loss, [g / (tf.norm(g) + 1e-8) for g in gradients]

    weights = {
        name: [keras.Variable(a, trainable=name == problem["trained"]) for a in arrays]
        for name, arrays in problem["parts"].items()
    }
    variables = weights[problem["trained"]]
    optimizer = keras.optimizers.Adam(problem["learning_rate"])
    optimizer.build(variables)

    @tf.function
    def train():
        parts = {name: [v.value for v in values] for name, values in weights.items()}
        _, loss, gradients = forward_and_back(
            parts, problem["steps"], problem["fire_rate"], problem["noise_std"]
        )
        optimizer.apply(gradients, variables)
        return loss

    @tf.function
    def certain(steps):
        parts = {
            name: [tf.constant(a) for a in arrays] for name, arrays in problem["parts"].items()
        }
        return forward_and_back(parts, steps, 1.0, 0.0)

    def check(steps):
        state, _, gradients = certain(tf.constant(steps))
        return {"state": state, **{f"gradient {i}": g for i, g in enumerate(gradients)}}

    return lambda: float(train()), check
