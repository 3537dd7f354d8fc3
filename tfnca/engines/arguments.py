"""Makes the arguments of compiled code: always the same types, in the same layout."""

import itertools
import math
from typing import Any

import numpy as np

from tfnca.automata import randomness
from tfnca.engines import kernels
from tfnca.engines.form import ALL, ALPHA, NEIGHBOURS, Form, Inputs

_LINE = 16
"""Numbers of four bytes in a cache line."""


def make_program(form: Form, inputs: Inputs) -> kernels.Program:
    channels, left = form.channels, list(inputs.weights)
    parts, layers, stencils, end, room = [], [], [], 0, 0
    for network, count in enumerate(form.layers):
        out, filters = 0, form.filters[network]
        stencils.append(inputs.stencils[network, :, :, :filters])
        perception = _perception(stencils[-1])
        for layer in range(count):
            kernel, bias = left.pop(0), left.pop(0)
            width = kernel.shape[-1]
            if layer == 0 and filters:  # the engine's rows are ordered filter by filter
                kernel = kernel.reshape(channels, filters, -1).swapaxes(0, 1)
            activation = form.hidden[network] if layer else form.first[network]
            if layer == count - 1:
                activation = int(kernels.LINEAR)
            parts += [kernel.ravel(), bias]
            source, out = out, out + kernels.BLOCK * (kernel.size // width)
            bias_at = end + kernel.size
            shape = kernel.size // width, width
            layers.append((end, bias_at, *shape, source, out, activation, perception, 0))
            end = bias_at + width
        room = max(room, out + kernels.BLOCK * width)
    nothing = np.zeros(channels * channels, np.float32)
    numbers = inputs.numbers.copy()
    limits = numbers[:, kernels.LIMITS]
    numbers[:, kernels.LIMITS] = np.where(limits < 0, np.inf, limits)
    places = {}
    for name, values in (
        ("matrix_at", left.pop(0) if form.has_matrix else nothing),
        ("vector_at", left.pop(0) if form.has_vector else nothing[:channels]),
        ("stencils_at", np.concatenate([each.ravel() for each in stencils])),
        ("numbers_at", numbers),
        ("levels_at", randomness.NORMAL_LEVELS),
    ):
        places[name] = end
        parts.append(values.ravel())
        end += values.size
    table = np.array(layers, np.int64)
    table[:, kernels.STENCILS] = places.pop("stencils_at")
    table[form.layers[0] :, kernels.STENCILS] += stencils[0].size
    return kernels.Program(
        dies=form.alive == ALPHA,
        everywhere=form.alive == ALL,
        wraps=form.circular,
        networks=len(form.layers),
        has_matrix=form.has_matrix,
        has_vector=form.has_vector,
        layers=table,
        first_adversary=form.layers[0],
        floats=np.concatenate(parts),
        **places,
        states_at=room,
        product_at=room + kernels.BLOCK * channels,
        trained_1=form.trained[0],
        trained_2=form.trained[-1],
        threshold=numbers[0, kernels.THRESHOLD],
        bound=numbers[0, kernels.BOUND],
        alive_at=form.alive_at,
        hash=hash_constants(),
    )


def _perception(stencils: np.ndarray) -> np.integer:
    """Which of the kernels' perceptions a network has."""
    if not stencils.size:
        return kernels.PATCHES
    identity = np.outer([0, 1, 0], [0, 1, 0])
    middle = stencils[1, 1, 1:]
    if stencils.shape[-1] == 3 and np.array_equal(stencils[..., 0], identity) and not middle.any():
        return kernels.SOBEL
    return kernels.FILTERS


def hash_constants() -> kernels.Hash:
    """The constants of the hash, as compiled code takes them."""
    constants = randomness.GOLDEN, *randomness.MULTIPLIERS, *randomness.SHIFTS
    return kernels.Hash(*(np.uint32(constant) for constant in constants))


def make_tile(form: Form, inputs: Inputs, items: slice, program: kernels.Program) -> kernels.Tile:
    networks, grid = len(form.layers), inputs.state[items].shape[:3]
    count, height, width = grid
    shape = count, height + 2, width + 2
    positions = int(np.prod(shape))
    lists = np.zeros((kernels.ROWS_OF_LISTS, positions), np.int32)
    marks = np.zeros((len(kernels.MARKS), *shape), np.uint8)
    places = np.indices(shape, np.int32).reshape(3, -1)
    lists[kernels.ITEM], lists[kernels.ROW], lists[kernels.COLUMN] = places
    lists[kernels.ROW] -= 1
    lists[kernels.COLUMN] -= 1
    lists[kernels.ROW_OF] = -1
    offsets = [r * shape[2] + c for r, c in itertools.product((-1, 0, 1), repeat=2)]
    lists[kernels.OFFSETS, :NEIGHBOURS] = offsets
    marks[kernels.INSIDE, :, 1:-1, 1:-1] = 1
    if inputs.mask.size:
        marks[kernels.STANDS, :, 1:-1, 1:-1] = inputs.mask[items] > 0.5
    if form.circular:
        lists[kernels.HOME] = home = _homes(shape)
        border = np.flatnonzero(marks[kernels.INSIDE] == 0)
        lists[kernels.BORDER, : len(border)] = border
        marks[kernels.STANDS] = marks[kernels.STANDS].ravel()[home].reshape(shape)
    fire, noise = np.empty((0, 0), np.uint8), np.empty((0, 0, 0), np.float32)
    if inputs.fire.size:
        fire = (inputs.fire[:, :, items] > 0.5).astype(np.uint8)
        fire = np.ascontiguousarray(fire).reshape(-1, count * height * width)
    if inputs.noise.size:
        noise = np.array(inputs.noise[:, :, items])
        noise = noise.reshape(-1, count * height * width, form.changing)
    return kernels.Tile(
        lists=lists,
        marks=marks.reshape(-1, positions),
        updated=_room(positions, form.channels + form.invaded),
        buffers=_room(program.product_at + kernels.BLOCK * form.channels),
        keys=np.empty((networks, count), np.uint32),
        counts=np.zeros(networks, np.int64),
        fire=fire,
        noise=noise,
        height=height,
        width=width,
        seed=int(inputs.run[1]),
        first_step=int(inputs.run[2]),
        first_item=items.start,
    )


def _homes(shape: tuple[int, int, int]) -> np.ndarray:
    """For each position of padded grids, that of its cell: itself, or one of the opposite side."""
    positions = np.arange(math.prod(shape)).reshape(shape)
    rows, columns = ((np.arange(size) - 1) % (size - 2) + 1 for size in shape[1:])
    return positions[:, rows[:, None], columns].ravel()


def make_back(form: Form, program: kernels.Program, positions: int, most: int) -> kernels.Back:
    channels, layers = form.channels, program.layers
    kernel_sizes = layers[:, kernels.INPUTS] * layers[:, kernels.WIDTH]
    product = max(kernel_sizes.max(), channels * channels)
    return kernels.Back(
        earlier=_room(positions, channels),
        seen=_room(most, layers[[0, form.layers[0] % len(layers)], kernels.INPUTS].max()),
        gradients=_room(program.states_at + product),
        sums=zeros(program.vector_at + channels),
        product_at=program.states_at,
    )


def arguments_back() -> tuple[Any, ...]:
    """Arguments of the right types for `kernels.run_back`: the smallest tile, with no cells."""
    form = Form(ALPHA, 3, False, 4, 4, False, False, (1,), (True,), (3,), (0,), (0,))
    nothing, no_cells = np.zeros(0, np.float32), np.zeros(0, np.int32)
    inputs = Inputs(
        numbers=np.zeros((1, len(kernels.NUMBERS)), np.float32),
        stencils=np.zeros((1, 3, 3, 3), np.float32),
        state=np.zeros((1, 1, 1, 4), np.float32),
        mask=nothing,
        fire=nothing,
        noise=nothing,
        run=np.zeros(3, np.int64),
        weights=(np.zeros((12, 4), np.float32), np.zeros(4, np.float32)),
    )
    program = make_program(form, inputs)
    tile, x = make_tile(form, inputs, slice(0, 1), program), pad(inputs.state)
    tape = no_cells, nothing, no_cells, np.zeros(2, np.int64), np.zeros(1, np.int64)
    return x, x, *tape, program, tile, make_back(form, program, len(x), 0)


def zeros(*shape: int) -> np.ndarray:
    """Zeros that start at a cache line."""
    room = _room(*shape)
    room[...] = 0.0
    return room


def _room(*shape: int) -> np.ndarray:
    """An uninitialised buffer that starts at a cache line, so a cell's sixteen channels fill one.

    For zeros, use `_zeros`.
    """
    size = math.prod(shape)
    room = np.empty(size + _LINE, np.float32)
    first = -room.ctypes.data // room.itemsize % _LINE
    return room[first : first + size].reshape(shape)


def pad(values: np.ndarray) -> np.ndarray:
    """Grids with a border of zeros, laid out flat."""
    items, height, width, channels = values.shape
    padded = zeros(items, height + 2, width + 2, channels)
    padded[:, 1:-1, 1:-1] = values
    return padded.reshape(-1, channels)


def unpad(flat: np.ndarray, out: np.ndarray) -> None:
    items, height, width, channels = out.shape
    out[:] = flat.reshape(items, height + 2, width + 2, channels)[:, 1:-1, 1:-1]


def split(form: Form, flat: np.ndarray, inputs: Inputs) -> list[np.ndarray]:
    """Cuts the flat gradient into the shapes of the layers' weights."""
    parts, end = [], 0
    firsts = dict(zip(np.cumsum([0, *form.layers[:-1]]) * 2, form.filters, strict=True))
    for i, weight in enumerate(inputs.weights[: 2 * sum(form.layers)]):
        part = flat[end : end + weight.size]
        end += weight.size
        if filters := firsts.get(i):
            part = part.reshape(filters, form.channels, -1).swapaxes(0, 1)
        parts.append(part.reshape(weight.shape))
    return parts
