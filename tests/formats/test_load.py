"""Which model is taken from a zip or a folder, and what is said of the others."""

import io
import json
import os
import zipfile

import keras
import numpy as np
import published_formats as formats
import pytest
from conftest import ROOT
from expected import GROWING, MNIST, assert_holds
from published_formats import npy, write, write_zip

import tfnca
from tfnca.automata.perturbations import KINDS, StatePerturbation
from tfnca.automata.perturbations.shift import ShiftPerturbation
from tfnca.formats import archive, build, readers
from tfnca.formats.load import load, load_perturbation
from tfnca.jobs.run import make_optimizer


@pytest.fixture
def several(tmp_path):
    """Two models, each as checkpoint and graph, and two matrices; as a folder and as a zip."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name, seed in (("no_tail_model", 0), ("red_model", 1)):
        tensors = formats.growing_tensors(seed)
        formats.write_checkpoint(folder / name, formats.checkpoint_keys(tensors))
        write(folder / f"{name}.json", formats.graph_document(tensors))
    for seed, name in enumerate(("tail", "arm")):
        np.save(folder / f"{name}_sym_t.npy", formats.symmetric_matrix(seed))
    write(folder / "metrics.json", {"loss": 0.1})
    files = {f"inner/{file.name}": file.read_bytes() for file in folder.iterdir()}
    files["__MACOSX/inner/._red_model.index"] = b"\0\5\x16\7"
    return folder, write_zip(tmp_path / "models.zip", files)


@pytest.mark.parametrize("number", [0, 1], ids=["folder", "zip"])
def test_several_models_need_a_name(several, number):
    path = several[number]
    with pytest.raises(ValueError, match=r"several models.*arm.*no_tail_model.*red_model.*tail"):
        load(path)
    with pytest.raises(ValueError, match=r"no model called 'blue'.*no_tail_model, red_model"):
        load(path, name="blue")
    for name in ("red_model", "red_model.json", "red_model.index"):
        assert_holds(load(path, name=name), formats.growing_tensors(1))
    for name in ("tail", "tail_sym_t", "tail_sym_t.npy"):
        for read in (load, load_perturbation):
            np.testing.assert_array_equal(read(path, name=name).matrix, formats.symmetric_matrix(0))
    with pytest.raises(ValueError, match=r"several perturbations.*arm.*tail"):
        load_perturbation(path)
    with pytest.raises(ValueError, match=r"no perturbation called 'red_model'"):
        load_perturbation(path, name="red_model")


def test_one_model_twice_is_one_model(tmp_path):
    formats.write_checkpoint(tmp_path / "saved_model", formats.checkpoint_keys(MNIST))
    files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    files["saved_model.json"] = json.dumps(formats.graph_document(MNIST))
    path = write_zip(tmp_path / "model.zip", files)
    assert_holds(load(path), MNIST)
    files["saved_model.json"] = json.dumps(formats.graph_document(formats.mnist_tensors(1)))
    for name in (None, "saved_model"):
        with pytest.raises(ValueError, match="several models"):
            load(write_zip(tmp_path / "differ.zip", files), name=name)


def test_models_in_a_zip_that_is_not_compressed(tmp_path):
    for name in ("red", "blue"):
        keras.saving.save_model(tfnca.MatrixPerturbation(), tmp_path / f"{name}.keras")
    archive = tmp_path / "stored.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as stored:
        for name in ("red", "blue"):
            stored.write(tmp_path / f"{name}.keras", f"{name}.keras")
    assert isinstance(tfnca.load(archive, name="red"), tfnca.MatrixPerturbation)


def test_a_saved_perturbation_is_one_model(tmp_path):
    """What a job leaves: `.keras`, whose lower triangle means nothing, and `.npy`."""
    model = tfnca.MatrixPerturbation(matrix=formats.symmetric_matrix())
    model.variable.assign(np.triu(model.variable))
    keras.saving.save_model(model, tmp_path / "model.keras")
    np.save(tmp_path / "perturbation.npy", model.matrix)
    write(tmp_path / "config.json", {"steps": 8000})
    for read in (load, load_perturbation):
        np.testing.assert_array_equal(read(tmp_path).matrix, formats.symmetric_matrix())


def test_no_files_are_left_behind(tmp_path, monkeypatch):
    """Nothing is unpacked next to the file, and temporary files go."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    os.mkdir(tmp_path / "temporary")
    keras.saving.save_model(tfnca.MatrixPerturbation(), tmp_path / "model.keras")
    formats.write_checkpoint(tmp_path / "model", formats.checkpoint_keys(GROWING))
    before = sorted(tmp_path.rglob("*"))
    load(tmp_path / "model.keras")
    load(tmp_path / "model")
    assert sorted(tmp_path.rglob("*")) == before


# --- What cannot be read ----------------------------------------------------------------------


def spoil(path):
    path.write_bytes(path.read_bytes()[:-40])


