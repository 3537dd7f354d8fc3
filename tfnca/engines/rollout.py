"""Rollouts: many steps of any step, as one graph, by either engine."""

import functools
import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from tfnca.automata.checks import (
    check_channels,
    check_draws,
    check_integer,
    check_mask,
    check_seed,
    reject_mask,
)
from tfnca.automata.step import Step
from tfnca.engines import dense, sparse
from tfnca.types import Array

ENGINES = ("auto", "dense", "sparse")


def rollout(
    step: Step,
    state: Array,
    steps: int,
    mask: Array | None = None,
    seed: int = 0,
    step_offset: int = 0,
    engine: str = "auto",
    fire_masks: Array | None = None,
    noise: Array | None = None,
) -> tf.Tensor:
    """Runs a step many times over.

    Args:
        step: A `GrowingCA`, `MNISTCA`, `Injected`, `Perturbed`, `Verified`, or any other `Step`.
        state: Array or tensor ``(batch, height, width, channels)``.
        steps: Number of steps, 0 or more.
        mask: 1 where adversaries stand and 0 elsewhere, ``(batch, height, width)``; only for
            injections.
        seed: Integer in [0, 2**63): one seed, one run, in every engine.
        step_offset: The number of the first step. Consecutive rollouts with consecutive offsets
            are one run, so adversaries are switched on and off between them.
        engine: ``"dense"`` computes the whole grid (`keras.ops`, any device), ``"sparse"`` only
            the cells that live and fire (CPU), ``"auto"`` the faster for this machine.
        fire_masks: In place of the draws, ``(steps, networks, batch, height, width)``.
        noise: In place of the draws, ``(steps, networks, batch, height, width, channels - 1)``.

    Returns:
        The final state, a tensor of the shape of `state`. Differentiable in both engines.

    Raises:
        ValueError: If an argument does not fit.
        RuntimeError: In a process that was forked from one that ran rollouts before: TensorFlow
            would wait for ever for its threads, which a fork leaves behind.

    Example:

    >>> import tfnca
    >>> tfnca.rollout(tfnca.GrowingCA(), tfnca.seed_state(16), steps=10, seed=0).shape
    TensorShape([1, 16, 16, 16])
    """
    refuse_forks()
    steps = check_integer("steps", steps, 0, 2**31 - 1)
    step_offset = check_integer("step_offset", step_offset, 0, 2**63 - 1 - steps)
    seed = check_seed(seed)
    state, mask, fire_masks, noise = (
        _as_float32(name, values)
        for name, values in (
            ("state", state),
            ("mask", mask),
            ("fire_masks", fire_masks),
            ("noise", noise),
        )
    )
    _check(step, state, mask, steps, fire_masks, noise)
    if mask is None and step.has_adversary:
        _say_once(
            f"{type(step).__name__} without a mask: no cell runs the adversary. Give one, such as "
            "mask=tfnca.random_mask(cells, 0.1), where cells are those that it may stand in."
        )
    return _compiled(step, resolve_engine(engine, step))(
        state,
        tf.constant(steps, tf.int32),
        mask,
        tf.constant(seed, tf.int64),
        tf.constant(step_offset, tf.int64),
        fire_masks,
        noise,
    )


def _as_float32(name: str, values: Any) -> Any:
    """Numbers of any kind as a float32 tensor."""
    if values is None:
        return None
    if not tf.is_tensor(values) and not hasattr(values, "dtype"):
        try:
            values = np.asarray(values)
        except ValueError:  # rows of different lengths
            values = np.asarray(values, object)
    dtype = tf.as_dtype(values.dtype)
    if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
        raise ValueError(f"{name} must hold numbers. Received: {dtype.name}")
    return tf.cast(values, tf.float32)


def _check(
    step: Step,
    state: tf.Tensor,
    mask: tf.Tensor | None,
    steps: int | None = None,
    fire_masks: tf.Tensor | None = None,
    noise: tf.Tensor | None = None,
) -> None:
    """Raises ValueError unless all fits the step, as far as shapes are known."""
    check_channels(state, step.channels, type(step).__name__)
    if mask is not None:
        if not step.has_adversary:
            reject_mask(mask, type(step).__name__)
        check_mask(mask, state)
    check_draws(fire_masks, noise, steps, state, step)


