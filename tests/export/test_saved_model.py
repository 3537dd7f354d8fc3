"""Exported graphs are the step, on any batch and grid, wherever TensorFlow is."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import random_draws
from descriptors import LAYERS, random_masks, random_state, shuffled, symmetric

import tfnca
from tfnca.export.saved_model import EXTRA, save_saved_model
from tfnca.export.shipped import EXPORTS, refresh, stale
from tfnca.export.signatures import load_step, mix
from tfnca.files import weights_sha256

NAMES = ["GrowingCA", "MNISTCA", "Injected MNISTCA", "Perturbed", "Invasion"]
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


def strengths_of(step):
    """What an exported perturbation takes to be what it was trained to be."""
    return {"k": tf.ones(1)} if isinstance(step, tfnca.Perturbed) else {}


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
    given = {"mask"} if "Injected" in name else set()
    given |= {"k"} if name == "Perturbed" else set()
    noise = {"noise"} if "MNIST" in name else set()
    rollout = {"state", "steps", "seed", "first_step"} | given
    assert inputs == {
        "step": {"state", "seed", "index"} | given,
        "rollout": rollout,
        "serving_default": rollout,
        "step_masked": {"state", "fire_mask"} | given | noise,
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
        results[seed, index] = export(state=state, **draws, **mask, **strengths_of(step))[
            "state"
        ].numpy()
        close(results[seed, index], step(state, seed=seed, index=index, **mask))
    first, *others = results.values()
    assert all(np.abs(first - other).max() > 1e-3 for other in others)


# Keras takes the argument `mask` for its own and says that it goes no further.
@pytest.mark.filterwarnings("ignore:Layer 'tfsm_layer:UserWarning")
@each
def test_a_keras_layer_calls_the_export(exported, name):
    step, folder, _ = exported[name]
    state = tf.constant(random_state(step, SHAPES[0]))
    given = {**mask_of(step, SHAPES[0]), **strengths_of(step)}
    layer = keras.layers.TFSMLayer(str(folder), call_endpoint="rollout")
    if given:  # Keras mixes no tensors and plain numbers in one call
        ours = layer(state, **numbers(steps=3, seed=5, first_step=7), **given)["state"]
    else:
        ours = layer(state, steps=3, seed=5, first_step=7)["state"]
    given.pop("k", None)
    close(ours, tfnca.rollout(step, state, 3, seed=5, step_offset=7, engine="dense", **given))


def test_an_export_leaves_a_mixture_as_it_was(tmp_path):
    host, matrices = (
        LAYERS["GrowingCA"](),
        [tfnca.MatrixPerturbation(matrix=symmetric(s)) for s in (1, 2)],
    )
    step = mix(host, matrices, ["a", "b"])
    state = random_state(step, SHAPES[0])
    before = np.asarray(step(state, seed=1, index=2))
    save_saved_model(step, tmp_path / "export")
    np.testing.assert_array_equal(step(state, seed=1, index=2), before)


class Rotating(tfnca.MatrixPerturbation):
    """No matrix: rolls the channels."""

    def call(self, state):
        return keras.ops.roll(state, 1, axis=-1)


class Delayed(tfnca.Perturbed):
    """Perturbs after the step, as the article's page does."""

    def call(self, state, **kwargs):
        return self.perturbation(self.host(state, **kwargs))


@pytest.mark.parametrize("kind", ["perturbation", "step"])
def test_what_a_subclass_does_is_exported(tmp_path, kind):
    host = LAYERS["GrowingCA"]()
    made = {
        "perturbation": lambda: tfnca.Perturbed(host, Rotating(matrix=symmetric(1))),
        "step": lambda: Delayed(host, symmetric(1)),
    }
    step = made[kind]()
    save_saved_model(step, tmp_path / "export")
    state = tf.constant(random_state(step, SHAPES[0]))
    export = tf.saved_model.load(str(tmp_path / "export")).signatures["step"]
    ours = export(state=state, **numbers(seed=5, index=3))["state"]
    close(ours, step(state, seed=5, index=3))
    plain = tfnca.Perturbed(host, symmetric(1))(state, seed=5, index=3)
    assert np.abs(np.asarray(ours) - plain).max() > 0.01


