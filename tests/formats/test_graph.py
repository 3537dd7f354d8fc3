"""Graph models whose weights stand in shards: TensorFlow.js' and our own."""

import json
import os
import warnings

import keras
import numpy as np
import published_formats as formats
import pytest
from expected import KINDS, assert_holds
from published_formats import write, write_zip

import tfnca
from tfnca.automata.perturbations.shift import ShiftPerturbation
from tfnca.export.portable import save_portable
from tfnca.export.signatures import mix
from tfnca.export.tfjs import save_tfjs
from tfnca.formats.load import load, load_perturbation

SMALL = formats.growing_tensors(channels=6, hidden=4)


def write_shards(folder, document, **kwargs):
    """``model.json`` and its shards."""
    folder.mkdir(exist_ok=True)
    for name, data in formats.shards(document, **kwargs).items():
        write(folder / name, data)
    return write(folder / "model.json", document)


@KINDS
@pytest.mark.parametrize("sizes", [(1,), (1, 2, 3)], ids=["one", "three"])
def test_shards(tmp_path, tensors, sizes):
    """By the file, by its folder, and in a zip; a weight may lie across two shards."""
    path = write_shards(tmp_path / "tfjs", formats.graph_document(tensors, seed=1), sizes=sizes)
    files = {f"lizard/{file.name}": file.read_bytes() for file in path.parent.iterdir()}
    zipped = write_zip(tmp_path / "model.zip", files)
    for where in (path, path.parent, zipped):
        assert_holds(load(where), tensors)
    assert_holds(load(zipped, name="model"), tensors)


@pytest.mark.parametrize(("dtype", "error"), [("float16", 3e-4), ("uint8", 3e-3), ("uint16", 1e-5)])
def test_quantized_shards(tmp_path, dtype, error):
    path = write_shards(tmp_path / "tfjs", formats.graph_document(SMALL), quantize=dtype)
    for got, tensor in zip(load(path).weights_in_order, SMALL, strict=True):
        exact = tensor.ndim == 1
        np.testing.assert_allclose(
            got, tensor.reshape(got.shape), rtol=0, atol=0 if exact else error
        )


def test_shards_in_a_folder_below(tmp_path):
    document = formats.graph_document(SMALL)
    shards = formats.shards(document)
    (tmp_path / "weights").mkdir()
    document["weightsManifest"][0]["paths"] = [f"weights/{name}" for name in shards]
    for name, data in shards.items():
        write(tmp_path / "weights" / name, data)
    assert_holds(load(write(tmp_path / "model.json", document)), SMALL)


def _paths(*paths):
    return lambda group, folder: group.update(paths=list(paths))


def _first(**changes):
    return lambda group, folder: group["weights"][0].update(changes)


def _linked(group, folder):
    shard = folder / group["paths"][0]
    shard.rename(folder.parent / "elsewhere.bin")
    shard.symlink_to(folder.parent / "elsewhere.bin")


def _cut(group, folder):
    shard = folder / group["paths"][0]
    shard.write_bytes(shard.read_bytes()[:-1])


def _longer(group, folder):
    shard = folder / group["paths"][0]
    shard.write_bytes(shard.read_bytes() + b"1234")


def _nan(group, folder):
    shard = folder / group["paths"][0]
    shard.write_bytes(b"\xff" * 4 + shard.read_bytes()[4:])


SHARD = "group1-shard1of1.bin"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_paths("missing.bin"), "needs the file 'missing.bin' next to it"),
        (_paths("../elsewhere.bin"), r"below its own folder. Received: '../elsewhere.bin'"),
        (_paths("a/../../elsewhere.bin"), "below its own folder"),
        (_paths("..\\elsewhere.bin"), "below its own folder"),
        (_paths("/etc/hostname"), "below its own folder"),
        (_paths(7), "below its own folder"),
        (_linked, "below its own folder"),
        (_paths(SHARD, SHARD), "each shard once"),
        (_paths(), "must end at byte"),
        (_cut, "must end at byte"),
        (_longer, "must hold 492 bytes. Received: 496"),
        (_nan, "must be finite"),
        (lambda group, folder: group["weights"].append(group["weights"][0]), "there twice"),
        (lambda group, folder: group["weights"].pop(), "must hold"),
        (_first(name="nowhere"), "constant of the graph. Received: nowhere"),
        (_first(dtype="int32"), "must be float32. Received: int32"),
        (_first(dtype="string"), "type string"),
        (_first(shape=[-18, -4]), "shape"),
        (_first(shape=[1, 1, 18.0, 4]), "shape"),
        (_first(shape=[2**40, 2**40]), "must end at byte"),
        (_first(shape=[1, 1, 4, 18]), r"must have shape \(1, 1, 18, 4\)"),
        (_first(quantization={"dtype": "int3"}), "stored as int3"),
        (_first(quantization={"dtype": "uint8", "min": "a", "scale": 1}), "manifest|byte|Received"),
        (lambda group, folder: group.pop("paths"), "manifest of weights"),
    ],
)
def test_broken_shards(tmp_path, change, message):
    document = formats.graph_document(SMALL)
    path = write_shards(tmp_path / "tfjs", document)
    (tmp_path / "elsewhere.bin").write_bytes((path.parent / SHARD).read_bytes())
    change(document["weightsManifest"][0], path.parent)
    write(path, document)
    with pytest.raises(ValueError, match=message) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_huge_shard_is_not_read(tmp_path):
    path = write_shards(tmp_path / "tfjs", formats.graph_document(SMALL))
    os.truncate(path.parent / SHARD, 2**28 + 1)  # sparse: it takes no room
    with pytest.raises(ValueError, match="at most 1000 parts and 268435456 bytes"):
        load(path)


