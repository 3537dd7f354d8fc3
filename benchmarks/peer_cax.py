"""The same formulas through CAX: its perception and update layers, its scan over steps.

CAX uses the last channel as alpha, so channels are reordered before and after. Its fire mask is a
dropout, which doubles the updates that remain. A step size of one half compensates for that.

CAX 0.3 (Python 3.11) and 0.4 (from 3.12) both work, because every argument is passed by name.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from cax.core import ComplexSystem
from cax.core.perceive import ConvPerceive
from cax.core.update import MLPUpdate, NCAUpdate
from flax import nnx
from peer_jax import loss_of, normalized, perturb

ALPHA_LAST = np.array([0, 1, 2, *range(4, 16), 3])
BACK = np.argsort(ALPHA_LAST)
NUM_KERNELS = 3
PERCEIVED = (NUM_KERNELS * ALPHA_LAST[:, None] + np.arange(NUM_KERNELS)).ravel()
PERCEIVED_BACK = np.argsort(PERCEIVED)


class GrowingNetwork(nnx.Module):
    def __init__(self, problem, weights, fire_rate, noise_std, rngs):
        channels = weights[-1].size
        self.perceive = ConvPerceive(
            channel_size=channels,
            perception_size=NUM_KERNELS * channels,
            feature_group_count=channels,
            rngs=rngs,
        )
        kernels = np.tile(problem["sobel"][:, :, None, :], (1, 1, 1, channels))
        self.perceive.conv.kernel.set_value(jnp.asarray(kernels))
        self.update = NCAUpdate(
            channel_size=channels,
            perception_size=NUM_KERNELS * channels,
            hidden_layer_sizes=(weights[1].size,),
            step_size=fire_rate,
            cell_dropout_rate=1.0 - fire_rate,
            rngs=rngs,
        )
        kernel, bias, last_kernel, last_bias = weights
        weights = kernel[:, :, PERCEIVED], bias, last_kernel[..., ALPHA_LAST], last_bias[ALPHA_LAST]
        fill(self.update.layers, weights)

    def __call__(self, state):
        return self.update(state, self.perceive(state))


class MNISTNetwork(nnx.Module):
    def __init__(self, problem, weights, fire_rate, noise_std, rngs):
        hidden, channels = weights[1].size, weights[-1].size + 1
        self.perceive = ConvPerceive(
            channel_size=channels,
            perception_size=hidden,
            use_bias=True,
            activation_fn=nnx.relu,
            rngs=rngs,
        )
        self.update = MLPUpdate(
            num_spatial_dims=2,
            channel_size=channels - 1,
            perception_size=hidden,
            hidden_layer_sizes=(hidden,),
            rngs=rngs,
        )
        fill([self.perceive.conv, *self.update.layers], weights)
        self.fire = nnx.Dropout(1.0 - fire_rate, broadcast_dims=(-1,), rngs=rngs)
        self.fire_rate, self.noise_std, self.rngs = fire_rate, noise_std, rngs

    def __call__(self, state):
        update = self.update(state, self.perceive(state))
        update += self.noise_std * jax.random.normal(self.rngs.noise(), update.shape)
        update = self.fire_rate * self.fire(update * (state[..., :1] > 0.1))
        return state + jnp.pad(update, [(0, 0)] * 3 + [(1, 0)])


def fill(layers, weights):
    for layer, kernel, bias in zip(layers, weights[::2], weights[1::2], strict=True):
        layer.kernel.set_value(jnp.asarray(kernel.reshape(layer.kernel.shape)))
        layer.bias.set_value(jnp.asarray(bias))


class System(ComplexSystem):
    def __init__(self, problem, fire_rate, noise_std):
        self.mask = None if problem["mask"] is None else nnx.Variable(problem["mask"][..., None])
        parts, rngs = dict(problem["parts"]), nnx.Rngs(0)
        matrix = parts.pop("matrix", None)
        if matrix is not None:
            self.matrix = nnx.Param(jnp.asarray(matrix[0][np.ix_(ALPHA_LAST, ALPHA_LAST)]))
        self.perturbed = matrix is not None
        kind = MNISTNetwork if problem["kind"] == "mnist" else GrowingNetwork
        for name, weights in parts.items():
            setattr(self, name, kind(problem, weights, fire_rate, noise_std, rngs))

    def _step(self, state, input=None, **_):
        if self.perturbed:
            state = perturb(state, self.matrix[...], slice(-1, None))
        following = self.host(state)
        if self.mask is not None:
            mask = self.mask[...]
            following = following * (1.0 - mask) + self.adversary(state) * mask
        return following


def make(problem, engine):
    """Returns a training step and the check of `worker.py`."""
    growing = problem["kind"] != "mnist"
    start, target = problem["state"], jnp.asarray(problem["target"])
    start = jnp.asarray(start[..., ALPHA_LAST] if growing else start)
    trained = nnx.All(nnx.Param, nnx.PathContains(problem["trained"]))
    if growing and problem["trained"] != "matrix":  # Sobel kernels are unchanged
        trained = nnx.All(trained, nnx.PathContains("update"))

    def loss(system, steps):
        state = system(start, num_steps=steps)
        state = state[..., BACK] if growing else state
        return loss_of(state, target, problem["kind"]), state

    forward_and_back = nnx.value_and_grad(loss, argnums=nnx.DiffState(0, trained), has_aux=True)

    @nnx.jit
    def update(system, optimizer):
        (value, _), gradients = forward_and_back(system, problem["steps"])
        optimizer.update(system, normalized(gradients))
        return value

    system = System(problem, problem["fire_rate"], problem["noise_std"])
    adam = optax.adam(problem["learning_rate"], eps=1e-7)
    optimizer = nnx.Optimizer(system, adam, wrt=trained)

    def train():
        value = update(system, optimizer)
        jax.block_until_ready(nnx.state(system))
        return float(value)

    def check(steps):
        fresh = System(problem, 1.0, 0.0)
        (_, state), gradients = nnx.jit(forward_and_back, static_argnums=1)(fresh, steps)
        return {"state": state} | {
            f"gradient {i}": g for i, g in enumerate(in_our_order(normalized(gradients)))
        }

    def in_our_order(gradients):
        if problem["trained"] == "matrix":
            matrix = gradients["matrix"][...][np.ix_(BACK, BACK)]
            # Reordering moved some entries of the upper triangle below the diagonal.
            return [jnp.triu(matrix) + jnp.tril(matrix, -1).T]
        of_network = gradients[problem["trained"]]
        layers = [of_network["update"]["layers"][i] for i in range(2)]
        layers = layers if growing else [of_network["perceive"]["conv"], *layers]
        values = [v[...] for layer in layers for v in (layer["kernel"], layer["bias"])]
        if growing:
            kernel, bias, last_kernel, last_bias = values
            values = [kernel[:, :, PERCEIVED_BACK], bias, last_kernel[..., BACK], last_bias[BACK]]
        return values

    return train, check