def test_what_is_not_affine_has_no_strengths():
    with pytest.raises(ValueError, match=r"affine.*Rotating"):
        mix(LAYERS["GrowingCA"](), [Rotating()], ["a"])


def test_a_shift_has_strengths(tmp_path):
    host, vector = LAYERS["GrowingCA"](), np.linspace(-0.2, 0.2, 16)
    step = tfnca.Perturbed(host, tfnca.ShiftPerturbation(vector=vector))
    save_saved_model(step, tmp_path / "export")
    state = tf.constant(random_state(step, SHAPES[0]))
    export = tf.saved_model.load(str(tmp_path / "export")).signatures["step"]
    for k in (1.0, 0.5, 0.0):
        ours = export(state=state, k=tf.constant([k]), **numbers(seed=5, index=3))["state"]
        scaled = tfnca.Perturbed(host, step.perturbation.scaled(k))
        close(ours, scaled(state, seed=5, index=3))


@each
@anywhere
def test_a_rollout_is_the_packages(exported, name, shape):
    step, _, module = exported[name]
    state, mask = tf.constant(random_state(step, shape)), mask_of(step, shape)
    for steps, seed, first in ((4, 5, 0), (2, 6, 100)):
        ours = module.signatures["rollout"](
            state=state,
            **numbers(steps=steps, seed=seed, first_step=first),
            **mask,
            **strengths_of(step),
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
        given |= strengths_of(step)
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
            noise=noises[0] if noises and one else noises,
            **({"mask": draws["mask"]} if "mask" in draws else {}),
        )
        close(results[-1], expected)
    assert np.abs(results[0] - results[1]).max() > 1e-3


