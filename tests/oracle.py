"""The article's maths in plain NumPy loops, written from its text and not from the package.

Each function takes one grid ``(height, width, channels)`` in float64 and returns the next grid
with a function that goes back: from the gradient of the next grid to the gradient of the grid
and a list of those of the weights. Weights are listed kernel, bias, kernel, bias.
"""

import math

import numpy as np

ALPHA = 3


def neighbours(cell, shape):
    """The cells of the 3×3 neighbourhood that lie on the grid, each with its (down, right)."""
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            row, column = cell[0] + down, cell[1] + right
            if 0 <= row < shape[0] and 0 <= column < shape[1]:
                yield (row, column), (down, right)


def living(grid):
    """Booleans ``(height, width)``: alpha above 0.1 somewhere in the neighbourhood."""
    alive = np.zeros(grid.shape[:2], bool)
    for cell in np.ndindex(*alive.shape):
        alive[cell] = any(grid[n][ALPHA] > 0.1 for n, _ in neighbours(cell, alive.shape))
    return alive


def network(inputs, weights):
    """One cell's layers with ReLU between them: the output, and its way back."""
    kernels, biases = weights[0::2], weights[1::2]
    last = len(kernels) - 1
    values = [inputs]
    for layer, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        out = values[-1] @ kernel + bias
        values.append(out if layer == last else np.maximum(out, 0.0))

    def back(upstream, sums):
        for layer in range(last, -1, -1):
            if layer < last:
                upstream = upstream * (values[layer + 1] > 0)
            sums[2 * layer] += np.outer(values[layer], upstream)
            sums[2 * layer + 1] += upstream
            upstream = kernels[layer] @ upstream
        return upstream

    return values[-1], back


def perception(offset, angle):
    """What a neighbour at (down, right) counts in the identity, the x and the y kernel."""
    down, right = offset
    x, y = (2 - abs(down)) * right / 8, (2 - abs(right)) * down / 8
    turned_x = math.cos(angle) * x - math.sin(angle) * y
    turned_y = math.sin(angle) * x + math.cos(angle) * y
    return float(offset == (0, 0)), turned_x, turned_y


def growing(grid, weights, fire, angle=0.0, step_size=1.0):
    """A step of the Growing CA."""
    shape = grid.shape[:2]
    updated, ways_back = grid.copy(), {}
    for cell in np.ndindex(*shape):
        if not fire[cell]:
            continue
        perceived = np.zeros(3 * grid.shape[2])
        for neighbour, offset in neighbours(cell, shape):
            for k, factor in enumerate(perception(offset, angle)):
                perceived[k::3] += factor * grid[neighbour]
        update, ways_back[cell] = network(perceived, weights)
        updated[cell] += step_size * update
    alive = (living(grid) & living(updated))[..., None]

    def back(upstream):
        of_updated = upstream * alive
        of_grid, sums = of_updated.copy(), [np.zeros_like(w) for w in weights]
        for cell, way_back in ways_back.items():
            of_perceived = way_back(step_size * of_updated[cell], sums)
            for neighbour, offset in neighbours(cell, shape):
                for k, factor in enumerate(perception(offset, angle)):
                    of_grid[neighbour] += factor * of_perceived[k::3]
        return of_grid, sums

    return updated * alive, back


def mnist(grid, weights, fire, noise):
    """A step of the MNIST CA; the first kernel is the convolution's, ``(3, 3, in, out)``."""
    shape, channels = grid.shape[:2], grid.shape[2]
    flat = [weights[0].reshape(9 * channels, -1), *weights[1:]]

    def part(offset):
        start = (3 * (offset[0] + 1) + offset[1] + 1) * channels
        return slice(start, start + channels)

    following, ways_back = grid.copy(), {}
    for cell in np.ndindex(*shape):
        if not fire[cell] or grid[cell][0] <= 0.1:
            continue
        patch = np.zeros(9 * channels)
        for neighbour, offset in neighbours(cell, shape):
            patch[part(offset)] = grid[neighbour]
        update, ways_back[cell] = network(patch, flat)
        following[cell][1:] += update + noise[cell]

    def back(upstream):
        of_grid, sums = upstream.copy(), [np.zeros_like(w) for w in flat]
        for cell, way_back in ways_back.items():
            of_patch = way_back(upstream[cell][1:], sums)
            for neighbour, offset in neighbours(cell, shape):
                of_grid[neighbour] += of_patch[part(offset)]
        return of_grid, [s.reshape(w.shape) for s, w in zip(sums, weights, strict=True)]

    return following, back


def injected(mask, host, adversary):
    """Host and adversary, each a pair (next grid, back), mixed; back gives the adversary's sums."""
    at_adversary = np.asarray(mask, float)[..., None]
    mixed = host[0] * (1 - at_adversary) + adversary[0] * at_adversary

    def back(upstream):
        by_host, _ = host[1](upstream * (1 - at_adversary))
        by_adversary, sums = adversary[1](upstream * at_adversary)
        return by_host + by_adversary, sums

    return mixed, back


def verified(grid, mixed, by_the_rule, most):
    """An injection, a pair (next grid, back), whose liars are silenced.

    `by_the_rule` is the next grid if all cells fire by the host's rule, without noise.
    """
    lies = (np.abs(mixed[0] - by_the_rule) > most).any(-1) & (mixed[0] != grid).any(-1)

    def silenced(values):
        values = values.copy()
        values[lies, 1:] = 0
        return values

    return silenced(mixed[0]), lambda upstream: mixed[1](silenced(upstream))


def matrix(grid, variable):
    """Living cells times the mirrored upper triangle of `variable`, clipped to ±3."""
    size = grid.shape[2]
    matrix = np.zeros((size, size))
    for i, j in np.ndindex(size, size):
        matrix[i, j] = variable[min(i, j), max(i, j)]
    alive = living(grid)
    following = np.zeros_like(grid)
    for cell in np.argwhere(alive):
        following[tuple(cell)] = np.clip(grid[tuple(cell)] @ matrix, -3, 3)

    def back(upstream):
        of_grid, of_variable = np.zeros_like(grid), np.zeros_like(matrix)
        for cell in map(tuple, np.argwhere(alive)):
            of_product = upstream[cell] * (np.abs(grid[cell] @ matrix) <= 3)
            of_grid[cell] = matrix @ of_product
            for i, j in np.ndindex(size, size):
                of_variable[min(i, j), max(i, j)] += grid[cell][i] * of_product[j]
        return of_grid, [of_variable]

    return following, back


def shift(grid, vector):
    """Living cells plus a vector, clipped to ±3."""
    alive = living(grid)
    following = np.zeros_like(grid)
    for cell in map(tuple, np.argwhere(alive)):
        following[cell] = np.clip(grid[cell] + vector, -3, 3)

    def back(upstream):
        of_grid = np.zeros_like(grid)
        for cell in map(tuple, np.argwhere(alive)):
            of_grid[cell] = upstream[cell] * (np.abs(grid[cell] + vector) <= 3)
        return of_grid, [of_grid.sum((0, 1))]

    return following, back


def chain(first, second):
    """`second`, a function of a grid, after `first`, a pair; back gives both lists of sums."""
    following, second_back = second(first[0])

    def back(upstream):
        between, second_sums = second_back(upstream)
        of_grid, first_sums = first[1](between)
        return of_grid, (first_sums, second_sums)

    return following, back
