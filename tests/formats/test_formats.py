"""Every format loads exactly: one file of each, made here."""

import json

import keras
import numpy as np
import published_formats as formats
import pytest
import tensorflow as tf
from expected import GROWING, KINDS, MNIST, assert_holds
from published_formats import write
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import tfnca
from tfnca.formats.load import load, load_perturbation


@KINDS
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("ending", ["", ".index"])
def test_checkpoint(tmp_path, tensors, shards, ending):
    formats.write_checkpoint(tmp_path / "no_tail_model", formats.checkpoint_keys(tensors), shards)
    assert len(list(tmp_path.glob("*.data-*"))) == shards
    assert_holds(load(f"{tmp_path}/no_tail_model{ending}"), tensors)


def test_checkpoint_with_what_training_leaves_beside_the_weights(tmp_path):
    named = formats.checkpoint_keys(GROWING)
    kernel = "dmodel/layer_with_weights-0/kernel"
    named |= {
        "save_counter" + formats.VALUE: np.int64(3),
        "optimizer/iter" + formats.VALUE: np.int64(8000),
        "_CHECKPOINTABLE_OBJECT_GRAPH": b"graph",
        f"{kernel}/.OPTIMIZER_SLOT/optimizer/m{formats.VALUE}": GROWING[0],
    }
    assert_holds(load(formats.write_checkpoint(tmp_path / "a [1] model", named)), GROWING)


@KINDS
@pytest.mark.parametrize("seed", [None, 0, 1, 2])
def test_graph(tmp_path, tensors, seed):
    """Told by shape and use: names and order of the nodes do not matter."""
    assert_holds(load(write(tmp_path / "model", formats.graph_document(tensors, seed))), tensors)


def test_graph_with_a_splat(tmp_path):
    tensors = [*MNIST[:3], np.full(80, 0.25, np.float32), *MNIST[4:]]
    document = formats.graph_document(tensors, seed=3)
    content = formats.encode(tensors[3])
    for node in formats.weight_nodes(document):
        tensor = node["attr"]["value"]["tensor"]
        if tensor["tensorContent"] == content:
            del tensor["tensorContent"]
            tensor["floatVal"] = [0.25]
    assert content not in json.dumps(document)
    assert_holds(load(write(tmp_path / "model.json", document)), tensors)


@KINDS
def test_graph_of_our_own_layers(tmp_path, tensors):
    step = load(write(tmp_path / "published.json", formats.graph_document(tensors)))
    spec = tf.TensorSpec((None, 8, 8, step.channels))
    concrete = tf.function(step).get_concrete_function(spec)
    document = formats.graph_of(convert_variables_to_constants_v2(concrete))
    assert_holds(load(write(tmp_path / "ours.json", document)), tensors)


def test_mnist_demo(tmp_path):
    adversary = formats.mnist_tensors(1)
    path = write(tmp_path / "data.js", formats.mnist_demo(MNIST, adversary))
    step = load(path)
    assert isinstance(step, tfnca.Injected)
    assert not step.host.trainable
    assert_holds(step.host, MNIST)
    assert_holds(step.adversary, adversary)
    assert_holds(load(path, name="host"), MNIST)
    assert_holds(load(path, name="adversary"), adversary)


def test_growing_demo(tmp_path):
    matrices = [formats.symmetric_matrix(seed) for seed in range(6)]
    path = write(tmp_path / "gca_data.js", formats.growing_demo(GROWING, matrices))
    assert_holds(load(path), GROWING)
    for name, matrix in zip(formats.MATRICES, matrices, strict=True):
        np.testing.assert_array_equal(load_perturbation(path, name=name).matrix, matrix)
    with pytest.raises(ValueError, match=r"several perturbations.*arm.*tail"):
        load_perturbation(path)


def clipped(values, low, high):
    return tf.maximum(tf.minimum(values, high), low)


@pytest.mark.parametrize(
    ("clip", "bound"),
    [
        (lambda x: tf.clip_by_value(x, -1.5, 1.5), 1.5),
        (lambda x: clipped(x, -0.5, 0.5), 0.5),
        (lambda x: clipped(x, -0.5, 1.0), None),
        (lambda x: tf.minimum(x, 1.0), None),
    ],
)
def test_a_graph_that_clips_what_it_reads(tmp_path, clip, bound):
    published = formats.graph_document(formats.mnist_tensors())
    step = load(write(tmp_path / "published.json", published))
    spec = tf.TensorSpec((None, 8, 8, step.channels))
    step._read = lambda rule, state, *_: clip(state)
    concrete = tf.function(lambda state: step(state)).get_concrete_function(spec)
    document = formats.graph_of(convert_variables_to_constants_v2(concrete))
    path = write(tmp_path / "ours.json", document)
    if bound is None:
        with pytest.raises(ValueError, match="clipped at"):
            load(path)
    else:
        assert load(path).message_bound == bound


def test_webgl(tmp_path):
    document, tensors = formats.webgl_document()
    assert_holds(load(write(tmp_path / "lizard.json", document)), tensors)


@pytest.mark.parametrize(
    "make",
    [
        lambda: tfnca.GrowingCA(fire_rate=1.0, angle=0.5, hidden=32),
        lambda: tfnca.MNISTCA(noise_std=0.0, message_bound=1.5),
        lambda: tfnca.Injected(tfnca.MNISTCA(), tfnca.MNISTCA(hidden=40)),
        lambda: tfnca.Perturbed(tfnca.GrowingCA(), formats.symmetric_matrix()),
        lambda: tfnca.MatrixPerturbation(matrix=formats.symmetric_matrix()),
    ],
    ids=["GrowingCA", "MNISTCA", "Injected", "Perturbed", "MatrixPerturbation"],
)
def test_keras_file(tmp_path, make):
    model = make()
    for number, variable in enumerate(model.variables):
        variable.assign(np.random.default_rng(number).normal(size=variable.shape))
    keras.saving.save_model(model, tmp_path / "model.keras")
    again = load(tmp_path / "model.keras")
    assert type(again) is type(model)
    assert again.get_config() == model.get_config()
    assert all(map(np.array_equal, again.get_weights(), model.get_weights()))


@pytest.mark.parametrize("kind", ["growing", "mnist"])
def test_sizes_come_from_the_shapes(tmp_path, kind):
    make = formats.growing_tensors if kind == "growing" else formats.mnist_tensors
    tensors = make(channels=18, hidden=33)
    formats.write_checkpoint(tmp_path / "model", formats.checkpoint_keys(tensors))
    write(tmp_path / "model.json", formats.graph_document(tensors))
    for path in (tmp_path / "model", tmp_path / "model.json", tmp_path):
        step = load(path)
        assert_holds(step, tensors)
        assert (step.channels, step.hidden, step.fire_rate) == (18, 33, 0.5)
