"""All compiled code: the living-cells engine on one tile of a batch, forward or backward.

About a fifth of a grown lizard's grid is alive and half of those cells fire, so nine tenths of a
dense step change nothing. This engine works through lists of cells instead. It processes a batch
in *tiles*: one lizard or a few digits, with padded grids laid out flat, so that each neighbour is
at a fixed distance. A list names the cells that may differ from zero. One step of a tile:

1. *Living*: from the listed cells, list all that have alpha > 0.1 in their neighbourhood.
   (For a rule without alpha: the cells of the stroke, or all cells, once for the whole run.)
2. *Fire*: hash (seed, step, network, item, row, column) to see which of them fire.
3. *Update*: gather the neighbourhoods of the firing cells as rows of a matrix, in blocks that
   fit the cache, and run the network of those cells: a few matrix products.
4. *Life after*: a cell stays if its neighbourhood has alpha > 0.1 after the update. There
   are two pitfalls. A firing cell just outside the living ones can keep a living one alive. And in
   an injection each network decides by its own update, even for cells of the other network. So the
   missing alphas are computed, but only where the known ones do not keep a cell alive.
5. The cells that stay are the list of the next step; all others are set to zero.

The result equals that of the dense step, up to the order of float32 additions. For the gradient, a
tape holds the listed cells of every step. Perceptions and hidden layers are computed again, which
is cheaper than keeping them.

Three rules keep this file quick to compile and its cache correct:

- One specialisation serves every kind of step: steps differ in a number, a flag or the contents
  of an array, never in a type. `arguments` makes all arrays, and `form` checks them.
- No constant is imported: numba compiles constants in, and its cache watches this file alone.
- Use few arrays, with many rows or parts each: LLVM's time grows with the number of arrays that are
  passed on. Indices of rows are `np.int64`: numba would specialise again for each Python integer.
"""

from collections import namedtuple

import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - numba's BLAS, loaded before its threads are set

BLOCK = 512
"""Rows in one matrix product: block and hidden layer stay in a core's cache."""

LAYER_COLUMNS = tuple(np.arange(9))
KERNEL, BIAS, INPUTS, WIDTH, SOURCE, OUT, ACTIVATION, PERCEPTION, STENCILS = LAYER_COLUMNS
"""Columns of `Program.layers`: where a layer's kernel and bias start in `Program.floats`, the
kernel's shape, where its inputs and outputs start in `Tile.buffers`, its activation; and for a
network's first layer, its kind of perception and where the filters start in `Program.floats`."""

LINEAR, RELU, LEAKY_RELU, TANH = np.arange(4)
PATCHES, SOBEL, FILTERS = np.arange(3)
"""Activations, and perceptions: raw patches of 3 by 3 (a learned convolution is then just the first
layer), the identity and two filters, or any filters."""

NUMBERS = tuple(np.arange(11))
FIRE_RATE, STEP_SIZE, NOISE_STD, HELD, SLOPE, THRESHOLD = NUMBERS[:6]
LIMITS = MESSAGE_BOUND, TOLERANCE, STATE_CLIP, NETWORK_CLIP, BOUND = NUMBERS[6:]
"""A network's numbers, see `_number`; a network without noise has a negative `NOISE_STD`."""

MARKS = INSIDE, STANDS, FIRES = tuple(np.arange(3))
"""Rows of `Tile.marks`: whether a position is in the grid, and which network it runs; and whether
the i-th cell of the list queried last fires."""

_LISTS = tuple(np.arange(22))
ITEM, ROW, COLUMN, OFFSETS, LIST_A, LIST_B, ALIVE, CELLS, LISTED = _LISTS[:9]
SHAKEN, LIVING, ROW_OF = _LISTS[9:12]
KEPT, ASKED, FIRED, FIRED_ROW = _LISTS[12:20:2]  # and the next row for the second network
HOME, BORDER = _LISTS[20:]
NEAR, OWNS = KEPT, ASKED  # in an invasion, each with the next row for the second species
"""Rows of `Tile.lists`: item, row and column of each position, and the distances to a cell's nine
neighbours; lists of cells (`CELLS` may differ from zero); stamps and other notes on positions. A
stamp marks a position as listed in step t by holding t + 1, so it needs no clearing. On a grid that
wraps, `HOME` holds the position of the cell that a border position shows, and `BORDER` lists the
border, which receives copies of these cells: neighbours are then at fixed distances as well."""

ROWS_OF_LISTS = len(_LISTS)
_ZERO, _ONE = np.int64(0), np.int64(1)

Hash = namedtuple("Hash", "golden multiply_1 multiply_2 shift_1 shift_2 shift_3")
"""The constants of the hash, uint32."""

Program = namedtuple(
    "Program",
    "dies everywhere wraps networks has_matrix has_vector layers first_adversary floats matrix_at "
    "vector_at numbers_at levels_at states_at product_at trained_1 trained_2 threshold bound "
    "alive_at hash",
)
"""Values that do not change in a run. The channel `alive_at` decides which cells live: `dies` says
that cells without a neighbour above the threshold become zero, `everywhere` that all cells live;
otherwise only cells above it do. `wraps` says that padding is circular. `floats` holds all
weights, the matrix, the vector, filters, numbers, and the table of normal draws. ``…_at`` is a
position in `floats`, except that `states_at` and `product_at` are positions in the buffers."""

Tile = namedtuple(
    "Tile",
    "lists marks updated buffers keys counts fire noise height width seed first_step first_item",
)
"""A tile's lists and buffers, and its draws: given ones, or a seed."""

Back = namedtuple("Back", "earlier seen gradients sums product_at")
"""Buffers for the gradient; `sums` holds gradients at the positions of `Program.floats`."""

_OPTIONS = {"nogil": True, "error_model": "numpy", "no_cfunc_wrapper": True}
_jit = numba.njit(no_cpython_wrapper=True, **_OPTIONS)

_part = numba.njit(inline="always", no_cpython_wrapper=True, **_OPTIONS)


def _entry(function):
    """Compiles for calls from Python, with a cache on disk if one can be written."""
    try:
        return numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba found no folder to write to
        return numba.njit(**_OPTIONS)(function)


