"""A table of rules that covers every option of `NeuralCA`, and states to run them on.

The interpreter, the layers and the living-cells engine are held to each other on all of them.
"""

import numpy as np

from tfnca import Alpha, NeuralCA, Stroke

TEXTURE = {
    "channels": 5,
    "filters": ("identity", "sobel_x", "sobel_y", "laplacian"),
    "hidden": 7,
    "padding": "circular",
}
GROWING = {"channels": 6, "hidden": 9, "alive": Alpha()}
DIGITS = {
    "channels": 6,
    "filters": None,
    "learned": {"filters": 8, "activation": "relu"},
    "hidden": 8,
    "alive": Stroke(),
    "fixed": 1,
    "noise_std": 0.05,
}
ALL_CELLS = {"channels": 4, "hidden": 6}

RULES = {
    "growing": GROWING,
    "digits": DIGITS,
    "digits, noise 0": {**DIGITS, "noise_std": 0.0},
    "texture": TEXTURE,
    "texture, clipped": {**TEXTURE, "network_clip": 0.6, "state_clip": 0.9},
    "growing, circular": {**GROWING, "padding": "circular", "step_size": 0.7},
    "growing, noise": {**GROWING, "noise_std": 0.1},
    "growing, clipped": {**GROWING, "state_clip": 0.8, "network_clip": 0.5},
    "alpha of another channel": {**GROWING, "alive": Alpha(1, 0.3)},
    "alpha, fixed channels": {**GROWING, "fixed": 2},
    "alpha, learned": {**GROWING, "filters": None, "learned": {"filters": 5, "bias": False}},
    "alpha, depthwise": {
        **GROWING,
        "filters": None,
        "learned": {"multiplier": 3, "bias": False},
        "hidden": (7, 5),
        "last_bias": False,
        "state_clip": 10.0,
    },
    "alpha, inputs": {**GROWING, "inputs": 3},
    "alpha, message bound": {**GROWING, "message_bound": 0.4},
    "stroke, filters": {**GROWING, "alive": Stroke(1, 0.0), "fixed": 2, "noise_std": None},
    "stroke, message bound": {**DIGITS, "message_bound": 0.4},
    "stroke, circular": {**DIGITS, "padding": "circular", "hidden": (5, 4)},
    "one filter": {**ALL_CELLS, "filters": ("mean",)},
    "filters as arrays": {
        **ALL_CELLS,
        "filters": ("identity", np.arange(9).reshape(3, 3) / 9 - 0.3, "gauss"),
    },
    "filters' variants": {
        **ALL_CELLS,
        "filters": ("sobel_y_flipped", "scharr_x_transposed", "laplacian_unscaled", "scharr_y"),
    },
    "no hidden layer": {**ALL_CELLS, "hidden": ()},
    "three hidden layers": {**ALL_CELLS, "hidden": (5, 4, 3), "activation": "tanh"},
    "leaky": {**ALL_CELLS, "activation": "leaky_relu", "negative_slope": 0.01},
    "leaky, clipped": {**ALL_CELLS, "activation": "leaky_relu", "network_clip": 0.3},
    "tanh, clipped": {**ALL_CELLS, "activation": "tanh", "network_clip": 0.3},
    "gelu": {**ALL_CELLS, "activation": "gelu"},
    "silu": {**ALL_CELLS, "activation": "silu"},
    "sigmoid": {**ALL_CELLS, "activation": "sigmoid"},
    "elu": {**ALL_CELLS, "activation": "elu"},
    "linear": {**ALL_CELLS, "activation": "linear", "last_bias": False},
    "reflect": {**ALL_CELLS, "padding": "reflect"},
    "replicate": {**ALL_CELLS, "padding": "replicate"},
    "segmenter": {
        "channels": 5,
        "filters": ("identity",),
        "learned": {"filters": 4},
        "hidden": 6,
        "padding": "reflect",
        "fixed": 1,
        "last_bias": False,
    },
    "learned, circular": {
        **ALL_CELLS,
        "filters": None,
        "learned": {"filters": 5},
        "fixed": 1,
        "padding": "circular",
    },
    "filters and depthwise": {**ALL_CELLS, "learned": {"multiplier": 2, "activation": "tanh"}},
    "inputs, circular": {**TEXTURE, "inputs": 2},
    "every cell fires": {**TEXTURE, "fire_rate": 1.0, "activation": "leaky_relu"},
}


def filled(rule, seed=0):
    """A `NeuralCA` of this rule whose weights are all drawn at random."""
    ca, random = NeuralCA(**rule), np.random.default_rng(seed)
    for weight in ca.weights:
        fan_in = np.prod(weight.shape[:-1]) if len(weight.shape) > 1 else 16
        weight.assign(1.5 * random.normal(size=weight.shape) / np.sqrt(fan_in))
    return ca


def some_state(rule, shape, seed=0):
    """A state ``(*shape, channels)`` in which about half of the cells live."""
    random = np.random.default_rng(seed)
    state = random.normal(scale=0.5, size=(*shape, rule.channels))
    alive, chance = rule.alive, random.random(shape)
    if isinstance(alive, Alpha):
        grown = alive.threshold + np.where(chance < 0.08, 0.1 + 10 * chance, chance - 1.1)
        state[..., alive.channel] = grown
    elif alive is not None:
        state[..., alive.channel] = alive.threshold + chance - 0.5
    return state.astype(np.float32)


def some_inputs(rule, shape, seed=0):
    """``{"inputs": inputs}`` for a rule that takes them, a vector for each item; else nothing."""
    if not rule.inputs:
        return {}
    random = np.random.default_rng(seed)
    return {"inputs": random.normal(size=(shape[0], rule.inputs)).astype(np.float32)}
