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
from tfnca.engines import kernels, sheets, sparse

STEPS = 80
ZERO = np.int64(0)


@numba.njit
def perceive(n, x, count, program, sheet):
    for _ in range(n):
        kernels._perceive(x, kernels.LIST_A, ZERO, count, ZERO, program, sheet.lists, sheet.buffers)


@numba.njit
def network(n, count, program, sheet):
    for _ in range(n):
        kernels._network(sheet.buffers, count, ZERO, program)


@numba.njit
def network_gradient(n, count, program, sheet, back):
    for _ in range(n):
        kernels._network_gradient(count, ZERO, program, sheet.buffers, back)


@numba.njit
def perceive_gradient(n, count, program, sheet, back):
    for _ in range(n):
        kernels._perceive_gradient(count, program, sheet, back)


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
    inputs = sheets.Inputs(numbers, stencils, state, nothing, nothing, nothing, run, weights)
    upstream = np.ones_like(state)

    def train():
        _, ticket = sheets.forward(form, True, inputs)
        sheets.backward(form, ticket, upstream, inputs)

    total = milliseconds(train)
    (tape,) = sheets._run(form, True, inputs)[1]
    _, _, tape_fired, cells_end, fired_end = tape
    items, x = slice(0, 1), sheets._pad(state)
    program = sheets._make_program(form, inputs)
    sheet = sheets._make_sheet(form, inputs, items, program)
    count = kernels.BLOCK
    calls = round(fired_end[-1] / count)  # number of blocks in all steps
    back = sheets._make_back(form, program, len(x), count)
    for values in (sheet.buffers, back.gradients, back.seen):
        values[:] = 1.0  # uninitialised values may be denormal, which is slow
    fired = tape_fired[fired_end[STEPS - 1] : fired_end[STEPS]]
    cells = tape[0][cells_end[STEPS] : cells_end[STEPS + 1]]
    sheet.lists[kernels.LIST_A, :count] = tape_fired[:count]
    sheet.lists[kernels.CELLS, : len(cells)] = cells
    sheet.lists[kernels.ROW_OF, fired] = 0

    perceived = milliseconds(perceive, calls, x, count, program, sheet)
    found = {"perception, forward and again": 2 * perceived}
    sheet.buffers[:] = 1.0
    forward = milliseconds(network, calls, count, program, sheet)
    found |= {
        "network, forward and again": 2 * forward,
        "network, backward": milliseconds(network_gradient, calls, count, program, sheet, back),
        "perception, backward": milliseconds(
            perceive_gradient, STEPS, len(cells), program, sheet, back
        ),
    }
    return found | {"lists, life, copies": total - sum(found.values()), "all": total}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="saved_models/growing_lizard/model.keras")
    host = tfnca.load(parser.parse_args().host)
    state = np.array(tfnca.rollout(host, tfnca.seed_state(72), 200, seed=0))
    with sheets._one_thread_a_product():
        found = measure(host, state)
    print("| part | ms | share |\n|---|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.1f} | {value / found['all']:.0%} |")


if __name__ == "__main__":
    main()
