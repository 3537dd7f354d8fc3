"""Injection: adversarial cells mixed into a frozen CA."""

from dataclasses import replace
from typing import Any

import keras
from keras import ops

from tfnca.automata.checks import check_inputs, check_mask
from tfnca.automata.context import Context
from tfnca.automata.step import CellularAutomaton, Step, freeze_copy, next_state
from tfnca.types import Array


@keras.saving.register_keras_serializable("tfnca")
class Injected(Step):
    """A frozen host in which some cells run an adversary instead.

    Both networks read the same state. Each draws its own fire mask, updates the whole grid and, in
    a CA whose cells die, determines the living cells from its own update. Then every cell keeps the
    result of the network that the mask assigns to it.

    Args:
        host: The CA under attack. The step holds a frozen copy; your object does not change.
        adversary: A CA with the same channels, trained in place; its rule may differ.

    Call arguments:
        See `Step`; `mask` is 1 where cells run the adversary. Without a mask, all cells run the
        host.

    Returns:
        The next state, of the same shape as `state`.

    Raises:
        ValueError: If host and adversary are not CAs with the same number of channels.

    Example:

    >>> import numpy as np, tfnca
    >>> step = tfnca.Injected(tfnca.GrowingCA(), tfnca.GrowingCA())
    >>> state = tfnca.seed_state(16)
    >>> step(state, mask=np.zeros((1, 16, 16)), seed=0, index=0).shape
    TensorShape([1, 16, 16, 16])

    Reference:
        The article's "Adversarial MNIST CA" and "Adversarial Injections for Growing CA".
    """

    def __init__(
        self, host: CellularAutomaton, adversary: CellularAutomaton, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for name, ca in (("host", host), ("adversary", adversary)):
            if not isinstance(ca, CellularAutomaton):
                raise ValueError(
                    f"{name} must be a CA by itself, such as a GrowingCA or an MNISTCA. "
                    f"Received: {name}={ca!r}"
                )
        if host.channels != adversary.channels:
            raise ValueError(
                "host and adversary must have the same channels. Received: "
                f"host={type(host).__name__} with {host.channels}, "
                f"adversary={type(adversary).__name__} with {adversary.channels} channels"
            )
        self.host = freeze_copy(host)
        self.adversary = adversary
        self.channels = host.channels
        self.built = True

    @property
    def networks(self) -> list[CellularAutomaton]:
        return [self.host, self.adversary]

    @property
    def trained(self) -> keras.layers.Layer:
        return self.adversary

    def advance(self, state: Array, context: Context) -> Array:
        if not any(getattr(ca, "inputs", True) for ca in self.networks):
            check_inputs(context.inputs, 0, state, type(self).__name__)
        of_host, of_adversary = (self._context(context, number) for number in (0, 1))
        hosts = next_state(self.host, state, of_host, training=False)
        adversaries = next_state(self.adversary, state, of_adversary)
        if context.mask is None:
            return hosts
        check_mask(context.mask, state)
        stands = ops.cast(context.mask, "float32") > 0.5
        return ops.where(ops.expand_dims(stands, -1), adversaries, hosts)

    def _context(self, context: Context, number: int) -> Context:
        """The context of host or adversary, with noise for the channels that it changes."""
        ca = self.networks[number]
        own = context.for_network(number, ca.noise_std is not None, getattr(ca, "inputs", True))
        if own.noise is None:
            return own
        return replace(own, noise=own.noise[..., -ca.changing :])

    def living(self, state: Array) -> Array | None:
        return self.host.living(state)

    def confine(self, state: Array, changed: Array) -> Array:
        return self.host.confine(state, changed)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "host": keras.saving.serialize_keras_object(self.host),
            "adversary": keras.saving.serialize_keras_object(self.adversary),
        }

    @classmethod
    def from_config(cls, config: dict) -> Step:
        config = dict(config)
        for name in ("host", "adversary"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)
