"""Runs a batch on the NumPy side of the living-cells engine: in tiles, in parallel.

Tiles are independent and run on all cores, each on one thread.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from tfnca.engines import compiling, kernels, tapes
from tfnca.engines.arguments import (
    arguments_back,
    make_back,
    make_program,
    make_tile,
    pad,
    split,
    unpad,
    zeros,
)
from tfnca.engines.form import Form, Inputs, check, expect, items_in_tile

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
_pool = ThreadPoolExecutor(_CORES)
_blas = ThreadpoolController()
_limit_lock = threading.Lock()
_limited: list[Any] = []
"""While any run is active: the limit, and then an entry for each run."""

_keeper = ThreadPoolExecutor(1)


def forward(form: Form, record: bool, inputs: Inputs) -> tuple[np.ndarray, np.int64]:
    """Runs a batch. Returns its last state, and the ticket of its tape (0 if not recorded)."""
    check(form, inputs)
    final, recorded = _run(form, record, inputs)
    return final, np.int64(tapes.keep(recorded) if record else 0)


def backward(form: Form, ticket: int, upstream: np.ndarray, inputs: Inputs) -> list[np.ndarray]:
    """The gradients of the first state and of the weights."""
    check(form, inputs)
    expect("upstream", upstream, np.float32, inputs.state.shape)
    tape = tapes.take(ticket)
    if tape is None:
        tape = _run(form, True, inputs)[1]
    program, of_state = make_program(form, inputs), np.empty_like(inputs.state)

    def run_tile(number: int, items: slice) -> np.ndarray:
        g, tile = pad(upstream[items]), make_tile(form, inputs, items, program)
        fired_end = tape[number][-1]
        most = int(np.max(np.diff(fired_end[:: len(form.layers)]), initial=0))
        back = make_back(form, program, len(g), most)
        arguments = g, zeros(*g.shape), *tape[number], program, tile, back
        entry = kernels.run_back
        if form.invaded:
            entry, arguments = kernels.run_invasion_back, (*arguments, zeros(len(g), form.channels))
        compiling.prepare(entry, arguments)
        entry(*arguments)
        unpad(g, of_state[items])
        return back.sums

    # Summed in the batch's order, so the bits do not depend on the number of threads.
    sums = np.asarray(_each_tile(form, len(upstream), run_tile)).sum(axis=0, dtype=np.float32)
    gradients = [of_state, *split(form, sums, inputs)]
    if form.has_matrix:
        matrix = sums[program.matrix_at : program.vector_at]
        gradients.append(matrix.reshape(form.channels, form.channels))
    if form.has_vector:
        gradients.append(sums[program.vector_at :])
    return gradients


def _run(form: Form, record: bool, inputs: Inputs) -> tuple[np.ndarray, list[tuple]]:
    program, final = make_program(form, inputs), np.empty_like(inputs.state)
    steps = int(inputs.run[0])
    ends = (steps + 2, steps * len(form.layers) + 1) if record else (0, 0)

    def run_tile(_: int, items: slice) -> tuple:
        x, tile = pad(inputs.state[items]), make_tile(form, inputs, items, program)
        cells_end, fired_end = (np.zeros(end, np.int64) for end in ends)
        arguments = x, steps, program, tile, record, cells_end, fired_end
        if form.invaded:
            with_seen = *arguments, zeros(len(x), form.channels)
            compiling.prepare(kernels.run_invasion, with_seen)
            tape = kernels.run_invasion(*with_seen)
        else:
            compiling.prepare(kernels.run, arguments, kernels.run_back, arguments_back)
            tape = kernels.run(*arguments)
        unpad(x, final[items])
        return *tape, cells_end, fired_end

    return final, _each_tile(form, len(final), run_tile)


def _each_tile(form: Form, count: int, run_tile: Callable[[int, slice], Any]) -> list[Any]:
    """Calls ``run_tile(number, items)`` for slices of the batch, in parallel on all cores."""
    size = items_in_tile(form)
    slices = [slice(first, first + size) for first in range(0, count, size)]
    tiles, results = iter(range(len(slices))), [None] * len(slices)

    def work(_: int) -> None:
        for tile in tiles:  # shared: each thread takes the next one
            results[tile] = run_tile(tile, slices[tile])

    with _one_thread_a_product():
        list(_pool.map(work, range(min(_CORES, len(slices)))))
    return results


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