# The hash of `tfnca.automata.randomness` for one cell


@_jit
def absorb(key, word, hashing):
    """One round of the hash: a 32-bit key and a 32-bit word to the next key."""
    x = np.uint32((np.uint32(key) ^ np.uint32(word)) + hashing.golden)
    x = np.uint32(x ^ (x >> hashing.shift_1))
    x = np.uint32(x * hashing.multiply_1)
    x = np.uint32(x ^ (x >> hashing.shift_2))
    x = np.uint32(x * hashing.multiply_2)
    return np.uint32(x ^ (x >> hashing.shift_3))


@_jit
def item_key(seed, index, network, item, hashing):
    """The key of one batch item in one step, to be completed by row and column."""
    key = absorb(np.uint32(0), seed & 0xFFFFFFFF, hashing)
    key = absorb(key, seed >> 32, hashing)
    key = absorb(key, index & 0xFFFFFFFF, hashing)
    if index >> 32 > 0:
        key = absorb(key, index >> 32, hashing)
    key = absorb(key, network, hashing)
    return absorb(key, item, hashing)


@_jit
def cell_hash(key, row, column, hashing):
    """The hash of one cell under an `item_key`."""
    return absorb(absorb(key, row, hashing), column, hashing)


@_jit
def fires(cell, fire_rate):
    """Whether the cell with this hash fires."""
    return np.float32(cell >> np.uint32(8)) * np.float32(2.0**-24) < fire_rate


@_jit
def normal_level(cell, channel, hashing):
    """The index into the table of normal draws of this cell's draw for one channel."""
    return absorb(cell, channel + 1, hashing) >> np.uint32(20)


# Small parts


@_jit
def _matrix(flat, start, rows, columns):
    """A matrix inside a flat array."""
    return flat[start : start + rows * columns].reshape((rows, columns))


@_jit
def _vector(flat, start, size):
    """A vector inside a flat array; the compiler knows that its indices are not negative."""
    return flat[start : start + size]


@_jit
def _product(a, b, out):
    """``out = a @ b``; a separate function, because numba is slow to compile a product."""
    np.dot(a, b, out)


# Rows are copied by explicit loops: assigning slices in a loop gave wrong results (numba 0.68).


@_jit
def _gather(x, lists, row, start, count, out):
    """``out[i] = x[p]`` for `count` cells of a list."""
    for i in range(count):
        p = lists[row, start + i]
        for c in range(x.shape[1]):
            out[i, c] = x[p, c]


@_jit
def _scatter(values, lists, row, count, x):
    """``x[p] = values[i]`` for the first cells of a list."""
    for i in range(count):
        p = lists[row, i]
        for c in range(x.shape[1]):
            x[p, c] = values[i, c]


@_jit
def _clear(x, lists, row, count):
    """``x[p] = 0`` for the first cells of a list."""
    for i in range(count):
        p = lists[row, i]
        for c in range(x.shape[1]):
            x[p, c] = 0.0


@_jit
def _with_room(array, used, more):
    """`array` if `more` entries fit behind the `used` ones, else a copy with room to grow."""
    if used + more <= array.shape[0]:
        return array
    larger = np.empty(2 * (used + more), array.dtype)
    for i in range(used):
        larger[i] = array[i]
    return larger


@_jit
def _layers_of(program, network):
    """A network's first layer, and the one after its last."""
    if network == 0:
        return 0, program.first_adversary
    return program.first_adversary, program.layers.shape[0]


@_jit
def _number(program, network, which):
    """One of a network's numbers."""
    return program.floats[program.numbers_at + 11 * network + which]


@_jit
def _cut(value, bound):
    """A value clipped to ±bound. NaN is neither below nor above, and stays."""
    value = bound if value > bound else value
    return -bound if value < -bound else value


# Lists of cells


@_jit
def _copy_border(x, program, tile):
    """On a grid that wraps, copies to the border the states of the cells that it shows."""
    lists = tile.lists
    if program.wraps:
        for i in range(lists.shape[1] - tile.keys.shape[1] * tile.height * tile.width):
            border = lists[BORDER, i]
            home = lists[HOME, border]
            for c in range(x.shape[1]):
                x[border, c] = x[home, c]


@_jit
def _copy_rows_of_border(program, tile):
    """The same as `_copy_border` for `ROW_OF`."""
    lists = tile.lists
    if program.wraps:
        for i in range(lists.shape[1] - tile.keys.shape[1] * tile.height * tile.width):
            border = lists[BORDER, i]
            lists[ROW_OF, border] = lists[ROW_OF, lists[HOME, border]]


@_jit
def _spread(lists, marks, wraps, sources, start, count, stamp, tick, found):
    """Stamps and lists the 3×3 neighbourhoods of `count` sources."""
    n = 0
    for i in range(start, start + count):
        for o in range(9):
            q = lists[sources, i] + lists[OFFSETS, o]
            if not marks[INSIDE, q]:
                if not wraps:
                    continue
                q = np.int64(lists[HOME, q])
            if lists[stamp, q] != tick:
                lists[stamp, q] = tick
                lists[found, n] = q
                n += 1
    return n


@_jit
def _find_living(x, count, program, lists, marks, stamp, tick, found):
    """Lists the cells whose neighbourhood has alpha above the threshold (NaN is not above it)."""
    alpha, threshold = program.alive_at, program.threshold
    grown = 0
    for i in range(count):
        p = lists[CELLS, i]
        if x[p, alpha] > threshold:
            lists[LIST_A, grown] = p
            grown += 1
    return _spread(lists, marks, program.wraps, LIST_A, _ZERO, grown, stamp, tick, found)


@_jit
def _make_keys(network, t, program, tile):
    """The keys of a step's draws, one for each item of the tile."""
    for i in range(tile.keys.shape[1]):
        index, item = tile.first_step + t, tile.first_item + i
        tile.keys[network, i] = item_key(tile.seed, index, network, item, program.hash)