def trajectory(
    step: Step, state: Array, steps: int, every: int = 1, **kwargs: Any
) -> Iterator[tuple[int, Array]]:
    """Runs a step and yields the states along the way.

    Args:
        step: See `rollout`.
        state: See `rollout`.
        steps: Number of steps, 0 or more.
        every: Steps between two yielded states, 1 or more.
        **kwargs: Passed to `rollout`.

    Yields:
        ``(number of the step, state)``, states of the shape of `state`; first ``(step_offset,
        state)``, last that after all `steps`.

    Raises:
        ValueError: As `rollout`, or if `every` is not positive.
    """
    steps, every = check_integer("steps", steps, 0), check_integer("every", every, 1)
    offset = kwargs.pop("step_offset", 0)
    yield offset, state
    for start in range(0, steps, every):
        count = min(every, steps - start)
        state = rollout(step, state, count, step_offset=offset + start, **kwargs)
        yield offset + start + count, state


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
    record: bool = False,
    first_age: tf.Tensor | None = None,
    most: int | None = None,
) -> tf.Tensor:
    """`rollout` for use inside a graph, of tensors.

    Shapes are checked when the graph is built, as far as they are known then; the sparse engine
    checks them again when it runs.

    Args:
        step: See `rollout`.
        state: See `rollout`.
        steps: Scalar integer tensor.
        mask: See `rollout`.
        seed: Scalar int64 tensor.
        first_step: Scalar integer tensor, `rollout`'s ``step_offset``.
        fire_masks: See `rollout`.
        noise: See `rollout`.
        engine: See `rollout`.
        record: Whether a gradient follows, which spares the sparse engine a second run.
        first_age: The run's age at the beginning, see `Context`; `first_step` if not given.
        most: The most that `steps` can be. Whoever compiles with XLA and asks for a gradient must
            give it.

    Returns:
        The final state.

    Raises:
        ValueError: If shapes do not fit the step or each other.
    """
    _check(step, state, mask, None, fire_masks, noise)
    if resolve_engine(engine, step) == "sparse":
        return sparse.run(step, state, steps, mask, seed, first_step, fire_masks, noise, record)
    return dense.run(step, state, steps, mask, seed, first_step, fire_masks, noise, first_age, most)


def resolve_engine(engine: str, step: Step) -> str:
    """``"dense"`` or ``"sparse"`` for a step.

    ``"auto"`` is sparse where that engine runs the step and TensorFlow sees no GPU.

    Raises:
        ValueError: If the engine is unknown, or ``"sparse"`` does not run the step.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {ENGINES}. Received: engine={engine!r}")
    if engine == "dense" or (engine == "auto" and tf.config.list_logical_devices("GPU")):
        return "dense"
    if sparse.runs(step):
        return "sparse"
    kind = type(step).__name__
    if engine == "sparse":
        raise ValueError(
            f"The sparse engine runs tfnca's own steps in float32, and no class derived from them; "
            f"engine='dense' runs any step. Received: {kind}"
        )
    _say_once(
        f"{kind} is run by the dense engine: the sparse one knows tfnca's own steps, and float32."
    )
    return "dense"


_life = {"ran": False, "forked": False}
"""Whether this process has run anything, and whether it is the fork of one that had."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: _life.update(forked=_life["ran"]))


def refuse_forks() -> None:
    """Raises RuntimeError in the fork of a process that ran anything; TensorFlow would hang."""
    if _life["forked"]:
        raise RuntimeError(
            "TensorFlow does not work in a fork of a process in which it ran. Start processes by "
            "multiprocessing.get_context('spawn'). Received: a call in a forked process"
        )
    _life["ran"] = True


_said: set[str] = set()


def _say_once(line: str) -> None:
    if line not in _said:
        _said.add(line)
        print(line)


_functions: "weakref.WeakKeyDictionary[Step, dict]" = weakref.WeakKeyDictionary()


def settings(step: Step) -> str:
    """What a graph of the step holds as constants: once it changes, the graph is an old one."""
    trained = [bool(ca.trainable_weights) for ca in step.networks]
    return f"{step.get_config()} {trained}"


def _compiled(step: Step, engine: str) -> Callable:
    """The graph of a step's rollout: traced for each engine and shape, anew with new settings."""
    by_engine, current = _functions.setdefault(step, {}), settings(step)
    known, function = by_engine.get(engine, (None, None))
    if known != current:
        # It holds no step, for the graph would keep it alive.
        reference = weakref.ref(step)
        if dense.uses_xla(engine):
            function = dense.by_xla(reference)
        else:
            # A function object of its own: TensorFlow counts how often each function is traced,
            # and warns. AutoGraph has nothing to do here, since Keras keeps it out of layers, and
            # takes seconds.
            call = functools.partial(_call, reference, engine)
            function = tf.function(call, autograph=False, reduce_retracing=True)
        by_engine[engine] = current, function
    return function


def _call(reference, engine, *inputs):
    return run(reference(), *inputs, engine=engine)
