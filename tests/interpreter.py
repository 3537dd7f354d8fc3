"""A rule in plain NumPy, written from its description and not from the package.

`step` takes the arguments of a rule as a dictionary and one grid ``(height, width, channels)`` in
float64; it returns the next grid and a function that goes back.
"""

import math

import numpy as np

DEFAULTS = {
    "filters": ("identity", "sobel_x", "sobel_y"),
    "learned": None,
    "activation": "relu",
    "negative_slope": 0.2,
    "padding": "zero",
    "alive": None,
    "fixed": 0,
    "inputs": 0,
    "state_clip": np.inf,
    "network_clip": np.inf,
    "step_size": 1.0,
    "message_bound": np.inf,
}

FILTERS = {
    "identity": [[0, 0, 0], [0, 1, 0], [0, 0, 0]],
    "sobel_x": [[-1 / 8, 0, 1 / 8], [-2 / 8, 0, 2 / 8], [-1 / 8, 0, 1 / 8]],
    "sobel_y": [[-1 / 8, -2 / 8, -1 / 8], [0, 0, 0], [1 / 8, 2 / 8, 1 / 8]],
    "sobel_y_flipped": [[1 / 8, 2 / 8, 1 / 8], [0, 0, 0], [-1 / 8, -2 / 8, -1 / 8]],
    "scharr_x_transposed": [[-3 / 32, -10 / 32, -3 / 32], [0, 0, 0], [3 / 32, 10 / 32, 3 / 32]],
    "scharr_y": [[-3 / 32, -10 / 32, -3 / 32], [0, 0, 0], [3 / 32, 10 / 32, 3 / 32]],
    "laplacian": [[1 / 8, 2 / 8, 1 / 8], [2 / 8, -12 / 8, 2 / 8], [1 / 8, 2 / 8, 1 / 8]],
    "laplacian_unscaled": [[1, 2, 1], [2, -12, 2], [1, 2, 1]],
    "gauss": [[1 / 16, 2 / 16, 1 / 16], [2 / 16, 4 / 16, 2 / 16], [1 / 16, 2 / 16, 1 / 16]],
    "mean": [[1 / 9] * 3] * 3,
}

_normal = np.vectorize(lambda x: (1 + math.erf(x / math.sqrt(2))) / 2)
_sigmoid = np.vectorize(lambda x: 1 / (1 + math.exp(-x)))


def _density(x):
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


