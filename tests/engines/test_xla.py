"""The dense engine compiled by XLA: on a CPU here, and on a GPU where there is one."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import gradients
from descriptors import LAYERS, STEPS, grows, random_masks, random_state

import tfnca
from tfnca.data.digits import Digits
from tfnca.engines import dense, rollout
from tfnca.training import trainer as trainer_module

pytestmark = pytest.mark.slow  # it compiles each kind of step twice
SHAPE = (2, 6, 7)
GPU = pytest.param("GPU", marks=pytest.mark.gpu)


@pytest.fixture(params=["CPU", GPU])
def compiled(request, monkeypatch):
    """Called with True or False: whether XLA compiles from then on; and the device."""
    if not tf.config.list_logical_devices(request.param):
        pytest.skip("TensorFlow sees no GPU: install the extra 'gpu' on a machine that has one.")

    def switch(on):
        for module in (dense, trainer_module):
            monkeypatch.setattr(module, "uses_xla", lambda engine: on and engine == "dense")
        rollout._graphs.clear()
        return tf.device(request.param if on else "CPU")

    return switch


def close(result, expected, tolerance=1e-5):
    for a, b in zip(result, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * max(np.abs(b).max(), 1e-6))


@pytest.mark.parametrize("name", STEPS)
def test_xla_gives_the_same_states_and_gradients(name, compiled):
    step = LAYERS[name]()
    state, mask = random_state(step, SHAPE), random_masks(step, SHAPE)
    upstream = np.random.default_rng(1).normal(size=state.shape).astype(np.float32)

    def run(state):
        return tfnca.rollout(step, state, 5, seed=3, engine="dense", **mask)

    with compiled(False):
        expected = gradients(run, step, state, upstream)
    with compiled(True):
        result = gradients(run, step, state, upstream)
    assert all(np.abs(value).max() > 0 for value in expected[:2])
    close(result[:1], expected[:1])
    close(result[1:], expected[1:], 1e-4)


def same_draws(shape, seed, minval=0, maxval=None, dtype=tf.float32):
    """Numbers from a seed; TensorFlow's own are others under XLA."""
    count, dtype = int(np.prod(shape)), tf.as_dtype(dtype)
    x = tf.range(1, count + 1, dtype=tf.int64) * 0x9E3779B97F4A7C1
    x = (x + tf.cast(seed[0], tf.int64) * 7919 + tf.cast(seed[1], tf.int64) * 104729) * 0x5851F42D4C
    x = tf.bitwise.right_shift(x, 20) & 0xFFFFFF
    if dtype.is_integer:
        return tf.reshape(tf.cast(minval, dtype) + tf.cast(x, dtype) % (maxval - minval), shape)
    unit = tf.reshape(tf.cast(x, dtype) / 2**24, shape)
    return minval + unit * ((1 if maxval is None else maxval) - minval)


def problem(step):
    """A loss and a pool that restarts, damages or changes some of its states."""
    random = np.random.default_rng(0)
    density = 0.4 if step.has_adversary else None
    if grows(step):
        where = np.ones((6, 7)) if density else None
        start = random_state(step, (1, 6, 7))
        pool = tfnca.GrowingPool(start, 6, 3, damaged=1, where=where, density=density)
        target = random.random((6, 7, 4), np.float32)
        target[..., :3] *= target[..., 3:]
        return tfnca.TargetLoss(target), pool
    digits = Digits(random.random((9, 6, 7), np.float32), np.arange(9), "drawn at random")
    pool = tfnca.DigitPool(digits, 6, 3, density=density, new_digits=1, swapped_digits=1)
    return tfnca.ClassLoss(), pool


@pytest.mark.parametrize("name", ["Injected", "Injected MNISTCA"])
def test_xla_trains_the_same(name, compiled, monkeypatch):
    results, steps = [], [LAYERS[name](), LAYERS[name]()]
    monkeypatch.setattr(tf.random, "stateless_uniform", same_draws)
    for step, on in zip(steps, (False, True), strict=True):
        with compiled(on):
            loss, pool = problem(step)
            trainer = tfnca.Trainer(step, loss, steps=(2, 5), engine="dense")
            trainer.compile(keras.optimizers.SGD(1e-3), jit_compile=on)
            before = [weight.numpy() for weight in step.trained.weights]
            trainer.fit(pool, steps_per_epoch=3, verbose=0)
            assert trainer.jit_compile is on
            weights = [weight.numpy() for weight in step.trained.weights]
            assert max(np.abs(a - b).max() for a, b in zip(weights, before, strict=True)) > 1e-5
            results.append([*weights, pool.variables["states"].numpy()])
    close(results[1], results[0], 1e-4)
