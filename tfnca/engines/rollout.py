"""Rollouts: many steps of any step, as one graph, by either engine."""

import functools
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfnca.automata.checks import (
    check_channels,
    check_draws,
    check_floating,
    check_inputs,
    check_inputs_of,
    check_integer,
    check_mask,
    is_concrete,
    reject_mask,
    with_grid,
)
from tfnca.automata.randomness import new_seed
from tfnca.automata.step import Step, check_step, warn_of_clipping
from tfnca.engines import dense, sparse
from tfnca.engines.choice import refuse_forks, resolve_engine, say_once
from tfnca.engines.fingerprint import Fingerprint, fingerprint
from tfnca.engines.stretches import TimedMask, by_number, is_timed, stretches
from tfnca.types import Array


@tf.autograph.experimental.do_not_convert
def rollout(
    step: Step,
    state: Array,
    steps: int,
    mask: Array | TimedMask | None = None,
    seed: int | None = None,
    step_offset: int = 0,
    engine: str = "auto",
    fire_masks: Array | None = None,
    noise: Array | None = None,
    inputs: Array | None = None,
    first_age: int | None = None,
) -> tf.Tensor:
    """Runs a step many times over.

    Args:
        step: Any `Step`: a CA, an `Injected`, a `Perturbed` or a `Verified`.
        state: Array or tensor ``(batch, height, width, channels)``.
        steps: Number of steps, 0 or more.
        mask: 1 where adversaries are and 0 elsewhere, ``(batch, height, width)``; only for
            injections. A mask may change during the run: ``(steps, batch, height, width)``, or a
            function that takes a step's number and returns its mask, or None for no adversaries.
        seed: Integer in [0, 2**63): the same seed gives the same run in every engine. By default
            each call draws a new one, reproducibly under `keras.utils.set_random_seed`.
        step_offset: The number of the first step, from which draws, the function `mask` and, by
            default, ages count. Consecutive rollouts with one seed and consecutive offsets are one
            run, so adversaries are switched on and off between them.
        engine: ``"dense"`` computes the whole grid (`keras.ops`, any device), ``"sparse"`` only
            the cells that live and fire (CPU), ``"auto"`` the one suited to
            this machine.
        fire_masks: Used instead of random draws, ``(steps, networks, batch, height, width)``.
        noise: Used instead of random draws, ``(steps, networks, batch, height, width, changing)``,
            for the channels that a step changes.
        inputs: For a rule with `inputs`, the same in every step: one vector per item,
            ``(batch, inputs)``, or values per cell, ``(batch, height, width, inputs)``.
        first_age: The age of the first step, see `Context`; by default `step_offset`. With 0, an
            attack of your own that acts by its age begins now, as it does in training.

    Returns:
        The final state, a tensor of the same shape as `state`. Both engines give gradients of the
        state and all weights; only ``engine="dense"`` gives gradients of `noise`, or second ones.

    Raises:
        ValueError: If an argument does not fit.
        RuntimeError: In a process that was forked from one that ran rollouts before: TensorFlow
            would hang, because a fork does not copy its threads.

    Example:

    >>> import tfnca
    >>> tfnca.rollout(tfnca.GrowingCA(), tfnca.seed_state(16), steps=10, seed=0).shape
    TensorShape([1, 16, 16, 16])
    """
    refuse_forks()
    check_step(step)
    count = _whole("steps", steps, 2**31 - 1)
    known = count if isinstance(count, int) else None
    offset = _whole("step_offset", step_offset, 2**63 - 1 - (known or 0))
    age = offset if first_age is None else _whole("first_age", first_age, 2**63 - 1 - (known or 0))
    given = new_seed() if seed is None else _whole("seed", seed, 2**63 - 1)
    mask = mask if callable(mask) else _as_float32("mask", mask)
    state, fire_masks, noise, inputs = (
        _as_float32(name, values)
        for name, values in (
            ("state", state),
            ("fire_masks", fire_masks),
            ("noise", noise),
            ("inputs", inputs),
        )
    )
    if is_timed(mask):
        _check(step, state, None, known, fire_masks, noise)
        for first, length, part in stretches(by_number(mask, count, offset), state, count, offset):
            draws = (
                None if each is None else each[first - offset : first - offset + length]
                for each in (fire_masks, noise)
            )
            now = age + (first - offset)
            state = rollout(step, state, length, part, given, first, engine, *draws, inputs, now)
        return state
    _check(step, state, mask, known, fire_masks, noise)
    check_inputs_of(step, inputs, state)
    if mask is None and step.has_adversary:
        say_once(
            f"{type(step).__name__} without a mask: no cell runs the adversary. Give one, such as "
            "mask=tfnca.random_mask(cells, 0.1), where cells are the allowed cells."
        )
    warn_of_clipping(step, state)
    engine = resolve_engine(engine, step)
    if engine == "sparse" and noise is not None:
        noise = sparse.without_gradient(noise)
    return _compiled(step, engine)(
        state,
        tf.cast(count, tf.int32),
        mask,
        tf.cast(given, tf.int64),
        tf.cast(offset, tf.int64),
        fire_masks,
        noise,
        with_grid(inputs),
        tf.cast(age, tf.int64),
    )


