"""Circular damage, from which a regenerating CA learns to recover."""

import tensorflow as tf


def circle_masks(
    count: int,
    size: tuple[int, int],
    seed: tf.Tensor | tuple[int, int],
    centre: float = 0.5,
    radius: tuple[float, float] = (0.1, 0.4),
) -> tf.Tensor:
    """Random circles, zero inside and one outside: float32 tensor ``(count, height, width, 1)``.

    Centres are uniform in [-centre, centre]², and `radius` is the smallest and the largest one, all
    in grid coordinates [-1, 1]. The seed is a pair of integers, or a tensor ``(2,)``.

    Reference:
        The published training code of the Growing CA; its defaults are these.
    """
    height, width = size
    middle, radii = tf.split(tf.random.stateless_uniform([count, 3], seed), [2, 1], axis=1)
    middle = (2.0 * middle - 1.0) * centre
    radii = radius[0] + radii * (radius[1] - radius[0])
    x = (tf.linspace(-1.0, 1.0, width)[None, :] - middle[:, :1]) / radii
    y = (tf.linspace(-1.0, 1.0, height)[None, :] - middle[:, 1:]) / radii
    outside = x[:, None, :] ** 2 + y[:, :, None] ** 2 >= 1.0
    return tf.cast(outside, tf.float32)[..., None]
