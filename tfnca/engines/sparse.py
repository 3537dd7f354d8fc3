"""The living-cells engine, from TensorFlow: a batch cut into sheets that run side by side."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - numba's BLAS, to be there when its threads are set
import tensorflow as tf
from threadpoolctl import ThreadpoolController

from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.perception import NUM_KERNELS, sobel_kernels
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.step import GROWING
from tfnca.engines.kernels import (
    _Draws,
    _Program,
    _Rule,
    _run,
    _run_back,
)
from tfnca.engines.tapes import _TAPES_KEPT, _tapes, _tapes_lock, _tickets

_ITEMS_GROWING, _ITEMS_MNIST = 1, 4
"""Items in a sheet: only about 75 cells of a digit fire, too few rows for a fast product."""

_CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
_pool = ThreadPoolExecutor(_CORES)
_blas = ThreadpoolController()


def runs(step):
    """Whether this engine runs a step: it runs exactly the classes that it knows.

    A subclass may do anything in its `call`, which this engine would not see.
    """
    if type(step) is Perturbed:
        return runs(step.host) and step.perturbation.is_affine and step.perturbation.vector is None
    networks = step.networks if type(step) is Injected else [step]
    return all(type(ca) in (GrowingCA, MNISTCA) for ca in networks) and is_float32(step)


def is_float32(step):
    """Whether all of a step's networks compute in float32, as compiled code does."""
    policies = [ca.dtype_policy for ca in step.networks]
    return {p.compute_dtype for p in policies} | {p.variable_dtype for p in policies} == {"float32"}


