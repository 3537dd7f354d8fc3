"""The living-cells engine: cost follows the cells that live and fire, not the grid.

About a fifth of a grown lizard's grid lives and half of that fires, so nine tenths of a dense
step change nothing. This engine walks through lists instead. It works on *sheets*: one lizard
or a few digits, each grid padded and all laid out flat, so that a neighbour stands at a fixed
distance; and beside it a list of the cells that may differ from zero. One step of a sheet:

1. *Living*: from the listed cells, list all that have alpha > 0.1 in their neighbourhood.
   (MNIST: the cells of the stroke, once for the whole run.)
2. *Fire*: hash (seed, step, network, item, row, column) to see which of them fire.
3. *Update*: gather the neighbourhoods of the firing cells as rows of a matrix, in blocks that
   fit the cache, and run the network that stands there: a few matrix products.
4. *Life after*: a cell stays if its neighbourhood has alpha > 0.1 after the update. Two traps:
   a firing cell just outside the living ones can keep a living one alive; and in an injection
   each network judges by its own update, also where the other stands. So where the alphas
   already known do not keep a cell alive, and only there, the missing ones are computed.
5. The cells that stay are the list of the next step; all others are set to zero.

The result is the dense step's, exactly, up to the order of float32 additions. Backward, a tape
holds the listed cells of every step; perception and hidden layers are computed again, cheaper
than kept. Sheets are independent and run side by side on all cores, each on one thread.
"""

from collections import namedtuple

import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - numba's BLAS, to be there when its threads are set

from tfnca.automata.randomness import _GOLDEN, _MULTIPLIERS, _SHIFTS, NORMAL_LEVELS
from tfnca.automata.state import ALPHA, GREY, LIVING_THRESHOLD, STATE_BOUND

# The same function for one cell, compiled for the living-cells engine.


@numba.njit
def absorb(key, word):
    """One round of the hash: a 32-bit key and a 32-bit word to the next key."""
    x = (np.uint32(key) ^ np.uint32(word)) + np.uint32(_GOLDEN)
    x = np.uint32(x)
    x ^= x >> np.uint32(_SHIFTS[0])
    x = np.uint32(x * np.uint32(_MULTIPLIERS[0]))
    x ^= x >> np.uint32(_SHIFTS[1])
    x = np.uint32(x * np.uint32(_MULTIPLIERS[1]))
    return np.uint32(x ^ (x >> np.uint32(_SHIFTS[2])))


@numba.njit
def item_key(seed, index, network, item):
    """The key of one batch item in one step, to be completed by row and column."""
    key = absorb(np.uint32(0), np.uint32(seed & 0xFFFFFFFF))
    key = absorb(key, np.uint32(seed >> 32))
    key = absorb(key, np.uint32(index))
    key = absorb(key, np.uint32(network))
    return absorb(key, np.uint32(item))


@numba.njit
def cell_hash(key, row, column):
    """The hash of one cell under an `item_key`."""
    return absorb(absorb(key, np.uint32(row)), np.uint32(column))


@numba.njit
def fires(cell, fire_rate):
    """Whether the cell with this hash fires."""
    return np.float32(cell >> np.uint32(8)) * np.float32(2.0**-24) < fire_rate


@numba.njit
def normal_level(cell, channel):
    """The index into `NORMAL_LEVELS` of this cell's draw for one channel."""
    return absorb(cell, np.uint32(channel + 1)) >> np.uint32(20)


_BLOCK = 512
"""Rows in one matrix product: block and hidden layer stay in a core's cache."""

_THRESHOLD = np.float32(LIVING_THRESHOLD)
_BOUND = np.float32(STATE_BOUND)
_jit = numba.njit(nogil=True, cache=True, error_model="numpy")


# What does not change in a run. `growing` tells the two kinds apart: Sobel perception and death,
# or raw 3×3 patches (the learned convolution is then just the first layer) and a fixed stroke.
_Rule = namedtuple("_Rule", "kernels biases fire_rate step_size noise_std trained")
_Program = namedtuple("_Program", "growing perturbed matrix stencils rules")
_Draws = namedtuple("_Draws", "seed first_step first_item fire noise")
_Grid = namedtuple("_Grid", "items rows columns offsets inside network")


# Stamps mark a position as listed in step t by holding t + 1, so they need no clearing.
_Scratch = namedtuple("_Scratch", "shaken living kept asked list_a list_b fire updated")


