"""Derivatives that are asked for: computed, or an error that names the dense engine; no zeros."""

import numpy as np
import pytest
import tensorflow as tf
from descriptors import LAYERS, STEPS, random_masks, random_state

import tfnca
from tfnca.engines import rollout

SHAPE = (2, 6, 7)
REFUSED = (ValueError, tf.errors.OpError)
"""In a graph, which may be built beforehand, the error comes when it runs."""


@pytest.mark.parametrize("name", STEPS)
def test_frozen_weights_have_the_dense_engines_gradients(name):
    step = LAYERS[name]()
    step.trainable = False
    state, masks = tf.constant(random_state(step, SHAPE)), random_masks(step, SHAPE)
    sources = [state, *(weight.value for weight in step.weights)]
    found = []
    for engine in ("dense", "sparse"):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            final = tfnca.rollout(step, state, 3, seed=1, engine=engine, **masks)
            total = tf.reduce_sum(tf.square(final))
        found.append(tape.gradient(total, sources))
    for dense, ours in zip(*found, strict=True):
        assert np.abs(dense).max() > 1e-3
        np.testing.assert_allclose(ours, dense, atol=1e-5 * np.abs(dense).max())


@pytest.mark.parametrize("name", ["Injected", "Perturbed"])
def test_frozen_weights_have_gradients_under_xla_too(name, monkeypatch):
    step = LAYERS[name]()
    state, masks = tf.constant(random_state(step, SHAPE)), random_masks(step, SHAPE)
    sources = [weight.value for weight in step.host.weights]

    def run():
        with tf.GradientTape() as tape:
            tape.watch(sources)
            final = tfnca.rollout(step, state, 3, seed=1, engine="dense", **masks)
            total = tf.reduce_sum(tf.square(final))
        return tape.gradient(total, sources)

    expected = run()
    monkeypatch.setattr("tfnca.engines.dense.uses_xla", lambda engine: engine == "dense")
    rollout._graphs.clear()
    for ours, dense in zip(run(), expected, strict=True):
        assert np.abs(dense).max() > 1e-3
        np.testing.assert_allclose(ours, dense, atol=1e-4 * np.abs(dense).max())


def of_noise(engine):
    step = LAYERS["MNISTCA"]()
    state, noise = random_state(step, SHAPE), tf.zeros((2, 1, *SHAPE, 19))
    with tf.GradientTape() as tape:
        tape.watch(noise)
        final = tfnca.rollout(step, state, 2, seed=1, noise=noise, engine=engine)
    return tape.gradient(final, noise)


def penalty(engine):
    """The derivative of a gradient's size."""
    step = LAYERS["MNISTCA"]()
    state = tf.constant(random_state(step, SHAPE))
    with tf.GradientTape() as outer:
        outer.watch(state)
        with tf.GradientTape() as inner:
            inner.watch(state)
            final = tfnca.rollout(step, state, 2, seed=1, engine=engine)
            total = tf.reduce_sum(tf.square(final))
        size = tf.reduce_sum(tf.square(inner.gradient(total, state)))
    return outer.gradient(size, state)


def in_forward_mode(engine):
    step = LAYERS["MNISTCA"]()
    state = tf.constant(random_state(step, SHAPE))
    with tf.autodiff.ForwardAccumulator(state, tf.ones_like(state)) as accumulator:
        final = tfnca.rollout(step, state, 2, seed=1, engine=engine)
    return accumulator.jvp(final)


@pytest.mark.parametrize("ask", [of_noise, penalty])
def test_what_the_fast_engine_does_not_compute_it_says(ask):
    assert np.abs(ask("dense")).max() > 0.1
    with pytest.raises(REFUSED, match=r"(?s)engine='dense'.*Received: a request for"):
        ask("sparse")


def test_forward_mode_is_refused():
    with pytest.raises(REFUSED, match=r"(?s)engine='dense'.*Received: a request for"):
        in_forward_mode("sparse")


def test_a_second_tape_that_asks_for_nothing_more_disturbs_nothing():
    step = LAYERS["MNISTCA"]()
    state = tf.constant(random_state(step, SHAPE))
    with tf.GradientTape(persistent=True) as outer:
        outer.watch(state)
        with tf.GradientTape() as inner:
            inner.watch(state)
            final = tfnca.rollout(step, state, 2, seed=1, engine="sparse")
        first = inner.gradient(final, state)
    np.testing.assert_array_equal(outer.gradient(final, state), first)
    assert np.abs(first).max() > 0.1


