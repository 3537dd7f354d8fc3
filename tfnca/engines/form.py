"""A step and a run in numbers, as TensorFlow passes them, and the checks that they must pass.

Compiled code does no bounds checking, so everything that it uses as an index is checked here.
"""

from typing import NamedTuple

import numpy as np

from tfnca.engines import kernels

ALL, ALPHA, STROKE = range(3)
"""Which cells live: see the alive rules in `tfnca.automata.alive`."""

NEIGHBOURS = 9

_ITEMS, _ITEMS_STROKE = 1, 4
"""Items in a tile: only about 75 cells of a digit fire, too few rows for a fast product."""


class Form(NamedTuple):
    """A step described in numbers; see `tfnca.engines.sparse._describe`."""

    alive: int
    """`ALL`, `ALPHA` or `STROKE`."""
    alive_at: int
    """The channel that decides which cells are alive."""
    circular: bool
    channels: int
    changing: int
    """The number of channels that steps change, which are the last ones."""
    has_matrix: bool
    has_vector: bool
    layers: tuple[int, ...]
    """Layers of each network."""
    trained: tuple[bool, ...]
    """Whether a gradient of the network's weights is wanted."""
    filters: tuple[int, ...]
    """Fixed filters of each network; 0 for a learned perception, its first layer."""
    first: tuple[int, ...]
    """The activation of each network's first layer, see `kernels.RELU`."""
    hidden: tuple[int, ...]
    """That of all others but the last, which has none."""
    invaded: bool = False
    """Whether two species share the grid. The state then has a channel more, which no network sees:
    the second species' alpha."""


class Inputs(NamedTuple):
    """The inputs of a run: arrays as TensorFlow passes them."""

    numbers: np.ndarray
    """Each network's row of numbers, ``(networks, 11)``, see `kernels.FIRE_RATE`.

    A bound, a clip or a tolerance below zero means none: infinity as a constant of a graph would
    stop a valid run under `tf.debugging.enable_check_numerics`.
    """
    stencils: np.ndarray
    """Each network's filters, ``(networks, 3, 3, largest count)``."""
    state: np.ndarray
    mask: np.ndarray
    """Empty where none is given, as are `fire` and `noise`."""
    fire: np.ndarray
    noise: np.ndarray
    run: np.ndarray
    """Steps, seed, number of the first step."""
    weights: tuple[np.ndarray, ...]
    """Kernel, bias, kernel, bias … of all networks; then the matrix; then the vector."""


def items_in_tile(form: Form) -> int:
    """The number of batch items in a tile."""
    return _ITEMS_STROKE if form.alive == STROKE else _ITEMS


def expect(name: str, array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> None:
    """Raises ValueError unless an array has this type and shape."""
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(
            f"{name} must be {np.dtype(dtype).name} of shape {shape}. "
            f"Received: {array.dtype} of shape {array.shape}"
        )


def check(form: Form, inputs: Inputs) -> None:
    """Raises ValueError unless all arrays fit the step, the state and each other."""
    check_form(form)
    channels, networks = form.channels + form.invaded, len(form.layers)
    if inputs.state.ndim != 4 or inputs.state.size == 0:
        raise ValueError(
            f"The state must be of shape (batch, height, width, {channels}), no axis empty. "
            f"Received: shape={inputs.state.shape}"
        )
    grid = inputs.state.shape[:3]
    expect("state", inputs.state, np.float32, (*grid, channels))
    size = items_in_tile(form)
    if size * (grid[1] + 2) * (grid[2] + 2) > np.iinfo(np.int32).max:
        raise ValueError(f"The grid is too large for this engine. Received: {grid[1:]}")
    steps, seed, first_step = (int(number) for number in inputs.run)
    if not 0 <= steps < 2**31 or seed < 0 or not 0 <= first_step < 2**63 - steps:
        raise ValueError(
            "steps, seed and the numbers of the steps must not be negative, nor overflow. "
            f"Received: {steps}, {seed}, {first_step}"
        )
    if inputs.mask.size and (networks < 2 or form.invaded):
        raise ValueError("A mask needs an adversary that it places. Received: a mask, and none")
    expect("numbers", inputs.numbers, np.float32, (networks, len(kernels.NUMBERS)))
    expect("stencils", inputs.stencils, np.float32, (networks, 3, 3, max(form.filters)))
    draws = steps, networks, *grid
    for name, given, shape in (
        ("mask", inputs.mask, grid),
        ("fire_masks", inputs.fire, draws),
        ("noise", inputs.noise, (*draws, form.changing)),
    ):
        if given.size or given.ndim > 1:
            expect(name, given, np.float32, shape)
    _check_weights(form, inputs.weights)


def check_form(form: Form) -> None:
    """Raises ValueError unless compiled code can represent the whole step."""
    fixed = form.channels - form.changing
    if not 0 <= fixed < form.channels or not 0 <= form.alive_at < form.channels:
        raise ValueError(f"Channels must be among those of the state. Received: {form}")
    if form.alive not in (ALL, ALPHA, STROKE) or (form.alive == ALPHA and fixed):
        raise ValueError(f"No fixed channels where cells die by alpha. Received: {form}")
    if not 1 <= len(form.layers) <= 2 or min(form.layers) < 1:
        raise ValueError(
            f"A step must have one or two networks of one layer or more. Received: {form.layers}"
        )
    for each in (form.trained, form.filters, form.first, form.hidden):
        if len(each) != len(form.layers):
            raise ValueError(f"Each network has one of each. Received: {form}")
    if form.invaded and (form.alive != ALPHA or len(form.layers) != 2):
        raise ValueError(f"Two species that live by alpha can share a grid. Received: {form}")
    if form.invaded and (form.has_matrix or form.has_vector):
        raise ValueError("Species that share a grid are not perturbed. Received: a perturbation")
    if min(form.filters) < 0:
        raise ValueError(f"Filters must be 0 or more. Received: {form.filters}")
    if form.alive != ALPHA and (form.has_matrix or form.has_vector):
        raise ValueError("Only cells that live by alpha are perturbed. Received: others")


def _check_weights(form: Form, weights: tuple[np.ndarray, ...]) -> None:
    channels, left = form.channels, list(weights)
    expected = 2 * sum(form.layers) + form.has_matrix + form.has_vector
    if len(left) != expected:
        raise ValueError(f"{expected} weights are needed. Received: {len(left)}")
    for count, filters in zip(form.layers, form.filters, strict=True):
        size = (filters or NEIGHBOURS) * channels
        for _ in range(count):
            kernel, bias = left.pop(0), left.pop(0)
            width = kernel.shape[-1] if kernel.ndim else 0
            expect("kernel", kernel.reshape(-1, max(width, 1)), np.float32, (size, width))
            expect("bias", bias, np.float32, (width,))
            size = width
        expect("The last layer's bias", bias, np.float32, (form.changing,))
    if form.has_matrix:
        expect("matrix", left.pop(0), np.float32, (channels, channels))
    if form.has_vector:
        expect("vector", left.pop(0), np.float32, (channels,))