@_jit
def _make_grid(items, height, width, masks):
    shape = items, height + 2, width + 2
    offsets = np.array([r * shape[2] + c for r in (-1, 0, 1) for c in (-1, 0, 1)], np.int32)
    inside = np.zeros(shape, np.bool_)
    inside[:, 1:-1, 1:-1] = True
    network = np.zeros(shape, np.uint8)
    if masks.size > 0:
        network[:, 1:-1, 1:-1] = masks
    item, rows, columns = (
        np.empty(shape, np.int32), np.empty(shape, np.int32), np.empty(shape, np.int32)
    )  # fmt: skip
    for i in range(items):
        for r in range(shape[1]):
            for c in range(shape[2]):
                item[i, r, c], rows[i, r, c], columns[i, r, c] = i, r - 1, c - 1
    return _Grid(
        item.ravel(), rows.ravel(), columns.ravel(), offsets, inside.ravel(), network.ravel()
    )


@_jit
def _make_scratch(positions, channels, networks):
    return _Scratch(
        np.zeros(positions, np.int32),
        np.zeros(positions, np.int32),
        np.zeros((networks, positions), np.int32),
        np.zeros((networks, positions), np.int32),
        np.empty(positions, np.int32),
        np.empty(positions, np.int32),
        np.empty(positions, np.bool_),
        np.empty((positions, channels), np.float32),
    )


@_jit
def _make_buffers(rule):
    """Room for one block of rows before, between and after a network's layers."""
    buffers = [np.empty((_BLOCK, rule.kernels[0].shape[0]), np.float32)]
    for kernel in rule.kernels:
        buffers.append(np.empty((_BLOCK, kernel.shape[1]), np.float32))
    return buffers


@_jit
def _pad(values):
    items, height, width, channels = values.shape
    padded = np.zeros((items, height + 2, width + 2, channels), np.float32)
    padded[:, 1:-1, 1:-1] = values
    return padded.reshape(items * (height + 2) * (width + 2), channels)


@_jit
def _unpad(flat, out):
    items, height, width, channels = out.shape
    out[:] = flat.reshape(items, height + 2, width + 2, channels)[:, 1:-1, 1:-1]


# Rows are copied by explicit loops: rows assigned as slices in a loop came out wrong (numba 0.68).


@_jit
def _gather(x, positions, rows):
    """``rows[i] = x[positions[i]]``."""
    for i in range(positions.shape[0]):
        for c in range(x.shape[1]):
            rows[i, c] = x[positions[i], c]


@_jit
def _scatter(rows, positions, x):
    """``x[positions[i]] = rows[i]``."""
    for i in range(positions.shape[0]):
        for c in range(x.shape[1]):
            x[positions[i], c] = rows[i, c]


@_jit
def _clear(x, positions):
    """``x[positions] = 0``."""
    for p in positions:
        for c in range(x.shape[1]):
            x[p, c] = 0.0


@_jit
def _spread(sources, count, grid, stamp, tick, found):
    """Stamps and lists the 3×3 neighbourhoods of the first `count` sources."""
    n = 0
    inside, offsets = grid.inside, grid.offsets
    for i in range(count):
        for offset in offsets:
            q = sources[i] + offset
            if inside[q] and stamp[q] != tick:
                stamp[q] = tick
                found[n] = q
                n += 1
    return n


@_jit
def _find_living(x, cells, count, grid, stamp, tick, scratch, living):
    """Lists the cells whose neighbourhood has alpha above the threshold."""
    grown = 0
    sources = scratch.list_a
    for i in range(count):
        if x[cells[i], ALPHA] > _THRESHOLD:
            sources[grown] = cells[i]
            grown += 1
    return _spread(sources, grown, grid, stamp, tick, living)


@_jit
def _find_stroke(x, grid, living):
    """Lists the cells of MNIST digits' strokes."""
    count = 0
    for p in range(x.shape[0]):
        if grid.inside[p] and x[p, GREY] > _THRESHOLD:
            living[count] = p
            count += 1
    return count


@_jit
def _perturb(x, cells, count, t, grid, program, scratch, states, product):
    """Living cells times the matrix, the other listed cells to zero; relists the cells."""
    alive = _find_living(x, cells, count, grid, scratch.shaken, t + 1, scratch, scratch.list_b)
    for p in cells[:count]:
        if scratch.shaken[p] != t + 1:
            for c in range(x.shape[1]):
                x[p, c] = 0.0
    cells[:alive] = scratch.list_b[:alive]
    for start in range(0, alive, _BLOCK):
        size = min(_BLOCK, alive - start)
        _gather(x, cells[start : start + size], states)
        np.dot(states[:size], program.matrix, product[:size])
        for i in range(size):
            for c in range(x.shape[1]):
                x[cells[start + i], c] = min(max(product[i, c], -_BOUND), _BOUND)
    return alive


