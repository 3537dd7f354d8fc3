"""Injection: cells of another rule mixed into a frozen CA."""

import keras
from keras import ops

from tfnca import randomness
from tfnca.growing import GrowingCA
from tfnca.mnist import MNISTCA
from tfnca.step import Step, check_pair, check_rate, freeze_copy

_MASK_STREAM = 2
"""Networks 0 and 1 are host and adversary; masks are drawn from a stream of their own."""


@keras.saving.register_keras_serializable("tfnca")
class Injected(Step):
    """A frozen host with cells of an adversary among its own.

    Both networks read the same state. Each draws its own fire mask and, in a Growing CA, finds
    its own living cells after its own update everywhere; then every cell keeps the result of the
    network that the mask assigns to it.

    Args:
        host: The CA under attack. The step holds a frozen copy; the caller's stays as it was.
        adversary: A CA of the same kind, trained in place.

    Call arguments:
        See `Step`; `mask` is 1 where the adversary stands, and without a mask the host stands
        everywhere.

    Returns:
        The next state, of the shape of `state`.

    Raises:
        ValueError: If host and adversary are not CAs of the same kind and channels.

    Example:

    >>> import numpy as np, tfnca
    >>> step = tfnca.Injected(tfnca.GrowingCA(), tfnca.GrowingCA())
    >>> state = tfnca.seed_state(16)
    >>> step(state, mask=np.zeros((1, 16, 16)), seed=0, index=0).shape
    TensorShape([1, 16, 16, 16])

    Reference:
        The article's "Adversarial MNIST CA" and "Adversarial Injections for Growing CA".
    """

    def __init__(self, host, adversary, **kwargs):
        super().__init__(**kwargs)
        for name, ca in (("host", host), ("adversary", adversary)):
            if not isinstance(ca, GrowingCA | MNISTCA):
                raise ValueError(
                    f"{name} must be a GrowingCA or an MNISTCA. Received: {name}={ca!r}"
                )
        if type(host) is not type(adversary) or host.channels != adversary.channels:
            raise ValueError(
                "host and adversary must be of the same kind and channels. Received: "
                f"host={type(host).__name__} with {host.channels}, "
                f"adversary={type(adversary).__name__} with {adversary.channels} channels"
            )
        self.host = freeze_copy(host)
        self.adversary = adversary
        self.channels = host.channels
        self.built = True

    @property
    def networks(self):
        return [self.host, self.adversary]

    @property
    def trained(self):
        return self.adversary

    def call(self, state, mask=None, seed=0, index=0, fire_mask=None, noise=None):
        fire_mask, noise = check_pair("fire_mask", fire_mask), check_pair("noise", noise)
        hosts, adversaries = (
            ca(
                state,
                seed=seed,
                index=index,
                fire_mask=fire_mask[network],
                noise=noise[network],
                network=network,
            )
            for network, ca in enumerate(self.networks)
        )
        if mask is None:
            return hosts
        return ops.where(ops.expand_dims(check_mask(mask, state), -1), adversaries, hosts)

    def get_config(self):
        return {
            **super().get_config(),
            "host": keras.saving.serialize_keras_object(self.host),
            "adversary": keras.saving.serialize_keras_object(self.adversary),
        }

    @classmethod
    def from_config(cls, config):
        config = dict(config)
        for name in ("host", "adversary"):
            config[name] = keras.saving.deserialize_keras_object(config[name])
        return cls(**config)


def check_mask(mask, state):
    """Returns `mask` as booleans; raises ValueError unless it is ``(batch, height, width)``."""
    if tuple(mask.shape) != tuple(state.shape[:3]) and None not in tuple(mask.shape):
        raise ValueError(
            f"mask must have the state's batch, height and width {tuple(state.shape[:3])}. "
            f"Received: mask of shape {tuple(mask.shape)}"
        )
    return ops.cast(mask, "float32") > 0.5


def check_density(density):
    """Returns `density` as a float; raises ValueError unless it lies in (0, 1]."""
    if not 0.0 < density <= 1.0:
        raise ValueError(f"density must lie in (0, 1]. Received: density={density!r}")
    return float(density)


def random_mask(where, density, seed, index=0):
    """Adversaries at random: each allowed cell with probability `density`.

    Args:
        where: Where adversaries may stand, ``(batch, height, width)`` of booleans. The article
            allows every pixel of a digit's grid, and a lizard's cells with target alpha >= 0.1.
        density: Probability for each allowed cell, in [0, 1]; a number or a scalar tensor.
        seed: Integer or scalar tensor. Under one seed a denser mask contains a thinner one.
        index: A further integer, to draw many masks from one seed.

    Returns:
        float32 tensor ``(batch, height, width)`` of zeros and ones.

    Raises:
        ValueError: If a number given as `density` lies outside [0, 1].

    Example:

    >>> import numpy as np, tfnca
    >>> float(np.mean(tfnca.random_mask(np.ones((8, 64, 64)), 0.1, seed=0))).__round__(2)
    0.1
    """
    if isinstance(density, int | float):
        check_rate("density", density)
    where = ops.cast(where, "bool")
    draws = randomness.uniform(tuple(ops.shape(where)), seed, index, _MASK_STREAM)
    return ops.cast(ops.logical_and(draws < density, where), "float32")