@_jit
def _draw_fires(row, count, network, t, program, tile):
    """Marks which cells of a list fire under a network's fire mask."""
    lists, marks, given = tile.lists, tile.marks, tile.fire
    fire_rate = _number(program, network, FIRE_RATE)
    for i in range(count):
        p = lists[row, i]
        item, r, column = lists[ITEM, p], lists[ROW, p], lists[COLUMN, p]
        if given.size > 0:
            cell = (item * tile.height + r) * tile.width + column
            marks[FIRES, i] = given[t * program.networks + network, cell]
        else:
            cell = cell_hash(tile.keys[network, item], r, column, program.hash)
            marks[FIRES, i] = fires(cell, fire_rate)


# Perturbations


@_jit
def _affine(x, lists, row, start, size, program, buffers):
    """Copies cells of a list into the buffers, followed by their states after matrix and vector.

    Returns both.
    """
    channels = x.shape[1]
    states = _matrix(buffers, program.states_at, size, channels)
    product = _matrix(buffers, program.product_at, size, channels)
    vector = _vector(program.floats, program.vector_at, channels)
    _gather(x, lists, row, start, size, states)
    if program.has_matrix:
        _product(states, _matrix(program.floats, program.matrix_at, channels, channels), product)
    for i in range(size):
        for c in range(channels):
            value = product[i, c] if program.has_matrix else states[i, c]
            if program.has_vector:
                value += vector[c]
            product[i, c] = value
    return states, product


@_part
def _perturb(x, count, t, program, tile):
    """Perturbs living cells, sets the other listed cells to zero; relists the cells.

    Afterwards all living cells are listed, even those whose state is zero: a vector changes them.
    """
    channels, bound, lists = x.shape[1], program.bound, tile.lists
    alive = _find_living(x, count, program, lists, tile.marks, SHAKEN, t + 1, LIST_B)
    for i in range(count):
        p = lists[CELLS, i]
        if lists[SHAKEN, p] != t + 1:
            for c in range(channels):
                x[p, c] = 0.0
    for i in range(alive):
        lists[CELLS, i] = lists[LIST_B, i]
    for start in range(0, alive, BLOCK):
        size = min(BLOCK, alive - start)
        _, product = _affine(x, lists, CELLS, start, size, program, tile.buffers)
        for i in range(size):
            p = lists[CELLS, start + i]
            for c in range(channels):
                x[p, c] = _cut(product[i, c], bound)
    return alive


@_part
def _perturb_gradient(g, x, alive, count, t, program, tile, back):
    """Backward through `_perturb`: fills ``back.earlier`` for the listed cells, adds to the sums.

    `x` holds the state before; `CELLS` lists the living cells, `LISTED` those of the tape.
    """
    channels, bound, lists = x.shape[1], program.bound, tile.lists
    matrix = _matrix(program.floats, program.matrix_at, channels, channels)
    of_matrix = _matrix(back.gradients, back.product_at, channels, channels)
    of_vector = _vector(back.sums, program.vector_at, channels)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        states, product = _affine(x, lists, LISTED, start, size, program, tile.buffers)
        for i in range(size):
            p = lists[LISTED, start + i]
            lists[LIVING, p] = t + 1
            alive_here = lists[SHAKEN, p] == t + 1
            for c in range(channels):
                passes = alive_here and -bound <= product[i, c] <= bound
                product[i, c] = g[p, c] if passes else np.float32(0.0)
                of_vector[c] += product[i, c]
        earlier = back.earlier[start : start + size]
        if program.has_matrix:
            _product(states.T, product, of_matrix)
            for i in range(channels):
                for c in range(channels):
                    back.sums[program.matrix_at + i * channels + c] += of_matrix[i, c]
            _product(product, matrix.T, earlier)
        else:
            for i in range(size):
                for c in range(channels):
                    earlier[i, c] = product[i, c]
    for i in range(alive if program.has_vector else 0):
        p = lists[CELLS, i]
        if lists[LIVING, p] != t + 1:  # alive, but its state was zero: only the vector changed it
            for c in range(channels):
                if -bound <= program.floats[program.vector_at + c] <= bound:
                    of_vector[c] += g[p, c]


# Networks


