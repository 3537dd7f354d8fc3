"""The living-cells engine against the dense one: the same states and the same gradients."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import LAYERS, STEPS, gradients, random_draws, random_masks, random_state, shuffled
from originals import originals

import tfnca
from tfnca import rollout as rollouts
from tfnca import sparse
from tfnca.checkpoints import load, load_perturbation
from tfnca.growing import GrowingCA
from tfnca.injection import Injected
from tfnca.mnist import MNISTCA
from tfnca.perturbation import Perturbation, Perturbed

SHAPE = (4, 9, 12)
STATE_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-4


def assert_close(ours, expected, tolerance, scale=None):
    scale = np.abs(expected).max() if scale is None else scale
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=tolerance * scale)


def both_engines(step, state, steps, upstream=None, **kwargs):
    """What the dense and the sparse engine give: the state and all gradients, asserted equal."""
    if upstream is None:
        upstream = np.random.default_rng(1).normal(size=state.shape).astype(np.float32)
    dense, ours = (
        gradients(
            lambda x: tfnca.rollout(step, x, steps, engine=engine, **kwargs),  # noqa: B023
            step,
            state,
            upstream,
        )
        for engine in ("dense", "sparse")
    )
    for item in range(len(state)):  # every run of the batch by itself
        assert_close(ours[0][item], dense[0][item], STATE_TOLERANCE)
    return dense, ours


def assert_engines_agree(step, state, steps, **kwargs):
    """Asserts that states and gradients are equal, each gradient against its own largest."""
    dense, ours = both_engines(step, state, steps, **kwargs)
    for our_gradient, expected in zip(ours[1:], dense[1:], strict=True):
        assert_close(our_gradient, expected, GRADIENT_TOLERANCE)
    return dense[0]


def random_step(name, seed=0):
    """A step whose networks are random, moderate, and unlike each other."""
    step = LAYERS[name]()
    for k, ca in enumerate(step.networks):
        shuffled(ca, seed=10 * seed + k, scale=0.7)
    return step


# One step, many states


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", STEPS)
def test_one_step_on_random_weights_and_states(name, seed):
    step = random_step(name, seed)
    state = random_state(step, (8, 14, 11), seed)
    after = assert_engines_agree(
        step, state, 1, seed=seed, **random_masks(step, state.shape[:3], seed=seed)
    )
    assert np.abs(after - state).max() > 0.1


# Where a list of cells could go wrong


def place(step, alive):
    """A state that is random all over, with life exactly where `alive` says."""
    state = random_state(step, alive.shape, seed=3)
    channel = 3 if step.channels == 16 else 0
    state[..., channel] = np.where(alive, 0.6 + np.abs(state[..., channel]), -0.2)
    return state


def border(shape):
    alive = np.zeros(shape, bool)
    alive[:, 0, ::3] = alive[:, -1, 1::3] = alive[:, ::4, 0] = alive[:, 1::4, -1] = True
    return alive


def one_cell(shape):
    alive = np.zeros(shape, bool)
    alive[:, shape[1] // 2, shape[2] // 2] = True
    return alive


def unlike_items(shape):
    alive = np.zeros(shape, bool)
    alive[1] = True
    alive[2, 0, 0] = True
    alive[3] = np.random.default_rng(0).random(shape[1:]) < 0.1
    return alive


SCENES = {
    "life on the border": border(SHAPE),
    "a dead grid": np.zeros(SHAPE, bool),
    "a full grid": np.ones(SHAPE, bool),
    "one cell": one_cell(SHAPE),
    "a row": one_cell((2, 1, 13)),
    "a column": border((2, 13, 1)),
    "a single position": np.ones((1, 1, 1), bool),
    "items unlike each other": unlike_items(SHAPE),
    "more cells than a block": np.ones((1, 40, 50), bool),
}


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("name", STEPS)
def test_scenes(name, scene):
    step = random_step(name)
    alive = SCENES[scene]
    after = assert_engines_agree(
        step, place(step, alive), 5, seed=2, **random_masks(step, alive.shape)
    )
    if scene == "a dead grid" and step.channels == 16:
        assert not after.any()


@pytest.mark.parametrize("name", [name for name in STEPS if "MNIST" not in name])
def test_cells_die_and_are_reborn(name):
    step = random_step(name, seed=2)
    state, mask = place(step, unlike_items(SHAPE)), random_masks(step, SHAPE)
    states = [state for _, state in tfnca.trajectory(step, state, 10, engine="dense", **mask)]
    alive = np.stack([np.any(state != 0, axis=-1) for state in states[1:]])
    died = np.logical_or.accumulate(alive[:-1] & ~alive[1:], axis=0)
    assert np.any(died[:-1] & alive[2:]), "no cell is reborn: choose other weights"
    assert_engines_agree(step, state, 10, **mask)


# Every setting


@pytest.mark.parametrize("name", ["GrowingCA", "MNISTCA"])
@pytest.mark.parametrize("fire_rate", [0.0, 0.3, 1.0])
def test_fire_rates(name, fire_rate):
    ca = random_step(name)
    again = shuffled(type(ca).from_config(ca.get_config() | {"fire_rate": fire_rate}), seed=1)
    assert_engines_agree(again, random_state(again, SHAPE), 4)


@pytest.mark.parametrize("settings", [{"angle": -2.0}, {"step_size": 0.3}, {"hidden": 7}])
def test_settings_of_a_growing_ca(settings):
    ca = shuffled(GrowingCA(**settings), seed=1)
    assert_engines_agree(ca, random_state(ca, SHAPE), 4)


@pytest.mark.parametrize("noise_std", [0.0, 0.3])
def test_noise(noise_std):
    ca = shuffled(MNISTCA(noise_std=noise_std), seed=1)
    assert_engines_agree(ca, random_state(ca, SHAPE), 4)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        (GrowingCA, {"fire_rate": 0.9}),
        (GrowingCA, {"step_size": 0.3}),
        (GrowingCA, {"angle": 0.8}),
        (GrowingCA, {"hidden": 20}),
        (MNISTCA, {"fire_rate": 0.9}),
        (MNISTCA, {"noise_std": 0.5}),
        (MNISTCA, {"hidden": 20}),
    ],
)
def test_host_and_adversary_need_not_have_the_same_settings(kind, settings):
    step = Injected(shuffled(kind(), seed=1), shuffled(kind(**settings), seed=2))
    assert_engines_agree(step, random_state(step, SHAPE), 3, **random_masks(step, SHAPE))


@pytest.mark.parametrize("density", [0.0, 1.0])
@pytest.mark.parametrize("name", ["Injected", "Injected MNISTCA", "Perturbed Injected"])
def test_no_adversaries_and_nothing_else(name, density):
    step = random_step(name)
    state, mask = random_state(step, SHAPE), random_masks(step, SHAPE, density)["mask"]
    assert np.all(mask == density)
    after = assert_engines_agree(step, state, 4, mask=mask)
    if density == 0:
        assert_close(tfnca.rollout(step, state, 4, engine="sparse"), after, STATE_TOLERANCE)


@pytest.mark.parametrize("k", [0.0, 1.0, -1.5])
def test_strengths_of_a_perturbation(k):
    random = random_step("Perturbed")
    step = Perturbed(random.host, random.perturbation.scaled(k))
    assert_engines_agree(step, random_state(step, SHAPE), 4)


def test_a_state_at_the_bound_passes_its_gradient():
    step = Perturbed(GrowingCA())
    state = np.full((1, 5, 5, 16), 3.0, np.float32)
    state[0, 2, 2] = -3.0
    dense, ours = both_engines(step, state, 1)
    np.testing.assert_array_equal(dense[1], ours[1])
    assert np.all(ours[1][0, 0] != 0)


@pytest.mark.parametrize("name", STEPS)
def test_given_draws(name):
    step = random_step(name)
    draws = random_draws(step, SHAPE, 4)
    assert_engines_agree(step, random_state(step, SHAPE), 4, **draws)


def test_no_steps_pass_the_gradient_on():
    step = random_step("Perturbed")
    state = random_state(step, SHAPE)
    final, of_state, of_matrix = gradients(
        lambda x: tfnca.rollout(step, x, 0, engine="sparse"), step, state, state
    )
    np.testing.assert_array_equal(final, state)
    np.testing.assert_array_equal(of_state, state)
    assert not of_matrix.any()


# Tapes


def recorded(step, state, record, before_gradient=lambda: None):
    """A sparse run's state and gradients, `record` given, with something done in between."""

    def function(x):
        final = run_recorded(step, x, record)
        before_gradient()
        return final

    return gradients(function, step, state, np.ones_like(state))


