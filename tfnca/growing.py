"""The Growing CA: one cell grows into a picture and keeps it."""

import keras
import numpy as np
from keras import layers, ops

from tfnca import randomness
from tfnca.perception import NUM_KERNELS, perceive
from tfnca.state import GROWING_CHANNELS, living_mask
from tfnca.step import Step, check_channels, check_rate, grid_shape, reject_mask, reject_noise


@keras.saving.register_keras_serializable("tfnca")
class GrowingCA(Step):
    """Grows a pattern from a seed: the article's lizard model (8,336 parameters).

    Each cell sees its neighbourhood through fixed Sobel kernels, a two-layer network turns that
    into an update, a random half of the cells apply it, and cells with no grown neighbour die.
    The fire mask is part of the model: it is drawn in training and in use, and rescales nothing.

    Args:
        channels: Channels of the state: RGBA and hidden ones.
        hidden: Width of the hidden layer.
        fire_rate: Probability that a cell updates in a step, in [0, 1].
        step_size: Factor on every update.
        angle: Radians by which the perception is turned.

    Call arguments:
        See `Step`.

    Returns:
        The next state, ``(batch, height, width, channels)``.

    Raises:
        ValueError: If `fire_rate` lies outside [0, 1] or a state has other channels.

    Example:

    >>> import tfnca
    >>> tfnca.GrowingCA()(tfnca.seed_state(16), seed=0, index=0).shape
    TensorShape([1, 16, 16, 16])

    Reference:
        The article's "Adversarial Injections for Growing CA"; the model is Mordvintsev et al.,
        "Growing Neural Cellular Automata", Distill, 2020. A comment in the published code says
        that the last layer has no bias: the released weights have one, and so does this layer.
    """

    def __init__(
        self,
        channels=GROWING_CHANNELS,
        hidden=128,
        fire_rate=0.5,
        step_size=1.0,
        angle=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.channels = channels
        self.hidden = hidden
        self.fire_rate = check_rate("fire_rate", fire_rate)
        self.step_size = step_size
        self.angle = angle
        self.update_layers = [
            layers.Dense(hidden, activation="relu", name="hidden"),
            layers.Dense(channels, kernel_initializer="zeros", name="update"),
        ]
        self.update_layers[0].build((None, NUM_KERNELS * channels))
        self.update_layers[1].build((None, hidden))
        self.built = True

    @property
    def networks(self):
        return [self]

    def call(self, state, mask=None, seed=0, index=0, fire_mask=None, noise=None, network=0):
        check_channels(state, self.channels, type(self).__name__)
        reject_mask(mask, type(self).__name__)
        reject_noise(noise, type(self).__name__)
        if fire_mask is None:
            fire_mask = randomness.fire_mask(
                grid_shape(state), self.fire_rate, seed, index, network
            )
        alive_before = living_mask(state)
        update = perceive(state, self.angle)
        for layer in self.update_layers:
            update = layer(update)
        state = state + self.step_size * update * ops.cast(fire_mask, state.dtype)
        alive = ops.logical_and(alive_before, living_mask(state))
        return state * ops.cast(alive, state.dtype)

    def scaled(self, factors):
        """The same rule in other units: where this one's channel c holds x, it holds ``f_c * x``.

        From a seed in its own units it grows the same pattern, from a seed of ones another.

        Args:
            factors: Positive, ``(channels,)``; 1 for RGBA, which the picture and life depend on.

        Returns:
            A new `GrowingCA`.

        Raises:
            ValueError: If the factors are not such.
        """
        factors = np.asarray(factors, np.float32)
        if factors.shape != (self.channels,) or not np.all(factors > 0) or np.any(factors[:4] != 1):
            raise ValueError(
                f"factors must be {self.channels} positive numbers, the first four 1. "
                f"Received: {factors}"
            )
        kernel, bias, last_kernel, last_bias = self.get_weights()
        ca = type(self).from_config({**self.get_config(), "name": None})
        per_input = np.repeat(factors, NUM_KERNELS)[:, None]
        ca.set_weights([kernel / per_input, bias, last_kernel * factors, last_bias * factors])
        return ca

    def get_config(self):
        return {
            **super().get_config(),
            "channels": self.channels,
            "hidden": self.hidden,
            "fire_rate": self.fire_rate,
            "step_size": self.step_size,
            "angle": self.angle,
        }
