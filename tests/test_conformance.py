"""One promise per test, kept by every public layer of the package."""

import doctest
import importlib
import inspect
import pkgutil

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import LAYERS, STEPS, counted, gradients, random_masks, random_state, shuffled

import tfnca
from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.perturbations.matrix import Perturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.step import Step

MODULES = sorted(f"tfnca.{module.name}" for module in pkgutil.iter_modules(tfnca.__path__))
WRAPPERS = [name for name in STEPS if name.startswith(("Injected", "Perturbed"))]
SHAPE = (2, 6, 7)

every_layer = pytest.mark.parametrize("name", LAYERS)


def arguments(layer, shape=SHAPE):
    """Keyword arguments for a call that is the same each time."""
    if isinstance(layer, Perturbation):
        return {}
    return {"seed": 7, "index": 3, **random_masks(layer, shape)}


def call(layer, state):
    return layer(state, **arguments(layer, state.shape[:3]))


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
    assert found - {Step.__name__} == {type(make()).__name__ for make in LAYERS.values()}


@every_layer
def test_config_round_trip(name):
    layer = LAYERS[name]()
    again = type(layer).from_config(layer.get_config())
    assert again.get_config() == layer.get_config()
    parameters = inspect.signature(type(layer).__init__).parameters
    arguments_of_init = set(parameters) - {"self", "kwargs"}
    # A matrix alone is a weight, not configuration.
    optional = {"matrix"} if name == "Perturbation" else set()
    assert arguments_of_init - optional <= set(layer.get_config())
    again.set_weights(layer.get_weights())
    state = random_state(layer, SHAPE)
    np.testing.assert_array_equal(call(again, state), call(layer, state))


@every_layer
def test_keras_file_round_trip(name, tmp_path):
    layer = LAYERS[name]()
    keras.saving.save_model(layer, tmp_path / "layer.keras")
    again = keras.saving.load_model(tmp_path / "layer.keras")
    assert type(again) is type(layer)
    assert again.get_config() == layer.get_config()
    state = random_state(layer, SHAPE)
    assert np.abs(call(layer, state) - state).max() > 0.1
    np.testing.assert_array_equal(call(again, state), call(layer, state))


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
        return layer(state, **arguments(layer) | ({} if mask is None else {"mask": mask}))

    for shape in (SHAPE, (1, 1, 1), (3, 3, 5), (1, 16, 2)):
        state = random_state(layer, shape)
        eager = call(layer, state)
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
    np.testing.assert_array_equal(call(layer, state)[0], call(layer, other)[0])
    assert not np.array_equal(call(layer, state)[1], call(layer, other)[1])


@every_layer
def test_gradients_flow_to_what_is_trained(name):
    layer = LAYERS[name]()
    state = random_state(layer, SHAPE)
    _, of_state, *of_weights = gradients(lambda x: call(layer, x), layer, state, state)
    assert len(of_weights) == len(getattr(layer, "trained", layer).weights) > 0
    assert all(np.abs(gradient).max() > 0 for gradient in [of_state, *of_weights])


@pytest.mark.parametrize("name", WRAPPERS)
def test_training_leaves_the_frozen_host_alone(name):
    step = LAYERS[name]()
    state = random_state(step, SHAPE)
    host, trained = step.host.get_weights(), step.trained.get_weights()
    optimizer = keras.optimizers.Adam(0.01)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(call(step, state) ** 2)
    variables = step.trainable_weights
    optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
    assert len(optimizer.variables) == 2 + 2 * len(step.trained.weights)
    for before, after in zip(host, step.host.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    for before, after in zip(trained, step.trained.get_weights(), strict=True):
        assert not np.array_equal(before, after)


def wrap(name, host):
    """A step round this very host."""
    if name.startswith("Injected"):
        return Injected(host, shuffled(type(host)(), seed=5))
    return Perturbed(host)


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrapping_leaves_the_callers_host_as_it_was(name):
    host = type(LAYERS[name]().host)
    host = LAYERS["Injected"]() if host is Injected else counted(host())
    weights, config = host.get_weights(), host.get_config()
    trainable = [weight.path for weight in host.trainable_weights]
    step = wrap(name, host)
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
    adversary, matrix = GrowingCA(), Perturbation()
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
