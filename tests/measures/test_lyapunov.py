"""The leading Lyapunov exponent against steps for which it is known."""

import numpy as np
import pytest
import tensorflow as tf

import tfnca
from tfnca.automata.randomness import fire_mask
from tfnca.measures.lyapunov import lyapunov


class Times(tfnca.Step):
    """Multiplies the channels by constants, in the cells that fire."""

    channels = 2

    def __init__(self, factors, fire_rate=1.0):
        super().__init__()
        self.factors, self.fire_rate = np.array(factors, np.float32), fire_rate

    def advance(self, state, context):
        fires = fire_mask(tuple(state.shape[:3]), self.fire_rate, context.seed, context.index)
        return tf.where(fires, self.factors, 1.0) * state


def ones(batch=2, size=3):
    return np.ones((batch, size, size, 2), np.float32)


@pytest.mark.parametrize("factors", [(0.9, 0.5), (1.05, 0.7)])
def test_the_largest_factor_decides(factors):
    found = lyapunov(Times(factors), ones(), steps=60, settle=60, seed=0)
    np.testing.assert_allclose(found, np.log(max(factors)), atol=2e-3)


def test_twins_share_their_draws():
    """A factor of one cell in half of the steps; without shared draws the twins part at once."""
    step = Times((0.9, 0.9), fire_rate=0.5)
    found = lyapunov(step, ones(size=1), steps=400, settle=0, seed=3, distance=1e-4)
    np.testing.assert_allclose(found, 0.5 * np.log(0.9), atol=0.01)


def test_the_same_seed_gives_the_same_exponent():
    host = tfnca.load("growing_lizard")
    grown = tfnca.rollout(host, tfnca.seed_state(48), 100, seed=0)
    once, again, other = (
        lyapunov(host, grown, 20, seed=seed, step_offset=100, settle=10)[0] for seed in (1, 1, 2)
    )
    assert once == again != other
    assert abs(once) < 0.2


def test_an_empty_grid_has_no_exponent():
    found = lyapunov(Times((0.9, 0.5)), np.zeros((1, 3, 3, 2)), 10, seed=0)
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps must be an integer"),
        ({"every": 0}, "every must be an integer"),
        ({"distance": 0.0}, "distance must be positive. Received: distance=0.0"),
    ],
)
def test_wrong_arguments(wrong, message):
    with pytest.raises(ValueError, match=message):
        lyapunov(Times((0.9, 0.5)), ones(), **wrong)
