"""Exported graphs are the step, on any batch and grid, wherever TensorFlow is."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import LAYERS, random_draws, random_masks, random_state

import tfnca
from tfnca.graphs import save_saved_model

NAMES = ["GrowingCA", "Injected MNISTCA", "Perturbed"]
SHAPES = [(2, 6, 7), (3, 9, 5)]

anywhere = pytest.mark.parametrize("shape", SHAPES)
each = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A step of each kind, its folder and its signatures."""
    found = {}
    for name in NAMES:
        folder = tmp_path_factory.mktemp("export") / "saved_model"
        step = LAYERS[name]()
        save_saved_model(step, folder)
        module = tf.saved_model.load(str(folder))
        found[name] = step, folder, module
    return found


def numbers(**kwargs):
    types = {"steps": tf.int32}
    return {name: tf.constant(v, types.get(name, tf.int64)) for name, v in kwargs.items()}


def mask_of(step, shape):
    return {name: tf.cast(mask, tf.float32) for name, mask in random_masks(step, shape).items()}


def close(ours, expected):
    expected = np.asarray(expected)
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-6 * max(1, np.abs(expected).max()))


@each
def test_signatures(exported, name):
    _, _, module = exported[name]
    inputs = {
        key: set(signature.structured_input_signature[1])
        for key, signature in module.signatures.items()
    }
    mask = {"mask"} if "Injected" in name else set()
    noise = {"noise"} if "MNIST" in name else set()
    assert inputs == {
        "step": {"state", "seed", "index"} | mask,
        "rollout": {"state", "steps", "seed", "first_step"} | mask,
        "step_masked": {"state", "fire_mask"} | mask | noise,
    }


@each
@anywhere
def test_a_step_is_the_layers(exported, name, shape):
    step, _, module = exported[name]
    state, mask = tf.constant(random_state(step, shape)), mask_of(step, shape)
    export = module.signatures["step"]
    results = {}
    for seed, index in ((2**40 + 5, 3), (6, 3), (2**40 + 5, 4)):
        draws = numbers(seed=seed, index=index)
        results[seed, index] = export(state=state, **draws, **mask)["state"].numpy()
        close(results[seed, index], step(state, seed=seed, index=index, **mask))
    first, *others = results.values()
    assert all(np.abs(first - other).max() > 1e-3 for other in others)


@each
@anywhere
def test_a_rollout_is_the_packages(exported, name, shape):
    step, _, module = exported[name]
    state, mask = tf.constant(random_state(step, shape)), mask_of(step, shape)
    for steps, seed, first in ((4, 5, 0), (2, 6, 100)):
        ours = module.signatures["rollout"](
            state=state, **numbers(steps=steps, seed=seed, first_step=first), **mask
        )["state"]
        expected = tfnca.rollout(
            step, state, steps, seed=seed, step_offset=first, engine="dense", **mask
        )
        close(ours, expected)


@each
@anywhere
def test_masks_and_noise_can_be_handed_in(exported, name, shape):
    step, _, module = exported[name]
    state = tf.constant(random_state(step, shape))
    results = []
    for seed in (1, 2):
        draws = random_draws(step, shape, 1, seed)
        given = {"fire_mask": tf.cast(draws["fire_masks"][0], tf.float32)}
        if "noise" in draws:
            given["noise"] = tf.constant(draws["noise"][0])
        if "mask" in draws:
            given["mask"] = tf.cast(draws["mask"], tf.float32)
        results.append(module.signatures["step_masked"](state=state, **given)["state"].numpy())
        fires = list(np.asarray(draws["fire_masks"][0])[..., None])
        noises = list(draws["noise"][0]) if "noise" in draws else None
        one = len(fires) == 1
        expected = step(
            state,
            fire_mask=fires[0] if one else fires,
            noise=noises,
            **({"mask": draws["mask"]} if "mask" in draws else {}),
        )
        close(results[-1], expected)
    assert np.abs(results[0] - results[1]).max() > 1e-3


def test_it_runs_where_only_tensorflow_is(exported, tmp_path):
    step, folder, _ = exported["Injected MNISTCA"]
    state, mask = random_state(step, SHAPES[0]), np.asarray(mask_of(step, SHAPES[0])["mask"])
    np.savez(tmp_path / "given.npz", state=state, mask=mask)
    code = f"""
import sys
import numpy as np
import tensorflow as tf
given = np.load("given.npz")
rollout = tf.saved_model.load({str(folder)!r}).signatures["rollout"]
state = rollout(
    state=tf.constant(given["state"]), mask=tf.constant(given["mask"]), steps=tf.constant(3),
    seed=tf.constant(7, tf.int64), first_step=tf.constant(0, tf.int64),
)["state"]
np.save("state.npy", state)
assert not any(name.split(".")[0] == "tfnca" for name in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    close(np.load(tmp_path / "state.npy"), tfnca.rollout(step, state, 3, mask=mask, seed=7))


def test_an_older_export_is_replaced_and_nothing_else_is(exported, tmp_path):
    (tmp_path / "older").mkdir()
    save_saved_model(LAYERS["Perturbed"](), tmp_path / "older")
    save_saved_model(LAYERS["GrowingCA"](), tmp_path / "older")
    module = tf.saved_model.load(str(tmp_path / "older"))
    step, _, _ = exported["GrowingCA"]
    state = tf.constant(random_state(step, SHAPES[0]))
    ours = module.signatures["step"](state=state, **numbers(seed=1, index=2))["state"]
    close(ours, step(state, seed=1, index=2))
    assert [path.name for path in tmp_path.iterdir()] == ["older"]


def test_a_folder_with_other_things_is_refused_and_kept(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.keras").write_text("hours of training")
    with pytest.raises(ValueError, match="run"):
        save_saved_model(LAYERS["GrowingCA"](), tmp_path / "run")
    assert (tmp_path / "run" / "model.keras").read_text() == "hours of training"