@_jit
def _draw_fires(positions, network, t, keys, grid, program, draws, out):
    """``out[i]``: whether the cell at ``positions[i]`` fires under a network's fire mask."""
    items, rows, columns, given = grid.items, grid.rows, grid.columns, draws.fire
    fire_rate = program.rules[network].fire_rate
    for i in range(positions.shape[0]):
        p = positions[i]
        if given.size > 0:
            out[i] = given[t, network, items[p], rows[p], columns[p]]
        else:
            key = keys[network, items[p]]
            out[i] = fires(cell_hash(key, rows[p], columns[p]), fire_rate)


@_jit
def _perceive(x, positions, network, grid, program, rows):
    """Fills a row for each position with what that cell perceives."""
    channels = x.shape[1]
    offsets, stencils = grid.offsets, program.stencils[network]
    for i in range(positions.shape[0]):
        p = positions[i]
        if program.growing:
            for c in range(channels):
                rows[i, c] = x[p, c]
                rows[i, channels + c] = 0.0
                rows[i, 2 * channels + c] = 0.0
            for o in range(9):
                if o == 4:
                    continue
                q = p + offsets[o]
                weight_x, weight_y = stencils[o, 1], stencils[o, 2]
                for c in range(channels):
                    rows[i, channels + c] += weight_x * x[q, c]
                    rows[i, 2 * channels + c] += weight_y * x[q, c]
        else:
            for o in range(9):
                q = p + offsets[o]
                for c in range(channels):
                    rows[i, o * channels + c] = x[q, c]


@_jit
def _network(buffers, count, rule):
    """Runs a network on the first rows of ``buffers[0]``; the update is in the last buffer."""
    last = len(rule.kernels) - 1
    for layer in range(last + 1):
        out = buffers[layer + 1][:count]
        np.dot(buffers[layer][:count], rule.kernels[layer], out)
        bias = rule.biases[layer]
        for i in range(count):
            if layer < last:
                for j in range(bias.shape[0]):
                    out[i, j] = max(out[i, j] + bias[j], np.float32(0.0))
            else:
                for j in range(bias.shape[0]):
                    out[i, j] += bias[j]


@_jit
def _update(x, t, fired, rows, network, keys, grid, program, draws, buffers, updated):
    """Adds one network's updates to the rows of its firing cells."""
    rule = program.rules[network]
    step_size, noise_std, given = rule.step_size, rule.noise_std, draws.noise
    for start in range(0, fired.shape[0], _BLOCK):
        block = fired[start : start + _BLOCK]
        _perceive(x, block, network, grid, program, buffers[0])
        _network(buffers, block.shape[0], rule)
        update = buffers[-1]
        width = update.shape[1]
        first = x.shape[1] - width  # 1 in an MNIST CA, whose grey never changes
        for i in range(block.shape[0]):
            row = rows[start + i]
            for c in range(width):
                updated[row, first + c] += step_size * update[i, c]
            if given.size == 0 and noise_std == 0:
                continue
            p = block[i]
            item, r, column = grid.items[p], grid.rows[p], grid.columns[p]
            if given.size > 0:
                for c in range(width):
                    updated[row, first + c] += given[t, network, item, r, column, c]
            else:
                cell = cell_hash(keys[network, item], r, column)
                for c in range(width):
                    updated[row, first + c] += noise_std * NORMAL_LEVELS[normal_level(cell, c)]