def test_a_constant_without_values_is_refused(tmp_path):
    document = formats.graph_document(SMALL)
    formats.shards(document)
    document["weightsManifest"] = []
    with pytest.raises(ValueError, match=r"must hold float32 values.*0 values"):
        load(write(tmp_path / "model.json", document))


# --- Our own exports --------------------------------------------------------------------------


def filled(step, seed=0):
    random = np.random.default_rng(seed)
    for variable in step.weights:
        variable.assign(random.normal(scale=0.1, size=variable.shape))
    return step


GROWING = {"channels": 6, "hidden": 4}
MNIST = {"channels": 13, "hidden": 5}
OURS = {
    "GrowingCA": lambda: filled(tfnca.GrowingCA(**GROWING, fire_rate=0.7)),
    "turned": lambda: filled(tfnca.GrowingCA(**GROWING, angle=-0.4, step_size=0.5)),
    "untrained": lambda: tfnca.GrowingCA(**GROWING),
    "untrained MNISTCA": lambda: tfnca.MNISTCA(message_bound=0.5, **MNIST),
    "MNISTCA": lambda: filled(tfnca.MNISTCA(**MNIST, noise_std=0.125)),
    "Injected": lambda: tfnca.Injected(
        filled(tfnca.GrowingCA(**GROWING)), filled(tfnca.GrowingCA(**GROWING, fire_rate=0.25), 1)
    ),
    "Injected MNISTCA": lambda: tfnca.Injected(
        filled(tfnca.MNISTCA(**MNIST)), filled(tfnca.MNISTCA(**MNIST), 1)
    ),
}
DESCRIBED = {
    "Verified": lambda: tfnca.Verified(
        filled(tfnca.MNISTCA(**MNIST)), filled(tfnca.MNISTCA(**MNIST), 1), 4.0, "clip"
    ),
    "Invasion": lambda: tfnca.Invasion(
        filled(tfnca.GrowingCA(**GROWING, angle=-0.4)), filled(tfnca.GrowingCA(**GROWING), 1)
    ),
    "two that spread": lambda: tfnca.Invasion(
        filled(tfnca.GrowingCA(**GROWING)),
        [filled(tfnca.GrowingCA(**GROWING, fire_rate=0.1 * seed), seed) for seed in (1, 2)],
    ),
}
"""Attacks whose kind shows in the metadata alone."""


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("quantize", [None, "float16"])
def test_our_own_export(tmp_path, name, quantize):
    step = OURS[name]()
    save_tfjs(step, tmp_path / "tfjs", quantize)
    again = load(tmp_path / "tfjs")
    assert type(again) is type(step)
    for weight, expected in zip(again.get_weights(), step.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=0, atol=5e-4 if quantize else 0)
    for network, expected in zip(again.networks, step.networks, strict=True):
        config, wanted = network.get_config(), expected.get_config()
        for key in {"fire_rate", "noise_std", "step_size", "angle", "message_bound"} & set(config):
            assert config[key] == pytest.approx(wanted[key]), key
    if name == "Injected":
        assert load(tmp_path / "tfjs", name="adversary").fire_rate == 0.25


@pytest.mark.parametrize("name", DESCRIBED)
@pytest.mark.parametrize("ending", ["", ".onnx"])
def test_our_own_export_of_a_step_that_only_its_metadata_describe(tmp_path, name, ending):
    step, path = DESCRIBED[name](), tmp_path / f"export{ending}"
    if ending:
        pytest.importorskip("tf2onnx")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras' exporter
            save_portable(step, path)
    else:
        save_tfjs(step, path)
    again = load(path)
    assert_same_configuration(again, step)
    for weight, expected in zip(again.get_weights(), step.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)
    assert_holds(load(path, name="host"), step.host.get_weights())