def test_given_noise_leaves_the_other_gradients():
    step = LAYERS["MNISTCA"]()
    state, noise = tf.constant(random_state(step, SHAPE)), tf.zeros((2, 1, *SHAPE, 19))
    with tf.GradientTape() as tape:
        tape.watch(state)
        final = tfnca.rollout(step, state, 2, seed=1, noise=noise, engine="sparse")
    assert np.abs(tape.gradient(final, state)).max() > 0.1


# Within functions of a user's own


def test_xla_round_a_rollout_takes_the_dense_engine():
    step = LAYERS["GrowingCA"]()
    state = tf.constant(random_state(step, SHAPE))

    def run(engine):
        call = tf.function(
            lambda state: tfnca.rollout(step, state, 2, seed=1, engine=engine), jit_compile=True
        )
        return call(state)

    expected = tfnca.rollout(step, state, 2, seed=1, engine="dense")
    np.testing.assert_allclose(run("auto"), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"(?s)XLA \(jit_compile=True\).*engine='dense'"):
        run("sparse")


def test_a_trainer_that_xla_cannot_compile_says_so_and_trains():
    step = LAYERS["GrowingCA"]()
    trainer = tfnca.Trainer(step, tfnca.TargetLoss(np.zeros((6, 7, 4))), steps=2, engine="sparse")
    with pytest.warns(UserWarning, match="Proceeding with `jit_compile=False`"):
        trainer.compile("sgd", jit_compile=True)
    pool = tfnca.GrowingPool(random_state(step, (1, 6, 7)), size=8)
    history = trainer.fit(pool, steps_per_epoch=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_numbers_of_steps_may_be_tensors_of_a_graph(engine):
    step = LAYERS["GrowingCA"]()
    state = tf.constant(random_state(step, SHAPE))

    @tf.function
    def run(steps, seed, offset):
        return tfnca.rollout(step, state, steps, seed=seed, step_offset=offset, engine=engine)

    numbers = [tf.constant(number, tf.int64) for number in (3, 2**40, 5)]
    expected = tfnca.rollout(step, state, 3, seed=2**40, step_offset=5, engine=engine)
    np.testing.assert_allclose(run(*numbers), expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"(?s)steps must be a scalar integer. Received: steps="):
        run(tf.constant(2.5), *numbers[1:])


# States of other libraries, and what is no state


class Foreign:
    """An array of a library that TensorFlow does not know."""

    dtype, shape = "torch.float32", (1, 4, 4, 16)

    def __init__(self, error=None):
        self.error = error

    def __array__(self, dtype=None, copy=None):
        if self.error:
            raise self.error
        return np.ones(self.shape, np.float32)


def test_arrays_of_other_libraries_are_read():
    step = LAYERS["GrowingCA"]()
    ones = np.ones((1, 4, 4, 16), np.float32)
    expected = tfnca.rollout(step, ones, 2, seed=0)
    np.testing.assert_array_equal(tfnca.rollout(step, Foreign(), 2, seed=0), expected)
    message = (
        r"state must hold numbers that NumPy can read \(it requires grad\).*Received: .*Foreign"
    )
    with pytest.raises(ValueError, match=message):
        tfnca.rollout(step, Foreign(RuntimeError("it requires grad")), 2)


def test_bytes_are_no_state():
    step, picture = LAYERS["GrowingCA"](), np.zeros((1, 4, 4, 16), np.uint8)
    for call in (step, lambda state: tfnca.rollout(step, state, 1)):
        with pytest.raises(ValueError, match=r"(?s)bytes by 255.*Received: uint8"):
            call(picture)


def test_a_functional_models_tensor_is_no_state():
    import keras

    step = LAYERS["GrowingCA"]()
    with pytest.raises(ValueError, match=r"call the step itself.*Received: a KerasTensor"):
        tfnca.rollout(step, keras.Input((8, 8, 16)), 1)
    with pytest.raises(ValueError, match=r"steps must be .*Received: steps="):
        tfnca.rollout(step, tfnca.seed_state(8), keras.Input(()))