@_jit
def _settle_life(x, t, living, network, keys, grid, program, draws, buffers, scratch):
    """Marks the cells that have alpha above the threshold near them after a network's update."""
    tick = t + 1
    step_size = program.rules[network].step_size
    stands, inside, offsets = grid.network, grid.inside, grid.offsets
    is_living, updated = scratch.living, scratch.updated
    kept, asked = scratch.kept[network], scratch.asked[network]
    sources, fire = scratch.list_a, scratch.fire
    if len(program.rules) > 1:
        _draw_fires(living, network, t, keys, grid, program, draws, fire)
    grown = 0
    for i in range(living.shape[0]):
        p = living[i]
        if stands[p] == network:
            alpha = updated[i, ALPHA]
        elif fire[i]:
            continue  # only this network's own update would tell
        else:
            alpha = x[p, ALPHA]
        if alpha > _THRESHOLD:
            sources[grown] = p
            grown += 1
    _spread(sources, grown, grid, kept, tick, scratch.list_b)

    # Nothing known keeps these cells alive. Ask their neighbours that fire and have not been
    # computed: cells of the other network, and dead cells just outside the living.
    unknown = 0
    for i in range(living.shape[0]):
        p = living[i]
        if stands[p] != network or kept[p] == tick:
            continue
        for offset in offsets:
            q = p + offset
            known = is_living[q] == tick and stands[q] == network
            if not known and asked[q] != tick and inside[q]:
                asked[q] = tick
                sources[unknown] = q
                unknown += 1
    _draw_fires(sources[:unknown], network, t, keys, grid, program, draws, fire)
    wanted = 0
    for i in range(unknown):
        if fire[i]:
            sources[wanted] = sources[i]
            wanted += 1
    for start in range(0, wanted, _BLOCK):
        block = sources[start : min(start + _BLOCK, wanted)]
        _perceive(x, block, network, grid, program, buffers[0])
        _network(buffers, block.shape[0], program.rules[network])
        update = buffers[-1]
        for i in range(block.shape[0]):
            if x[block[i], ALPHA] + step_size * update[i, ALPHA] > _THRESHOLD:
                _spread(block[i:], 1, grid, kept, tick, scratch.list_b)


@_jit
def _step_keys(draws, t, networks, items):
    keys = np.empty((networks, items), np.uint32)
    for network in range(networks):
        for i in range(items):
            step = draws.first_step + t
            keys[network, i] = item_key(draws.seed, step, network, draws.first_item + i)
    return keys


@_jit
def _with_room(array, used, more):
    """`array` if `more` rows fit behind the `used` ones, else a copy with room to grow."""
    if used + more <= array.shape[0]:
        return array
    larger = np.empty((2 * (used + more), *array.shape[1:]), array.dtype)
    larger[:used] = array[:used]
    return larger


@_jit
def _run(state, final, masks, steps, program, draws, record):
    """Runs one sheet; fills `final` with its last state and returns its tape.

    The tape: `cells` and `values`, the listed cells before each step and what they held;
    `fired`, the cells whose update was kept, network by network; and where each step's (and
    network's) part of them ends.
    """
    items, height, width, channels = state.shape
    x = _pad(state)
    networks = len(program.rules)
    grid = _make_grid(items, height, width, masks)
    scratch = _make_scratch(x.shape[0], channels, networks)
    buffers = [_make_buffers(rule) for rule in program.rules]
    states = np.empty((_BLOCK, channels), np.float32)
    product = np.empty((_BLOCK, channels), np.float32)
    living = np.empty(x.shape[0], np.int32)
    fired = np.empty((networks, x.shape[0]), np.int32)
    rows = np.empty((networks, x.shape[0]), np.int32)
    fired_count = np.zeros(networks, np.int64)
    stands, fire, updated, kept = grid.network, scratch.fire, scratch.updated, scratch.kept

    tape_cells = np.empty(0, np.int32)
    tape_values = np.empty((0, channels), np.float32)
    tape_fired = np.empty(0, np.int32)
    cells_end = np.zeros(steps + 2, np.int64)
    fired_end = np.zeros(steps * networks + 1, np.int64)

    # At first any cell may hold something. In an MNIST CA that stays so, but cells away from
    # the stroke neither change nor are seen.
    cells = np.empty(x.shape[0], np.int32)
    count = 0
    if program.growing:
        for p in range(x.shape[0]):
            if grid.inside[p]:
                cells[count] = p
                count += 1
        alive = 0
    else:
        alive = _find_stroke(x, grid, living)
        count = _spread(living, alive, grid, scratch.kept[0], -1, cells)
        _gather(x, living[:alive], updated)

    for t in range(steps + 1):
        if record:
            end = cells_end[t]
            tape_cells = _with_room(tape_cells, end, count)
            tape_values = _with_room(tape_values, end, count)
            tape_cells[end : end + count] = cells[:count]
            _gather(x, cells[:count], tape_values[end:])
            cells_end[t + 1] = end + count
        if t == steps:
            break
        if program.perturbed:
            count = _perturb(x, cells, count, t, grid, program, scratch, states, product)
        if program.growing:
            alive = _find_living(x, cells, count, grid, scratch.living, t + 1, scratch, living)
            _gather(x, living[:alive], updated)

        keys = _step_keys(draws, t, networks, items)
        for k in range(networks):
            _draw_fires(living[:alive], k, t, keys, grid, program, draws, fire)
            n = 0
            for i in range(alive):
                if fire[i] and stands[living[i]] == k:
                    fired[k, n] = living[i]
                    rows[k, n] = i
                    n += 1
            fired_count[k] = n
            _update(
                x, t, fired[k, :n], rows[k, :n], k, keys, grid, program, draws, buffers[k],
                updated,
            )  # fmt: skip

        if program.growing:
            for k in range(networks):
                _settle_life(
                    x, t, living[:alive], k, keys, grid, program, draws, buffers[k], scratch
                )
            _clear(x, cells[:count])
            count = 0
            for i in range(alive):
                p = living[i]
                if kept[stands[p], p] == t + 1:
                    for c in range(channels):
                        x[p, c] = updated[i, c]
                    cells[count] = p
                    count += 1
        else:
            _scatter(updated, living[:alive], x)

        if record:
            for k in range(networks):
                end = fired_end[t * networks + k]
                tape_fired = _with_room(tape_fired, end, fired_count[k])
                for i in range(fired_count[k]):
                    p = fired[k, i]
                    if not program.growing or kept[k, p] == t + 1:
                        tape_fired[end] = p
                        end += 1
                fired_end[t * networks + k + 1] = end
    _unpad(x, final)
    return tape_cells, tape_values, cells_end, tape_fired, fired_end


