"""Masks that change during a run: as one step after the other, in both engines."""

import numpy as np
import pytest
import tensorflow as tf
from conftest import gradients, random_draws
from descriptors import LAYERS, random_state

import tfnca
from tfnca.engines import rollout

SHAPE, STEPS, OFFSET = (2, 9, 8), 6, 40
INJECTIONS = ["Injected", "Injected MNISTCA"]


def masks(seed=0):
    """Three masks, two steps each."""
    drawn = np.random.default_rng(seed).random((3, *SHAPE)) < 0.4
    return np.repeat(drawn.astype(np.float32), 2, axis=0)


def by_hand(step, state, each, **draws):
    """The run, step by step."""
    for t in range(STEPS):
        part = {name: values[t : t + 1] for name, values in draws.items()}
        state = tfnca.rollout(step, state, 1, each[t], 5, OFFSET + t, engine="dense", **part)
    return state


@pytest.mark.parametrize("name", INJECTIONS)
@pytest.mark.parametrize("kind", ["array", "function"])
def test_every_step_runs_under_its_mask(name, kind, engine):
    step, each = LAYERS[name].shared(), masks()
    state = random_state(step, SHAPE)
    mask = each if kind == "array" else lambda number: each[number - OFFSET]
    final = tfnca.rollout(step, state, STEPS, mask, 5, OFFSET, engine=engine)
    expected = by_hand(step, state, each)
    assert np.abs(expected - by_hand(step, state, each[:1].repeat(STEPS, 0))).max() > 0.01
    np.testing.assert_allclose(final, expected, atol=1e-4 * np.abs(expected).max())


def test_given_draws_are_cut_with_the_masks(engine):
    step, each = LAYERS["Injected MNISTCA"].shared(), masks()
    state = random_state(step, SHAPE)
    draws = random_draws(step, SHAPE, STEPS)
    del draws["mask"]
    final = tfnca.rollout(step, state, STEPS, each, 5, OFFSET, engine=engine, **draws)
    expected = by_hand(step, state, each, **draws)
    np.testing.assert_allclose(final, expected, atol=1e-4 * np.abs(expected).max())
    longer = np.repeat(draws["fire_masks"], 2, axis=0)
    with pytest.raises(ValueError, match=r"fire_masks must be of shape"):
        tfnca.rollout(step, state, STEPS, each, 5, engine=engine, fire_masks=longer)


def test_gradients_flow_through_all_stretches():
    step, each = LAYERS["Injected"].shared(), masks()
    state = random_state(step, SHAPE)
    upstream = np.random.default_rng(1).normal(size=state.shape).astype(np.float32)

    dense, sparse = (
        gradients(
            lambda x, engine=engine: tfnca.rollout(step, x, STEPS, each, seed=3, engine=engine),
            step,
            state,
            upstream,
        )
        for engine in ("dense", "sparse")
    )
    for expected, found in zip(dense, sparse, strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_equal_masks_are_one_stretch_and_none_is_nowhere(monkeypatch):
    step, cells = LAYERS["Injected"].shared(), masks()[0]
    state, lengths, asked = random_state(step, SHAPE), [], []
    compiled = rollout._compiled

    def noted(step, engine):
        return lambda state, steps, *rest: (
            lengths.append(int(steps)) or compiled(step, engine)(state, steps, *rest)
        )

    def first_three(number):
        asked.append(number)
        return cells if number < OFFSET + 3 else None

    monkeypatch.setattr(rollout, "_compiled", noted)
    final = tfnca.rollout(step, state, 200, first_three, 5, OFFSET)
    assert lengths == [3, 197]
    assert asked == list(range(OFFSET, OFFSET + 200))
    attacked = tfnca.rollout(step, state, 3, cells, 5, OFFSET)
    healed = tfnca.rollout(step, attacked, 197, np.zeros(SHAPE), 5, OFFSET + 3)
    np.testing.assert_array_equal(final, healed)


@pytest.mark.parametrize("kind", ["array", "function"])
def test_a_trajectory_is_the_same_run(kind):
    step, each = LAYERS["Injected"].shared(), masks()
    state = random_state(step, SHAPE)
    mask = each if kind == "array" else lambda number: each[number - OFFSET]
    states = dict(tfnca.trajectory(step, state, STEPS, 4, 5, OFFSET, mask, engine="dense"))
    assert list(states) == [OFFSET, OFFSET + 4, OFFSET + STEPS]
    np.testing.assert_array_equal(states[OFFSET], state)
    expected = by_hand(step, state, each)
    np.testing.assert_allclose(states[OFFSET + STEPS], expected, atol=1e-5 * np.abs(expected).max())


def test_no_steps_need_no_mask():
    step = LAYERS["Injected"].shared()
    state = random_state(step, SHAPE)
    for mask in (np.zeros((0, *SHAPE)), lambda number: 1 / 0):
        np.testing.assert_array_equal(tfnca.rollout(step, state, 0, mask, 5), state)


WRONG = {
    "a time axis of another length": (masks()[:5], r"one mask for each of the 6 steps"),
    "a function with another grid": (lambda _: np.zeros((2, 3, 3)), r"batch, height and width"),
    "a function with other values": (lambda _: np.full(SHAPE, 0.5), r"must be 1 where"),
    "a function that returns lists": (lambda _: [[1, 0]], r"batch, height and width"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_masks_over_time_are_checked(wrong):
    step = LAYERS["Injected"].shared()
    mask, message = WRONG[wrong]
    with pytest.raises(ValueError, match=message):
        tfnca.rollout(step, random_state(step, SHAPE), STEPS, mask, seed=0)


def test_a_step_without_an_adversary_takes_no_mask_over_time():
    step = LAYERS["GrowingCA"].shared()
    with pytest.raises(ValueError, match="has no adversary"):
        tfnca.rollout(step, random_state(step, SHAPE), STEPS, lambda _: np.ones(SHAPE), seed=0)


def test_a_graph_that_does_not_know_its_steps_takes_no_mask_over_time():
    step = LAYERS["Injected"].shared()
    state = random_state(step, SHAPE)

    @tf.function
    def run(steps):
        return tfnca.rollout(step, state, steps, lambda _: np.ones(SHAPE), seed=0)

    with pytest.raises(ValueError, match="needs steps and step_offset as numbers"):
        run(tf.constant(3))
