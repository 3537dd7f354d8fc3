"""The draws: their statistics, and one function under two implementations."""

import numba
import numpy as np
import pytest

from tfnca.automata import checks, randomness
from tfnca.engines import kernels
from tfnca.engines.arguments import hash_constants

SHAPE = (8, 64, 64)
LATE = ((2**32 - 1, 0, 0.5), (2**32, 0, 0.5), (2**32 + 7, 1, 0.5), (2**62, 0, 0.5))
"""Steps on both sides of the one from which a number takes two words of the hash."""

SEEDS = (0, 1, 12345, 2**32 - 1, 2**32, 2**63 - 1)


def uniform(shape=SHAPE, seed=3, index=11, network=0):
    return np.asarray(randomness.uniform(shape, seed, index, network))


def normal(shape=SHAPE, channels=3, seed=3, index=11, network=0):
    return np.asarray(randomness.normal(shape, channels, seed, index, network))


def assert_uncorrelated(a, b):
    """Within four sigma of no correlation: of the values, of their squares, of their low bits."""
    a, b = np.ravel(a).astype(np.float64), np.ravel(b).astype(np.float64)
    bits = [np.floor(values * 2**16) % 2 for values in (a, b)]
    for x, y in ((a, b), ((a - a.mean()) ** 2, (b - b.mean()) ** 2), bits):
        assert abs(np.corrcoef(x, y)[0, 1]) < 4 / np.sqrt(a.size)


@pytest.mark.parametrize("fire_rate", [0.1, 0.5, 0.9])
def test_cells_fire_at_the_fire_rate(fire_rate):
    for index in range(4):
        fires = np.asarray(randomness.fire_mask(SHAPE, fire_rate, 0, index))
        assert fires.shape == (*SHAPE, 1)
        sigma = np.sqrt(fire_rate * (1 - fire_rate) / fires.size)
        assert abs(fires.mean() - fire_rate) < 4 * sigma


def test_at_rate_one_all_cells_fire_and_at_zero_none():
    assert np.all(randomness.fire_mask(SHAPE, 1.0, 0, 0))
    assert not np.any(randomness.fire_mask(SHAPE, 0.0, 0, 0))


def test_uniform_draws_are_uniform():
    draws = uniform()
    assert draws.min() >= 0
    assert draws.max() < 1
    counts = np.histogram(draws, bins=64, range=(0, 1))[0]
    expected = draws.size / 64
    chi_squared = np.sum((counts - expected) ** 2) / expected
    assert abs(chi_squared - 63) < 4 * np.sqrt(2 * 63)


def test_normal_draws_are_normal():
    draws = normal().astype(np.float64)
    size = draws.size
    assert abs(draws.mean()) < 4 / np.sqrt(size)
    assert abs(draws.std() - 1) < 4 / np.sqrt(2 * size)
    assert abs(np.mean(draws**3)) < 4 * np.sqrt(15 / size)
    # The table ends at 3.7, which costs the fourth moment a little.
    assert abs(np.mean(draws**4) - 3) < 0.02 + 4 * np.sqrt(96 / size)
    for level, share in ((1, 0.6827), (2, 0.9545)):
        assert abs(np.mean(np.abs(draws) < level) - share) < 4 * np.sqrt(0.25 / size)


def test_draws_are_independent():
    draws = uniform()
    assert_uncorrelated(draws[:, 1:], draws[:, :-1])
    assert_uncorrelated(draws[:, :, 1:], draws[:, :, :-1])
    assert_uncorrelated(draws[:, 1:, 1:], draws[:, :-1, :-1])
    assert_uncorrelated(draws[:, 1:, :-1], draws[:, :-1, 1:])
    assert_uncorrelated(draws[1:], draws[:-1])
    assert_uncorrelated(draws, np.swapaxes(draws, 1, 2))
    for other in (
        {"index": 12},
        {"network": 1},
        {"network": 2},
        {"seed": 4},
        {"seed": 3 + 2**32},
        {"seed": 11, "index": 3},
    ):
        assert_uncorrelated(draws, uniform(**other))


def test_noise_is_independent_between_channels_networks_steps_and_of_the_fire_mask():
    draws = normal()
    for channel in range(3):
        assert_uncorrelated(draws[..., channel], uniform())
        assert_uncorrelated(draws[..., channel], draws[..., channel - 1])
    assert_uncorrelated(draws[:, 1:], draws[:, :-1])
    assert_uncorrelated(draws, normal(index=12))
    assert_uncorrelated(draws, normal(network=1))


@numba.njit
def cell_by_cell(shape, seed, index, network, fire_rate, channels, hashing):
    fire = np.empty(shape, np.bool_)
    levels = np.empty((*shape, channels), np.int64)
    for item in range(shape[0]):
        key = kernels.item_key(seed, index, network, item, hashing)
        for row in range(shape[1]):
            for column in range(shape[2]):
                cell = kernels.cell_hash(key, row, column, hashing)
                fire[item, row, column] = kernels.fires(cell, fire_rate)
                for channel in range(channels):
                    levels[item, row, column, channel] = kernels.normal_level(
                        cell, channel, hashing
                    )
    return fire, levels


@pytest.mark.parametrize("seed", SEEDS)
def test_both_implementations_give_the_same_bits(seed):
    shape = (2, 9, 11)
    for index, network, fire_rate in ((0, 0, 0.5), (95, 1, 0.3), (100_000, 2, 0.9), *LATE):
        fire, levels = cell_by_cell(
            shape, seed, index, network, np.float32(fire_rate), 19, hash_constants()
        )
        np.testing.assert_array_equal(
            fire[..., None], randomness.fire_mask(shape, fire_rate, seed, index, network)
        )
        np.testing.assert_array_equal(
            randomness.NORMAL_LEVELS[levels], normal(shape, 19, seed, index, network)
        )


def test_every_seed_draws_its_own():
    masks = [uniform((1, 16, 16), seed=seed) for seed in SEEDS]
    assert len({mask.tobytes() for mask in masks}) == len(SEEDS)


def test_draws_are_the_same_on_any_crop_and_in_any_batch():
    np.testing.assert_array_equal(uniform()[:3, :20, :33], uniform((3, 20, 33)))
    np.testing.assert_array_equal(normal()[:3, :20, :33, :2], normal((3, 20, 33), 2))


def test_the_draws_stay_what_they_were():
    """Pinned, so that a run of today can be repeated tomorrow."""
    draws = uniform((1, 1, 4), seed=7, index=5)[0, 0] * 2**24
    assert draws.astype(int).tolist() == [10473026, 1400605, 14007167, 15739480]


@pytest.mark.parametrize("seed", [-1, 2**63, 0.5])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=r"seed must be .*Received: seed="):
        checks.check_seed(seed)