def _whole(name: str, value: Any, high: int) -> Any:
    """A whole number of at least 0; a symbolic one of a graph being traced is left as it is."""
    if isinstance(value, keras.KerasTensor):
        raise ValueError(
            f"{name} must be a number or a tensor. Received: {name}={value!r}, of a Keras model "
            "that is being built"
        )
    if not is_concrete(value):
        if not value.dtype.is_integer or value.shape.rank not in (0, None):
            raise ValueError(f"{name} must be a scalar integer. Received: {name}={value!r}")
        return value
    return check_integer(name, value, 0, high)


def _as_float32(name: str, values: Any) -> Any:
    """Numbers of any kind as a float32 tensor."""
    if values is None:
        return None
    if isinstance(values, keras.KerasTensor):
        raise ValueError(
            f"{name} must hold numbers; in a functional Keras model call the step itself, which is "
            "a layer. Received: a KerasTensor"
        )
    if isinstance(values, keras.Variable):
        values = values.value
    if not tf.is_tensor(values):
        try:
            values = np.asarray(values)  # an array of any library
        except ValueError:  # rows of different lengths
            values = np.asarray(values, object)
        except (TypeError, RuntimeError) as error:  # a tensor that another library tracks
            raise ValueError(
                f"{name} must hold numbers that NumPy can read ({error}). "
                f"Received: {type(values).__module__}.{type(values).__qualname__}"
            ) from error
    dtype = tf.as_dtype(values.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise ValueError(f"{name} must hold numbers. Received: {dtype.name}")
    if name == "state":
        check_floating(values)
    return tf.cast(values, tf.float32)


def _check(
    step: Step,
    state: tf.Tensor,
    mask: tf.Tensor | None,
    steps: int | None = None,
    fire_masks: tf.Tensor | None = None,
    noise: tf.Tensor | None = None,
) -> None:
    """Raises ValueError unless all arguments fit the step, as far as shapes are known."""
    check_channels(state, step.channels, type(step).__name__)
    if mask is not None:
        if not step.has_adversary:
            reject_mask(mask, type(step).__name__)
        check_mask(mask, state)
    check_draws(fire_masks, noise, steps, state, step)


def trajectory(
    step: Step,
    state: Array,
    steps: int,
    every: int = 1,
    seed: int | None = None,
    step_offset: int = 0,
    mask: Array | TimedMask | None = None,
    first_age: int | None = None,
    **kwargs: Any,
) -> Iterator[tuple[int, tf.Tensor]]:
    """Runs a step and yields the states along the way.

    Args:
        step: See `rollout`, as for all arguments not listed here.
        every: Steps between two yielded states, 1 or more.
        seed: See `rollout`; without one, one is drawn for the whole run.

    Yields:
        ``(number of the step, state)``; states are float32 tensors of the same shape as `state`.
        The first is ``(step_offset, state)``, the last is the state after all `steps`.

    Raises:
        ValueError: As `rollout`, or if `every` is not positive.
    """
    steps, every = check_integer("steps", steps, 0), check_integer("every", every, 1)
    mask = mask if callable(mask) else _as_float32("mask", mask)
    if is_timed(mask):
        mask = by_number(mask, steps, step_offset)
    one_seed: Any = new_seed() if seed is None else seed
    age = step_offset if first_age is None else first_age
    state = rollout(step, state, 0, mask, one_seed, step_offset, first_age=age, **kwargs)
    yield step_offset, state
    for start in range(0, steps, every):
        count, now = min(every, steps - start), step_offset + start
        state = rollout(step, state, count, mask, one_seed, now, first_age=age + start, **kwargs)
        yield now + count, state


def run(
    step: Step,
    state: tf.Tensor,
    steps: tf.Tensor,
    mask: tf.Tensor | None,
    seed: tf.Tensor,
    first_step: tf.Tensor,
    fire_masks: tf.Tensor | None = None,
    noise: tf.Tensor | None = None,
    engine: str = "auto",
    inputs: tf.Tensor | None = None,
    most: int | None = None,
    first_age: tf.Tensor | None = None,
) -> tf.Tensor:
    """`rollout` for use inside a graph, of tensors.

    Shapes are checked when the graph is built, as far as they are known then; the sparse engine
    checks them again when it runs.

    Args:
        step: See `rollout`, as for all arguments not listed here.
        steps: Scalar integer tensor.
        seed: Scalar int64 tensor.
        first_step: Scalar integer tensor, `rollout`'s ``step_offset``.
        most: The largest value that `steps` can have; required for a gradient in a function that
            XLA compiles.

    Raises:
        ValueError: If shapes do not fit the step or each other.
    """
    _check(step, state, mask, None, fire_masks, noise)
    if resolve_engine(engine, step) == "sparse":
        check_inputs(inputs, 0, state, type(step).__name__)
        return sparse.run(step, state, steps, mask, seed, first_step, fire_masks, noise)
    of_run = seed, first_step, fire_masks, noise, first_age, inputs, most
    return dense.run(step, state, steps, mask, *of_run)


def run_recorded(
    step: Step,
    state: tf.Tensor,
    steps: tf.Tensor,
    mask: tf.Tensor | None,
    seed: tf.Tensor,
    first_step: tf.Tensor,
    first_age: tf.Tensor | int = 0,
    engine: str = "auto",
    most: int | None = None,
    inputs: tf.Tensor | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Like `run`, for training: a gradient of the trained weights follows.

    Layers are called with ``training=True``, except those of a frozen host. The sparse engine keeps
    what the gradient needs, which spares it a second run, and gives no gradient of frozen weights.
    `first_age` is the run's age at the beginning, see `Context`.

    Returns:
        ``(final state, sum of the losses that layers added in the run)``.
    """
    _check(step, state, mask)
    first_age = tf.cast(first_age, tf.int64)
    if resolve_engine(engine, step) == "sparse":
        check_inputs(inputs, 0, state, type(step).__name__)
        final = sparse.run(step, state, steps, mask, seed, first_step, record=True)
        return final, tf.zeros([])
    return dense.train(step, state, steps, mask, seed, first_step, first_age, most, inputs)


class _Graph:
    """The graph of a step's rollout, traced for each shape; it keeps no step alive."""

    def __init__(self, reference: "weakref.ref[Step]", engine: str, holds: Fingerprint) -> None:
        self.reference, self.engine, self.holds = reference, engine, holds
        if dense.uses_xla(engine):
            self.call = dense.by_xla(reference, self.note)
        else:
            # A separate function object: TensorFlow counts how often each function is traced,
            # and warns. AutoGraph has nothing to do here, since Keras keeps it out of layers, and
            # takes seconds.
            call = functools.partial(self.trace)
            self.call = tf.function(call, autograph=False, reduce_retracing=True)

    def trace(
        self, state, steps, mask, seed, first_step, fire_masks, noise, inputs, first_age
    ) -> tf.Tensor:
        step = self.reference()
        assert step is not None  # the step is alive while it runs
        of_run = seed, first_step, fire_masks, noise, self.engine, inputs
        final = run(step, state, steps, mask, *of_run, first_age=first_age)
        self.note()
        return final

    def note(self) -> None:
        """Records the graph's constants after tracing, because a step may count its own calls."""
        self.holds = fingerprint(self.reference())


_graphs: "weakref.WeakKeyDictionary[Step, dict[str, _Graph]]" = weakref.WeakKeyDictionary()


def _compiled(step: Step, engine: str) -> Callable:
    """The graph of a step's rollout; a new one if any constant in the graph has changed."""
    by_engine, holds = _graphs.setdefault(step, {}), fingerprint(step)
    if engine not in by_engine or by_engine[engine].holds != holds:
        by_engine[engine] = _Graph(weakref.ref(step), engine, holds)
    return by_engine[engine].call
