"""The NumPy side of the living-cells engine: cuts a batch into tiles and runs them in parallel.

Tiles (`Sheet` in the code) are independent and run on all cores, each on one thread. This module
creates or checks everything that compiled code receives, because that does no bounds checking.
"""

import itertools
import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from tfnca.automata import randomness
from tfnca.engines import compiling, kernels, tapes

_ITEMS, _ITEMS_STROKE = 1, 4
"""Items in a tile: only about 75 cells of a digit fire, too few rows for a fast product."""

ALL, ALPHA, STROKE = range(3)
"""Which cells live: see the alive rules in `tfnca.automata.alive`."""

_NEIGHBOURS = 9
_LINE = 16
"""Numbers of four bytes in a cache line."""

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_pool = ThreadPoolExecutor(_CORES)
_blas = ThreadpoolController()
_limit_lock = threading.Lock()
_limited: list[Any] = []
"""While any run is active: the limit, and then an entry for each run."""

_keeper = ThreadPoolExecutor(1)


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


def forward(form: Form, record: bool, inputs: Inputs) -> tuple[np.ndarray, np.int64]:
    """Runs a batch. Returns its last state, and the ticket of its tape (0 if not recorded)."""
    _check(form, inputs)
    final, recorded = _run(form, record, inputs)
    return final, np.int64(tapes.keep(recorded) if record else 0)


def backward(form: Form, ticket: int, upstream: np.ndarray, inputs: Inputs) -> list[np.ndarray]:
    """The gradients of the first state and of the weights."""
    _check(form, inputs)
    _expect("upstream", upstream, np.float32, inputs.state.shape)
    tape = tapes.take(ticket)
    if tape is None:
        tape = _run(form, True, inputs)[1]
    program, of_state = _make_program(form, inputs), np.empty_like(inputs.state)

    def run_sheet(number: int, items: slice) -> np.ndarray:
        g, sheet = _pad(upstream[items]), _make_sheet(form, inputs, items, program)
        fired_end = tape[number][-1]
        most = int(np.max(np.diff(fired_end[:: len(form.layers)]), initial=0))
        back = _make_back(form, program, len(g), most)
        arguments = g, _zeros(*g.shape), *tape[number], program, sheet, back
        compiling.prepare(kernels.run_back, arguments)
        kernels.run_back(*arguments)
        _unpad(g, of_state[items])
        return back.sums

    # Summed in the batch's order, so the bits do not depend on the number of threads.
    sums = np.asarray(_each_sheet(form, len(upstream), run_sheet)).sum(axis=0, dtype=np.float32)
    gradients = [of_state, *_split(form, sums, inputs)]
    if form.has_matrix:
        matrix = sums[program.matrix_at : program.vector_at]
        gradients.append(matrix.reshape(form.channels, form.channels))
    if form.has_vector:
        gradients.append(sums[program.vector_at :])
    return gradients


def _run(form: Form, record: bool, inputs: Inputs) -> tuple[np.ndarray, list[tuple]]:
    program, final = _make_program(form, inputs), np.empty_like(inputs.state)
    steps = int(inputs.run[0])
    ends = (steps + 2, steps * len(form.layers) + 1) if record else (0, 0)

    def run_sheet(_: int, items: slice) -> tuple:
        x, sheet = _pad(inputs.state[items]), _make_sheet(form, inputs, items, program)
        cells_end, fired_end = (np.zeros(end, np.int64) for end in ends)
        arguments = x, steps, program, sheet, record, cells_end, fired_end
        compiling.prepare(kernels.run, arguments, kernels.run_back, _arguments_back)
        tape = kernels.run(*arguments)
        _unpad(x, final[items])
        return *tape, cells_end, fired_end

    return final, _each_sheet(form, len(final), run_sheet)


def _each_sheet(form: Form, count: int, run_sheet: Callable[[int, slice], Any]) -> list[Any]:
    """Calls ``run_sheet(number, items)`` for slices of the batch, in parallel on all cores."""
    size = _items(form)
    slices = [slice(first, first + size) for first in range(0, count, size)]
    sheets, results = iter(range(len(slices))), [None] * len(slices)

    def work(_: int) -> None:
        for sheet in sheets:  # shared: each thread takes the next one
            results[sheet] = run_sheet(sheet, slices[sheet])

    with _one_thread_a_product():
        list(_pool.map(work, range(min(_CORES, len(slices)))))
    return results


def _items(form: Form) -> int:
    return _ITEMS_STROKE if form.alive == STROKE else _ITEMS


@contextmanager
def _one_thread_a_product() -> Iterator[None]:
    """Limits BLAS to one thread while any run is active.

    A limit restores the setting before it, so the second of two overlapping limits would restore
    the first. Since threadpoolctl 3.8, only the thread that set a limit can remove it, but runs may
    begin and end on any of TensorFlow's threads. So one thread, that of `_keeper`, does both.
    """
    with _limit_lock:
        if not _limited:
            _limited.append(_keeper.submit(_hold).result())
        _limited.append(None)
    try:
        yield
    finally:
        with _limit_lock:
            _limited.pop()
            if len(_limited) == 1:
                _keeper.submit(_limited.pop().__exit__, None, None, None).result()


def _hold() -> Any:
    return _blas.limit(limits=1, user_api="blas").__enter__()


# Checks of shapes and numbers that every call must pass


