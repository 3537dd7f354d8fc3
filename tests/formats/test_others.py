"""Models of other people's making: the published `CAModel` rebuilt, in whatever file it stands."""

import json
import re
import zipfile

import keras
import numpy as np
import published_formats as formats
import pytest
import tensorflow as tf
from expected import assert_holds
from published_formats import named_tensors, safetensors, torch_tensors, write

import tfnca
from tfnca.formats.load import load
from tfnca.formats.tensors import arrange

SMALL = [formats.growing_tensors(channels=6, hidden=4), formats.mnist_tensors(0, 13, 5)]
SQUARE = [formats.growing_tensors(channels=6, hidden=6), formats.mnist_tensors(0, 13, 12)]
KINDS = pytest.mark.parametrize("tensors", SMALL, ids=["growing", "mnist"])


def read(path, tensors, **options):
    """What a file holds as a CA of the article, which its shapes alone do not say."""
    return load(path, convention="growing" if len(tensors) == 4 else "digits", **options)


class CAModel(keras.Model):
    """As in the published notebooks; the names of the layers are Keras' own."""

    def __init__(self, tensors, name="ca_model"):
        super().__init__(name=name)
        conv = keras.layers.Conv2D
        if len(tensors) == 6:
            first = conv(tensors[1].size, 3, padding="same", activation="relu")
            self.perceive = keras.Sequential([first])
        hidden = conv(tensors[-3].size, 1, activation="relu")
        self.dmodel = keras.Sequential([hidden, conv(tensors[-1].size, 1)])
        self(np.zeros((1, 4, 4, tensors[0].shape[2])))
        self.put(tensors)

    def put(self, tensors):
        parts = [self.perceive, self.dmodel] if len(tensors) == 6 else [self.dmodel]
        variables = [variable for part in parts for variable in part.weights]
        for variable, tensor in zip(variables, tensors, strict=True):
            variable.assign(tensor)

    def call(self, state):
        return self.dmodel(self.perceive(state) if hasattr(self, "perceive") else state)

    def get_config(self):
        return {"fire_rate": 0.5}


