"""Rollouts: many steps of any step, as one graph, by either engine."""

import functools
import weakref

import tensorflow as tf

from tfnca.growing import GrowingCA
from tfnca.randomness import check_seed
from tfnca.sparse import Engine
from tfnca.step import check_channels, reject_noise

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
    if steps < 0:
        raise ValueError(f"steps must not be negative. Received: steps={steps}")
    check_mask_shape(mask, state, step)
    check_draws(fire_masks, noise, steps, state, step)
    return _compiled(step, resolve_engine(engine))(
        tf.convert_to_tensor(state, tf.float32),
        tf.constant(steps, tf.int32),
        None if mask is None else tf.cast(mask, tf.float32),
        tf.constant(check_seed(seed), tf.int64),
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
    offset = kwargs.pop("step_offset", 0)
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
    if resolve_engine(engine) == "sparse":
        return Engine(step).run(
            state, steps, mask, seed, first_step, fire_masks, noise, record=record
        )

    def one(t, state):
        given = {}
        for name, values in (("fire_mask", fire_masks), ("noise", noise)):
            if values is not None:
                per_network = tf.unstack(values[t], num=len(step.networks))
                if name == "fire_mask":
                    per_network = [value[..., None] > 0.5 for value in per_network]
                given[name] = per_network[0] if len(per_network) == 1 else per_network
        if mask is not None:
            given["mask"] = mask
        following = step(state, seed=seed, index=first_step + tf.cast(t, tf.int64), **given)
        return t + 1, tf.ensure_shape(following, state.shape)

    return tf.while_loop(lambda t, _: t < steps, one, (tf.constant(0), state))[1]


def resolve_engine(engine):
    """``"dense"`` or ``"sparse"``; ``"auto"`` is sparse unless TensorFlow sees a GPU."""
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {ENGINES}. Received: engine={engine!r}")
    if engine == "auto":
        return "dense" if tf.config.list_logical_devices("GPU") else "sparse"
    return engine


def check_mask_shape(mask, state, step):
    """Raises ValueError unless `mask` fits the state and the step has an adversary."""
    if mask is None:
        return
    if len(step.networks) == 1:
        raise ValueError(f"{type(step).__name__} has no adversary. Received: a mask")
    if tuple(mask.shape) != tuple(state.shape[:3]):
        raise ValueError(
            f"mask must have the state's batch, height and width {tuple(state.shape[:3])}. "
            f"Received: mask of shape {tuple(mask.shape)}"
        )


def check_draws(fire_masks, noise, steps, state, step):
    """Raises ValueError unless given fire masks and noise fit the run and the step's networks."""
    shape = (steps, len(step.networks), *state.shape[:3])
    for name, given, expected in (
        ("fire_masks", fire_masks, shape),
        ("noise", noise, (*shape, step.channels - 1)),
    ):
        if given is not None and tuple(given.shape) != expected:
            raise ValueError(f"{name} must be of shape {expected}. Received: {tuple(given.shape)}")
    if noise is not None:
        for ca in step.networks:
            if isinstance(ca, GrowingCA):
                reject_noise(noise, type(ca).__name__)


_functions = weakref.WeakKeyDictionary()


def _compiled(step, engine):
    """The graph of a step's rollout, traced once for each engine and shape."""
    by_engine = _functions.setdefault(step, {})
    if engine not in by_engine:
        reference = weakref.ref(step)

        def call(state, steps, mask, seed, first_step, fire_masks, noise):
            return run(reference(), state, steps, mask, seed, first_step, fire_masks, noise, engine)

        by_engine[engine] = tf.function(call, reduce_retracing=True, jit_compile=uses_xla(engine))
    return by_engine[engine]


@functools.cache
def uses_xla(engine):
    """Whether to compile with XLA: it pays on a GPU, and makes this graph slower on a CPU."""
    return engine == "dense" and bool(tf.config.list_logical_devices("GPU"))
