"""The pools draw, repair, damage and write back as published."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfnca
from tfnca.data.digits import Digits
from tfnca.training.damage import circle_masks
from tfnca.training.pools import Pool

SIZE, SLOTS, BATCH = 12, 20, 8
LOSS = tfnca.TargetLoss(np.zeros((SIZE, SIZE, 4)))


def starts(count=1):
    """States that are full, and unlike those of `filled`."""
    return np.stack([np.full((SIZE, SIZE, 16), 100.0 + i, np.float32) for i in range(count)])


def filled(pool, seed=0):
    """Gives each slot a full state of its own, with losses that are not in the slots' order."""
    random = np.random.default_rng(seed)
    states = random.uniform(0.5, 1.0, pool.variables["states"].shape)
    states *= 1 + random.permutation(len(states))[:, None, None, None]
    pool.variables["states"].assign(states.astype(np.float32))
    return pool.variables["states"].numpy()


def contents(pool):
    return {name: variable.numpy() for name, variable in pool.variables.items()}


def values(batch):
    return {k: None if v is None else np.asarray(v) for k, v in batch._asdict().items()}


def same(first, second):
    def bits(array):  # NaN equals NaN
        return None if array is None else (array.shape, array.tobytes())

    return all(bits(first[key]) == bits(second[key]) for key in first)


# Damage


@pytest.mark.parametrize("size", [(81, 81), (81, 121)])
def test_damage_is_a_disc_of_the_published_places_and_sizes(size):
    masks = circle_masks(300, size, (3, 4)).numpy()[..., 0]
    y, x = (np.linspace(-1, 1, n) for n in size)
    cell = 4 / ((size[0] - 1) * (size[1] - 1))
    found = []
    for mask in masks:
        rows, columns = np.nonzero(mask == 0)
        middle = y[rows].mean(), x[columns].mean()
        radius = np.sqrt(len(rows) * cell / np.pi)
        distance = np.hypot(y[:, None] - middle[0], x[None, :] - middle[1])
        assert np.all(mask[distance < radius - 0.04] == 0)
        assert np.all(mask[distance > radius + 0.04] == 1)
        found.append((*middle, radius))
    found = np.array(found)
    assert np.all(np.abs(found.min(axis=0) - (-0.5, -0.5, 0.1)) < 0.03)
    assert np.all(np.abs(found.max(axis=0) - (0.5, 0.5, 0.4)) < 0.03)
    assert np.all(np.abs(found.mean(axis=0) - (0, 0, 0.25)) < (0.07, 0.07, 0.02))
    correlations = np.corrcoef(found.T)[np.triu_indices(3, k=1)]
    assert np.all(np.abs(correlations) < 0.25)


# Growing


