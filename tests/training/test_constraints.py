"""Constraints on weights in training."""

import numpy as np
import pytest

import tfnca
from tfnca.training.constraints import SlowColours


def test_colours_are_held_down_and_nothing_else_is():
    weights = np.zeros((2, 16), np.float32)
    weights[:, 0] = 3.0, 4.0  # beyond the limit: shortened, the direction kept
    weights[:, 1] = 0.3, 0.4
    weights[:, 3:] = 7.0
    held = np.asarray(SlowColours(1.0)(weights))
    np.testing.assert_allclose(held[:, 0], [0.6, 0.8], atol=1e-6)
    np.testing.assert_array_equal(held[:, 1:], weights[:, 1:])


def test_training_keeps_the_limit():
    target = np.full((12, 12, 4), 0.8, np.float32)
    ca = tfnca.GrowingCA()
    ca.layers_in_order[-1].kernel.constraint = SlowColours(1e-3)
    pool = tfnca.GrowingPool(tfnca.seed_state(12), 8, 4)
    trainer = tfnca.Trainer(ca, tfnca.TargetLoss(target), (4, 4))
    trainer.compile("adam")
    trainer.fit(pool, steps_per_epoch=2, verbose=0)
    norms = np.linalg.norm(ca.get_weights()[2], axis=0)
    assert norms[:3] == pytest.approx([1e-3] * 3, rel=1e-3)
    assert norms[3] > 2e-3
