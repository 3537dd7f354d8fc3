"""One promise per test, kept by every public layer of the package."""

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import gradients
from descriptors import LAYERS, WRAPPERS, counted, random_masks, random_state

import tfnca
from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.perturbations import KINDS, StatePerturbation
from tfnca.automata.perturbations.matrix import MatrixPerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.state import living_mask
from tfnca.automata.step import CellularAutomaton, Step
from tfnca.export.signatures import Mixture

MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(tfnca.__path__, "tfnca.")
    if not module.name.endswith("__main__")
)
SHAPE = (2, 6, 7)

every_layer = pytest.mark.parametrize("name", LAYERS)


def test_every_public_layer_is_here():
    found = {
        value.__name__
        for module in map(importlib.import_module, MODULES)
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, keras.layers.Layer)
        and not issubclass(value, keras.Model)
        and value.__module__ in MODULES
        and not value.__name__.startswith("_")
    }
    interfaces = {Step, CellularAutomaton, StatePerturbation, Mixture}
    described = {type(make()).__name__ for make in LAYERS.values()}
    assert found - {each.__name__ for each in interfaces} == described


def test_every_kind_of_perturbation_is_here_bare_and_at_work():
    layers = [make() for make in LAYERS.values()]
    bare = {layer.kind for layer in layers if isinstance(layer, StatePerturbation)}
    at_work = {layer.perturbation.kind for layer in layers if isinstance(layer, Perturbed)}
    assert bare == at_work == set(KINDS)


def nothing(state):
    return np.where(living_mask(state), np.clip(state, -3, 3), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_perturbation_changes_nothing(kind):
    """Training begins there."""
    layer = KINDS[kind](16)
    state = 2 * random_state(layer, SHAPE)
    np.testing.assert_allclose(layer(state), nothing(state), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_strength_of_a_perturbation(kind):
    layer = next(make() for make in LAYERS.values() if getattr(make(), "kind", "") == kind)
    state = random_state(layer, SHAPE)
    assert np.abs(layer(state) - nothing(state)).max() > 0.01
    np.testing.assert_allclose(layer.scaled(0.0)(state), nothing(state), atol=1e-6)
    for same in (layer.scaled(1.0), tfnca.combine([(layer, 0.25), (layer, 0.75)])):
        np.testing.assert_allclose(same(state), layer(state), atol=1e-5)


@pytest.fixture
def kinds(monkeypatch):
    for name in ("tfnca.automata.perturbations.base.KINDS", "test_conformance.KINDS"):
        monkeypatch.setattr(name, dict(KINDS))


def a_kind(name, kind, **parts):
    methods = {"meaning": "m", "to_array": 0, "from_array": 0, "combined": 0}
    return type(name, (StatePerturbation,), {"kind": kind, **methods, **parts})


@pytest.mark.parametrize(("name", "kind"), [("Mine", "shift"), ("ShiftPerturbation", "mine")])
def test_a_kind_does_not_take_the_place_of_another(name, kind, kinds):
    with pytest.raises(TypeError, match=rf"of its own. Received: '{kind}', {name}, and 'shift'"):
        a_kind(name, kind)


def test_a_kind_lacks_no_part(kinds):
    with pytest.raises(TypeError, match=r"needs meaning, .* Missing: \['to_array', 'combined'\]"):
        type("Mine", (StatePerturbation,), {"kind": "mine", "meaning": "m", "from_array": 0})


@every_layer
def test_config_round_trip(name):
    layer = LAYERS[name]()
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    parameters = inspect.signature(type(layer).__init__).parameters
    arguments_of_init = set(parameters) - {"self", "kwargs"}
    assert arguments_of_init - set(LAYERS[name].weights_alone) <= set(layer.get_config())
    again.set_weights(layer.get_weights())
    state = random_state(layer, SHAPE)
    np.testing.assert_array_equal(LAYERS[name].call(again, state), LAYERS[name].call(layer, state))


@every_layer
def test_keras_file_round_trip(name, tmp_path):
    layer = LAYERS[name]()
    keras.saving.save_model(layer, tmp_path / "layer.keras")
    again = keras.saving.load_model(tmp_path / "layer.keras")
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    state = random_state(layer, SHAPE)
    assert np.abs(LAYERS[name].call(layer, state) - state).max() > 0.1
    np.testing.assert_array_equal(LAYERS[name].call(again, state), LAYERS[name].call(layer, state))


@every_layer
def test_what_is_trained_survives_the_round_trips(name, tmp_path):
    layer = LAYERS[name]()
    keras.saving.save_model(layer, tmp_path / "layer.keras")
    trained = [weight.path for weight in getattr(layer, "trained", layer).weights]
    for again in (
        layer,
        type(layer).from_config(layer.get_config()),
        keras.saving.load_model(tmp_path / "layer.keras"),
    ):
        assert [weight.path for weight in again.trainable_weights] == trained


@every_layer
def test_a_graph_equals_eager_on_any_shape(name):
    layer = LAYERS[name]()
    mask = [tf.TensorSpec([None, None, None])] * len(random_masks(layer, SHAPE))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, layer.channels]), *mask])
    def graph(state, mask=None):
        return layer(
            state, **LAYERS[name].arguments(layer, SHAPE) | ({} if mask is None else {"mask": mask})
        )

    for shape in (SHAPE, (1, 1, 1), (3, 3, 5), (1, 16, 2)):
        state = random_state(layer, shape)
        eager = LAYERS[name].call(layer, state)
        np.testing.assert_allclose(
            graph(state, *random_masks(layer, shape).values()), eager, atol=2e-6
        )
        assert eager.shape == state.shape
        if state.size > 100:
            assert np.abs(eager - state).max() > 0.1


