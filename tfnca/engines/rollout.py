"""Rollouts: many steps of any step, as one graph, by either engine."""

import weakref

import tensorflow as tf

from tfnca.automata.checks import (
    check_channels,
    check_draws,
    check_integer,
    check_mask,
    check_seed,
    reject_mask,
)
from tfnca.engines import dense, sparse

ENGINES = ("auto", "dense", "sparse")


def rollout(
    step,
    state,
    steps,
    mask=None,
    seed=0,
    step_offset=0,
    engine="auto",
    fire_masks=None,
    noise=None,
):
    """Runs a step many times over.

    Args:
        step: A `GrowingCA`, `MNISTCA`, `Injected` or `Perturbed`.
        state: Array or tensor ``(batch, height, width, channels)``.
        steps: Number of steps.
        mask: Where adversaries stand, ``(batch, height, width)``; only for injections.
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

    Example:

    >>> import tfnca
    >>> tfnca.rollout(tfnca.GrowingCA(), tfnca.seed_state(16), steps=10, seed=0).shape
    TensorShape([1, 16, 16, 16])
    """
    check_channels(state, step.channels, type(step).__name__)
    steps = check_integer("steps", steps, 0, 2**31 - 1)
    step_offset = check_integer("step_offset", step_offset, 0, 2**63 - 1 - steps)
    seed = check_seed(seed)
    if mask is not None and not step.has_adversary:
        reject_mask(mask, type(step).__name__)
    if mask is not None:
        mask = tf.cast(mask, tf.float32)
        check_mask(mask, state)
    check_draws(fire_masks, noise, steps, state, step)
    return _compiled(step, resolve_engine(engine, step))(
        tf.convert_to_tensor(state, tf.float32),
        tf.constant(steps, tf.int32),
        mask,
        tf.constant(seed, tf.int64),
        tf.constant(step_offset, tf.int64),
        None if fire_masks is None else tf.cast(fire_masks, tf.float32),
        None if noise is None else tf.cast(noise, tf.float32),
    )


def trajectory(step, state, steps, every=1, **kwargs):
    """Runs a step and yields the states along the way.

    Args:
        step: See `rollout`.
        state: See `rollout`.
        steps: Number of steps.
        every: Steps between two yielded states.
        **kwargs: Passed to `rollout`.

    Yields:
        ``(number of the step, state)``, first ``(step_offset, state)``.
    """
    every, offset = check_integer("every", every, 1), kwargs.pop("step_offset", 0)
    yield offset, state
    for start in range(0, steps, every):
        count = min(every, steps - start)
        state = rollout(step, state, count, step_offset=offset + start, **kwargs)
        yield offset + start + count, state


def run(
    step, state, steps, mask, seed, first_step, fire_masks=None, noise=None, engine="auto",
    record=False,
):  # fmt: skip
    """`rollout` for use inside a graph: tensors in, nothing checked.

    `record` says that a gradient follows, which spares the sparse engine a second run.
    """
    if resolve_engine(engine, step) == "sparse":
        return sparse.Engine(step).run(
            state, steps, mask, seed, first_step, fire_masks, noise, record=record
        )
    return dense.run(step, state, steps, mask, seed, first_step, fire_masks, noise)


def resolve_engine(engine, step):
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
    if kind not in _told:
        _told.add(kind)
        print(f"{kind} is run by the dense engine: the sparse one knows tfnca's own steps only.")
    return "dense"


_told = set()
"""Classes of which it has been said that the dense engine runs them."""

_functions = weakref.WeakKeyDictionary()


def _compiled(step, engine):
    """The graph of a step's rollout, traced once for each engine and shape."""
    by_engine = _functions.setdefault(step, {})
    if engine not in by_engine:
        reference = weakref.ref(step)

        def call(state, steps, mask, seed, first_step, fire_masks, noise):
            return run(reference(), state, steps, mask, seed, first_step, fire_masks, noise, engine)

        xla = dense.uses_xla(engine)
        by_engine[engine] = tf.function(call, reduce_retracing=True, jit_compile=xla)
    return by_engine[engine]