@pytest.mark.parametrize("untrained", [False, True])
@pytest.mark.parametrize("name", ["Verified", "NeuralCA"])
def test_our_own_export_of_a_perturbed_step_keeps_its_kind(tmp_path, name, untrained):
    rule = {"channels": 13, "hidden": 5, "filters": ("identity", "gauss"), "padding": "circular"}
    host = DESCRIBED[name]() if name in DESCRIBED else filled(tfnca.NeuralCA(**rule))
    matrix = np.eye(13) if untrained else formats.symmetric_matrix(size=13)
    save_tfjs(tfnca.Perturbed(host, tfnca.MatrixPerturbation(13, matrix)), tmp_path / "tfjs")
    again = load(tmp_path / "tfjs")
    assert isinstance(again, tfnca.Perturbed)
    assert_same_configuration(again.host, host)
    np.testing.assert_allclose(again.perturbation.matrix, matrix, atol=1e-6)


def assert_same_configuration(again, step):
    assert type(again) is type(step)
    for name in ("channels", "tolerance", "mode"):
        assert getattr(again, name, None) == getattr(step, name, None)
    for network, expected in zip(again.networks, step.networks, strict=True):
        assert network.rule == expected.rule


def test_our_own_export_of_an_attack(tmp_path):
    host = filled(tfnca.GrowingCA(channels=16, hidden=4))
    matrices = [
        tfnca.MatrixPerturbation(matrix=formats.symmetric_matrix(seed)) for seed in range(2)
    ]
    save_tfjs(tfnca.Perturbed(host, matrices[0]), tmp_path / "one")
    step = load(tmp_path / "one")
    assert isinstance(step, tfnca.Perturbed)
    np.testing.assert_allclose(step.perturbation.matrix, matrices[0].matrix, atol=1e-6)
    np.testing.assert_array_equal(step.host.get_weights()[0], host.get_weights()[0])
    save_tfjs(mix(host, matrices, ["tail", "red"]), tmp_path / "two")
    assert isinstance(load(tmp_path / "two"), tfnca.GrowingCA)
    found = load_perturbation(tmp_path / "two", name="red")
    np.testing.assert_allclose(found.matrix, matrices[1].matrix, atol=1e-6)


def test_our_own_export_of_an_attack_on_an_injection(tmp_path):
    cas = [filled(tfnca.GrowingCA(channels=16, hidden=4), seed) for seed in range(2)]
    step = tfnca.Perturbed(tfnca.Injected(*cas), formats.symmetric_matrix())
    save_tfjs(step, tmp_path / "tfjs")
    again = load(tmp_path / "tfjs")
    assert isinstance(again.host, tfnca.Injected)
    for network, ca in zip(again.networks, cas, strict=True):
        assert_holds(network, ca.get_weights())
    np.testing.assert_allclose(again.perturbation.matrix, step.perturbation.matrix, atol=1e-6)


def test_our_own_export_of_a_shift(tmp_path):
    host = filled(tfnca.GrowingCA(channels=16, hidden=4))
    shift = ShiftPerturbation(vector=np.linspace(-0.2, 0.2, 16))
    save_tfjs(tfnca.Perturbed(host, shift), tmp_path / "tfjs")
    step = load(tmp_path / "tfjs")
    assert isinstance(step, tfnca.Perturbed)
    assert isinstance(step.perturbation, ShiftPerturbation)
    np.testing.assert_array_equal(step.perturbation.to_array(), shift.to_array())


def test_an_export_of_another_step_is_not_replaced_by_its_base(tmp_path):
    @keras.saving.register_keras_serializable("tests")
    class Halved(tfnca.GrowingCA):
        def call(self, state, mask=None, seed=0, index=0, fire_mask=None, noise=None, network=0):
            return 0.5 * super().call(state, mask, seed, index, fire_mask, noise, network)

    step = filled(Halved(channels=16, hidden=4))
    for number, each in enumerate((step, tfnca.Perturbed(step, formats.symmetric_matrix()))):
        save_tfjs(each, tmp_path / f"{number}")
        with pytest.raises(ValueError, match=r"what it says .*'Halved'.*Received: .*'GrowingCA'"):
            load(tmp_path / f"{number}")


def test_a_perception_that_is_not_sobels_is_refused(tmp_path):
    save_tfjs(OURS["GrowingCA"](), tmp_path / "tfjs")
    path = tmp_path / "tfjs/model.json"
    manifest = json.loads(path.read_text())["weightsManifest"][0]["weights"]
    begin = 0
    for weight in manifest:
        if weight["shape"] == [3, 3, 6, 3]:
            break
        begin += 4 * int(np.prod(weight["shape"]))
    data = bytearray((tmp_path / "tfjs/weights.bin").read_bytes())
    data[begin : begin + 4] = np.float32(0.5).tobytes()
    (tmp_path / "tfjs/weights.bin").write_bytes(bytes(data))
    with pytest.raises(ValueError, match="must perceive by Sobel's kernels"):
        load(path)
