"""The self-classifying MNIST CA: the cells of a digit agree on which digit they are."""

from typing import Any

import keras

from tfnca.automata.alive import Stroke
from tfnca.automata.checks import check_integer, check_rate
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.state import GREY, MNIST_CHANNELS, NUM_CLASSES

_HIDDEN = 80


@keras.saving.register_keras_serializable("tfnca")
class MNISTCA(NeuralCA):
    """Classifies a digit through messages between neighbours.

    This is the article's MNIST model (22,499 parameters).

    A learned 3×3 convolution perceives; two pointwise layers update all channels except the grey.
    Only cells on the stroke (grey above 0.1) that fire change; Gaussian noise is added to every
    update, in training and in use.

    Args:
        channels: Channels of the state: grey, hidden ones, and ten class logits.
        hidden: Width of the perception and of the hidden layer.
        fire_rate: Probability that a cell updates in a step, in [0, 1].
        noise_std: Standard deviation of the noise; 0 for the variant without noise.
        message_bound: Largest absolute value that a cell reads from its own and its neighbours'
            states; states themselves are not bounded. None for no bound, as in the article.

    Call arguments:
        See `Step`.

    Returns:
        The next state, ``(batch, height, width, channels)``.

    Raises:
        ValueError: If an argument is out of its range or a state has a different number of
            channels.

    Example:

    >>> import numpy as np, tfnca
    >>> digits = tfnca.digit_state(np.ones((1, 28, 28)))
    >>> tfnca.MNISTCA()(digits, seed=0, index=0).shape
    TensorShape([1, 28, 28, 20])

    Reference:
        The article's "Adversarial MNIST CA"; the model is Randazzo et al., "Self-classifying
        MNIST Digits", Distill, 2020.
    """

    task = "digit"
    arguments = ("channels", "hidden", "fire_rate", "noise_std", "message_bound")

    noise_std: float

    def __init__(
        self,
        channels: int = MNIST_CHANNELS,
        hidden: int = _HIDDEN,
        fire_rate: float = 0.5,
        noise_std: float = 0.02,
        message_bound: float | None = None,
        **kwargs: Any,
    ) -> None:
        if type(self).__init__ is MNISTCA.__init__:  # a subclass may fix another value
            self._reject_what_is_fixed(kwargs)
        super().__init__(
            **self.parts(channels, hidden),
            fire_rate=fire_rate,
            noise_std=check_rate("noise_std", noise_std, 0.0, float("inf")),
            message_bound=message_bound,
            **kwargs,
        )
        self.hidden = hidden

    @staticmethod
    def parts(channels: int = MNIST_CHANNELS, hidden: int = _HIDDEN) -> dict[str, Any]:
        """What this preset sets among the arguments of a `NeuralCA`, for its sizes."""
        return {
            "channels": check_integer("channels", channels, NUM_CLASSES + 1),
            "filters": None,
            "learned": {"filters": check_integer("hidden", hidden, 1), "activation": "relu"},
            "hidden": hidden,
            "alive": Stroke(),
            "fixed": GREY + 1,
        }