def test_a_growing_pool_begins_with_equal_shares_of_its_starts():
    states = tfnca.GrowingPool(starts(2), size=SLOTS).variables["states"].numpy()
    np.testing.assert_array_equal(states, np.repeat(starts(2), SLOTS // 2, axis=0))


def test_the_worst_start_anew_and_the_best_are_damaged():
    pool = tfnca.GrowingPool(starts(2), SLOTS, BATCH, restarts=3, damaged=3)
    states = filled(pool)
    losses = (states[..., :4] ** 2).mean((1, 2, 3))
    batch = values(pool.draw(5, 7, LOSS))
    slots, state = batch["slots"], batch["state"]
    assert len(set(slots)) == BATCH
    np.testing.assert_array_equal(slots, sorted(slots, key=lambda slot: -losses[slot]))
    turn = (7 * 3 + np.arange(3)) % 2  # it goes on where batch 6 stopped
    np.testing.assert_array_equal(state[:3], starts(2)[turn])
    np.testing.assert_array_equal(state[3:5], states[slots[3:5]])
    holes = []
    for damaged, whole in zip(state[5:], states[slots[5:]], strict=True):
        hole = np.all(damaged == 0, axis=-1)
        assert 0 < hole.sum() < SIZE * SIZE / 4
        np.testing.assert_array_equal(damaged, np.where(hole[..., None], 0, whole))
        holes.append(hole)
    assert not np.array_equal(holes[0], holes[1])
    assert batch["mask"] is None
    assert batch["centres"].shape == (BATCH, 2)
    assert batch["labels"] is None


@pytest.mark.parametrize(
    ("regime", "settings", "restarted", "damaged"),
    [
        ("growing", {"restarts": BATCH, "damaged": 0}, BATCH, 0),
        ("persistent", {"damaged": 0}, 1, 0),
        ("regenerating", {}, 1, 3),
    ],
)
def test_regimes(regime, settings, restarted, damaged):
    pool = tfnca.GrowingPool(starts(), SLOTS, BATCH, **settings)
    states = filled(pool)
    batch = values(pool.draw(0, 0, LOSS))
    state, before = batch["state"], states[batch["slots"]]
    at_start = np.all(state == starts(), axis=(1, 2, 3))
    with_holes = np.any(np.all(state == 0, axis=-1), axis=(1, 2))
    kept = np.all(state == before, axis=(1, 2, 3))
    np.testing.assert_array_equal(at_start, np.arange(BATCH) < restarted)
    np.testing.assert_array_equal(with_holes, np.arange(BATCH) >= BATCH - damaged)
    np.testing.assert_array_equal(kept, ~at_start & ~with_holes)


def test_any_of_a_batch_may_be_the_one_to_start_anew():
    pool = tfnca.GrowingPool(starts(3), SLOTS, BATCH, restarts=2, reset_policy="any", damaged=0)
    filled(pool)
    counts = np.zeros(BATCH)
    for i in range(100):
        state = pool.draw(0, i, LOSS).state.numpy()
        wanted = [starts(3)[(2 * i + k) % 3] for k in range(2)]
        found = [np.all(state == start, axis=(1, 2, 3)) for start in wanted]
        assert [hit.sum() for hit in found] == [1, 1]
        counts += found[0] | found[1]
    expected = 200 / BATCH
    assert np.all(np.abs(counts - expected) < 4 * np.sqrt(expected))


def test_a_batch_tells_where_its_patterns_stood_before_they_were_damaged():
    pool = tfnca.GrowingPool(starts(), SLOTS, BATCH, restarts=2, damaged=3, radii=(0.6, 0.6))
    states = np.zeros((SLOTS, SIZE, SIZE, 16), np.float32)
    for i, state in enumerate(states):
        state[i % 4 : i % 4 + 5, i % 3 : i % 3 + 7, :4] = 1.0 - i / 100
    pool.variables["states"].assign(states)
    batch = values(pool.draw(0, 0, LOSS))
    np.testing.assert_array_equal(batch["centres"][:2], -1.0)
    stood = np.stack([batch["slots"] % 4 + 2, batch["slots"] % 3 + 3], axis=1)
    np.testing.assert_allclose(batch["centres"][2:], stood[2:], rtol=1e-5)
    assert not np.array_equal(batch["state"][-3:], states[batch["slots"][-3:]])


def test_states_above_the_reset_threshold_are_reset_and_not_damaged():
    where = np.ones((SIZE, SIZE), bool)
    pool = tfnca.GrowingPool(
        starts(), BATCH, BATCH, restarts=0, reset_threshold=4.0, where=where, density=0.5
    )
    states = np.full(pool.variables["states"].shape, 1.0, np.float32)
    states[:6] = 3.0
    states[1] = np.nan
    pool.variables["states"].assign(states)
    masks = pool.variables["masks"].numpy()
    batch = values(pool.draw(0, 0, lambda state, _: tf.reduce_mean(state**2, axis=(1, 2, 3))))
    slots = batch["slots"]
    at_start = np.all(batch["state"] == starts(), axis=(1, 2, 3))
    np.testing.assert_array_equal(at_start, slots < 6)
    new_mask = np.any(batch["mask"] != masks[slots], axis=(1, 2))
    np.testing.assert_array_equal(new_mask, slots < 6)


def test_write_back_goes_to_the_batchs_slots_only():
    where = np.ones((SIZE, SIZE), bool)
    pool = tfnca.GrowingPool(starts(), SLOTS, BATCH, where=where, density=0.5)
    filled(pool)
    before = contents(pool)
    slots = [3, 17, 0, 9]
    state = np.random.default_rng(1).normal(size=(4, SIZE, SIZE, 16)).astype(np.float32)
    mask = np.random.default_rng(2).integers(0, 2, (4, SIZE, SIZE)).astype(np.float32)
    pool.put(tfnca.Batch(tf.constant(slots), None, tf.constant(mask), None), tf.constant(state))
    before["states"][slots], before["masks"][slots] = state, mask
    assert same(before, contents(pool))


def test_a_restart_brings_a_new_mask_and_the_others_keep_theirs():
    where = np.zeros((SIZE, SIZE), bool)
    where[2:9, 3:] = True
    pool = tfnca.GrowingPool(starts(), SLOTS, BATCH, restarts=2, where=where, density=0.4)
    filled(pool)
    masks = pool.variables["masks"].numpy()
    batch = values(pool.draw(1, 2, LOSS))
    np.testing.assert_array_equal(batch["mask"][2:], masks[batch["slots"][2:]])
    new = batch["mask"][:2]
    for mask in new:
        assert 0 < mask.sum() < where.sum()
        assert not np.any(mask[~where])
        assert not any(np.array_equal(mask, old) for old in masks)
    assert not np.array_equal(*new)
    again = values(pool.draw(1, 3, LOSS))["mask"][:2]
    assert not np.array_equal(new, again)


@pytest.mark.parametrize("density", [0.1, 0.6])
def test_masks_have_the_density_where_they_may_stand(density):
    where = np.zeros((SIZE, SIZE), bool)
    where[:, :5] = True
    pool = tfnca.GrowingPool(starts(), 200, BATCH, restarts=BATCH, where=where, density=density)
    at_restart = [values(pool.draw(0, i, LOSS))["mask"] for i in range(10)]
    for masks in (pool.variables["masks"].numpy(), np.concatenate(at_restart)):
        drawn = masks[:, where]
        sigma = np.sqrt(density * (1 - density) / drawn.size)
        assert abs(drawn.mean() - density) < 4 * sigma
        assert not masks[:, ~where].any()
        assert len(np.unique(drawn, axis=0)) > 0.9 * len(masks)


def test_new_masks_follow_a_schedule_of_the_density():
    where = np.ones((SIZE, SIZE), bool)
    falling = keras.optimizers.schedules.PolynomialDecay(0.8, 10, 0.2)
    pool = tfnca.GrowingPool(starts(), 100, BATCH, restarts=BATCH, where=where, density=falling)
    shares = [values(pool.draw(0, tf.constant(i), LOSS))["mask"].mean() for i in (0, 5, 10, 90)]
    shares.append(pool.variables["masks"].numpy().mean())
    np.testing.assert_allclose(shares, [0.8, 0.5, 0.2, 0.2, 0.8], atol=0.06)


def test_all_slots_are_drawn_alike():
    pool = tfnca.GrowingPool(starts(), SLOTS, BATCH)
    drawn = np.concatenate([pool.draw(4, i, LOSS).slots for i in range(100)])
    counts = np.bincount(drawn, minlength=SLOTS)
    expected = len(drawn) / SLOTS
    assert np.all(np.abs(counts - expected) < 4 * np.sqrt(expected * (1 - BATCH / SLOTS)))


def growing():
    where = np.ones((SIZE, SIZE), bool)
    return tfnca.GrowingPool(starts(), SLOTS, BATCH, where=where, density=0.3, seed=3)


def test_holes_are_as_large_as_asked_for():
    states = np.ones((1, 40, 40, 16), np.float32)
    pool = tfnca.GrowingPool(states, SLOTS, BATCH, restarts=0, damaged=3, radii=(0.6, 0.6))
    state = pool.draw(0, 0, lambda state, _: tf.zeros(len(state))).state.numpy()
    holes = (state == 0).mean((1, 2, 3))
    assert not holes[:-3].any()
    assert np.all((holes[-3:] > 0.18) & (holes[-3:] < np.pi * 0.3**2 + 0.02))


@pytest.mark.parametrize(
    "mistake",
    [
        ({"size": 4}, "batch_size .*4.*Received: batch_size=8"),
        ({"batch_size": 0, "restarts": 0, "damaged": 0}, "Received: batch_size=0"),
        ({"damaged": 9}, "damaged=9"),
        ({"restarts": -1}, "restarts=-1"),
        ({"radii": (0.0, 0.4)}, r"radii=\(0.0, 0.4\)"),
        ({"radii": (0.5, 0.4)}, r"radii=\(0.5, 0.4\)"),
        ({"reset_policy": "best"}, "reset_policy must be.*Received: reset_policy='best'"),
        ({"where": np.ones((SIZE, SIZE))}, "where and density"),
        ({"density": 0.1}, "where and density"),
        ({"where": np.ones((SIZE, SIZE)), "density": 0.0}, "density=0.0"),
        ({"where": np.ones((SIZE, SIZE + 1)), "density": 0.1}, "Received: shape=.*13"),
    ],
)
def test_wrong_settings_are_named(mistake):
    settings, message = mistake
    with pytest.raises(ValueError, match=message):
        tfnca.GrowingPool(starts(), **settings)


# Digits


def some_digits(count=30, side=7):
    random = np.random.default_rng(0)
    images = np.where(random.random((count, side, side)) < 0.5, random.random((side, side)), 0)
    images = np.round(images * 255).astype(np.float32) / 255
    return Digits(images, random.integers(0, 10, count).astype(np.int32), "made up")


DIGITS = some_digits()


def digit_pool(**kwargs):
    return tfnca.DigitPool(DIGITS, **{"size": SLOTS, "batch_size": BATCH, "seed": 3} | kwargs)


def settled(pool):
    """Fills all but the grey, dead cells too, so that what is kept can be told from what is not."""
    states = pool.variables["states"].numpy()
    states[..., 1:] = np.random.default_rng(1).uniform(1, 2, states[..., 1:].shape)
    pool.variables["states"].assign(states)
    return states


def which(images, labels):
    """The digits' numbers; fails where an image is not among them or has another's label."""
    found = [np.flatnonzero(np.all(DIGITS.images == image, axis=(1, 2))) for image in images]
    assert all(len(indices) == 1 for indices in found)
    indices = np.concatenate(found)
    np.testing.assert_array_equal(labels, DIGITS.labels[indices])
    return indices


def test_a_digit_pool_begins_with_new_digits():
    pool = digit_pool()
    states = pool.variables["states"].numpy()
    indices = which(states[..., 0], pool.variables["labels"].numpy())
    assert len(set(indices)) > SLOTS / 3
    assert not states[..., 1:].any()
    assert "masks" not in pool.variables


@pytest.mark.parametrize("batch_size", [2, 6, BATCH])
def test_a_quarter_is_new_and_a_quarter_swapped(batch_size):
    quarter = batch_size // 4
    pool = digit_pool(density=0.3, batch_size=batch_size)
    states = settled(pool)
    masks, labels = pool.variables["masks"].numpy(), pool.variables["labels"].numpy()
    batch = values(pool.draw(5, 6, None))
    slots, state = batch["slots"], batch["state"]
    assert len(set(slots)) == batch_size
    assert state.shape == (batch_size, 7, 7, 20)
    new = slice(0, quarter)
    kept = slice(quarter, batch_size - quarter)
    swapped = slice(batch_size - quarter, batch_size)
    old = states[slots]

    assert not state[new, ..., 1:].any()
    np.testing.assert_array_equal(state[kept], old[kept])
    np.testing.assert_array_equal(batch["labels"][kept], labels[slots][kept])
    alive = state[swapped, ..., :1] > 0.1
    np.testing.assert_array_equal(state[swapped, ..., 1:], old[swapped, ..., 1:] * alive)
    which(state[..., 0], batch["labels"])
    if quarter:
        assert 0.2 < alive.mean() < 0.8
        for part in (new, swapped):
            assert not np.array_equal(state[part, ..., 0], old[part, ..., 0])

    assert all(not np.array_equal(mask, o) for mask in batch["mask"][new] for o in masks)
    np.testing.assert_array_equal(batch["mask"][quarter:], masks[slots][quarter:])


def test_how_many_are_new_and_swapped_is_free():
    pool = digit_pool(new_digits=1, swapped_digits=3, density=0.3)
    states = settled(pool)
    masks = pool.variables["masks"].numpy()
    batch = values(pool.draw(5, 6, None))
    slots, state, old = batch["slots"], batch["state"], states[batch["slots"]]
    kept = slice(1, BATCH - 3)
    assert not state[:1, ..., 1:].any()
    np.testing.assert_array_equal(state[kept], old[kept])
    for i in range(BATCH - 3, BATCH):
        assert not np.array_equal(state[i, ..., 0], old[i, ..., 0])
    assert state[BATCH - 3 :, ..., 1:].any((1, 2, 3)).all()
    which(state[..., 0], batch["labels"])
    np.testing.assert_array_equal(batch["mask"][1:], masks[slots][1:])
    undisturbed = values(digit_pool(new_digits=0, swapped_digits=0).draw(5, 6, None))
    np.testing.assert_array_equal(undisturbed["state"][..., 1:], 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"new_digits": -1},
        {"swapped_digits": -1},
        {"new_digits": BATCH, "swapped_digits": 1},
        {"new_digits": BATCH},
    ],
)
def test_more_new_and_swapped_digits_than_a_batch_are_named(wrong):
    with pytest.raises(ValueError, match=r"(new_digits|swapped_digits) must .*Received: "):
        digit_pool(**wrong)


