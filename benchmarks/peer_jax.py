"""The same formulas in plain JAX: one jitted training step with a scan."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

LAYOUT = ("NHWC", "HWIO", "NHWC")


def living_mask(alpha):
    return lax.reduce_window(alpha, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 1, 1, 1), "SAME") > 0.1


def perturb(state, matrix, alpha):
    matrix = jnp.triu(matrix) + jnp.triu(matrix, 1).T
    return jnp.clip(state @ matrix, -3.0, 3.0) * living_mask(state[..., alpha])


def loss_of(state, target, kind):
    if kind == "mnist":
        return jnp.sum(jnp.square(target - state[..., -10:])) / 2.0 / len(state)
    return jnp.mean(jnp.square(state[..., :4] - target))


def normalized(gradients):
    return jax.tree.map(lambda g: g / (jnp.linalg.norm(g.ravel()) + 1e-8), gradients)


def make(problem, engine):
    """Returns a training step and the check of `worker.py`."""
    kind, trained, steps = problem["kind"], problem["trained"], problem["steps"]
    start, target = jnp.asarray(problem["state"]), jnp.asarray(problem["target"])
    mask = None if problem["mask"] is None else jnp.asarray(problem["mask"])[..., None]
    channels = start.shape[-1]
    sobel = jnp.asarray(np.tile(problem["sobel"][:, :, None, :], (1, 1, 1, channels)))

    def fire(state, key, fire_rate):
        return jax.random.uniform(key, (*state.shape[:3], 1)) <= fire_rate

    def growing(state, weights, key, fire_rate, noise_std):
        alive = living_mask(state[..., 3:4])
        perception = lax.conv_general_dilated(
            state, sobel, (1, 1), "SAME", dimension_numbers=LAYOUT, feature_group_count=channels
        )
        hidden = jax.nn.relu(perception @ weights[0][0, 0] + weights[1])
        update = hidden @ weights[2][0, 0] + weights[3]
        state = state + update * fire(state, key, fire_rate)
        return state * (alive & living_mask(state[..., 3:4]))

    def mnist(state, weights, key, fire_rate, noise_std):
        perception = lax.conv_general_dilated(
            state, weights[0], (1, 1), "SAME", dimension_numbers=LAYOUT
        )
        hidden = jax.nn.relu(jax.nn.relu(perception + weights[1]) @ weights[2][0, 0] + weights[3])
        update = hidden @ weights[4][0, 0] + weights[5]
        noise_key, key = jax.random.split(key)
        update += noise_std * jax.random.normal(noise_key, update.shape)
        changes = fire(state, key, fire_rate) & (state[..., :1] > 0.1)
        return state + jnp.pad(update * changes, [(0, 0)] * 3 + [(1, 0)])

    network = mnist if kind == "mnist" else growing

    def loss(weights, frozen, key, steps, fire_rate, noise_std):
        parts = {**frozen, trained: weights}

        def one_step(state, key):
            if "matrix" in parts:
                state = perturb(state, parts["matrix"][0], slice(3, 4))
            keys = jax.random.split(key)
            following = network(state, parts["host"], keys[0], fire_rate, noise_std)
            if mask is not None:
                adversaries = network(state, parts["adversary"], keys[1], fire_rate, noise_std)
                following = following * (1.0 - mask) + adversaries * mask
            return following, None

        state, _ = lax.scan(one_step, start, jax.random.split(key, steps))
        return loss_of(state, target, kind), state

    def load():
        parts = jax.tree.map(jnp.asarray, problem["parts"])
        return parts.pop(trained), parts

    optimizer = optax.adam(problem["learning_rate"], eps=1e-7)
    forward_and_back = jax.value_and_grad(loss, has_aux=True)

    @jax.jit
    def update(weights, frozen, slots, key):
        (value, _), gradients = forward_and_back(
            weights, frozen, key, steps, problem["fire_rate"], problem["noise_std"]
        )
        changes, slots = optimizer.update(normalized(gradients), slots)
        return optax.apply_updates(weights, changes), slots, jax.random.split(key)[0], value

    weights, frozen = load()
    run = {"weights": weights, "slots": optimizer.init(weights), "key": jax.random.key(0)}

    def train():
        *following, value = jax.block_until_ready(
            update(run["weights"], frozen, run["slots"], run["key"])
        )
        run.update(zip(("weights", "slots", "key"), following, strict=True))
        return float(value)

    def check(steps):
        weights, frozen = load()
        certain = jax.jit(lambda w, f: forward_and_back(w, f, jax.random.key(0), steps, 1.0, 0.0))
        (_, state), gradients = certain(weights, frozen)
        gradients = enumerate(normalized(gradients))
        return {"state": state, **{f"gradient {i}": g for i, g in gradients}}

    return train, check
