"""Everything that a step receives in addition to the state, in one object."""

import dataclasses
import inspect
from typing import Any

import tensorflow as tf

from tfnca.automata import randomness
from tfnca.automata.checks import check_each, check_integer, check_seed
from tfnca.types import Array


@dataclasses.dataclass(frozen=True, eq=False)
class Context:
    """Everything that a step receives in addition to the state, such as the seed and step number.

    `Step.call` gathers its keywords in a context and passes it to `Step.advance`; a step that
    wraps another passes the context on. Every field is optional.

    Args:
        seed: Integer in [0, 2**63) or scalar tensor, on which all draws of a run depend. By
            default a new one is drawn, reproducibly under `keras.utils.set_random_seed`.
        index: Integer or scalar tensor: the number of the draws. In training, every step has its
            own.
        age: Integer or scalar tensor: how many steps came before. By default, `index`. In `rollout`
            it counts from ``first_age``, by default ``step_offset``; in every training step, and in
            the measures of an attack, from 0. A step is traced once, so that ``if`` and Python's
            and NumPy's own counters and draws do not follow it: use `keras.ops.where`.
        mask: Where adversaries are, ``(batch, height, width)``, 0 or 1; None for nowhere.
        fire_mask: Which cells fire, ``(batch, height, width, 1)``, instead of a random draw; for a
            step with several networks, one for each, host first.
        noise: Values added to the update, ``(batch, height, width, n)``, instead of a random draw;
            for a step with several networks, one for each. The n channels are
            the `changing` ones of a network.
        inputs: Values that each step receives and that are not part of the state, for a
            `NeuralCA` with `inputs`: one vector per item, ``(batch, inputs)``, or values per
            cell, ``(batch, height, width, inputs)``.
        network: Which network draws: 0 for a host, 1 for an adversary.

    Raises:
        ValueError: If seed, index or age is a number outside [0, 2**63) or not an integer.

    Example:

    >>> import keras, tfnca
    >>> class Fading(tfnca.GrowingCA):
    ...     def advance(self, state, context):
    ...         following = super().advance(state, context)
    ...         return following * keras.ops.where(context.age < 10, 1.0, 0.9)
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
        self, network: int, takes_noise: bool = True, takes_inputs: bool = True, networks: int = 2
    ) -> "Context":
        """The context for one of several networks: its own draws, and no mask."""
        fires = check_each("fire_mask", self.fire_mask, networks)
        noises = check_each("noise", self.noise, networks)
        own = {"fire_mask": fires[network], "noise": noises[network] if takes_noise else None}
        own["inputs"] = self.inputs if takes_inputs else None
        return dataclasses.replace(self, network=network, mask=None, **own)

    def fires(self, shape: tuple, fire_rate: float) -> Array:
        """Which cells fire: the given fire mask, or a random draw. Boolean, ``(*shape, 1)``."""
        if self.fire_mask is not None:
            return tf.cast(self.fire_mask, tf.bool)
        return randomness.fire_mask(shape, fire_rate, self.seed, self.index, self.network)

    def normal(self, shape: tuple, channels: int) -> Array:
        """Standard normal draws, ``(*shape, channels)``."""
        return randomness.normal(shape, channels, self.seed, self.index, self.network)

    def keywords(self, call: Any) -> dict[str, Any]:
        """The fields of the context that a custom `call` accepts, as keyword arguments.

        A `call` that takes ``**kwargs`` gets every field that is set. They are tensors then,
        because Keras does not allow a mixture there.
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
