"""The self-classifying MNIST CA: the cells of a digit agree on which digit they are."""

from typing import Any

import keras
from keras import layers, ops

from tfnca.automata.checks import check_integer, check_rate, reject_mask
from tfnca.automata.context import Context
from tfnca.automata.state import GREY, MNIST_CHANNELS, NUM_CLASSES, is_digit_cell
from tfnca.automata.step import MNIST, CellularAutomaton, grid_shape
from tfnca.types import Array


def rectify(values: Array) -> Array:
    """The positive part, as `keras.activations.relu`, but what is no number stays so.

    TensorFlow joins a convolution and a Relu into one operation, which on some processors gives 0
    for NaN.
    """
    return ops.maximum(0.0, values)  # in this order the gradient at 0 is 0, as a Relu's


@keras.saving.register_keras_serializable("tfnca")
class MNISTCA(CellularAutomaton):
    """Classifies a digit by talk among neighbours: the article's MNIST model (22,499 parameters).

    A learned 3×3 convolution perceives, two pointwise layers update all channels but the grey.
    Only cells on the stroke (grey above 0.1) that fire change; Gaussian noise is added to every
    update, in training and in use.

    Args:
        channels: Channels of the state: grey, hidden ones, and ten class logits.
        hidden: Width of the perception and of the hidden layer.
        fire_rate: Probability that a cell updates in a step, in [0, 1].
        noise_std: Standard deviation of the noise; 0 for the variant without noise.
        message_bound: Largest value, either sign, that a cell reads of its own and its
            neighbours' states; states themselves are not bounded. None for no bound, as published.

    Call arguments:
        See `Step`.

    Returns:
        The next state, ``(batch, height, width, channels)``.

    Raises:
        ValueError: If an argument is out of its range or a state has other channels.

    Example:

    >>> import numpy as np, tfnca
    >>> digits = tfnca.digit_state(np.ones((1, 28, 28)))
    >>> tfnca.MNISTCA()(digits, seed=0, index=0).shape
    TensorShape([1, 28, 28, 20])

    Reference:
        The article's "Adversarial MNIST CA"; the model is Randazzo et al., "Self-classifying
        MNIST Digits", Distill, 2020.
    """

    family = MNIST

    def __init__(
        self,
        channels: int = MNIST_CHANNELS,
        hidden: int = 80,
        fire_rate: float = 0.5,
        noise_std: float = 0.02,
        message_bound: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.channels = channels = check_integer("channels", channels, NUM_CLASSES + 1)
        self.hidden = hidden = check_integer("hidden", hidden, 1)
        self.fire_rate = check_rate("fire_rate", fire_rate)
        self.noise_std: float = check_rate("noise_std", noise_std, 0.0, float("inf"))
        if message_bound is not None and not message_bound > 0:
            raise ValueError(
                f"message_bound must be positive. Received: message_bound={message_bound}"
            )
        self.message_bound = message_bound
        policy = self.dtype_policy
        self.perceive = layers.Conv2D(
            hidden,
            3,
            padding="same",
            activation=rectify,
            data_format="channels_last",
            name="perceive",
            dtype=policy,
        )
        self.update_layers = [
            layers.Dense(hidden, activation="relu", name="hidden", dtype=policy),
            layers.Dense(channels - 1, kernel_initializer="zeros", name="update", dtype=policy),
        ]
        self.perceive.build((None, None, None, channels))
        for layer in self.update_layers:
            layer.build((None, hidden))
        self.built = True

    @property
    def layers_in_order(self) -> list[keras.layers.Layer]:
        return [self.perceive, *self.update_layers]

    def advance(self, state: Array, context: Context) -> Array:
        reject_mask(context.mask, type(self).__name__)
        shape = grid_shape(state)
        fires = context.fires(shape, self.fire_rate)
        update = self.perceive(self._read(state))
        for layer in self.update_layers:
            update = layer(update)
        update = ops.cast(update, "float32")
        if context.noise is not None:
            update = update + ops.cast(context.noise, "float32")
        elif self.noise_std > 0:
            update = update + self.noise_std * context.normal(shape, self.channels - 1)
        changes = ops.logical_and(fires, is_digit_cell(state))
        grey, rest = state[..., : GREY + 1], state[..., GREY + 1 :]
        # Chosen, not multiplied with the mask: 0 times an update that is not finite is not 0.
        return ops.concatenate([grey, ops.where(changes, rest + update, rest)], axis=-1)

    def _read(self, state: Array) -> Array:
        """What cells read of a state."""
        bound = self.message_bound
        return state if bound is None else ops.clip(state, -bound, bound)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "channels": self.channels,
            "hidden": self.hidden,
            "fire_rate": self.fire_rate,
            "noise_std": self.noise_std,
            "message_bound": self.message_bound,
        }
