"""The steps against an oracle in plain NumPy, and the properties the article gives them."""

import inspect

import keras
import numpy as np
import oracle
import pytest
import tensorflow as tf
from conftest import (
    LAYERS,
    STEPS,
    counted,
    gradients,
    random_draws,
    random_masks,
    random_state,
    shuffled,
    symmetric,
)

import tfnca
from tfnca.growing import GrowingCA
from tfnca.injection import Injected, check_density
from tfnca.mnist import MNISTCA
from tfnca.perturbation import Perturbation, Perturbed

SHAPE = (2, 6, 7)


def oracle_ca(ca, grid, fire, noise):
    weights = [weight.astype(np.float64) for weight in ca.get_weights()]
    if isinstance(ca, MNISTCA):
        return oracle.mnist(grid, weights, fire, noise)
    return oracle.growing(grid, weights, fire, ca.angle, ca.step_size)


def oracle_step(step, grid, mask, fires, noises):
    """A step of any kind: the next grid, and the way back to the grid and the trained weights."""
    if isinstance(step, Perturbed):
        first = oracle.perturbation(grid, step.perturbation.get_weights()[0].astype(np.float64))
        following, back = oracle.chain(
            first, lambda between: oracle_step(step.host, between, mask, fires, noises)
        )

        def back_to_matrix(upstream):
            of_grid, (of_matrix, _) = back(upstream)
            return of_grid, of_matrix

        return following, back_to_matrix
    results = [
        oracle_ca(ca, grid, fire, noise)
        for ca, fire, noise in zip(step.networks, fires, noises, strict=True)
    ]
    return oracle.injected(mask, *results) if isinstance(step, Injected) else results[0]


def oracle_rollout(step, grid, upstream, mask, fire_masks, noise):
    """The final grid and the gradients of the first grid and of the trained weights."""
    backs = []
    for fires, noises in zip(fire_masks, noise, strict=True):
        grid, back = oracle_step(step, grid, mask, fires, noises)
        backs.append(back)
    totals = [np.zeros(weight.shape) for weight in step.trainable_weights]
    for back in reversed(backs):
        upstream, sums = back(upstream)
        totals = [total + part for total, part in zip(totals, sums, strict=True)]
    return grid, upstream, totals


def close(ours, expected, tolerance=1e-5):
    """Asserts equality up to a fraction of the largest expected value, which is not zero."""
    largest = np.abs(expected).max()
    assert largest > 1e-3
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * largest)


@pytest.mark.parametrize("weights", ["counted", "random"])
@pytest.mark.parametrize("name", STEPS)
def test_values_and_gradients_are_the_oracles(name, weights, engine):
    step, steps = LAYERS[name](), 3
    if weights == "random":
        for seed, ca in enumerate(step.networks):
            shuffled(ca, seed)
    state, draws = random_state(step, SHAPE), random_draws(step, SHAPE, steps)
    upstream = np.random.default_rng(5).normal(size=state.shape).astype(np.float32)
    final, of_state, *of_weights = gradients(
        lambda x: tfnca.rollout(step, x, steps, engine=engine, **draws), step, state, upstream
    )

    expected_of_weights = 0.0
    for item in range(len(state)):
        expected, expected_of_state, sums = oracle_rollout(
            step,
            state[item].astype(np.float64),
            upstream[item].astype(np.float64),
            mask=None if "mask" not in draws else draws["mask"].numpy()[item],
            fire_masks=draws["fire_masks"][:, :, item],
            noise=draws["noise"][:, :, item] if "noise" in draws else [[None, None]] * steps
            if len(step.networks) > 1
            else [[None]] * steps,
        )
        close(final[item], expected)
        close(of_state[item], expected_of_state)
        expected_of_weights = [
            a + b for a, b in zip(sums, expected_of_weights or [0] * len(sums), strict=True)
        ]
    assert len(of_weights) == len(expected_of_weights) > 0
    for ours, expected in zip(of_weights, expected_of_weights, strict=True):
        close(ours, expected)