def with_optimizer(model):
    """The model with an optimiser that has slots for it."""
    model.compile(optimizer="adam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    for number, slot in enumerate(model.optimizer.variables):
        slot.assign(np.full(slot.shape, number))
    return model


@KINDS
@pytest.mark.parametrize("is_trained", [False, True], ids=["plain", "trained"])
@pytest.mark.parametrize("ending", [".weights.h5", ".h5", ".keras", ".index", " model.index"])
@pytest.mark.filterwarnings("ignore:.*HDF5 file:UserWarning")
def test_keras_3(tmp_path, tensors, is_trained, ending):
    model = CAModel(tensors)
    if is_trained:
        with_optimizer(model)
    path = str(tmp_path / f"model{ending}")
    if ending == ".weights.h5":
        model.save_weights(path)
    elif ending.endswith(".index"):
        tracked = {"optimizer": model.optimizer} if is_trained else {}
        tracked |= {"model": model, "step": tf.Variable(7)} if " " in ending else {}
        path = tf.train.Checkpoint(**tracked or {"root": model}).save(tmp_path / "ckpt")
    else:
        model.save(path)
    assert_holds(read(path, tensors), tensors)


KERAS_2 = {
    # save_weights("x.h5"), save("x.h5"), save_weights("x.weights.h5") of Keras 2, and TensorFlow's
    # checkpoints: the published layout, TensorFlow 2.0's, and below another object.
    "dmodel/dmodel/{layer}/{part}:0": formats.hdf5,
    "model_weights/{layer}/{layer}/{part}:0": formats.hdf5,
    "layers/sequential/layers/{layer}/vars/{part}": formats.hdf5,
    "dmodel/layer-{number}/{part}": None,
    "ca/dmodel/layer_with_weights-{number}/{part}": None,
}


@KINDS
@pytest.mark.parametrize("pattern", KERAS_2)
def test_keras_2(tmp_path, tensors, pattern):
    parts = ("0", "1") if "vars" in pattern else ("kernel", "bias")
    named = named_tensors(tensors, pattern, parts)
    if KERAS_2[pattern]:
        named |= {"optimizer_weights/Adam/iter:0": np.int64(3)}
        named |= {f"optimizer_weights/Adam/m{i}:0": t for i, t in enumerate(tensors)}
        path = write(tmp_path / "ca.h5", formats.hdf5(named, {"keras_version": "2.15.0"}))
    else:
        named = {name + formats.VALUE: array for name, array in named.items()}
        named |= {
            f"{name.removesuffix(formats.VALUE)}/.OPTIMIZER_SLOT/optimizer/m{formats.VALUE}": array
            for name, array in named.items()
        }
        named["optimizer/beta_1" + formats.VALUE] = np.float32(0.9)
        path = formats.write_checkpoint(tmp_path / "ca", named)
    assert_holds(read(path, tensors), tensors)


def test_a_published_zip_of_tensorflow_2_0(tmp_path):
    """As Growing CA zips have it: a checkpoint with `layer-0`, and a graph of the same weights."""
    tensors = SMALL[0]
    named = named_tensors(tensors, "dmodel/layer-{number}/{part}" + formats.VALUE)
    formats.write_checkpoint(tmp_path / "8000", named)
    files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    files["8000.json"] = json.dumps(formats.graph_document(tensors))
    assert_holds(load(formats.write_zip(tmp_path / "lizard.zip", files)), tensors)


NAMES = {
    "keras": ("dmodel.{number}.{part}", ("weight", "bias")),
    "prefixed": ("fc{number}_{part}", ("kernel", "bias")),
    "short": ("{part}{number}", ("w", "b")),
    "get_weights": (None, ()),
}


def any_names(tensors, names):
    pattern, parts = NAMES[names]
    if pattern:
        return named_tensors(tensors, pattern, parts)
    return {f"arr_{number}": tensor for number, tensor in enumerate(tensors)}


@pytest.mark.parametrize("tensors", [*SMALL, *SQUARE], ids=["growing", "mnist", "g=", "m="])
@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("axes", ["keras", "keras flat", "torch", "torch flat"])
def test_any_names_and_axes(tmp_path, tensors, names, axes):
    if "torch" in axes:
        given = torch_tensors(tensors, flat="flat" in axes)
    else:
        given = [t[0, 0] if "flat" in axes and t.shape[:2] == (1, 1) else t for t in tensors]
    ordered = arrange("ca", any_names(given, names))
    for (_, array), tensor in zip(ordered, tensors, strict=True):
        np.testing.assert_array_equal(array, tensor)


@KINDS
@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("ending", ["npz", "safetensors"])
def test_containers(tmp_path, tensors, names, ending):
    named, path = any_names(torch_tensors(tensors), names), tmp_path / f"ca.{ending}"
    if ending == "npz":
        np.savez(path, **named)
    else:
        write(path, safetensors(named, {"format": "pt"}))
    assert_holds(read(path, tensors), tensors)


def test_the_articles_shapes(tmp_path):
    """The kernels that the issue names: (1, 1, 48, 128), (48, 128), (128, 48, 1, 1), (128, 48)."""
    tensors = formats.growing_tensors()
    for number, given in enumerate(
        [
            tensors,
            [t.reshape(t.shape[-2:]) if t.ndim == 4 else t for t in tensors],
            torch_tensors(tensors),
            torch_tensors(tensors, flat=True),
        ]
    ):
        path = tmp_path / f"{number}.npz"
        np.savez(path, *given)
        assert_holds(read(path, tensors), tensors)


@pytest.mark.parametrize("dtype", ["<f2", "<f8"])
def test_other_precisions_become_float32(tmp_path, dtype):
    tensors = [tensor.astype(dtype) for tensor in SMALL[0]]
    np.savez(tmp_path / "ca.npz", *tensors)
    path = write(tmp_path / "ca.safetensors", safetensors(any_names(tensors, "keras")))
    for file in (tmp_path / "ca.npz", path):
        assert_holds(
            read(file, [tensor.astype(np.float32) for tensor in tensors]),
            [tensor.astype(np.float32) for tensor in tensors],
        )


def test_bfloat16(tmp_path):
    tensors = [(t.view(np.uint32) >> 16 << 16).view(np.float32) for t in SMALL[0]]
    halves = [(t.view(np.uint32) >> 16).astype("<u2").view("<f2") for t in tensors]
    data = safetensors(any_names(halves, "keras"))
    length = int.from_bytes(data[:8], "little")
    header = data[8 : 8 + length].replace(b"F16", b"BF16")
    path = tmp_path / "ca.safetensors"
    path.write_bytes(formats.safetensors_of(json.loads(header), data[8 + length :]))
    assert_holds(read(path, tensors), tensors)


def test_counters_beside_the_weights_are_left_aside(tmp_path):
    named = any_names(SMALL[0], "keras") | {"step": np.int64(3), "optimizer/m": SMALL[0][0]}
    np.savez(tmp_path / "ca.npz", **named)
    assert_holds(read(tmp_path / "ca.npz", SMALL[0]), SMALL[0])


def test_a_torch_layer_without_bias_has_one_of_zeros(tmp_path):
    for tensors in (SMALL[0], SQUARE[0]):
        named = any_names(torch_tensors(tensors), "keras")
        del named["dmodel.1.bias"]
        path = write(tmp_path / "ca.safetensors", safetensors(named))
        assert_holds(
            read(path, [*tensors[:3], np.zeros(6, np.float32)]),
            [*tensors[:3], np.zeros(6, np.float32)],
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda named: named.pop("dmodel.1.weight"), "left over dmodel.0.bias"),
        (lambda named: named.pop("dmodel.1.bias"), "each layer's bias"),
        (lambda named: named.update(more=np.zeros(6, "f4")), r"left over .*more \(6,\)"),
        (lambda named: named.update({"a.weight": np.zeros((18, 4), "f4")}), "left over"),
        (lambda named: named.update({"dmodel.0.bias": np.zeros(5, "f4")}), r"\(5,\)"),
        (lambda named: named.update({"dmodel.0.bias": np.zeros(4, "i4")}), "floating-point"),
        (lambda named: named.update({"dmodel.0.bias": np.full(4, np.nan)}), "finite"),
        (lambda named: named.update({"dmodel.0.bias": np.full(4, 1e300)}), "finite"),
        (lambda named: named.update({"dmodel.0.weight": np.zeros((17, 4))}), r"\(17, 4\)"),
    ],
)
def test_what_is_no_ca_is_refused(tmp_path, change, message):
    named = any_names(SMALL[0], "keras")
    change(named)
    np.savez(tmp_path / "ca.npz", **named)
    with pytest.raises(ValueError, match=f"ca.npz.*{message}"):
        load(tmp_path / "ca.npz", convention="growing")
    with pytest.raises(ValueError, match=r"ca.npz"):
        load(tmp_path / "ca.npz")


