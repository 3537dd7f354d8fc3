"""What a step is told besides the state, gathered in one object."""

import dataclasses
import inspect
from typing import Any

import tensorflow as tf

from tfnca.automata import randomness
from tfnca.automata.checks import check_integer, check_pair, check_seed
from tfnca.types import Array


@dataclasses.dataclass(frozen=True, eq=False)
class Context:
    """What a step is told besides the state: one run's seed, and where in the run it is.

    `Step.call` gathers its keywords in a context and hands it to `Step.advance`; a step that wraps
    another passes the context on. Every field is optional.

    Args:
        seed: Integer in [0, 2**63) or scalar tensor: what all draws of a run depend on. Without
            one, a new one is drawn, reproducibly under `keras.utils.set_random_seed`.
        index: Integer or scalar tensor: the number of the draws. Every step of a training has one
            of its own.
        age: Integer or scalar tensor: how many steps of this run were made before. `index`, if not
            given. In `rollout` both count from ``step_offset``; in training the age begins at 0 in
            every training step.
        mask: Where adversaries are, ``(batch, height, width)``, 0 or 1; None for nowhere.
        fire_mask: Which cells fire, ``(batch, height, width, 1)``, in place of the draw; for a
            step with two networks a pair (host, adversary).
        noise: What is added to the update, ``(batch, height, width, n)``, in place of the draw;
            for a step with two networks a pair. The n channels are the step's `changing` ones.
        inputs: What each step is given anew and is not part of the state, for a `NeuralCA` with
            `inputs`: a vector for each item, ``(batch, inputs)``, or values for each cell,
            ``(batch, height, width, inputs)``.
        network: Which network draws: 0 for a host, 1 for an adversary.

    Raises:
        ValueError: If seed, index or age is a number that is not such an integer.

    Example:

    >>> import tfnca
    >>> class Fading(tfnca.GrowingCA):
    ...     def advance(self, state, context):
    ...         following = super().advance(state, context)
    ...         return following * tf.where(tf.cast(context.age, tf.int64) < 10, 1.0, 0.9)
    >>> tfnca.rollout(Fading(), tfnca.seed_state(16), steps=20).shape
    TensorShape([1, 16, 16, 16])
    """

    seed: Any = None
    index: Any = 0
    age: Any = None
    mask: Array | None = None
    fire_mask: Any = None
    noise: Any = None
    inputs: Any = None
    network: Any = 0

    def __post_init__(self) -> None:
        if self.seed is None:
            object.__setattr__(self, "seed", randomness.new_seed())
        if self.age is None:
            object.__setattr__(self, "age", self.index)
        if not tf.is_tensor(self.seed):
            check_seed(self.seed)
        for name in ("index", "age"):
            if not tf.is_tensor(value := getattr(self, name)):
                check_integer(name, value, 0, 2**63 - 1)

    def for_network(
        self, network: int, takes_noise: bool = True, takes_inputs: bool = True
    ) -> "Context":
        """What one of two networks is told: its own draws, and no mask."""
        fires = check_pair("fire_mask", self.fire_mask)
        noises = check_pair("noise", self.noise)
        own = {"fire_mask": fires[network], "noise": noises[network] if takes_noise else None}
        own["inputs"] = self.inputs if takes_inputs else None
        return dataclasses.replace(self, network=network, mask=None, **own)

    def fires(self, shape: tuple, fire_rate: float) -> Array:
        """Which cells fire: the given fire mask, or the draw. Boolean, ``(*shape, 1)``."""
        if self.fire_mask is not None:
            return tf.cast(self.fire_mask, tf.bool)
        return randomness.fire_mask(shape, fire_rate, self.seed, self.index, self.network)

    def normal(self, shape: tuple, channels: int) -> Array:
        """Standard normal draws, ``(*shape, channels)``."""
        return randomness.normal(shape, channels, self.seed, self.index, self.network)

    def keywords(self, call: Any) -> dict[str, Any]:
        """The part of the context that a user's own `call` names, as its keyword arguments.

        A `call` that takes ``**kwargs`` gets every field that is set. They are tensors then, since
        Keras allows no mixture there.
        """
        parameters = inspect.signature(call).parameters
        takes_any = any(each.kind is each.VAR_KEYWORD for each in parameters.values())
        given = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in parameters:
                given[field.name] = value
            elif takes_any and value is not None:
                is_number = field.name in ("seed", "index", "age", "network")
                given[field.name] = tf.cast(value, tf.int64) if is_number else value
        return given