def run_recorded(step, state, record=True):
    mask = random_masks(step, SHAPE).get("mask")
    numbers = [tf.constant(number, tf.int64) for number in (6, 3, 0)]
    return rollouts.run(
        step, tf.convert_to_tensor(state), numbers[0], mask, *numbers[1:], engine="sparse",
        record=record,
    )  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_a_gradient_is_the_same_to_the_bit_recorded_or_not(name):
    step = random_step(name)
    state = random_state(step, SHAPE)

    def fill_the_cache():
        for _ in range(sparse._TAPES_KEPT + 1):
            run_recorded(step, 2 * state)
        assert len(sparse._tapes) <= sparse._TAPES_KEPT

    runs = [recorded(step, state, True), recorded(step, state, True), recorded(step, state, False)]
    runs += [recorded(step, state, True, before_gradient=fill_the_cache)]
    for run in runs[1:]:
        for value, expected in zip(run, runs[0], strict=True):
            np.testing.assert_array_equal(value, expected)


def test_a_gradient_in_a_graph_and_asked_for_twice():
    step = random_step("GrowingCA")
    state = tf.convert_to_tensor(random_state(step, SHAPE))
    kernel = step.update_layers[0].kernel.value

    def twice(state):
        with tf.GradientTape(persistent=True) as tape:
            total = tf.reduce_sum(run_recorded(step, state))
        return tape.gradient(total, kernel), tape.gradient(total, kernel)

    eager = twice(state)
    assert np.abs(eager[0]).max() > 0
    for gradient in (eager[1], *tf.function(twice)(state)):
        np.testing.assert_array_equal(gradient, eager[0])


# The published models, or the shipped ones: 80 steps, every run of 32


GRID, BATCH, BATCHES, STEPS_PUBLISHED = (44, 48), 8, 4, 80


@pytest.fixture(scope="module")
def models():
    """Trained models: the published ones, or where those are absent, those in the repository."""
    try:
        folder = originals()
    except pytest.skip.Exception as skipped:
        found = shipped()
        if "host" not in found:
            raise
        del skipped
        return found
    adversaries = folder / "growing_ca_adversarial_models.zip"
    matrices = folder / "growing_ca_saved_perturbations.zip"
    return {
        "host": load(folder / "growing_ca_lizard.json"),
        "adversaries": [load(adversaries, name) for name in ("no_tail_model", "red_model_60perc")],
        "matrices": [load_perturbation(matrices, name) for name in MATRICES],
        "digit host": load(folder / "mnist_ca.json"),
        "digit adversary": load(folder / "mnist_ca_adversarial_model.zip"),
    }


MATRICES = ("tail", "leg", "head", "arm", "red", "blue")


def shipped():
    return {}