def test_biases_go_by_name_before_they_go_by_rank():
    first, _, second, _ = SQUARE[0]
    named = {"z.weight": first, "z.bias": np.ones(6), "a.weight": second, "a.bias": np.zeros(6)}
    assert [name for name, _ in arrange("x", named)] == ["z.weight", "z.bias", "a.weight", "a.bias"]


# --- Row order --------------------------------------------------------------------------------


def kernel_major_step(state, tensors):
    """A port's step without death: the state and its two gradients side by side."""
    sobel = np.outer([1, 2, 1], [-1, 0, 1]) / 8
    padded = np.pad(state, ((1, 1), (1, 1), (0, 0)))
    gradients = [
        sum(
            kernel[i, j] * padded[i : i + state.shape[0], j : j + state.shape[1]]
            for i in range(3)
            for j in range(3)
        )
        for kernel in (sobel, sobel.T)
    ]
    perceived = np.concatenate([state, *gradients], -1)
    hidden = np.maximum(perceived @ tensors[0][0, 0] + tensors[1], 0)
    return state + hidden @ tensors[2][0, 0] + tensors[3]


def test_row_order(tmp_path):
    """A port with kernel-major rows does here what it does there."""
    tensors = SMALL[0]
    path = tmp_path / "port.npz"
    np.savez(path, *formats.kernel_major(tensors))
    step = load(path, convention="filter-major")
    assert_holds(step, tensors)
    assert not np.array_equal(read(path, tensors).get_weights()[0], step.get_weights()[0])

    state = np.random.default_rng(0).uniform(0.2, 1, (5, 5, 6)).astype(np.float32)
    expected = kernel_major_step(state, formats.kernel_major(tensors))
    alive = np.ones((1, 5, 5, 1))
    result = np.asarray(step(state[None], fire_mask=alive))[0]
    living = tf.nn.max_pool2d(expected[None, ..., 3:4], 3, 1, "SAME")[0] > 0.1
    np.testing.assert_allclose(result, expected * np.asarray(living), atol=1e-5)