class Engine:
    """The living-cells engine of one step.

    Args:
        step: A `GrowingCA`, `MNISTCA`, `Injected` or `Perturbed`.

    Raises:
        ValueError: For any other layer.
    """

    def __init__(self, step):
        if not runs(step):
            raise ValueError(f"The sparse engine runs tfnca's own steps. Received: step={step!r}")
        self.step = step
        self.growing = step.family == GROWING
        self.perturbed = step.perturbation is not None

    def run(self, state, steps, mask, seed, first_step, fire_masks=None, noise=None, record=False):
        """Runs a batch `steps` steps; differentiable in the state and all weights.

        Args:
            state: Tensor ``(batch, height, width, channels)``.
            steps: Scalar integer tensor.
            mask: ``(batch, height, width)`` or None.
            seed: Scalar int64 tensor.
            first_step: Scalar integer tensor.
            fire_masks: ``(steps, networks, batch, height, width)`` or None.
            noise: ``(steps, networks, batch, height, width, channels - 1)`` or None.
            record: Whether a gradient will be asked for. If not recorded it is still right, at
                the cost of a second run.

        Returns:
            The final state.
        """
        weights = [
            tf.convert_to_tensor(weight.value)
            for ca in self.step.networks
            for weight in ca.weights_in_order
        ]
        if self.perturbed:
            weights.append(self.step.perturbation.matrix)
        given = [
            tf.zeros([0], tf.float32) if value is None else tf.cast(value, tf.float32)
            for value in (mask, fire_masks, noise)
        ]
        numbers = [tf.cast(value, tf.int64) for value in (steps, seed, first_step)]

        @tf.custom_gradient
        def call(state, *weights):
            final, ticket = tf.numpy_function(
                lambda *arguments: self._forward(record, *arguments),
                [state, *given, *numbers, *weights],
                [tf.float32, tf.int64],
            )
            final.set_shape(state.shape)

            def gradient(upstream):
                results = tf.numpy_function(
                    self._backward,
                    [ticket, upstream, state, *given, *numbers, *weights],
                    [tf.float32] * (1 + len(weights)),
                )
                for result, like in zip(results, [state, *weights], strict=True):
                    result.set_shape(like.shape)
                return results

            return final, gradient

        return call(tf.convert_to_tensor(state, tf.float32), *weights)

    def _program(self, weights):
        channels = self.step.channels
        weights = [np.array(weight) for weight in weights]
        matrix = weights.pop() if self.perturbed else np.zeros((1, 1), np.float32)
        rules = []
        for ca in self.step.networks:
            own = [weights.pop(0) for _ in ca.weights_in_order]
            own[0] = _as_rows(own[0], self.growing, channels)
            rules.append(
                _Rule(
                    kernels=tuple(own[0::2]),
                    biases=tuple(own[1::2]),
                    fire_rate=np.float32(ca.fire_rate),
                    step_size=np.float32(ca.step_size),
                    noise_std=np.float32(ca.noise_std or 0.0),
                    trained=bool(ca.trainable_weights),
                )
            )
        stencils = np.stack(
            [sobel_kernels(ca.angle).reshape(9, NUM_KERNELS) for ca in self.step.networks]
        )
        return _Program(self.growing, self.perturbed, matrix, stencils, tuple(rules))

    def _each_sheet(self, count, weights, run_sheet):
        """Calls ``run_sheet(items, program)`` for slices of the batch, side by side on all cores.

        Each thread has a program, and so arrays, of its own: numba counts references to arrays,
        and two threads that count on the same one slow each other down.
        """
        size = _ITEMS_GROWING if self.growing else _ITEMS_MNIST
        slices = [slice(first, first + size) for first in range(0, count, size)]
        sheets, results = iter(range(len(slices))), [None] * len(slices)

        def work(_):
            program = self._program(weights)
            for sheet in sheets:  # shared: each thread takes the next one
                results[sheet] = run_sheet(sheet, slices[sheet], program)

        with _blas.limit(limits=1, user_api="blas"):
            list(_pool.map(work, range(min(_CORES, len(slices)))))
        return results

    def _run_sheets(self, record, state, mask, fire, noise, steps, seed, first_step, *weights):
        final = np.empty_like(state)

        def run_sheet(_, items, program):
            draws = _Draws(
                int(seed), int(first_step), items.start, _given(fire, items, bool),
                _given(noise, items, np.float32),
            )  # fmt: skip
            start, masks = np.array(state[items]), _masks(mask, items)
            return _run(start, final[items], masks, int(steps), program, draws, record)

        return final, self._each_sheet(len(state), weights, run_sheet)

    def _forward(self, record, *arguments):
        final, tapes = self._run_sheets(record, *arguments)
        ticket = next(_tickets)
        if record:
            with _tapes_lock:
                _tapes[ticket] = tapes
                while len(_tapes) > _TAPES_KEPT:
                    _tapes.popitem(last=False)
        return final, np.int64(ticket)

    def _backward(self, ticket, upstream, state, mask, *arguments):
        with _tapes_lock:
            tapes = _tapes.pop(int(ticket), None)
        if tapes is None:
            tapes = self._run_sheets(True, state, mask, *arguments)[1]
        weights, of_state = arguments[5:], np.empty_like(state)

        def run_sheet(sheet, items, program):
            gradient, masks = np.array(upstream[items]), _masks(mask, items)
            return _run_back(gradient, of_state[items], masks, program, tapes[sheet])

        runs = self._each_sheet(len(state), weights, run_sheet)
        # Summed in the batch's order: the same bits whatever the number of threads.
        flat = np.sum([run[0] for run in runs], axis=0, dtype=np.float32)
        of_matrix = [np.sum([run[1] for run in runs], axis=0)] if self.perturbed else []
        return [of_state, *self._split(flat, weights), *of_matrix]

    def _split(self, flat, weights):
        """Cuts the flat gradient into the shapes of the layers' weights."""
        parts, end = [], 0
        for ca in self.step.networks:
            for i, variable in enumerate(ca.weights_in_order):
                start, end = end, end + int(np.prod(variable.shape))
                part = flat[start:end]
                if i == 0 and self.growing:
                    part = part.reshape(NUM_KERNELS, self.step.channels, -1).swapaxes(0, 1)
                parts.append(part.reshape(variable.shape))
        return parts


def _as_rows(kernel, growing, channels):
    """The first kernel as a matrix for the engine's rows, which are ordered kernel by kernel."""
    if growing:
        kernel = kernel.reshape(channels, NUM_KERNELS, -1).swapaxes(0, 1)
    return np.ascontiguousarray(kernel.reshape(-1, kernel.shape[-1]))


def _given(values, items, dtype):
    """Masks or noise given for every step and network, those of some items; or an empty array."""
    if values.size == 0:
        rank = 5 if dtype is bool else 6
        return np.empty((0,) * rank, dtype)
    return np.ascontiguousarray(values[:, :, items]).astype(dtype)


def _masks(mask, items):
    if mask.size == 0:
        return np.empty((0, 0, 0), np.uint8)
    return (mask[items] > 0.5).astype(np.uint8)