@_jit
def _perceive(x, row, start, count, network, program, lists, buffers):
    """Fills a row for each cell of a list with the values that the cell perceives."""
    first = program.first_adversary * network
    kind, at = program.layers[first, PERCEPTION], program.layers[first, STENCILS]
    rows = _matrix(buffers, _ZERO, count, program.layers[first, INPUTS])
    stencil = program.floats[at : at + 9 * (rows.shape[1] // x.shape[1])]
    if kind == SOBEL:
        _perceive_sobel(x, lists, row, start, stencil, rows)
    elif kind == PATCHES:
        _perceive_patches(x, lists, row, start, _number(program, network, MESSAGE_BOUND), rows)
    else:
        _perceive_filters(x, lists, row, start, stencil, rows)


# Each has its own loop over cells: with a branch inside one loop, LLVM optimises less. The number
# of neighbours is 9, but not a constant: LLVM would unroll the loops over it.


@_jit
def _perceive_sobel(x, lists, row, start, stencil, rows):
    """Perceives by the identity and two filters that are zero in the middle."""
    channels, neighbours = x.shape[1], stencil.shape[0] // 3
    for i in range(rows.shape[0]):
        p = lists[row, start + i]
        for c in range(2 * channels):
            rows[i, channels + c] = 0.0
        for o in range(neighbours):
            q = p + lists[OFFSETS, o]
            weight_x, weight_y = stencil[3 * o + 1], stencil[3 * o + 2]
            for c in range(channels):
                rows[i, channels + c] += weight_x * x[q, c]
                rows[i, 2 * channels + c] += weight_y * x[q, c]
        for c in range(channels):
            # Adds 0, or NaN if a neighbour is not finite, as a convolution does.
            rows[i, c] = x[p, c] + np.float32(0.0) * rows[i, channels + c]


@_jit
def _perceive_patches(x, lists, row, start, bound, rows):
    """Perceives the neighbours themselves, clipped to ±bound."""
    channels = x.shape[1]
    neighbours = rows.shape[1] // channels
    for i in range(rows.shape[0]):
        p = lists[row, start + i]
        for o in range(neighbours):
            q = p + lists[OFFSETS, o]
            for c in range(channels):
                rows[i, o * channels + c] = _cut(x[q, c], bound)


@_jit
def _perceive_filters(x, lists, row, start, stencil, rows):
    """Perceives by any filters."""
    channels = x.shape[1]
    filters = rows.shape[1] // channels
    neighbours = stencil.shape[0] // filters
    for i in range(rows.shape[0]):
        p = lists[row, start + i]
        for c in range(rows.shape[1]):
            rows[i, c] = 0.0
        for o in range(neighbours):
            q = p + lists[OFFSETS, o]
            for k in range(filters):
                weight = stencil[filters * o + k]
                for c in range(channels):
                    rows[i, k * channels + c] += weight * x[q, c]


@_jit
def _activate(values, activation, slope, clip):
    """Applies the clip and every activation other than a ReLU, in place."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            value = values[i, j]
            if activation == LEAKY_RELU:
                value = slope * value if value < 0 else value
            elif activation == TANH:
                value = np.tanh(value)
            values[i, j] = _cut(value, clip)


@_jit
def _activate_back(values, gradients, activation, slope, clip):
    """Gradients before an activation, in place, from the values after it."""
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            value, gradient = values[i, j], gradients[i, j]
            if activation == RELU:
                gradient = gradient if value > 0 else np.float32(0.0)
            elif activation == LEAKY_RELU:
                gradient = gradient if value > 0 else slope * gradient
            elif activation == TANH:
                gradient *= np.float32(1.0) - value * value
            gradients[i, j] = gradient if abs(value) < clip else np.float32(0.0)


@_jit
def _network(buffers, count, network, program):
    """Runs a network on the perceived rows; returns its updates, which are in the buffers."""
    layers, floats = program.layers, program.floats
    first, end = _layers_of(program, network)
    slope, clip = _number(program, network, SLOPE), _number(program, network, NETWORK_CLIP)
    out = _matrix(buffers, _ZERO, count, layers[first, INPUTS])
    if clip < np.inf:
        _activate(out, LINEAR, slope, clip)
    for layer in range(first, end):
        inputs, width = layers[layer, INPUTS], layers[layer, WIDTH]
        rows = _matrix(buffers, layers[layer, SOURCE], count, inputs)
        out = _matrix(buffers, layers[layer, OUT], count, width)
        _product(rows, _matrix(floats, layers[layer, KERNEL], inputs, width), out)
        bias = _vector(floats, layers[layer, BIAS], width)
        activation = layers[layer, ACTIVATION]
        least = np.float32(0.0 if activation == RELU else -np.inf)  # smaller values are cut
        for i in range(count):
            for j in range(width):
                value = out[i, j] + bias[j]
                out[i, j] = least if value < least else value  # NaN stays, as in a ReLU
        if activation > RELU or clip < np.inf:
            _activate(out, activation, slope, clip)
    return out


@_part
def _network_gradient(count, network, program, buffers, back):
    """Backward through a network whose activations are in `buffers`; overwrites `gradients`."""
    layers, gradients, sums = program.layers, back.gradients, back.sums
    first, end = _layers_of(program, network)
    trained = program.trained_1 if network == 0 else program.trained_2
    slope, clip = _number(program, network, SLOPE), _number(program, network, NETWORK_CLIP)
    if clip < np.inf:
        last, width = layers[end - 1, OUT], layers[end - 1, WIDTH]
        values, update = (
            _matrix(buffers, last, count, width),
            _matrix(gradients, last, count, width),
        )
        _activate_back(values, update, LINEAR, slope, clip)
    for layer in range(end - 1, first - 1, -1):
        rows, width, kernel = layers[layer, INPUTS], layers[layer, WIDTH], layers[layer, KERNEL]
        inputs = _matrix(buffers, layers[layer, SOURCE], count, rows)
        upstream = _matrix(gradients, layers[layer, OUT], count, width)
        downstream = _matrix(gradients, layers[layer, SOURCE], count, rows)
        if trained:
            _product(inputs.T, upstream, _matrix(gradients, back.product_at, rows, width))
            kernel_sums = _vector(sums, kernel, rows * width)
            products = _vector(gradients, back.product_at, rows * width)
            for i in range(rows * width):
                kernel_sums[i] += products[i]
            bias_sums = _vector(sums, layers[layer, BIAS], width)
            for i in range(count):
                for j in range(width):
                    bias_sums[j] += upstream[i, j]
        _product(upstream, _matrix(program.floats, kernel, rows, width).T, downstream)
        activation = layers[layer - 1, ACTIVATION] if layer > first else LINEAR
        if activation == RELU and clip == np.inf:
            for i in range(count):
                for j in range(rows):
                    downstream[i, j] = downstream[i, j] if inputs[i, j] > 0 else np.float32(0.0)
        elif activation != LINEAR or clip < np.inf:
            _activate_back(inputs, downstream, activation, slope, clip)


@_part
def _update(x, t, network, program, tile):
    """Adds a network's updates to the rows of its firing cells."""
    lists, updated, given = tile.lists, tile.updated, tile.noise
    channels, count, hashing = x.shape[1], tile.counts[network], program.hash
    levels_at, clip = program.levels_at, _number(program, network, STATE_CLIP)
    step_size = _number(program, network, STEP_SIZE)
    noise_std = _number(program, network, NOISE_STD)
    for start in range(0, count, BLOCK):
        size = min(BLOCK, count - start)
        _perceive(x, FIRED + network, start, size, network, program, lists, tile.buffers)
        update = _network(tile.buffers, size, network, program)
        width = update.shape[1]
        first = channels - width  # those before never change
        for i in range(size):
            row = lists[FIRED_ROW + network, start + i]
            for c in range(width):
                updated[row, first + c] += step_size * update[i, c]
            if noise_std < 0 or (given.size == 0 and noise_std == 0):
                continue
            p = lists[FIRED + network, start + i]
            item, r, column = lists[ITEM, p], lists[ROW, p], lists[COLUMN, p]
            if given.size > 0:
                cell = (item * tile.height + r) * tile.width + column
                for c in range(width):
                    updated[row, first + c] += given[t * program.networks + network, cell, c]
            else:
                cell = cell_hash(tile.keys[network, item], r, column, hashing)
                for c in range(width):
                    level = program.floats[levels_at + normal_level(cell, c, hashing)]
                    updated[row, first + c] += noise_std * level
        if clip < np.inf:
            for i in range(size):
                row = lists[FIRED_ROW + network, start + i]
                for c in range(first, channels):
                    updated[row, c] = _cut(updated[row, c], clip)
        if _number(program, network, TOLERANCE) < np.inf:
            _verify(x, start, size, network, update, program, tile)


@_jit
def _verify(x, start, size, network, update, program, tile):
    """The deviation test: silences or clips firing cells that deviate from the host's rule.

    `update` is the network's own. A silenced cell becomes -(p + 1) in the list of cells that fired.
    """
    lists, updated = tile.lists, tile.updated
    tolerance = _number(program, network, TOLERANCE)
    held = _number(program, network, HELD) > 0
    if network == 1:
        _perceive(x, FIRED + network, start, size, 0, program, lists, tile.buffers)
        update = _network(tile.buffers, size, 0, program)
    width = update.shape[1]
    first = x.shape[1] - width
    for i in range(size):
        p, row = lists[FIRED + network, start + i], lists[FIRED_ROW + network, start + i]
        fired, rested = True, True  # NaN is not within any tolerance
        for c in range(width):
            before, after = x[p, first + c], updated[row, first + c]
            fired &= abs(after - (before + update[i, c])) <= tolerance
            rested &= after == before or (np.isnan(after) and np.isnan(before))
        if fired or rested:
            continue
        for c in range(width):
            rule = x[p, first + c] + update[i, c]
            after = max(min(updated[row, first + c], rule + tolerance), rule - tolerance)
            updated[row, first + c] = after if held else np.float32(0.0)
        if not held:
            lists[FIRED + network, start + i] = -(p + 1)


@_part
def _settle_life(x, t, alive, network, program, tile):
    """Marks the cells that have alpha above the threshold near them after a network's update."""
    lists, marks = tile.lists, tile.marks
    kept, asked, wraps = KEPT + network, ASKED + network, program.wraps
    tick, alpha_at, threshold = t + 1, program.alive_at, program.threshold
    step_size = _number(program, network, STEP_SIZE)
    if program.networks > 1:
        _draw_fires(ALIVE, alive, network, t, program, tile)
    grown = 0
    for i in range(alive):
        p = lists[ALIVE, i]
        if marks[STANDS, p] == network:
            alpha = tile.updated[i, alpha_at]
        elif marks[FIRES, i]:
            continue  # only this network's own update decides
        else:
            alpha = x[p, alpha_at]
        if alpha > threshold:
            lists[LIST_A, grown] = p
            grown += 1
    _spread(lists, marks, wraps, LIST_A, _ZERO, grown, kept, tick, LIST_B)

    # No known alpha keeps these cells alive. Compute their neighbours that fire and are still
    # missing: cells of the other network, and dead cells just outside the living ones.
    unknown = 0
    for i in range(alive):
        p = lists[ALIVE, i]
        if marks[STANDS, p] != network or lists[kept, p] == tick:
            continue
        for o in range(9):
            q = p + lists[OFFSETS, o]
            if wraps and not marks[INSIDE, q]:
                q = np.int64(lists[HOME, q])
            known = lists[LIVING, q] == tick and marks[STANDS, q] == network
            if not known and lists[asked, q] != tick and marks[INSIDE, q]:
                lists[asked, q] = tick
                lists[LIST_A, unknown] = q
                unknown += 1
    _draw_fires(LIST_A, unknown, network, t, program, tile)
    wanted = 0
    for i in range(unknown):
        if marks[FIRES, i]:
            lists[LIST_A, wanted] = lists[LIST_A, i]
            wanted += 1
    for start in range(0, wanted, BLOCK):
        size = min(BLOCK, wanted - start)
        _perceive(x, LIST_A, start, size, network, program, lists, tile.buffers)
        update = _network(tile.buffers, size, network, program)
        for i in range(size):
            alpha = x[lists[LIST_A, start + i], alpha_at] + step_size * update[i, alpha_at]
            alpha = _cut(alpha, _number(program, network, STATE_CLIP))
            if alpha > threshold:
                _spread(lists, marks, wraps, LIST_A, start + i, _ONE, kept, tick, LIST_B)


# Forward


@_part
def _find_first(x, program, tile):
    """Lists the cells at the start; returns how many, and, if none can die, how many are alive.

    At first any cell may differ from zero. If cells do not die, that remains true, but cells away
    from the living ones neither change nor are perceived.
    """
    lists, marks = tile.lists, tile.marks
    count, alive = 0, 0
    for p in range(x.shape[0]):
        if not marks[INSIDE, p]:
            continue
        if program.dies:
            lists[CELLS, count] = p
            count += 1
        elif program.everywhere or x[p, program.alive_at] > program.threshold:
            lists[ALIVE, alive] = p
            alive += 1
    if not program.dies:
        count = _spread(lists, marks, program.wraps, ALIVE, _ZERO, alive, KEPT, _ONE, CELLS)
        _gather(x, lists, ALIVE, _ZERO, alive, tile.updated)
    return count, alive


@_part
def _step(x, count, alive, t, program, tile):
    """One step: changes `x`, relists the cells; returns how many are listed and how many alive."""
    lists, marks, updated = tile.lists, tile.marks, tile.updated
    if program.has_matrix or program.has_vector:
        count = _perturb(x, count, t, program, tile)
    _copy_border(x, program, tile)
    if program.dies:
        alive = _find_living(x, count, program, lists, marks, LIVING, t + 1, ALIVE)
        _gather(x, lists, ALIVE, _ZERO, alive, updated)
    for k in range(program.networks):
        _make_keys(k, t, program, tile)
        _draw_fires(ALIVE, alive, k, t, program, tile)
        n = 0
        for i in range(alive):
            p = lists[ALIVE, i]
            if marks[FIRES, i] and marks[STANDS, p] == k:
                lists[FIRED + k, n] = p
                lists[FIRED_ROW + k, n] = i
                n += 1
        tile.counts[k] = n
        _update(x, t, k, program, tile)
    if not program.dies:
        for k in range(program.networks):
            for i in range(tile.counts[k]):
                p, row = lists[FIRED + k, i], lists[FIRED_ROW + k, i]
                p = p if p >= 0 else -(p + 1)
                for c in range(x.shape[1]):
                    x[p, c] = updated[row, c]
        return count, alive
    for k in range(program.networks):
        _settle_life(x, t, alive, k, program, tile)
    _clear(x, lists, CELLS, count)
    count = 0
    for i in range(alive):
        p = lists[ALIVE, i]
        if lists[KEPT + np.int64(marks[STANDS, p]), p] == t + 1:
            for c in range(x.shape[1]):
                x[p, c] = updated[i, c]
            lists[CELLS, count] = p
            count += 1
    return count, alive


@_jit
def _record(x, count, t, tape_cells, tape_values, cells_end, lists):
    """Appends the listed cells and their states to the tape, which may move to larger arrays."""
    end, channels = cells_end[t], x.shape[1]
    tape_cells = _with_room(tape_cells, end, count)
    tape_values = _with_room(tape_values, end * channels, count * channels)
    for i in range(count):
        tape_cells[end + i] = lists[CELLS, i]
    _gather(x, lists, CELLS, _ZERO, count, _matrix(tape_values, end * channels, count, channels))
    cells_end[t + 1] = end + count
    return tape_cells, tape_values


@_entry
def run(x, steps, program, tile, record, cells_end, fired_end):
    """Runs one tile: `x` becomes its last state. Returns the tape, if `record` is true.

    The tape holds the listed cells before each step and their states, row after row, and the cells
    whose update was kept, network by network, with silenced cells as -(p + 1). `cells_end` and
    `fired_end` receive the position where the part of each step (and network) ends.
    """
    networks, lists = program.networks, tile.lists
    tape_cells, tape_fired = np.empty(0, np.int32), np.empty(0, np.int32)
    tape_values = np.empty(0, np.float32)
    count, alive = _find_first(x, program, tile)
    for t in range(steps + 1):
        if record:
            tape_cells, tape_values = _record(
                x, count, t, tape_cells, tape_values, cells_end, lists
            )
        if t == steps:
            break
        count, alive = _step(x, count, alive, t, program, tile)
        if record:
            for k in range(networks):
                end = fired_end[t * networks + k]
                tape_fired = _with_room(tape_fired, end, tile.counts[k])
                for i in range(tile.counts[k]):
                    p = lists[FIRED + k, i]
                    if not program.dies or lists[KEPT + k, p] == t + 1:
                        tape_fired[end] = p
                        end += 1
                fired_end[t * networks + k + 1] = end
    return tape_cells, tape_values, tape_fired


# Backward


@_part
def _perceive_gradient(x, count, program, tile, back):
    """Adds to ``back.earlier[i]`` the i-th cell's gradient through perceptions of cells near it.

    ``back.seen`` holds the gradients of those perceptions, ``lists[ROW_OF, p]`` the row of the cell
    at `p`, or -1.
    """
    out, seen, lists, floats = back.earlier, back.seen, tile.lists, program.floats
    channels, layers = out.shape[1], program.layers
    last = program.first_adversary * (program.networks - 1)
    kind_1, kind_2 = layers[0, PERCEPTION], layers[last, PERCEPTION]
    at_1, at_2 = layers[0, STENCILS], layers[last, STENCILS]
    for i in range(count):
        p = lists[CELLS, i]
        for o in range(9):
            q = p - lists[OFFSETS, o]
            row = lists[ROW_OF, q]
            if row < 0:
                continue
            network = np.int64(tile.marks[STANDS, q])
            kind, at = (kind_2, at_2) if network else (kind_1, at_1)
            if kind == SOBEL:
                if o == 4:
                    for c in range(channels):
                        out[i, c] += seen[row, c]
                    continue
                weight_x, weight_y = floats[at + 3 * o + 1], floats[at + 3 * o + 2]
                for c in range(channels):
                    out[i, c] += (
                        weight_x * seen[row, channels + c] + weight_y * seen[row, 2 * channels + c]
                    )
            elif kind == PATCHES:
                bound = _number(program, network, MESSAGE_BOUND)
                for c in range(channels):
                    if -bound <= x[p, c] <= bound:
                        out[i, c] += seen[row, o * channels + c]
            else:
                filters = layers[program.first_adversary * network, INPUTS] // channels
                for k in range(filters):
                    weight = floats[at + filters * o + k]
                    for c in range(channels):
                        out[i, c] += weight * seen[row, k * channels + c]


@_part
def _networks_back(x, g, t, tape_fired, fired_end, program, tile, back):
    """Backward through the networks of one step: fills ``back.seen`` and `ROW_OF`."""
    lists, buffers, gradients, seen = tile.lists, tile.buffers, back.gradients, back.seen
    n = 0
    for k in range(program.networks):
        part = t * program.networks + k
        step_size, clip = _number(program, k, STEP_SIZE), _number(program, k, STATE_CLIP)
        last = _layers_of(program, k)[1] - 1
        inputs = program.layers[program.first_adversary * k, INPUTS]
        width = program.layers[last, WIDTH]
        first = x.shape[1] - width
        for start in range(fired_end[part], fired_end[part + 1], BLOCK):
            size = min(BLOCK, fired_end[part + 1] - start)
            for i in range(size):
                p = tape_fired[start + i]
                lists[LIST_A, i] = p if p >= 0 else -(p + 1)
            _perceive(x, LIST_A, _ZERO, size, k, program, lists, buffers)
            update = _network(buffers, size, k, program)
            for i in range(size if clip < np.inf else 0):
                p = lists[LIST_A, i]
                for c in range(width):
                    if not abs(x[p, first + c] + step_size * update[i, c]) <= clip:
                        g[p, first + c] = 0.0
            update = _matrix(gradients, program.layers[last, OUT], size, width)
            for i in range(size):
                p = lists[LIST_A, i]
                for c in range(width):
                    update[i, c] = step_size * g[p, first + c]
            _network_gradient(size, k, program, buffers, back)
            perceived = _matrix(gradients, _ZERO, size, inputs)
            for i in range(size):
                lists[ROW_OF, lists[LIST_A, i]] = n + i
                for c in range(inputs):
                    seen[n + i, c] = perceived[i, c]
            n += size


@_entry
def run_back(g, x, tape_cells, tape_values, tape_fired, cells_end, fired_end, program, tile, back):
    """Runs one tile backward along its tape.

    `g`, the gradient of the last state, becomes that of the initial one; ``back.sums`` receives
    those of the weights, the matrix and the vector. `x` is all zero before and after.
    """
    channels, networks, lists, earlier = g.shape[1], program.networks, tile.lists, back.earlier
    perturbed = program.has_matrix or program.has_vector
    steps = cells_end.shape[0] - 2
    if program.dies:  # dead cells were set to zero: nothing flows through them
        first, count = cells_end[steps], cells_end[steps + 1] - cells_end[steps]
        for i in range(count):
            lists[LISTED, i] = tape_cells[first + i]
        _gather(g, lists, LISTED, _ZERO, count, earlier)
        for p in range(g.shape[0]):
            for c in range(channels):
                g[p, c] = 0.0
        _scatter(earlier, lists, LISTED, count, g)

    for t in range(steps - 1, -1, -1):
        first, listed = cells_end[t], cells_end[t + 1] - cells_end[t]
        values = _matrix(tape_values, first * channels, listed, channels)
        for i in range(listed):
            lists[CELLS, i] = tape_cells[first + i]
        _scatter(values, lists, CELLS, listed, x)
        count = listed
        if perturbed:
            count = _perturb(x, listed, t, program, tile)
        for i in range(fired_end[t * networks], fired_end[(t + 1) * networks]):
            if tape_fired[i] < 0:  # silenced: its new state depends on nothing
                for c in range(1, channels):
                    g[-(tape_fired[i] + 1), c] = 0.0
        _copy_border(x, program, tile)
        _networks_back(x, g, t, tape_fired, fired_end, program, tile, back)
        _copy_rows_of_border(program, tile)
        _gather(g, lists, CELLS, _ZERO, count, earlier)
        _perceive_gradient(x, count, program, tile, back)
        for i in range(fired_end[t * networks], fired_end[(t + 1) * networks]):
            p = tape_fired[i]
            lists[ROW_OF, p if p >= 0 else -(p + 1)] = -1
        _copy_rows_of_border(program, tile)

        if program.dies:
            for i in range(cells_end[t + 1], cells_end[t + 2]):
                p = tape_cells[i]
                for c in range(channels):
                    g[p, c] = 0.0
        _scatter(earlier, lists, CELLS, count, g)
        _clear(x, lists, CELLS, count)
        if perturbed:
            for i in range(listed):
                lists[LISTED, i] = tape_cells[first + i]
            _scatter(values, lists, LISTED, listed, x)
            _perturb_gradient(g, x, count, listed, t, program, tile, back)
            _clear(x, lists, LISTED, listed)
            _clear(g, lists, CELLS, count)
            _scatter(earlier, lists, LISTED, listed, g)


# Invasions: two species on a grid, each with an alpha, and none of the rules on life above


@_part
def _claim(x, count, t, program, tile, seen):
    """Decides which cells belong to which species, and sets all others to zero.

    Lists the cells that belong to any in `ALIVE` and returns their number; `OWNS` and the next row
    tell of each position whether it belongs to the first and the second. Fills `seen`, which was
    zero, with what the networks see: one alpha, the sum of both.
    """
    lists, wraps, threshold = tile.lists, program.wraps, program.threshold
    alpha, last, tick, alive = program.alive_at, x.shape[1] - 1, t + 1, 0
    for k in range(2):
        channel, near, grown = (last if k else alpha), NEAR + k, 0
        for i in range(count):
            p = lists[CELLS, i]
            if x[p, channel] >= threshold:
                lists[LIST_A, grown] = p
                grown += 1
        found = _spread(lists, tile.marks, wraps, LIST_A, _ZERO, grown, near, tick, LIST_B)
        for i in range(found):
            p = lists[LIST_B, i]
            if k == 0 or lists[NEAR, p] != tick:
                lists[ALIVE, alive] = p
                alive += 1
    for i in range(count):
        p = lists[CELLS, i]
        if lists[NEAR, p] != tick and lists[NEAR + 1, p] != tick:
            for c in range(x.shape[1]):
                x[p, c] = 0.0
    for i in range(alive):
        p = lists[ALIVE, i]
        first, second = x[p, alpha], x[p, last]
        if max(first, second) >= threshold:
            lists[OWNS, p], lists[OWNS + 1, p] = first >= second, second >= first
        else:  # free: it belongs to every species nearby
            lists[OWNS, p] = lists[NEAR, p] == tick
            lists[OWNS + 1, p] = lists[NEAR + 1, p] == tick
        if not lists[OWNS, p]:
            x[p, alpha] = 0.0
        if not lists[OWNS + 1, p]:
            x[p, last] = 0.0
        for c in range(last):
            seen[p, c] = x[p, c]
        seen[p, alpha] += x[p, last]
    _copy_border(seen, program, tile)
    return alive


@_jit
def _share(p, network, program, lists):
    """The factor on an update of a species: the step size, halved in a cell of both."""
    step_size = _number(program, network, STEP_SIZE)
    both = lists[OWNS, p] and lists[OWNS + 1, p]
    return np.float32(0.5) * step_size if both else step_size


@_part
def _step_of_species(x, count, t, program, tile, seen):
    """One step of an invasion: changes `x`, relists the cells; returns how many are listed."""
    lists, marks, updated = tile.lists, tile.marks, tile.updated
    alpha, last = program.alive_at, x.shape[1] - 1
    alive = _claim(x, count, t, program, tile, seen)
    _gather(x, lists, ALIVE, _ZERO, alive, updated)
    for k in range(2):
        _make_keys(k, t, program, tile)
        _draw_fires(ALIVE, alive, k, t, program, tile)
        n = 0
        for i in range(alive):
            p = lists[ALIVE, i]
            if marks[FIRES, i] and lists[OWNS + k, p]:
                lists[FIRED + k, n] = p
                lists[FIRED_ROW + k, n] = i
                n += 1
        tile.counts[k] = n
        for start in range(0, n, BLOCK):
            size = min(BLOCK, n - start)
            _perceive(seen, FIRED + k, start, size, k, program, lists, tile.buffers)
            update = _network(tile.buffers, size, k, program)
            for i in range(size):
                row = lists[FIRED_ROW + k, start + i]
                share = _share(lists[FIRED + k, start + i], k, program, lists)
                for c in range(last):
                    own = last if k == 1 and c == alpha else c
                    updated[row, own] += share * update[i, c]
    _clear(seen, lists, ALIVE, alive)
    for i in range(alive):
        lists[CELLS, i] = lists[ALIVE, i]
    _scatter(updated, lists, CELLS, alive, x)
    return alive


@_entry
def run_invasion(x, steps, program, tile, record, cells_end, fired_end, seen):
    """As `run`, for an invasion: `x` has one more channel, the second species' alpha.

    `seen` has the channels that networks see, and is all zero before and after.
    """
    lists, marks, count = tile.lists, tile.marks, 0
    tape_cells, tape_fired = np.empty(0, np.int32), np.empty(0, np.int32)
    tape_values = np.empty(0, np.float32)
    for p in range(x.shape[0]):
        if marks[INSIDE, p]:
            lists[CELLS, count] = p
            count += 1
    for t in range(steps + 1):
        if record:
            tape_cells, tape_values = _record(
                x, count, t, tape_cells, tape_values, cells_end, lists
            )
        if t == steps:
            break
        count = _step_of_species(x, count, t, program, tile, seen)
        if record:
            for k in range(2):
                end = fired_end[2 * t + k]
                tape_fired = _with_room(tape_fired, end, tile.counts[k])
                for i in range(tile.counts[k]):
                    tape_fired[end + i] = lists[FIRED + k, i]
                fired_end[2 * t + k + 1] = end + tile.counts[k]
    return tape_cells, tape_values, tape_fired


@_part
def _species_back(g, seen, count, t, k, tape_fired, fired_end, program, tile, back):
    """Backward through one species' network: adds to ``back.earlier``, the gradients of `seen`."""
    lists, marks, buffers, gradients = tile.lists, tile.marks, tile.buffers, back.gradients
    alpha, last = program.alive_at, g.shape[1] - 1
    first, end = fired_end[2 * t + k], fired_end[2 * t + k + 1]
    out = program.layers[_layers_of(program, k)[1] - 1, OUT]
    inputs = program.layers[program.first_adversary * k, INPUTS]
    for p in range(marks.shape[1]):
        marks[STANDS, p] = k
    for start in range(first, end, BLOCK):
        size = min(BLOCK, end - start)
        for i in range(size):
            lists[LIST_A, i] = tape_fired[start + i]
        _perceive(seen, LIST_A, _ZERO, size, k, program, lists, buffers)
        _network(buffers, size, k, program)
        update = _matrix(gradients, out, size, last)
        for i in range(size):
            p = lists[LIST_A, i]
            share = _share(p, k, program, lists)
            for c in range(last):
                own = last if k == 1 and c == alpha else c
                update[i, c] = share * g[p, own]
        _network_gradient(size, k, program, buffers, back)
        perceived = _matrix(gradients, _ZERO, size, inputs)
        for i in range(size):
            lists[ROW_OF, lists[LIST_A, i]] = start - first + i
            for c in range(inputs):
                back.seen[start - first + i, c] = perceived[i, c]
    _copy_rows_of_border(program, tile)
    _perceive_gradient(seen, count, program, tile, back)
    for i in range(first, end):
        lists[ROW_OF, tape_fired[i]] = -1
    _copy_rows_of_border(program, tile)


@_entry
def run_invasion_back(
    g, x, tape_cells, tape_values, tape_fired, cells_end, fired_end, program, tile, back, seen
):
    """As `run_back`, for an invasion. `x` and `seen` are all zero before and after."""
    channels, lists, earlier, updated = g.shape[1], tile.lists, back.earlier, tile.updated
    alpha, last, steps = program.alive_at, channels - 1, cells_end.shape[0] - 2
    listed = 0  # the cells whose gradient is kept in `g`; at first, all
    for t in range(steps - 1, -1, -1):
        first, count = cells_end[t], cells_end[t + 1] - cells_end[t]
        for i in range(count):
            lists[CELLS, i] = tape_cells[first + i]
        _scatter(_matrix(tape_values, first * channels, count, channels), lists, CELLS, count, x)
        alive = _claim(x, count, t, program, tile, seen)
        _clear(x, lists, CELLS, count)
        for i in range(alive):
            lists[CELLS, i] = lists[ALIVE, i]
            for c in range(last):
                earlier[i, c] = 0.0
        for k in range(2):
            _species_back(g, seen, alive, t, k, tape_fired, fired_end, program, tile, back)
        _clear(seen, lists, CELLS, alive)
        _gather(g, lists, CELLS, _ZERO, alive, updated)
        if t == steps - 1:
            for p in range(g.shape[0]):
                for c in range(channels):
                    g[p, c] = 0.0
        _clear(g, lists, LISTED, listed)
        for i in range(alive):
            p = lists[CELLS, i]
            lists[LISTED, i] = p
            for c in range(last):
                if c != alpha:
                    g[p, c] = updated[i, c] + earlier[i, c]
            if lists[OWNS, p]:
                g[p, alpha] = updated[i, alpha] + earlier[i, alpha]
            if lists[OWNS + 1, p]:
                g[p, last] = updated[i, last] + earlier[i, alpha]
        listed = alive