@pytest.mark.parametrize("write_one", ["checkpoint", "graph", "safetensors", "h5"])
def test_row_order_of_every_format_that_leaves_it_open(tmp_path, write_one):
    given = formats.kernel_major(SMALL[0])
    if write_one == "checkpoint":
        path = formats.write_checkpoint(tmp_path / "ca", formats.checkpoint_keys(given))
    elif write_one == "graph":
        path = write(tmp_path / "ca.json", formats.graph_document(given))
    else:
        to_bytes = {"safetensors": safetensors, "h5": formats.hdf5}[write_one]
        path = write(tmp_path / f"ca.{write_one}", to_bytes(any_names(given, "keras")))
    assert_holds(load(path, convention="filter-major"), SMALL[0])


def test_formats_that_say_their_row_order_do_not_ask(tmp_path):
    document, tensors = formats.webgl_document(channels=6, hidden=4)
    path = write(tmp_path / "webgl.json", document)
    step = load(path, convention="filter-major")
    assert_holds(step, tensors)
    keras.saving.save_model(step, tmp_path / "ours.keras")
    assert_holds(load(tmp_path / "ours.keras", convention="filter-major"), tensors)


def test_row_order_is_another_word_for_two_conventions(tmp_path):
    np.savez(tmp_path / "ca.npz", *formats.kernel_major(SMALL[0]))
    with pytest.warns(DeprecationWarning, match="convention='filter-major'"):
        assert_holds(load(tmp_path / "ca.npz", row_order="kernel"), SMALL[0])
    with pytest.raises(ValueError, match=r"row_order must be one of .*'channel', 'kernel'.*'rows'"):
        load(tmp_path / "ca.npz", row_order="rows")


# --- Which rule -------------------------------------------------------------------------------


def test_shapes_alone_do_not_say_the_rule(tmp_path):
    """All conventions that fit are named, and what each of them makes differs."""
    np.savez(tmp_path / "ca.npz", *SMALL[0])
    with pytest.raises(ValueError, match=r"ca.npz fits several rules") as caught:
        load(tmp_path / "ca.npz")
    named = re.findall(r"convention='([\w-]+)'", str(caught.value))
    assert {"growing", "filter-major", "transposed", "takeover"} <= set(named)
    state = tfnca.seed_state(6, 1, 6)
    state[:, 0, 2] = np.linspace(0.2, 0.7, 6)  # a neighbour across a border
    everywhere = np.ones((1, 6, 6, 1))
    after = [
        np.asarray(load(tmp_path / "ca.npz", convention=name)(state, seed=0, fire_mask=everywhere))
        for name in named
    ]
    for number, one in enumerate(after):
        assert not any(np.array_equal(one, other) for other in after[:number])


