"""Invasion: species that share one grid, and compete for its cells."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import keras
from keras import ops

from tfnca.automata.alive import Alpha
from tfnca.automata.checks import check_cells, check_integer, reject_mask
from tfnca.automata.context import Context
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.state import is_near
from tfnca.automata.step import Step, clipped, freeze_copy
from tfnca.types import Array

_SHARED = ("channels", "fixed", "alive", "padding", "state_clip")
"""Parts of the rule in which all species must agree."""


@keras.saving.register_keras_serializable("tfnca")
class Invasion(Step):
    """A frozen host whose grid adversaries share as further species that can spread.

    All species share the state's channels, except that each has an alpha channel of its own: the
    host's is where its rule has it, and those of the adversaries follow the host's channels. There
    is no mask, since the alphas say which cells belong to which species. In each step:

    1. A cell with an alpha at or above the threshold (0.1) belongs to the species with the largest.
       Any other cell is free: it belongs to every species that has such an alpha in one of the
       eight neighbours. Alphas of species to which a cell does not belong become 0; so do all
       channels of a cell that belongs to no species.
    2. Each network sees the state with the sum of all alphas as its alpha, and fires on its own.
    3. Each cell adds the mean of the updates of its species, where a species that does not fire
       counts as 0. A species changes only its own alpha.

    Args:
        host: The CA under attack, one that lives by an `Alpha`. The step holds a frozen copy; your
            object does not change.
        adversaries: A CA with the host's channels, or several, trained in place.

    Call arguments:
        See `Step`; there is no `mask`. `fire_mask` and `noise` have one entry per species.

    Returns:
        The next state, of the same shape as `state`: the host's channels, then an alpha per
        adversary.

    Raises:
        ValueError: If a species is not a plain `NeuralCA` that lives by an `Alpha`, or differs from
            the host in its channels, alive rule, padding or `state_clip`.

    Example:

    >>> import tfnca
    >>> host, adversary = tfnca.GrowingCA(), tfnca.GrowingCA()
    >>> step = tfnca.Invasion(host, adversary)
    >>> grown = tfnca.rollout(host, tfnca.seed_state(16), steps=10, seed=0)
    >>> cells = tfnca.living_mask(grown)[..., 0]
    >>> state = step.invade(grown, tfnca.random_patch(cells, 2, seed=0))
    >>> tfnca.rollout(step, state, steps=10, seed=0, step_offset=10).shape
    TensorShape([1, 16, 16, 17])

    Reference:
        Cavuoti et al., "Adversarial Takeover of Neural Cellular Automata", 2022, and its code.
    """

    host: NeuralCA

    def __init__(
        self, host: NeuralCA, adversaries: NeuralCA | Sequence[NeuralCA], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        adversaries = list(adversaries) if isinstance(adversaries, Sequence) else [adversaries]
        if not adversaries:
            raise ValueError("adversaries must be one CA or more. Received: none")
        for name, ca in (("host", host), *(("adversary", each) for each in adversaries)):
            if not isinstance(ca, NeuralCA) or type(ca).advance is not NeuralCA.advance:
                raise ValueError(
                    f"{name} must be a NeuralCA, for example a GrowingCA, whose class does not "
                    f"override `advance`. Received: {name}={ca!r}"
                )
            if not isinstance(ca.rule.alive, Alpha) or ca.rule.fixed:
                raise ValueError(
                    f"{name} must live by an alpha channel and have no fixed channels, because "
                    "species compete by their alphas. Received: "
                    f"alive={ca.rule.alive}, fixed={ca.rule.fixed}"
                )
            for part in _SHARED:
                of_host, own = getattr(host.rule, part), getattr(ca.rule, part)
                if own != of_host:
                    raise ValueError(
                        f"All species must have the host's {part}. Received: "
                        f"{part}={of_host!r} of the host, {part}={own!r} of the {name}"
                    )
        self.host = freeze_copy(host)
        self.adversaries = adversaries
        self.channels = host.channels + len(adversaries)
        self.built = True

    @property
    def networks(self) -> list[NeuralCA]:  # type: ignore[override]
        return [self.host, *self.adversaries]  # type: ignore[list-item]

    @property
    def trained(self) -> keras.layers.Layer:
        """The adversary, or this step if there are several."""
        return self.adversaries[0] if len(self.adversaries) == 1 else self

    @property
    def has_adversary(self) -> bool:
        """False: an invasion takes no mask, because its state says where the adversaries are."""
        return False

    @property
    def state_bound(self) -> float | None:  # type: ignore[override]
        return self.host.state_bound

    @property
    def alphas(self) -> list[int]:
        """The alpha channel of each species, host first."""
        return [self._alive.channel, *range(self.host.channels, self.channels)]

    @property
    def _alive(self) -> Alpha:
        return self.host.rule.alive  # type: ignore[return-value]

    def _alphas(self, state: Array) -> list[Array]:
        """Each species' alpha, ``(batch, height, width, 1)``."""
        return [state[..., channel : channel + 1] for channel in self.alphas]

    def belongs(self, state: Array) -> Array:
        """Which cells belong to which species, booleans ``(batch, height, width, species)``."""
        alphas, threshold = ops.concatenate(self._alphas(state), axis=-1), self._alive.threshold
        largest = ops.max(alphas, axis=-1, keepdims=True)
        near = is_near(alphas >= threshold, self.host.rule.padding)
        claimed = largest >= threshold
        # Not `ops.where`, which in TensorFlow.js on WASM writes booleans out of bounds.
        owned = ops.logical_and(claimed, alphas == largest)
        return ops.logical_or(owned, ops.logical_and(ops.logical_not(claimed), near))

    def owners(self, state: Array) -> Array:
        """The species of each cell: 0 for the host, 1 for the first adversary; -1 if it is free.

        Args:
            state: Tensor ``(batch, height, width, channels)``.

        Returns:
            int32 tensor ``(batch, height, width)``.
        """
        alphas = ops.concatenate(self._alphas(state), axis=-1)
        claimed = ops.max(alphas, axis=-1) >= self._alive.threshold
        return ops.where(claimed, ops.cast(ops.argmax(alphas, axis=-1), "int32"), -1)

    def seen(self, state: Array) -> Array:
        """The state as networks see it, and as pictures show it.

        Args:
            state: Tensor ``(batch, height, width, channels)``.

        Returns:
            Tensor with the host's channels: its alpha is the sum of all alphas.
        """
        alpha, count, total = self.alphas[0], self.host.channels, sum(self._alphas(state))
        return ops.concatenate([state[..., :alpha], total, state[..., alpha + 1 : count]], axis=-1)

    def invade(self, state: Array, where: Array, species: int = 1) -> Array:
        """Gives cells to a species: the sum of their alphas moves to its channel.

        Args:
            state: A state of the host, or of this step.
            where: The cells, booleans or 0 and 1, ``(batch, height, width)``; for example a
                `random_patch` or, for scattered cells, a `random_mask`.
            species: 1 for the first adversary; 0 gives cells back to the host.

        Returns:
            A state of this step, ``(batch, height, width, channels)``.

        Raises:
            ValueError: If state or cells do not fit, or there is no such species.
        """
        species = check_integer("species", species, 0, len(self.adversaries))
        state = ops.cast(state, "float32")
        extra = self.channels - state.shape[-1]
        if len(state.shape) != 4 or extra not in (0, len(self.adversaries)):
            raise ValueError(
                f"state must be (batch, height, width, {self.host.channels}), a host's, or have "
                f"{self.channels} channels. Received: state of shape {tuple(state.shape)}"
            )
        check_cells("where", where)
        if tuple(where.shape) != tuple(state.shape[:3]):
            raise ValueError(
                f"where must have the state's batch, height and width {tuple(state.shape[:3])}. "
                f"Received: where of shape {tuple(where.shape)}"
            )
        where = ops.cast(where, "bool")[..., None]
        alphas = self._alphas(ops.pad(state, [[0, 0]] * 3 + [[0, extra]]))
        total = sum(alphas)
        moved = [
            ops.where(where, total if number == species else 0.0, alpha)
            for number, alpha in enumerate(alphas)
        ]
        return self._spread(state, moved)

    def advance(self, state: Array, context: Context) -> Array:
        reject_mask(context.mask, type(self).__name__)
        belongs = self.belongs(state)
        # Neither `ops.split` nor `ops.any`: LiteRT and TensorFlow.js lack them for booleans.
        own = [belongs[..., number : number + 1] for number in range(len(self.alphas))]
        pairs = zip(own, self._alphas(state), strict=True)
        alphas = [ops.where(here, alpha, 0.0) for here, alpha in pairs]
        alive = reduce(ops.logical_or, own)
        state = self._spread(ops.where(alive, state, 0.0), alphas)
        seen, alpha = self.seen(state), self.alphas[0]
        shared, changes = ops.zeros_like(seen), []
        for number, (ca, here) in enumerate(zip(self.networks, own, strict=True)):
            update, fires = ca.propose(seen, self._context(context, number), here)
            update = ops.where(fires, update, 0.0)
            shared = shared + update
            changes.append(update[..., alpha : alpha + 1])
        count = ops.maximum(ops.sum(ops.cast(belongs, "float32"), axis=-1, keepdims=True), 1.0)
        unchanged = ops.zeros_like(state[..., self.host.channels :])
        change = self._spread(ops.concatenate([shared, unchanged], axis=-1), changes)
        return clipped(state + change / count, self.host.rule.state_clip)

    def _context(self, context: Context, number: int) -> Context:
        """The context of a species' network."""
        ca, count = self.networks[number], len(self.networks)
        own = context.for_network(number, ca.noise_std is not None, bool(ca.inputs), count)
        # Stream 2 of the draws belongs to masks.
        return replace(own, network=number + (number > 1))

    def _spread(self, state: Array, alphas: list[Array]) -> Array:
        """A state with other alphas, one ``(batch, height, width, 1)`` per species."""
        alpha, count = self.alphas[0], self.host.channels
        parts = [state[..., :alpha], alphas[0], state[..., alpha + 1 : count], *alphas[1:]]
        return ops.concatenate(parts, axis=-1)

    def living(self, state: Array) -> Array:
        """The cells that belong to a species."""
        return ops.any(self.belongs(state), axis=-1, keepdims=True)

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "host": keras.saving.serialize_keras_object(self.host),
            "adversaries": [keras.saving.serialize_keras_object(ca) for ca in self.adversaries],
        }

    @classmethod
    def from_config(cls, config: dict) -> Step:
        restore = keras.saving.deserialize_keras_object
        adversaries = [restore(each) for each in config["adversaries"]]
        return cls(**{**config, "host": restore(config["host"]), "adversaries": adversaries})