def test_new_digits_and_mutations_are_drawn_from_all_digits():
    pool = digit_pool()
    new, swapped = [], []
    for i in range(75):
        batch = values(pool.draw(0, i, None))
        indices = which(batch["state"][..., 0], batch["labels"])
        new.append(indices[: BATCH // 4])
        swapped.append(indices[-BATCH // 4 :])
    for drawn in (np.concatenate(new), np.concatenate(swapped)):
        counts = np.bincount(drawn, minlength=len(DIGITS.labels))
        assert np.all(np.abs(counts - 5) < 4 * np.sqrt(5))
    assert np.mean(np.concatenate(new) == np.concatenate(swapped)) < 0.1


def test_labels_and_masks_are_written_back_with_the_state():
    pool = digit_pool(density=0.3)
    settled(pool)
    before = contents(pool)
    batch = pool.draw(5, 6, None)
    pool.put(batch, batch.state + 1)
    slots = batch.slots.numpy()
    before["states"][slots] = batch.state + 1
    before["masks"][slots] = batch.mask
    assert not np.array_equal(before["labels"][slots], batch.labels)
    before["labels"][slots] = batch.labels
    assert same(before, contents(pool))


@pytest.mark.parametrize("density", [0.02, 0.5])
def test_digit_masks_have_the_density_over_all_pixels(density):
    pool = digit_pool(size=150, density=density)
    at_restart = [values(pool.draw(0, i, None))["mask"][: BATCH // 4] for i in range(40)]
    for masks in (pool.variables["masks"].numpy(), np.concatenate(at_restart)):
        sigma = np.sqrt(density * (1 - density) / masks.size)
        assert abs(masks.mean() - density) < 4 * sigma


@pytest.mark.parametrize("make", [growing, lambda: digit_pool(density=0.3)])
def test_draws_are_a_function_of_seed_and_step_alone(make):
    pool, other = make(), make()
    assert same(contents(pool), contents(other))
    for i in range(3):
        other.draw(9, i, LOSS)
    drawn = values(pool.draw(9, 4, LOSS))
    assert same(drawn, values(other.draw(9, 4, LOSS)))
    in_graph = values(tf.function(pool.draw)(tf.constant(9), tf.constant(4), LOSS))
    # A graph divides the greys by 255 with another last bit.
    np.testing.assert_allclose(in_graph.pop("state"), drawn["state"], rtol=1e-6)
    assert same(in_graph, drawn)
    for seed, index in ((9, 5), (10, 4)):
        differs = values(pool.draw(seed, index, LOSS))
        assert not np.array_equal(drawn["slots"], differs["slots"])
        assert not np.array_equal(drawn["mask"][0], differs["mask"][0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"images": DIGITS.images * 255}, "images must be in .*divide bytes by 255"),
        ({"images": DIGITS.images - 0.5}, "images must be in .*Received: values from -0.5"),
        ({"images": DIGITS.images * np.nan}, "images must be finite"),
        ({"labels": DIGITS.labels + 1}, "labels must be in 0 to 9. Received: values from 1 to 10"),
        ({"labels": DIGITS.labels * 1.0}, "labels must be integers.*Received: float64"),
    ],
)
def test_digits_of_a_wrong_scale_are_named(wrong, message):
    with pytest.raises(ValueError, match=message):
        tfnca.DigitPool(dataclasses.replace(DIGITS, **wrong), SLOTS, BATCH)


@pytest.mark.parametrize(
    ("states", "message"),
    [
        (np.zeros((SIZE, SIZE, 16)), "starts must be of shape.*Received: shape="),
        (np.zeros((0, SIZE, SIZE, 16)), "starts must be of shape"),
        (np.full((1, SIZE, SIZE, 16), np.inf), "starts must be finite"),
    ],
)
def test_starts_that_are_no_states_are_named(states, message):
    with pytest.raises(ValueError, match=message):
        tfnca.GrowingPool(states, SLOTS, BATCH)


def test_a_loss_of_ones_own_sorts_by_all_it_is_told():
    where = np.ones((SIZE, SIZE), bool)
    pool = tfnca.GrowingPool(starts(), SLOTS, BATCH, damaged=0, where=where, density=0.3)
    filled(pool)
    batch = pool.draw(0, 0, lambda state, batch: tf.reduce_sum(batch.mask, axis=(1, 2)))
    counts = pool.variables["masks"].numpy().sum((1, 2))[batch.slots.numpy()]
    assert list(counts) == sorted(counts, reverse=True)
    assert len(set(counts)) > 1


@pytest.mark.parametrize("density", [0.0, 1.5, np.nan])
def test_a_wrong_density_is_named(density):
    with pytest.raises(ValueError, match=r"density .*Received"):
        digit_pool(density=density)


def test_each_mask_may_draw_its_own_density():
    digits = tfnca.load_digits("train", count=50)
    pool = tfnca.DigitPool(digits, 160, 16, density=(0.01, 0.5))
    shares = pool.variables["masks"].numpy().mean((1, 2))
    assert 0 < shares.min() < 0.03
    assert 0.3 < shares.max() < 0.6
    assert 0.05 < np.median(shares) < 0.1  # all orders of magnitude alike: about 0.07
    with pytest.raises(ValueError, match="density must be a fraction or"):
        tfnca.DigitPool(digits, 160, 16, density=(0.5, 0.01))


def test_the_last_of_a_batch():
    batch = tfnca.Batch(slots=tf.constant([5, 6, 7]), labels=tf.constant([1, 2, 3])).last(1)
    assert batch.slots.numpy().tolist() == [7]
    assert batch.labels.numpy().tolist() == [3]
    assert batch.mask is None


class Aged(Pool):
    """A pool of a user's own, which counts how often each slot was drawn."""

    def __init__(self, states, batch_size):
        super().__init__(states, batch_size)
        self.variables["age"] = tf.Variable(np.zeros(len(states), np.int32), trainable=False)

    def draw(self, seed, index, loss):
        slots = self._draw_slots(tf.stack([seed, index]))
        self.variables["age"].scatter_nd_add(slots[:, None], tf.ones_like(slots))
        return tfnca.Batch(slots, tf.gather(self.variables["states"], slots))


def test_a_pools_own_variables_are_left_to_it():
    pool = Aged(np.zeros((4, 5, 5, 16), np.float32), 2)
    batch = pool.draw(0, 0, None)
    pool.put(batch, batch.state + 1)
    assert pool.variables["age"].numpy().sum() == 2
    assert pool.variables["states"].numpy().mean() == 0.5


ALPHA_OF_A_LEAF = np.linspace(0, 1, 25).reshape(5, 5)
SEEDS = tfnca.seed_state(5)
WRONG_GROWING = {
    "alpha in place of cells": (dict(where=ALPHA_OF_A_LEAF, density=0.1), "where must be true"),
    "bytes": (dict(starts=(255 * SEEDS).astype(np.uint8)), "starts .*divide a picture's bytes"),
    "half a restart": (dict(restarts=0.5), "restarts must be an integer"),
    "a word": (dict(batch_size="8"), "batch_size must be an integer"),
    "one radius": (dict(radii=0.2), "radii must ascend"),
    "three radii": (dict(radii=(0.1, 0.2, 0.3)), "radii must ascend"),
    "a loss below 0": (dict(reset_threshold=-1.0), "reset_threshold must be"),
    "NaN": (dict(reset_threshold=float("nan")), "reset_threshold must be"),
}
WRONG_DIGITS = {
    "three densities": (dict(density=(0.1, 0.2, 0.3)), "density must be a fraction"),
    "half a digit": (dict(new_digits=0.5), "new_digits must be an integer"),
    "no digits": (dict(digits=DIGITS.images), "digits must be"),
    "too large a batch": (dict(batch_size=500), "batch_size must be an integer in 1 to"),
}


@pytest.mark.parametrize("name", [*WRONG_GROWING, *WRONG_DIGITS])
def test_each_argument_of_a_pool_is_checked(name):
    if name in WRONG_GROWING:
        arguments, message = WRONG_GROWING[name]
        kind, usual = tfnca.GrowingPool, {"starts": SEEDS, "size": 8, "batch_size": 4}
    else:
        arguments, message = WRONG_DIGITS[name]
        kind, usual = tfnca.DigitPool, {"digits": DIGITS, "size": 8, "batch_size": 4}
    kind(**usual)
    with pytest.raises(ValueError, match=message):
        kind(**usual | arguments)