def _expect(name: str, array: np.ndarray, dtype: type, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(
            f"{name} must be {np.dtype(dtype).name} of shape {shape}. "
            f"Received: {array.dtype} of shape {array.shape}"
        )


def _check(form: Form, inputs: Inputs) -> None:
    """Raises ValueError unless all arrays fit the step, the state and each other."""
    _check_form(form)
    channels, networks = form.channels, len(form.layers)
    if inputs.state.ndim != 4 or inputs.state.size == 0:
        raise ValueError(
            f"The state must be of shape (batch, height, width, {channels}), no axis empty. "
            f"Received: shape={inputs.state.shape}"
        )
    grid = inputs.state.shape[:3]
    _expect("state", inputs.state, np.float32, (*grid, channels))
    size = _items(form)
    if size * (grid[1] + 2) * (grid[2] + 2) > np.iinfo(np.int32).max:
        raise ValueError(f"The grid is too large for this engine. Received: {grid[1:]}")
    steps, seed, first_step = (int(number) for number in inputs.run)
    if not 0 <= steps < 2**31 or seed < 0 or not 0 <= first_step < 2**63 - steps:
        raise ValueError(
            "steps, seed and the numbers of the steps must not be negative, nor overflow. "
            f"Received: {steps}, {seed}, {first_step}"
        )
    if inputs.mask.size and networks < 2:
        raise ValueError("A mask needs an adversary. Received: a mask, and one network")
    _expect("numbers", inputs.numbers, np.float32, (networks, len(kernels.NUMBERS)))
    _expect("stencils", inputs.stencils, np.float32, (networks, 3, 3, max(form.filters)))
    draws = steps, networks, *grid
    for name, given, shape in (
        ("mask", inputs.mask, grid),
        ("fire_masks", inputs.fire, draws),
        ("noise", inputs.noise, (*draws, form.changing)),
    ):
        if given.size or given.ndim > 1:
            _expect(name, given, np.float32, shape)
    _check_weights(form, inputs.weights)


def _check_form(form: Form) -> None:
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
        size = (filters or _NEIGHBOURS) * channels
        for _ in range(count):
            kernel, bias = left.pop(0), left.pop(0)
            width = kernel.shape[-1] if kernel.ndim else 0
            _expect("kernel", kernel.reshape(-1, max(width, 1)), np.float32, (size, width))
            _expect("bias", bias, np.float32, (width,))
            size = width
        _expect("The last layer's bias", bias, np.float32, (form.changing,))
    if form.has_matrix:
        _expect("matrix", left.pop(0), np.float32, (channels, channels))
    if form.has_vector:
        _expect("vector", left.pop(0), np.float32, (channels,))


# The arguments of compiled code: always the same types, in the same layout


def _make_program(form: Form, inputs: Inputs) -> kernels.Program:
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


def _make_sheet(
    form: Form, inputs: Inputs, items: slice, program: kernels.Program
) -> kernels.Sheet:
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
    lists[kernels.HOME] = _homes(shape, form.circular)
    offsets = [r * shape[2] + c for r, c in itertools.product((-1, 0, 1), repeat=2)]
    lists[kernels.OFFSETS, :_NEIGHBOURS] = offsets
    marks[kernels.INSIDE, :, 1:-1, 1:-1] = 1
    if inputs.mask.size:
        marks[kernels.STANDS, :, 1:-1, 1:-1] = inputs.mask[items] > 0.5
    fire, noise = np.empty((0, 0), np.uint8), np.empty((0, 0, 0), np.float32)
    if inputs.fire.size:
        fire = (inputs.fire[:, :, items] > 0.5).astype(np.uint8)
        fire = np.ascontiguousarray(fire).reshape(-1, count * height * width)
    if inputs.noise.size:
        noise = np.array(inputs.noise[:, :, items])
        noise = noise.reshape(-1, count * height * width, form.changing)
    return kernels.Sheet(
        lists=lists,
        marks=marks.reshape(-1, positions),
        updated=_room(positions, form.channels),
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


def _homes(shape: tuple[int, int, int], circular: bool) -> np.ndarray:
    """For each position of padded grids, the position of its cell: the opposite side, or itself."""
    positions = np.arange(math.prod(shape)).reshape(shape)
    if not circular:
        return positions.ravel()
    rows, columns = ((np.arange(size) - 1) % (size - 2) + 1 for size in shape[1:])
    return positions[:, rows[:, None], columns].ravel()


def _make_back(form: Form, program: kernels.Program, positions: int, most: int) -> kernels.Back:
    channels, layers = form.channels, program.layers
    kernel_sizes = layers[:, kernels.INPUTS] * layers[:, kernels.WIDTH]
    product = max(kernel_sizes.max(), channels * channels)
    return kernels.Back(
        earlier=_room(positions, channels),
        seen=_room(most, layers[[0, form.layers[0] % len(layers)], kernels.INPUTS].max()),
        gradients=_room(program.states_at + product),
        sums=_zeros(program.vector_at + channels),
        product_at=program.states_at,
    )


def _arguments_back() -> tuple[Any, ...]:
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
    program = _make_program(form, inputs)
    sheet, x = _make_sheet(form, inputs, slice(0, 1), program), _pad(inputs.state)
    tape = no_cells, nothing, no_cells, np.zeros(2, np.int64), np.zeros(1, np.int64)
    return x, x, *tape, program, sheet, _make_back(form, program, len(x), 0)


def _zeros(*shape: int) -> np.ndarray:
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


def _pad(values: np.ndarray) -> np.ndarray:
    """Grids with a border of zeros, laid out flat."""
    items, height, width, channels = values.shape
    padded = _zeros(items, height + 2, width + 2, channels)
    padded[:, 1:-1, 1:-1] = values
    return padded.reshape(-1, channels)


def _unpad(flat: np.ndarray, out: np.ndarray) -> None:
    items, height, width, channels = out.shape
    out[:] = flat.reshape(items, height + 2, width + 2, channels)[:, 1:-1, 1:-1]


def _split(form: Form, flat: np.ndarray, inputs: Inputs) -> list[np.ndarray]:
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