@_jit
def _network_gradient(buffers, gradients, count, rule, kernel_sums, bias_sums):
    """Backward through a network whose activations are in `buffers`, by way of `gradients`."""
    for layer in range(len(rule.kernels) - 1, -1, -1):
        inputs, upstream = buffers[layer][:count], gradients[layer + 1][:count]
        downstream = gradients[layer][:count]
        if rule.trained:
            kernel_sums[layer] += np.dot(inputs.T, upstream)
            bias_sum = bias_sums[layer]
            for i in range(count):
                for j in range(upstream.shape[1]):
                    bias_sum[j] += upstream[i, j]
        np.dot(upstream, rule.kernels[layer].T, downstream)
        if layer > 0:
            for i in range(count):
                for j in range(inputs.shape[1]):
                    downstream[i, j] = downstream[i, j] if inputs[i, j] > 0 else np.float32(0.0)


@_jit
def _make_sums(program):
    """Zeros for the gradients of all kernels and biases: one flat array, and views into it."""
    size = 0
    for rule in program.rules:
        for layer in range(len(rule.kernels)):
            size += rule.kernels[layer].size + rule.biases[layer].size
    sums = np.zeros(size, np.float32)
    kernel_sums = [[sums[:0].reshape(0, 1) for _ in rule.kernels] for rule in program.rules]
    bias_sums = [[sums[:0] for _ in rule.kernels] for rule in program.rules]
    end = 0
    for k in range(len(program.rules)):
        rule = program.rules[k]
        for layer in range(len(rule.kernels)):
            shape, start = rule.kernels[layer].shape, end
            end += rule.kernels[layer].size
            kernel_sums[k][layer] = sums[start:end].reshape(shape)
            bias_sums[k][layer] = sums[end : end + shape[1]]
            end += shape[1]
    return sums, kernel_sums, bias_sums


@_jit
def _perturb_gradient(g, listed, values, stamp, t, program, states, product, earlier, matrix_sum):
    """Backward through `_perturb`: fills `earlier` for the listed cells, adds to `matrix_sum`."""
    for start in range(0, listed.shape[0], _BLOCK):
        size = min(_BLOCK, listed.shape[0] - start)
        inputs, outputs = states[:size], product[:size]
        inputs[:] = values[start : start + size]
        np.dot(inputs, program.matrix, outputs)
        for i in range(size):
            p = listed[start + i]
            alive = stamp[p] == t + 1
            for c in range(outputs.shape[1]):
                passes = alive and -_BOUND <= outputs[i, c] <= _BOUND
                outputs[i, c] = g[p, c] if passes else np.float32(0.0)
        matrix_sum += np.dot(inputs.T, outputs)
        np.dot(outputs, program.matrix.T, earlier[start : start + size])