@pytest.mark.parametrize("as_zip", [False, True], ids=["folder", "zip"])
def test_a_broken_file_does_not_hide_another(tmp_path, caplog, as_zip):
    """The same model as checkpoint and as graph; the checkpoint is cut, then the graph too."""
    folder = tmp_path / "models"
    folder.mkdir()
    formats.write_checkpoint(folder / "lizard", formats.checkpoint_keys(GROWING))
    graph = write(folder / "lizard.json", formats.graph_document(GROWING))

    def path():
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
        return write_zip(tmp_path / "models.zip", files) if as_zip else folder

    assert_holds(load(path()), GROWING)
    assert not caplog.records
    spoil(folder / "lizard.index")
    for name in (None, "lizard"):
        caplog.clear()
        assert_holds(load(path(), name=name), GROWING)
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert "passed over" in record.getMessage()
        assert "lizard.index is not a readable TF2 checkpoint" in record.getMessage()
    with pytest.raises(ValueError, match=r"called 'blue'.*lizard; passed over: .*lizard.index"):
        load(path(), name="blue")
    with pytest.raises(ValueError, match=r"lizard.index is not a readable TF2 checkpoint"):
        load(path(), name="lizard.index")
    spoil(graph)
    with pytest.raises(ValueError, match=r"lizard.index is not .*; also .*lizard.json is not"):
        load(path())


def test_the_bias_of_a_loose_layer_is_not_taken_for_a_vector(tmp_path):
    """A layer's kernel and bias as two files: only the bias has the shape of a perturbation."""
    np.save(tmp_path / "kernel.npy", np.ones((128, 16), np.float32))
    np.save(tmp_path / "bias.npy", np.ones(16, np.float32))
    with pytest.raises(ValueError, match=r"bias.npy, which may be .* by its name. .*kernel.npy"):
        load(tmp_path)
    assert type(load(tmp_path, name="bias")) is tfnca.ShiftPerturbation


def test_a_file_that_cannot_be_opened_does_not_hide_another(tmp_path, monkeypatch, caplog):
    np.save(tmp_path / "tail.npy", formats.symmetric_matrix())
    write(tmp_path / "secret.npy", b"x")

    def refuse(path, mode):
        if path.name == "secret.npy":
            raise PermissionError(13, "Permission denied")
        return io.FileIO(path, mode)

    monkeypatch.setattr(archive, "open", refuse, raising=False)
    assert isinstance(load(tmp_path), tfnca.MatrixPerturbation)
    assert "secret.npy is not a readable file. Received: PermissionError" in caplog.text


def test_a_pickle_beside_a_model_is_passed_over(tmp_path, caplog):
    (tmp_path / "old.pth").write_bytes(b"\x80\x02.")
    np.save(tmp_path / "tail.npy", formats.symmetric_matrix())
    assert isinstance(load(tmp_path), tfnca.MatrixPerturbation)
    assert "old.pth is not a readable PyTorch state dict" in caplog.text


def test_what_a_job_leaves_loads_without_a_word(tmp_path, caplog):
    """An optimiser's arrays beside the model are no model, and nothing to warn of."""
    step = tfnca.GrowingCA(channels=6, hidden=4)
    keras.saving.save_model(step, tmp_path / "model.keras")
    arrays = {
        f"adam/{weight.path}_momentum": np.asarray(weight) for weight in step.trainable_variables
    }
    np.savez(tmp_path / "optimizer.npz", **arrays)
    write(tmp_path / "config.json", {"steps": 3})
    assert isinstance(load(tmp_path), tfnca.GrowingCA)
    assert not caplog.records
    with pytest.raises(ValueError, match="no model in a format"):
        load(tmp_path / "optimizer.npz")


@pytest.mark.parametrize("change", ["longer", "shorter", "newer", "older"])
def test_a_file_that_changes_while_it_is_read(tmp_path, monkeypatch, change):
    path = tmp_path / "tail.npy"
    data = npy(formats.symmetric_matrix())
    path.write_bytes(data)

    class Reading(io.FileIO):
        def read(self, size=-1):
            if change == "longer":
                path.write_bytes(data + data)
            elif change == "shorter":
                os.truncate(path, 300)
            read = super().read(size)
            if change in ("newer", "older"):
                path.write_bytes(data[:-1] + b"?")
                os.utime(path, ns=(0, 0) if change == "older" else (0, 2**61))
            return read

    monkeypatch.setattr(archive, "open", lambda name, mode: Reading(name, mode), raising=False)
    with pytest.raises(ValueError, match=r"tail.npy must not change while it is read. Received"):
        load(path)


def test_a_reader_that_fails_in_any_way_is_a_value_error(tmp_path, monkeypatch):
    path = write(tmp_path / "a.npy", npy(np.eye(3)))
    fails = readers.Reader(lambda source: {}["nothing"], lambda name, data: True, priority=9)
    monkeypatch.setattr("tfnca.formats.load.READERS", [fails])
    with pytest.raises(ValueError, match=r"a.npy cannot be read\. Received: KeyError: 'nothing'"):
        load(path)


