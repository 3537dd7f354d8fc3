"""The whitened optimiser walks steep and flat directions alike, mixed as they may be."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfnca
from tfnca.jobs.run import make_optimizer

SIDE = 6


def valley(seed=0):
    """A quadratic form ``(36, 36)`` whose axes are mixed, 1,000 times as steep as flat."""
    axes = np.linalg.qr(np.random.default_rng(seed).normal(size=(SIDE**2, SIDE**2)))[0]
    return (axes * np.geomspace(1e-3, 1, SIDE**2)) @ axes.T


def height_after(optimizer, steps=300):
    """How much of a valley's height is left."""
    form = valley()
    start = np.random.default_rng(1).normal(size=(SIDE, SIDE)).astype(np.float32)
    variable = keras.Variable(start)
    optimizer.build([variable])
    noise = np.random.default_rng(2).normal(size=(steps, SIDE**2)) * 0.01
    root = np.linalg.cholesky(form)
    for each in noise:
        gradient = form @ np.asarray(variable).ravel() + root @ each
        optimizer.apply([tf.constant(gradient.reshape(SIDE, SIDE), tf.float32)], [variable])
    end = np.asarray(variable).ravel()
    return end @ form @ end / (start.ravel() @ form @ start.ravel())


def test_a_mixed_valley_is_walked_faster_than_by_adam():
    ours = height_after(tfnca.WhitenedAdam(3e-2))
    assert ours < height_after(keras.optimizers.Adam(3e-2)) / 3
    assert ours < 0.01


def test_the_first_step_goes_down_the_gradient():
    variable = keras.Variable(np.zeros((2, 3), np.float32))
    optimizer = tfnca.WhitenedAdam(0.5)
    optimizer.build([variable])
    gradient = np.array([[3, 0, 0], [0, -4, 0]], np.float32)
    optimizer.apply([tf.constant(gradient)], [variable])
    np.testing.assert_allclose(variable, -0.5 * gradient / 5, rtol=1e-2, atol=1e-6)


def test_gradients_of_zero_move_nothing():
    variable = keras.Variable(np.ones((2, 2), np.float32))
    optimizer = tfnca.WhitenedAdam(0.5)
    optimizer.build([variable])
    optimizer.apply([tf.zeros((2, 2))], [variable])
    np.testing.assert_array_equal(variable, np.ones((2, 2)))


def test_its_settings_come_back():
    optimizer = tfnca.WhitenedAdam(0.5, beta_1=0.8, beta_2=0.9, damping=0.1, use_ema=True)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert again.get_config() == optimizer.get_config()
    assert (again.beta_1, again.beta_2, again.damping, again.use_ema) == (0.8, 0.9, 0.1, True)


@pytest.mark.parametrize("name", ["adam", "whitened"])
def test_every_name_makes_its_optimiser(name):
    kind = {"adam": keras.optimizers.Adam, "whitened": tfnca.WhitenedAdam}[name]
    optimizer = make_optimizer(name, 0.5, 0.9)
    assert type(optimizer) is kind
    assert (optimizer.name, optimizer.use_ema, optimizer.ema_momentum) == (name, True, 0.9)
