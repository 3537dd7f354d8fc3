"""Times the parts of a Growing CA's training step in the living-cells engine.

One lizard on 72×72, one thread, 80 steps forward and back. The parts for its firing cells are timed
separately, with as many calls as the step makes. The remainder is lists, life and copies.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numba
import numpy as np

import tfnca
from tfnca.engines import arguments, kernels, sparse, tiles

STEPS = 80
ZERO = np.int64(0)


@numba.njit
def perceive(n, x, count, program, tile):
    for _ in range(n):
        kernels._perceive(x, kernels.LIST_A, ZERO, count, ZERO, program, tile.lists, tile.buffers)


@numba.njit
def network(n, count, program, tile):
    for _ in range(n):
        kernels._network(tile.buffers, count, ZERO, program)


@numba.njit
def network_gradient(n, count, program, tile, back):
    for _ in range(n):
        kernels._network_gradient(count, ZERO, program, tile.buffers, back)


@numba.njit
def perceive_gradient(n, x, count, program, tile, back):
    for _ in range(n):
        kernels._perceive_gradient(x, count, program, tile, back)


def milliseconds(function: Callable, *arguments) -> float:
    """The median of five calls after a first one that does not count."""
    function(*arguments)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        function(*arguments)
        times.append(1000 * (time.perf_counter() - began))
    return median(times)


def measure(host: tfnca.GrowingCA, state: np.ndarray) -> dict[str, float]:
    """Milliseconds of each part, by its name, in a training step of one lizard."""
    form, numbers, stencils = sparse._describe(host)
    form, nothing = sparse._read_form(form), np.zeros(0, np.float32)
    weights = tuple(variable.numpy() for variable in host.weights_in_order)
    run = np.array([STEPS, 0, 0])
    inputs = tiles.Inputs(numbers, stencils, state, nothing, nothing, nothing, run, weights)
    upstream = np.ones_like(state)

    def train():
        _, ticket = tiles.forward(form, True, inputs)
        tiles.backward(form, ticket, upstream, inputs)

    total = milliseconds(train)
    (tape,) = tiles._run(form, True, inputs)[1]
    _, _, tape_fired, cells_end, fired_end = tape
    items, x = slice(0, 1), arguments.pad(state)
    program = arguments.make_program(form, inputs)
    tile = arguments.make_tile(form, inputs, items, program)
    count = kernels.BLOCK
    calls = round(fired_end[-1] / count)  # number of blocks in all steps
    back = arguments.make_back(form, program, len(x), count)
    for values in (tile.buffers, back.gradients, back.seen):
        values[:] = 1.0  # uninitialised values may be denormal, which is slow
    fired = tape_fired[fired_end[STEPS - 1] : fired_end[STEPS]]
    cells = tape[0][cells_end[STEPS] : cells_end[STEPS + 1]]
    tile.lists[kernels.LIST_A, :count] = tape_fired[:count]
    tile.lists[kernels.CELLS, : len(cells)] = cells
    tile.lists[kernels.ROW_OF, fired] = 0

    perceived = milliseconds(perceive, calls, x, count, program, tile)
    found = {"perception, forward and again": 2 * perceived}
    tile.buffers[:] = 1.0
    forward = milliseconds(network, calls, count, program, tile)
    found |= {
        "network, forward and again": 2 * forward,
        "network, backward": milliseconds(network_gradient, calls, count, program, tile, back),
        "perception, backward": milliseconds(
            perceive_gradient, STEPS, x, len(cells), program, tile, back
        ),
    }
    return found | {"lists, life, copies": total - sum(found.values()), "all": total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="saved_models/growing_lizard/model.keras")
    host = tfnca.load(parser.parse_args().host)
    state = np.array(tfnca.rollout(host, tfnca.seed_state(72), 200, seed=0))
    with tiles._one_thread_a_product():
        found = measure(host, state)
    print("| part | ms | share |\n|---|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.1f} | {value / found['all']:.0%} |")


if __name__ == "__main__":
    main()
