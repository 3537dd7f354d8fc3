"""Where the living-cells engine's time goes in a training step of a Growing CA.

One lizard on 72×72, one thread: 80 steps forward and back, and the parts that its firing cells
need, each timed alone as often as it is called there. The rest are lists, life, and copies.
"""

import argparse
import time
from statistics import median

import numba
import numpy as np

import tfnca
from tfnca import sparse

STEPS = 80


@numba.njit
def perceive(n, x, fired, grid, program):
    buffers = sparse._make_buffers(program.rules[0])
    for _ in range(n):
        sparse._perceive(x, fired, 0, grid, program, buffers[0])


@numba.njit
def network(n, count, program):
    buffers = sparse._make_buffers(program.rules[0])
    buffers[0][:] = 1.0  # what happened to lie there may be denormal, and slow
    for _ in range(n):
        sparse._network(buffers, count, program.rules[0])


@numba.njit
def network_gradient(n, count, program):
    rule = program.rules[0]
    buffers, gradients = sparse._make_buffers(rule), sparse._make_buffers(rule)
    for buffer in buffers:
        buffer[:] = 1.0
    gradients[-1][:] = 1.0
    sums = sparse._make_sums(program)
    for _ in range(n):
        sparse._network_gradient(buffers, gradients, count, rule, sums[1][0], sums[2][0])


@numba.njit
def perceive_gradient(n, cells, row_of, seen, grid, program, out):
    for _ in range(n):
        sparse._perceive_gradient(cells, row_of, seen, grid, program, out)


def milliseconds(function, *arguments):
    """The median of five calls, the first of all not counted."""
    function(*arguments)
    times = []
    for _ in range(5):
        began = time.perf_counter()
        function(*arguments)
        times.append(1000 * (time.perf_counter() - began))
    return median(times)


def measure(host, state):
    """Dictionary of a part's name to milliseconds in a training step of one lizard."""
    weights = [variable.numpy() for variable in host.weights_in_order]
    program = sparse.Engine(host)._program(weights)
    rule, none = program.rules[0], np.empty((0, 0, 0), np.uint8)
    empty = np.empty(0, np.float32)
    draws = sparse._Draws(0, 0, 0, sparse._given(empty, 0, bool), sparse._given(empty, 0, float))
    grid, x = sparse._make_grid(1, *state.shape[1:3], none), sparse._pad(state)
    final, upstream = np.empty_like(state), np.ones_like(state)
    tape = sparse._run(state, final, none, STEPS, program, draws, True)
    cells_end, tape_fired, fired_end = tape[2:]
    cells = tape[0][cells_end[STEPS] : cells_end[STEPS + 1]].copy()
    fired = tape_fired[: sparse._BLOCK].copy()
    calls = round(fired_end[-1] / len(fired))  # blocks in all steps together
    row_of = np.full(len(x), -1, np.int32)
    row_of[tape_fired[fired_end[STEPS - 1] : fired_end[STEPS]]] = 0
    seen, out = np.ones((1, rule.kernels[0].shape[0]), np.float32), np.zeros_like(x)

    def train():
        sparse._run(state, final, none, STEPS, program, draws, True)
        sparse._run_back(upstream, np.empty_like(state), none, program, tape)

    perceived = milliseconds(perceive, calls, x, fired, grid, program)
    forward = milliseconds(network, calls, len(fired), program)
    found = {
        "perception, forward and again": 2 * perceived,
        "network, forward and again": 2 * forward,
        "network, backward": milliseconds(network_gradient, calls, len(fired), program),
        "perception, backward": milliseconds(
            perceive_gradient, STEPS, cells, row_of, seen, grid, program, out
        ),
    }
    total = milliseconds(train)
    return found | {"lists, life, copies": total - sum(found.values()), "all": total}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="saved_models/growing_lizard/model.keras")
    host = tfnca.load(parser.parse_args().host)
    state = np.array(tfnca.rollout(host, tfnca.seed_state(72), 200))
    with sparse._blas.limit(limits=1, user_api="blas"):
        found = measure(host, state)
    print("| part | ms | share |\n|---|---|---|")
    for name, value in found.items():
        print(f"| {name} | {value:.1f} | {value / found['all']:.0%} |")


if __name__ == "__main__":
    main()