@pytest.mark.slow
def test_it_runs_where_only_tensorflow_is(exported, tmp_path):
    expected = {}
    for name, (step, folder, _) in exported.items():
        state, mask = random_state(step, SHAPES[0]), mask_of(step, SHAPES[0])
        np.savez(tmp_path / f"{name}.npz", state=state, **mask, **strengths_of(step))
        (tmp_path / name).symlink_to(folder)
        for seed in (7, 8):
            final = tfnca.rollout(step, state, 3, seed=seed, engine="dense", **mask)
            expected[f"{name} {seed}"] = np.asarray(final)
        assert np.abs(expected[f"{name} 7"] - expected[f"{name} 8"]).max() > 1e-3
    code = f"""
import sys
import numpy as np
import tensorflow as tf
for name in {NAMES}:
    rollout = tf.saved_model.load(name).signatures["rollout"]
    with np.load(name + ".npz") as given:
        given = {{key: tf.constant(value) for key, value in given.items()}}
    for seed in (7, 8):
        state = rollout(
            **given, steps=tf.constant(3), seed=tf.constant(seed, tf.int64),
            first_step=tf.constant(0, tf.int64),
        )["state"]
        np.save(f"{{name}} {{seed}}.npy", state)
assert not any(name.split(".")[0] == "tfnca" for name in sys.modules)
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    for name, state in expected.items():
        close(np.load(tmp_path / f"{name}.npy"), state)


def test_strengths_are_an_input(tmp_path):
    host, state = LAYERS["GrowingCA"](), tf.constant(random_state(LAYERS["GrowingCA"]()))
    pair = [tfnca.MatrixPerturbation(matrix=symmetric(seed)) for seed in (5, 6)]
    save_saved_model(mix(host, pair, ["tail", "leg"]), tmp_path / "pair")
    export = tf.saved_model.load(str(tmp_path / "pair")).signatures["step"]
    draws = numbers(seed=3, index=4)
    for k in ((1.0, 0.0), (0.5, -0.7)):
        matrix = tfnca.combine(zip(pair, k, strict=True))
        expected = tfnca.Perturbed(host, matrix)(state, seed=3, index=4)
        close(export(state=state, k=tf.constant(k), **draws)["state"], expected)


def test_it_says_what_it_is(exported):
    about = json.loads((exported["Perturbed"][1] / EXTRA).read_text())
    assert about["kind"] == "Perturbed"
    assert about["networks"] == ["GrowingCA"]
    assert about["perturbations"] == ["perturbation"]


@pytest.fixture
def models(tmp_path):
    """A host, an adversary and two matrices as files."""
    for name, model in {
        "lizard/model": LAYERS["GrowingCA"](),
        "red/model": shuffled(LAYERS["GrowingCA"](), seed=2),
        "no_tail/model": tfnca.MatrixPerturbation(matrix=symmetric(5)),
    }.items():
        (tmp_path / name).parent.mkdir()
        keras.saving.save_model(model, tmp_path / f"{name}.keras")
    (tmp_path / "red" / "metrics.json").write_text('{"error": 0.01, "lost": NaN}')
    np.save(tmp_path / "leg_sym_t.npy", symmetric(6))
    return tmp_path


def test_files_become_a_step(models):
    host = models / "lizard" / "model.keras"
    step, measures = load_step([host])
    assert (type(step), measures) == (tfnca.GrowingCA, {})
    step, measures = load_step([models / "red" / "model.keras"], host)
    assert (type(step), measures) == (tfnca.Injected, {"red": {"error": 0.01, "lost": None}})
    paths = [models / "no_tail" / "model.keras", models / "leg_sym_t.npy"]
    step, _ = load_step(paths, host)
    assert step.perturbation.names == ["no_tail", "leg"]
    with pytest.raises(ValueError, match="needs its host"):
        load_step(paths)
    with pytest.raises(ValueError, match="must all be perturbations"):
        load_step([host, *paths], host)
    (models / "red" / "config.json").write_text('{"host": "the/host.keras"}')
    with pytest.raises(ValueError, match=r"adversary needs its host .* trained with the/host"):
        load_step([models / "red"])


def test_shipped_exports_follow_the_weights(models):
    adversary, base = models / "red", models / "lizard"
    checksum = weights_sha256(tfnca.load(base))
    for folder in (adversary, models / "no_tail"):
        (folder / "config.json").write_text(json.dumps({"host_sha256": checksum}))
    (base / "config.json").write_text("{}")
    written = set(refresh(models))
    folders = (base, adversary, models / "no_tail")
    assert written == {folder / name for folder in folders for name in EXPORTS}
    assert list(refresh(models)) == []
    keras.saving.save_model(shuffled(LAYERS["GrowingCA"](), seed=3), adversary / "model.keras")
    assert {folder for folder, *_ in stale(models)} == {adversary / name for name in EXPORTS}
    keras.saving.save_model(shuffled(LAYERS["GrowingCA"](), seed=4), base / "model.keras")
    with pytest.raises(ValueError, match="needs its host"):
        list(stale(models))


def test_the_exports_here_are_of_the_weights_beside_them():
    root = Path(__file__).parents[2] / "saved_models"
    assert [str(folder) for folder, *_ in stale(root)] == [], "run: python export/shipped.py"


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


def test_one_of_several_models_is_named(tmp_path):
    keras.saving.save_model(LAYERS["GrowingCA"](), tmp_path / "host.keras")
    (tmp_path / "two").mkdir()
    for seed, name in ((1, "tail"), (2, "leg")):
        np.save(tmp_path / "two" / f"{name}_sym_t.npy", symmetric(seed))
    with pytest.raises(ValueError, match="choose one by its name"):
        load_step([tmp_path / "two"], tmp_path / "host.keras")
    step, _ = load_step([tmp_path / "two"], tmp_path / "host.keras", name="leg")
    assert step.perturbation.names == ["leg"]
    np.testing.assert_array_equal(step.perturbation.perturbations[0].to_array(), symmetric(2))