@every_layer
def test_batch_items_do_not_see_each_other(name):
    layer = LAYERS[name]()
    state = random_state(layer, SHAPE)
    other = state.copy()
    other[1] = random_state(layer, SHAPE, seed=1)[1]
    np.testing.assert_array_equal(
        LAYERS[name].call(layer, state)[0], LAYERS[name].call(layer, other)[0]
    )
    assert not np.array_equal(
        LAYERS[name].call(layer, state)[1], LAYERS[name].call(layer, other)[1]
    )


@every_layer
def test_gradients_flow_to_what_is_trained(name):
    layer = LAYERS[name]()
    state = random_state(layer, SHAPE)
    _, of_state, *of_weights = gradients(lambda x: LAYERS[name].call(layer, x), layer, state, state)
    assert len(of_weights) == len(getattr(layer, "trained", layer).weights) > 0
    assert all(np.abs(gradient).max() > 0 for gradient in [of_state, *of_weights])


@pytest.mark.parametrize("name", WRAPPERS)
def test_training_leaves_the_frozen_host_alone(name):
    step = LAYERS[name]()
    state = random_state(step, SHAPE)
    host, trained = step.host.get_weights(), step.trained.get_weights()
    optimizer = keras.optimizers.Adam(0.01)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(LAYERS[name].call(step, state) ** 2)
    variables = step.trainable_weights
    optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
    assert len(optimizer.variables) == 2 + 2 * len(step.trained.weights)
    for before, after in zip(host, step.host.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, after in zip(trained, step.trained.get_weights(), strict=True):
        assert not np.array_equal(before, after)


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapping_leaves_the_callers_host_as_it_was(name):
    host = type(LAYERS[name]().host)
    host = LAYERS["Injected"]() if host is Injected else counted(host())
    weights, config = host.get_weights(), host.get_config()
    trainable = [weight.path for weight in host.trainable_weights]
    step = LAYERS[name].wrap(host)
    assert step.host.trainable is False
    assert step.host.trainable_weights == []
    assert not any(weight.trainable for weight in step.host.weights)
    for copy, original in zip(step.host.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(copy, original)
    for weight in step.host.weights:
        weight.assign(weight + 1)
    assert host.trainable
    assert [weight.path for weight in host.trainable_weights] == trainable
    assert host.get_config() == config
    for before, after in zip(weights, host.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_an_adversary_and_a_matrix_are_trained_in_place():
    adversary, matrix = GrowingCA(), MatrixPerturbation()
    assert Injected(GrowingCA(), adversary).trained is adversary
    assert Perturbed(GrowingCA(), matrix).trained is matrix
    assert adversary.trainable
    assert matrix.trainable


@pytest.mark.parametrize("module", MODULES)
def test_docstring_examples_run(module):
    result = doctest.testmod(importlib.import_module(module))
    assert result.failed == 0


@every_layer
def test_every_layer_shows_an_example(name):
    assert ">>>" in type(LAYERS[name]()).__doc__


GOLDENS = Path(__file__).parent / "goldens" / "layers"


@every_layer
def test_todays_file_loads_for_ever(name, tmp_path):
    """Files are never made anew: `python tests/goldens/make.py` adds those that are missing."""
    golden = GOLDENS / name.replace(" ", "_").lower()
    layer = keras.saving.load_model(golden.with_suffix(".keras"))
    with np.load(golden.with_suffix(".npz")) as arrays:
        state, following = arrays["state"], arrays["following"]
    np.testing.assert_allclose(LAYERS[name].call(layer, state), following, atol=2e-6)
    assert np.abs(following - state).max() > 0.01
    ours = LAYERS[name]()
    assert type(layer) is type(ours)
    for stored, made in zip(layer.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(stored, made)


@every_layer
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16", "float64"])
def test_every_policy_computes_nearly_the_same(name, policy):
    layer = LAYERS[name]()
    state = random_state(layer, SHAPE)
    expected = LAYERS[name].call(layer, state)
    before = keras.config.dtype_policy()
    try:
        keras.config.set_dtype_policy(policy)
        other = LAYERS[name]()
        again = type(layer).from_config(layer.get_config())  # has a policy of its own
        again.set_weights(layer.get_weights())
        found = LAYERS[name].call(other, state)
        np.testing.assert_array_equal(LAYERS[name].call(again, state), expected)
    finally:
        keras.config.set_dtype_policy(before)
    assert found.dtype == "float32"
    assert np.abs(found - expected).max() < (1e-5 if policy == "float64" else 0.05)
    assert np.abs(found - state).max() > 0.05


SETTINGS = {
    "another backend": (
        "import keras; keras.backend.backend = lambda: 'jax'; import tfnca",
        "KERAS_BACKEND=tensorflow before the import. Received: KERAS_BACKEND=jax",
    ),
    "channels first": (
        "import keras; keras.config.set_image_data_format('channels_first'); import tfnca; "
        "state = tfnca.digit_state(tfnca.load_digits('test', count=1).images); "
        "print(tfnca.rollout(tfnca.load('mnist'), state, 2, engine='dense').shape)",
        "(1, 28, 28, 20)",
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_of_keras_are_borne_or_named(name):
    code, expected = SETTINGS[name]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert expected in done.stdout + done.stderr