@_jit
def _perceive_gradient(cells, row_of, seen, grid, program, out):
    """Adds to ``out[i]`` what ``cells[i]`` gave to the perceptions of the firing cells near it.

    `seen` holds the gradients of those perceptions, ``row_of[p]`` the row of the cell at `p`.
    """
    channels = out.shape[1]
    offsets, stencils, stands = grid.offsets, program.stencils, grid.network
    for i in range(cells.shape[0]):
        for o in range(9):
            q = cells[i] - offsets[o]
            row = row_of[q]
            if row < 0:
                continue
            if not program.growing:
                for c in range(channels):
                    out[i, c] += seen[row, o * channels + c]
            elif o == 4:
                for c in range(channels):
                    out[i, c] += seen[row, c]
            else:
                weight_x, weight_y = stencils[stands[q], o, 1], stencils[stands[q], o, 2]
                for c in range(channels):
                    out[i, c] += (
                        weight_x * seen[row, channels + c] + weight_y * seen[row, 2 * channels + c]
                    )


@_jit
def _run_back(upstream, of_state, masks, program, tape):
    """Runs one sheet backward along its tape.

    Fills `of_state` with the gradient of the initial state; returns those of the kernels and
    biases of all networks, as one flat array, and of the matrix.
    """
    tape_cells, tape_values, cells_end, tape_fired, fired_end = tape
    items, height, width, channels = upstream.shape
    networks = len(program.rules)
    grid = _make_grid(items, height, width, masks)
    g = _pad(upstream)
    x = np.zeros_like(g)
    scratch = _make_scratch(g.shape[0], channels, networks)
    row_of = np.full(g.shape[0], -1, np.int32)
    most = 0
    for t in range(0, fired_end.shape[0] - networks, networks):
        most = max(most, fired_end[t + networks] - fired_end[t])
    seen = np.empty((most, program.rules[0].kernels[0].shape[0]), np.float32)
    earlier = np.empty_like(g)
    cells = np.empty(g.shape[0], np.int32)
    states = np.empty((_BLOCK, channels), np.float32)
    product = np.empty((_BLOCK, channels), np.float32)
    buffers = [_make_buffers(rule) for rule in program.rules]
    gradients = [_make_buffers(rule) for rule in program.rules]
    sums, kernel_sums, bias_sums = _make_sums(program)
    matrix_sum = np.zeros_like(program.matrix)

    steps = cells_end.shape[0] - 2
    if program.growing:  # dead cells were set to zero: nothing flows through them
        survivors = tape_cells[cells_end[steps] : cells_end[steps + 1]]
        _gather(g, survivors, earlier)
        g[:] = 0.0
        _scatter(earlier, survivors, g)

    for t in range(steps - 1, -1, -1):
        listed = tape_cells[cells_end[t] : cells_end[t + 1]]
        values = tape_values[cells_end[t] : cells_end[t + 1]]
        _scatter(values, listed, x)
        count = listed.shape[0]
        cells[:count] = listed
        if program.perturbed:
            count = _perturb(x, cells, count, t, grid, program, scratch, states, product)

        n = 0
        for k in range(networks):
            rule = program.rules[k]
            part = t * networks + k
            for start in range(fired_end[part], fired_end[part + 1], _BLOCK):
                block = tape_fired[start : min(start + _BLOCK, fired_end[part + 1])]
                size = block.shape[0]
                _perceive(x, block, k, grid, program, buffers[k][0])
                _network(buffers[k], size, rule)
                update = gradients[k][-1]
                first = channels - update.shape[1]
                step_size = rule.step_size
                for i in range(size):
                    for c in range(update.shape[1]):
                        update[i, c] = step_size * g[block[i], first + c]
                _network_gradient(
                    buffers[k], gradients[k], size, rule, kernel_sums[k], bias_sums[k]
                )
                perceived = gradients[k][0]
                for i in range(size):
                    row_of[block[i]] = n + i
                    for c in range(perceived.shape[1]):
                        seen[n + i, c] = perceived[i, c]
                n += size
        _gather(g, cells[:count], earlier)
        _perceive_gradient(cells[:count], row_of, seen, grid, program, earlier)
        for i in range(fired_end[t * networks], fired_end[(t + 1) * networks]):
            row_of[tape_fired[i]] = -1

        if program.growing:
            _clear(g, tape_cells[cells_end[t + 1] : cells_end[t + 2]])
        _scatter(earlier, cells[:count], g)
        _clear(x, cells[:count])
        if program.perturbed:
            _perturb_gradient(
                g, listed, values, scratch.shaken, t, program, states, product, earlier, matrix_sum
            )
            _clear(g, cells[:count])
            _scatter(earlier, listed, g)
    _unpad(g, of_state)
    return sums, matrix_sum
