"""The distance of textures: by hand, against SciPy, and the properties of a distance."""

import numpy as np
import pytest

from tfnca.data.patches import directions, picture_patches, sliced_wasserstein


def noise(seed, size=16, channels=3):
    return np.random.default_rng(seed).uniform(size=(size, size, channels))


def test_patches_are_cut_in_plain_loops():
    picture = noise(0, 5)
    cut = [picture[i : i + 3, j : j + 3].reshape(-1) for i in range(3) for j in range(3)]
    np.testing.assert_array_equal(picture_patches(picture), cut)
    (spaced,) = picture_patches(picture, spacing=2)
    np.testing.assert_array_equal(spaced, picture[::2, ::2].reshape(-1))


def test_directions_are_unit_vectors_of_the_seed():
    lines = directions(27, 2000, seed=1)
    np.testing.assert_allclose(np.linalg.norm(lines, axis=0), 1.0)
    np.testing.assert_allclose(np.square(lines).mean(axis=1), 1 / 27, rtol=0.15)
    np.testing.assert_array_equal(lines, directions(27, 2000, seed=1))
    assert not np.allclose(lines, directions(27, 2000, seed=2))


def test_it_is_the_optimal_transport_of_each_direction():
    """An assignment of all patches to all patches, solved without sorting."""
    from scipy.optimize import linear_sum_assignment

    first, second = noise(0, 7), noise(1, 7) ** 2
    lines, costs = directions(27, 5, seed=3), []
    for line in lines.T:
        a, b = picture_patches(first) @ line, picture_patches(second) @ line
        cost = np.square(a[:, None] - b[None])
        costs.append(cost[linear_sum_assignment(cost)].mean())
    found = sliced_wasserstein(first, second, projections=5, seed=3)
    np.testing.assert_allclose(found, np.sqrt(np.mean(costs)))


def test_the_unit_is_that_of_the_pixels():
    picture = noise(0)
    found = sliced_wasserstein(picture, picture + 0.1, projections=4000)
    np.testing.assert_allclose(found, 0.1, rtol=0.03)


def test_it_is_a_distance_and_places_do_not_matter():
    """34 columns have 32 patches, which are whole waves wherever the picture begins."""
    waves = np.sin(2 * np.pi * np.arange(64) / 8)[None, :, None] * np.ones((34, 1, 3))
    wave = waves[:, :34]
    assert sliced_wasserstein(wave, wave) == 0
    assert sliced_wasserstein(wave, waves[:, 3:37]) < 1e-12
    other = noise(1, 34)
    there = sliced_wasserstein(wave, other)
    assert there == sliced_wasserstein(other, wave) > 0.3
    assert there == pytest.approx(sliced_wasserstein(wave, other, seed=1), rel=0.08)


def test_neighbouring_pixels_count_and_not_only_colours():
    """Stripes and their pixels in random order have the same colours."""
    stripes = np.tile([0.0, 1.0], 16)[None, :, None] * np.ones((32, 1, 3))
    mixed = np.random.default_rng(0).permutation(stripes.reshape(-1, 3)).reshape(stripes.shape)
    assert sliced_wasserstein(stripes, mixed) > 0.1


def test_pictures_of_two_sizes():
    picture = noise(0, 12, 1)
    twice = np.concatenate([picture, picture])  # more patches than twice as many: a seam
    assert sliced_wasserstein(picture, twice) < 0.02
    larger = sliced_wasserstein(noise(0, 24), noise(1, 16))
    assert larger < 0.05 < sliced_wasserstein(noise(0, 24), noise(1, 16) / 2)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (np.zeros((8, 8)), np.zeros((8, 8, 3)), r"first must be .* Received: shape=\(8, 8\)"),
        (np.zeros((8, 8, 3)), np.zeros((2, 8, 3)), r"second must be .* at least 3 by 3"),
        (np.zeros((8, 8, 3)), np.full((8, 8, 3), np.nan), "second must be finite"),
        (np.zeros((8, 8, 3)), np.zeros((8, 8, 1)), "the same channels"),
    ],
)
def test_what_is_not_two_pictures_is_refused(first, second, message):
    with pytest.raises(ValueError, match=message):
        sliced_wasserstein(first, second)


def test_a_number_of_projections_is_checked():
    with pytest.raises(ValueError, match="projections"):
        sliced_wasserstein(noise(0), noise(1), projections=0)
