"""The Growing CA: one cell grows into a picture and keeps it."""

from dataclasses import replace
from typing import Any

import keras

from tfnca.automata.alive import Alpha
from tfnca.automata.checks import check_integer, check_number
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.perception import sobel_kernels
from tfnca.automata.rule import Rule
from tfnca.automata.scaling import rescale
from tfnca.automata.state import ALPHA, GROWING_CHANNELS, STATE_BOUND
from tfnca.types import Array

_HIDDEN = 128


@keras.saving.register_keras_serializable("tfnca")
class GrowingCA(NeuralCA):
    """Grows a pattern from a seed: the article's lizard model (8,336 parameters).

    Each cell perceives its neighbourhood through fixed Sobel kernels. A two-layer network turns
    that into an update, which a random half of the cells apply. Cells with no grown neighbour die.
    The fire mask is part of the model: it is drawn in training and in use, and rescales nothing.

    Args:
        channels: Channels of the state: RGBA and hidden ones.
        hidden: Width of the hidden layer.
        fire_rate: Probability that a cell updates in a step, in [0, 1].
        step_size: Factor on every update.
        angle: Radians by which the perception is rotated.

    Call arguments:
        See `Step`.

    Returns:
        The next state, ``(batch, height, width, channels)``.

    Raises:
        ValueError: If there are fewer than four channels, `fire_rate` is outside [0, 1],
            `step_size` or `angle` is not a finite number, or a state has a different number of
            channels.

    Example:

    >>> import tfnca
    >>> tfnca.GrowingCA()(tfnca.seed_state(16), seed=0, index=0).shape
    TensorShape([1, 16, 16, 16])

    Reference:
        The article's "Adversarial Injections for Growing CA"; the model is Mordvintsev et al.,
        "Growing Neural Cellular Automata", Distill, 2020. A comment in the published code says
        that the last layer has no bias, but the released weights have one, so this layer does too.
    """

    state_bound = STATE_BOUND
    task = "pattern"
    arguments = ("channels", "hidden", "fire_rate", "step_size", "angle")

    def __init__(
        self,
        channels: int = GROWING_CHANNELS,
        hidden: int = _HIDDEN,
        fire_rate: float = 0.5,
        step_size: float = 1.0,
        angle: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if type(self).__init__ is GrowingCA.__init__:  # a subclass may fix another value
            self._reject_what_is_fixed(kwargs)
        super().__init__(
            **self.parts(channels, hidden), fire_rate=fire_rate, step_size=step_size, **kwargs
        )
        self.hidden = hidden
        self.angle = check_number("angle", angle)

    @staticmethod
    def parts(channels: int = GROWING_CHANNELS, hidden: int = _HIDDEN) -> dict[str, Any]:
        """What this preset sets among the arguments of a `NeuralCA`, for its sizes."""
        return {
            "channels": check_integer("channels", channels, ALPHA + 1),
            "hidden": check_integer("hidden", hidden, 1),
            "alive": Alpha(),
        }

    @property
    def rule(self) -> Rule:
        turned = sobel_kernels(self.angle)
        return replace(super().rule, filters=tuple(turned.transpose(2, 0, 1)))

    def scaled(self, factors: Array) -> "GrowingCA":
        """See `NeuralCA.scaled`; RGBA, which is the picture, must keep a factor of 1."""
        return rescale(self, factors, kept=tuple(range(ALPHA + 1)))