def test_digits_are_of_one_rule(tmp_path):
    np.savez(tmp_path / "ca.npz", *SMALL[1])
    assert_holds(load(tmp_path / "ca.npz"), SMALL[1])


@pytest.mark.parametrize("convention", ["growing", "takeover", "texture", "med-nca"])
def test_a_convention_that_does_not_fit(tmp_path, convention):
    np.savez(tmp_path / "ca.npz", *SMALL[1])
    with pytest.raises(ValueError, match=f"ca.npz does not have the layers of {convention}"):
        load(tmp_path / "ca.npz", convention=convention)


def test_a_rule_in_place_of_a_name(tmp_path):
    np.savez(tmp_path / "ca.npz", *SMALL[0])
    rule = tfnca.NeuralCA(6, ("identity", "gauss", "mean"), hidden=4, padding="reflect")
    ca = load(tmp_path / "ca.npz", rule=rule)
    assert ca is not rule
    assert ca.rule == rule.rule
    for weight, tensor in zip(ca.get_weights(), SMALL[0], strict=True):
        np.testing.assert_array_equal(weight, tensor.reshape(weight.shape))
    with pytest.raises(ValueError, match=r"does not have the layers of rule=.*the rule's"):
        load(tmp_path / "ca.npz", rule=tfnca.NeuralCA(6, hidden=5))


@pytest.mark.parametrize(
    "options", [{"convention": "lizard"}, {"rule": "growing"}, {"rule": 1, "convention": "growing"}]
)
def test_what_is_neither_a_convention_nor_a_rule(tmp_path, options):
    np.savez(tmp_path / "ca.npz", *SMALL[0])
    with pytest.raises(ValueError, match="must be"):
        load(tmp_path / "ca.npz", **options)


# --- What is never run ------------------------------------------------------------------------


def test_a_pickle_is_never_unpickled(tmp_path):
    """Neither the old form nor the zip; the three lines that turn it into another are there."""
    (tmp_path / "old.pth").write_bytes(b"\x80\x02cos\nsystem\n.")
    formats.write_zip(tmp_path / "ca.pt", {"ca/data.pkl": b"\x80\x02cos\nsystem\n."})
    formats.write_zip(tmp_path / "renamed.bin", {"archive/data.pkl": b"\x80\x02cos\nsystem\n."})
    with pytest.raises(ValueError, match=r"old.pth.*not a pickle by PyTorch"):
        load(tmp_path / "old.pth")
    for name in ("ca.pt", "renamed.bin"):
        with pytest.raises(ValueError, match=f"{name}.* the name os.system") as caught:
            load(tmp_path / name)
        lines = str(caught.value).split("loads: ")[1].split(". Received")[0].split("; ")
        assert len(lines) == 3
        compile("\n".join(lines), "lines", "exec")
        assert f"torch.load('{name}', weights_only=False)" in lines[1]
        assert f"'{name.split('.')[0]}_state.pt'" in lines[2]


def test_code_in_a_keras_file_of_others_is_not_run(tmp_path):
    model = CAModel(SMALL[0])
    model.save(tmp_path / "ca.keras")
    with zipfile.ZipFile(tmp_path / "ca.keras") as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(parts["config.json"])
    config |= {"module": "os", "class_name": "getcwd", "registered_name": None}
    config["config"] = {"module": "builtins", "class_name": "eval", "config": "1/0"}
    parts["config.json"] = json.dumps(config)
    formats.write_zip(tmp_path / "ca.keras", parts)
    assert_holds(read(tmp_path / "ca.keras", SMALL[0]), SMALL[0])


class Turned(tfnca.GrowingCA):
    """A subclass that is registered with no package, or with another."""


def test_an_unknown_subclass_is_not_replaced_by_its_base(tmp_path):
    keras.saving.save_model(Turned(channels=6, hidden=4), tmp_path / "turned.keras")
    with pytest.raises(ValueError, match=r"the class Turned of .*test_others is not registered"):
        load(tmp_path / "turned.keras")