ACTIVATIONS = {
    "linear": (lambda x: x, np.ones_like),
    "relu": (lambda x: np.maximum(x, 0), lambda x: 1.0 * (x > 0)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (_sigmoid, lambda x: _sigmoid(x) * (1 - _sigmoid(x))),
    "silu": (lambda x: x * _sigmoid(x), lambda x: _sigmoid(x) * (1 + x * (1 - _sigmoid(x)))),
    "elu": (lambda x: np.where(x > 0, x, np.expm1(x)), lambda x: np.where(x > 0, 1, np.exp(x))),
    "gelu": (lambda x: x * _normal(x), lambda x: _normal(x) + x * _density(x)),
}
"""Functions and their derivatives."""


def activation_of(name, slope):
    if name == "leaky_relu":
        return lambda x: np.where(x > 0, x, slope * x), lambda x: np.where(x > 0, 1, slope)
    return ACTIVATIONS[name]


def neighbours(height, width, padding):
    """The number of each cell's neighbour in nine directions; one too high for nobody."""

    def along(places, size):
        inside = (places >= 0) & (places < size)
        if padding == "circular":
            return places % size, inside | True
        if padding == "reflect":
            places = size - 1 - np.abs(size - 1 - np.abs(places))
        return np.clip(places, 0, size - 1), inside | (padding != "zero")

    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            rows, row_inside = along(np.arange(height) + down, height)
            columns, column_inside = along(np.arange(width) + right, width)
            inside = row_inside[:, None] & column_inside
            yield np.where(inside, rows[:, None] * width + columns, height * width).ravel()


def living(rule, grid):
    """Booleans ``(height, width)``."""
    alive, size = rule["alive"], grid.shape[:2]
    if alive is None:
        return np.ones(size, bool)
    grown = grid[..., alive.channel] > alive.threshold
    if type(alive).__name__ == "Stroke":
        return grown
    with_nobody = np.append(grown.ravel(), False)
    return np.any([with_nobody[n] for n in neighbours(*size, rule["padding"])], 0).reshape(size)


def step(rule, weights, grid, fire, noise=None, inputs=None):
    """One step.

    Args:
        rule: What `NeuralCA` is made of.
        weights: Its weights, in its order.
        grid: ``(height, width, channels)``.
        fire: Which cells fire, ``(height, width)``.
        noise: What is added to updates, ``(height, width, channels - fixed)``.
        inputs: A vector that every cell is given, or an array for each cell.

    Returns:
        ``(next grid, back)``; back takes the gradient of the next grid to those of the grid and of
        the weights.
    """
    return _step(
        DEFAULTS | rule, [np.asarray(w, np.float64) for w in weights], grid, fire, noise, inputs
    )


def _step(rule, weights, grid, fire, noise, inputs):
    height, width, channels = grid.shape
    fixed, bound, alive_before = rule["fixed"], rule["network_clip"], living(rule, grid)
    read = np.clip(grid, -rule["message_bound"], rule["message_bound"])
    if inputs is not None:
        inputs = np.broadcast_to(inputs, (height, width, inputs.shape[-1]))
        if type(rule["alive"]).__name__ == "Alpha":
            inputs = inputs * alive_before[..., None]
        read = np.concatenate([read, inputs], -1)
    near = list(neighbours(height, width, rule["padding"]))
    flat = np.concatenate([read.reshape(-1, read.shape[-1]), np.zeros((1, read.shape[-1]))])
    patches = np.stack([flat[n] for n in near])  # direction, cell, channel

    # Perception
    left, parts, learned = list(weights), [], rule["learned"]
    if rule["filters"]:
        stencils = np.stack(
            [np.asarray(FILTERS.get(f) if isinstance(f, str) else f) for f in rule["filters"]], -1
        ).reshape(9, -1)
        parts.append(np.einsum("ok,onc->nck", stencils, patches).reshape(len(flat) - 1, -1))
    if learned is not None:
        kernel = left.pop(0)
        convolve = "oij,oni->nj" if "filters" in learned else "oij,oni->nij"
        raw = np.einsum(convolve, kernel.reshape(9, *kernel.shape[2:]), patches)
        raw = raw.reshape(len(raw), -1) + (left.pop(0) if learned.get("bias", True) else 0)
        apply, slope = activation_of(learned.get("activation", "linear"), rule["negative_slope"])
        parts.append(apply(raw))
    perceived = np.concatenate(parts, -1)

    # Network: inputs, values before the activation and before the clip, of each layer
    trace, values = [], np.clip(perceived, -bound, bound)
    while left:
        kernel = left.pop(0)
        bias = left.pop(0) if left and left[0].ndim == 1 else 0
        name = rule["activation"] if left else "linear"
        function, derivative = activation_of(name, rule["negative_slope"])
        before = values @ kernel + bias
        after = function(before)
        trace.append((values, kernel, np.ndim(bias), derivative(before) * (np.abs(after) <= bound)))
        values = np.clip(after, -bound, bound)
    update = rule["step_size"] * values.reshape(height, width, -1)
    update = update if noise is None else update + noise

    # Life
    changes = fire.astype(bool)
    if type(rule["alive"]).__name__ == "Stroke":
        changes = changes & alive_before
    following, raw_rest = grid.copy(), grid[..., fixed:] + update
    clip = rule["state_clip"]
    following[changes, fixed:] = np.clip(raw_rest, -clip, clip)[changes]
    passes = np.ones_like(grid)
    passes[changes, fixed:] = np.abs(raw_rest[changes]) <= clip
    if type(rule["alive"]).__name__ == "Alpha":
        dead = ~(alive_before & living(rule, following))
        following[dead, fixed:] = 0
        passes[dead, fixed:] = 0

    def back(upstream):
        of_grid = upstream * passes
        of_values = rule["step_size"] * (of_grid[..., fixed:] * changes[..., None])
        of_values, of_layers = of_values.reshape(height * width, -1), []
        for values, kernel, has_bias, derivative in reversed(trace):
            of_before = of_values * derivative
            of_layers[:0] = [values.T @ of_before] + [of_before.sum(0)] * has_bias
            of_values = of_before @ kernel.T
        of_perceived, of_patches = of_values * (np.abs(perceived) <= bound), np.zeros_like(patches)
        if rule["filters"]:
            size = parts[0].shape[1]
            of_fixed = of_perceived[:, :size].reshape(len(perceived), -1, stencils.shape[1])
            of_patches += np.einsum("ok,nck->onc", stencils, of_fixed)
            of_perceived = of_perceived[:, size:]
        if learned is not None:
            of_raw, kernel = of_perceived * slope(raw), weights[0]
            bias = [of_raw.sum(0)] * learned.get("bias", True)
            of_raw = of_raw if "filters" in learned else of_raw.reshape(len(raw), *kernel.shape[2:])
            forth, other = convolve.split("->")[0].split(",")[0], convolve.split("->")[1]
            of_patches += np.einsum(
                f"{forth},{other}->oni", kernel.reshape(9, *kernel.shape[2:]), of_raw
            )
            of_kernel = np.einsum(f"oni,{other}->{forth}", patches, of_raw).reshape(kernel.shape)
            of_layers[:0] = [of_kernel, *bias]
        of_flat = np.zeros_like(flat)
        for n, of_direction in zip(near, of_patches, strict=True):
            np.add.at(of_flat, n, of_direction)
        of_read = of_flat[:-1].reshape(height, width, -1)[..., :channels]
        return of_grid + of_read * (np.abs(grid) <= rule["message_bound"]), of_layers

    return following, back