@pytest.mark.parametrize("path", [None, 8, ["a"]])
def test_a_path_that_is_none(path):
    with pytest.raises(ValueError, match=r"path must be a string or a path\. Received"):
        load(path)


def test_a_path_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "tail.npy", formats.symmetric_matrix())
    assert load_perturbation("~/tail.npy").channels == 16
    with pytest.raises(ValueError, match="path must be a file"):
        load("~nobody-of-this-name/tail.npy")


# --- Matrices and vectors ---------------------------------------------------------------------


@pytest.mark.parametrize("channels", [16, 6])
def test_an_array_is_of_the_kind_that_its_axes_say(tmp_path, channels):
    matrix = np.eye(channels) + 0.25
    vector = np.linspace(-1, 1, channels)
    np.save(tmp_path / "matrix.npy", matrix)
    np.save(tmp_path / "vector.npy", vector)
    for read in (load, load_perturbation):
        loaded = read(tmp_path / "matrix.npy")
        assert type(loaded) is tfnca.MatrixPerturbation
        np.testing.assert_array_equal(loaded.to_array(), matrix.astype(np.float32))
        loaded = read(tmp_path / "vector.npy")
        assert type(loaded) is ShiftPerturbation
        np.testing.assert_array_equal(loaded.to_array(), vector.astype(np.float32))


def test_a_saved_shift_is_one_model(tmp_path):
    shift = ShiftPerturbation(6, np.arange(6))
    keras.saving.save_model(shift, tmp_path / "model.keras")
    np.save(tmp_path / "perturbation.npy", shift.to_array())
    np.testing.assert_array_equal(load_perturbation(tmp_path).to_array(), np.arange(6))


@pytest.fixture
def kinds(monkeypatch):
    """The package's own two kinds, to which a test may add others."""
    own = {name: KINDS[name] for name in ("matrix", "shift")}
    monkeypatch.setattr(build, "KINDS", own)
    return own


class Row(tfnca.MatrixPerturbation):
    """A kind whose array has two axes, as a matrix has."""

    @classmethod
    def from_array(cls, array, name="array"):
        return cls(array.shape[1]) if array.shape[0] == 1 else None


def test_a_further_kind_of_perturbation_may_have_an_array_of_two_axes(tmp_path, kinds):
    kinds["row"] = Row
    np.save(tmp_path / "row.npy", np.ones((1, 16), np.float32))
    np.save(tmp_path / "wrong.npy", np.ones((2, 16), np.float32))
    assert type(tfnca.load(tmp_path / "row.npy")) is Row
    with pytest.raises(ValueError, match=r"numbers of shape \(2, 2\).*\(2, 16\)"):
        tfnca.load(tmp_path / "wrong.npy")


@pytest.mark.parametrize("name", ["a", "z"])
def test_two_kinds_that_take_one_array_are_refused(tmp_path, kinds, name):
    kinds[name] = type("Copy", (ShiftPerturbation,), {})
    np.save(tmp_path / "vector.npy", np.ones(16, np.float32))
    with pytest.raises(ValueError, match=rf"several kinds.*\(16,\), taken by .*{name}"):
        tfnca.load(tmp_path / "vector.npy")


def test_a_kind_that_reads_no_array_hinders_no_other(tmp_path, kinds):
    kinds["a"] = type("Mute", (StatePerturbation,), {})
    np.save(tmp_path / "vector.npy", np.ones(16, np.float32))
    assert type(tfnca.load(tmp_path / "vector.npy")) is ShiftPerturbation


def test_what_our_own_optimiser_leaves_is_no_model(tmp_path, caplog):
    write(tmp_path / "lizard.json", formats.graph_document(GROWING))
    optimizer = make_optimizer("whitened", 1e-3, ema=0.9)
    optimizer.build(tfnca.MatrixPerturbation().trainable_variables)
    arrays = {each.path: np.asarray(each) for each in optimizer.variables}
    np.savez(tmp_path / "optimizer.npz", **arrays)
    assert_holds(load(tmp_path), GROWING)
    assert not caplog.records


@pytest.mark.parametrize("file", ["model.keras", "tfjs/model.json"])
def test_a_rule_for_a_file_that_says_its_own_is_refused(file):
    path = ROOT / "saved_models/growing_lizard" / file
    rule = tfnca.NeuralCA(padding="circular", alive=tfnca.Alpha())
    for said in ({"convention": "takeover"}, {"rule": rule}):
        with pytest.raises(ValueError, match="says by which rule it was trained: leave out"):
            tfnca.load(path, **said)
    # Its rows have our order, whatever the caller names.
    for ours, other in zip(
        tfnca.load(path).get_weights(),
        tfnca.load(path, convention="filter-major").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize("file", ["folder/saved_model.pb", "model.tflite"])
def test_a_format_that_is_only_written_is_refused_as_such(tmp_path, file):
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_bytes(b"\x08\x01")
    where = tmp_path / file if file.endswith(".tflite") else (tmp_path / file).parent
    with pytest.raises(ValueError, match=r"only written: load what was exported\. Received: "):
        load(where)
