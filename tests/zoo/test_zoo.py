"""Models by name, and attacks ready to run."""

import dataclasses
import json
import shutil
import warnings
from pathlib import Path

import keras
import numpy as np
import pytest

import tfnca
from tfnca.automata.identity import model_facts
from tfnca.files import weights_sha256
from tfnca.formats.load import load
from tfnca.formats.names import find, model_files, short_names
from tfnca.zoo.models import HOST_NOT_BUNDLED

ROOT = Path(__file__).parents[2] / "saved_models"
SHIPPED = tfnca.models()
ON_OTHERS = [model for model in SHIPPED if model.host and not model.host_ships]
READY = [model for model in SHIPPED if model.host_ships]


def same(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return type(one) is type(other) and all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.parametrize("model", SHIPPED, ids=lambda model: model.name)
def test_a_name_loads_the_file_that_keras_loads_too(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    by_name = tfnca.load(model.name)
    assert type(by_name).__name__ == model.layer
    if model.short:
        assert same(by_name, tfnca.load(model.short))
    if model.path.endswith(".keras"):
        assert same(by_name, keras.saving.load_model(model.path))
    if model.kind == "perturbation":
        assert same(by_name, tfnca.load_perturbation(model.short or model.name))


def test_the_list_prints_a_table_for_each_kind_and_goes_into_json():
    tables = repr(SHIPPED).split("\n\n")
    assert [table.split("\n")[0] for table in tables] == [
        *("Hosts", "Adversaries", "Perturbations"),
        HOST_NOT_BUNDLED.split("\n")[0],
    ]
    lines = [line for table in tables for line in table.split("\n") if line.startswith("  ")]
    assert len(lines) == len(SHIPPED) == len(model_files(ROOT))
    for line, model in zip(lines, SHIPPED, strict=True):
        assert line.startswith(f"  {model.name} ")
        assert model.line in line
        assert model.measures
    (line,) = [line for line in lines if line.startswith("  perturbation_no_tail ")]
    assert "(no_tail)" in line
    assert line.endswith("on growing_lizard")
    assert {f"on [{model.host}]" in tables[-1] for model in ON_OTHERS} == {True}
    again = json.loads(json.dumps([dataclasses.asdict(model) for model in SHIPPED]))
    assert again[0]["name"] == SHIPPED[0].name
    assert repr(tfnca.models(ROOT / "nothing")) == ""


def test_what_exists_wins_over_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keras.saving.save_model(tfnca.GrowingCA(hidden=8), tmp_path / "model.keras")
    (tmp_path / "model.keras").rename(tmp_path / "mnist")
    assert tfnca.load("mnist").hidden == 8
    (tmp_path / "mnist").unlink()
    assert isinstance(tfnca.load("mnist"), tfnca.MNISTCA)
    (tmp_path / "mnist").mkdir()
    with pytest.raises(ValueError, match="holds no model"):
        tfnca.load("mnist")
    (tmp_path / "no_tail.index").write_bytes(b"")  # a checkpoint's prefix
    assert find("no_tail") == "no_tail"
    assert find("no_tail.data-00000-of-00001") == "no_tail.data-00000-of-00001"


@pytest.mark.parametrize("path", ["nothing", "saved_models/nothing.keras", ""])
def test_where_nothing_is_the_error_lists_the_names(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ValueError, match=r"growing_lizard, .*perturbation_no_tail.*Received: "
    ) as e:
        tfnca.load(path)
    assert repr(path) in str(e.value)


@pytest.mark.parametrize("path", ["x" * 5000, "a\0b"])
def test_what_no_system_takes_is_left_to_load(path):
    assert find(path) == path
    with pytest.raises(ValueError, match="Received: "):
        tfnca.load(path)


def test_a_short_name_means_one_model():
    names = ["growing_red", "perturbation_red", "perturbation_mnist", "mnist", "perturbation_blue"]
    assert short_names(names) == {"blue": "perturbation_blue"}


@pytest.mark.parametrize("model", READY, ids=lambda model: model.name)
def test_an_attack_comes_on_its_host(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        step = tfnca.load_attack(model.short or model.name)
        again = tfnca.load_attack(model.name, host=model.host)
    kinds = {"invasion_red": tfnca.Invasion, "adversary": tfnca.Injected}
    assert isinstance(step, kinds.get(model.name, kinds.get(model.kind, tfnca.Perturbed)))
    assert same(step.host, tfnca.load(model.host))
    assert same(step.trained, tfnca.load(model.name))
    assert same(step, again)


@pytest.mark.parametrize("model", ON_OTHERS, ids=lambda model: model.name)
def test_where_the_host_does_not_ship_it_is_asked_for(model):
    with pytest.raises(ValueError, match=rf"needs host=.*{model.host}.*Received: host=None"):
        tfnca.load_attack(model.name)


def test_another_host_is_attacked_and_said():
    with pytest.warns(UserWarning, match=r"for growing_ca_lizard\.json .*host: growing_lizard\."):
        step = tfnca.load_attack("on_published_lizard/red", host="growing_lizard")
    assert same(step.host, tfnca.load("growing_lizard"))
    with pytest.warns(UserWarning, match="no_tail was trained for growing_lizard .*host: mine"):
        tfnca.load_attack("no_tail", host=tfnca.GrowingCA(name="mine"))


def test_what_cannot_be_attacked_is_refused_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match="host"):
            tfnca.load_attack("no_tail", host="mnist")
        with pytest.raises(ValueError, match=r"takes an adversary or a perturbation.*'lizard'"):
            tfnca.load_attack("lizard")


def test_a_run_of_ones_own_is_an_attack_too(tmp_path):
    shutil.copytree(ROOT / "perturbation_no_tail", tmp_path / "run")
    for path in (tmp_path / "run", tmp_path / "run" / "model.keras"):
        assert same(tfnca.load_attack(path), tfnca.load_attack("no_tail"))
    (tmp_path / "run" / "config.json").unlink()
    with pytest.raises(ValueError, match="does not name"):
        tfnca.load_attack(tmp_path / "run")


def test_a_host_is_found_by_its_weights_whatever_its_folder_is_called(tmp_path):
    shutil.copytree(ROOT / "growing_lizard", tmp_path / "moved")
    shutil.copytree(ROOT / "perturbation_red", tmp_path / "attack")
    hosts = {model.name: (model.host, model.host_ships) for model in tfnca.models(tmp_path)}
    assert hosts == {"moved": (None, False), "attack": ("moved", True)}
    trained_on = json.loads((tmp_path / "attack" / "config.json").read_text())["host_sha256"]
    assert weights_sha256(load(tmp_path / "moved" / "model.keras")) == trained_on


def write_model(folder, model, config=None, metrics=None):
    folder.mkdir(parents=True)
    keras.saving.save_model(model, folder / "model.keras")
    for name, text in (("config.json", config), ("metrics.json", metrics)):
        if text is not None:
            (folder / name).write_bytes(text)


BAD = {
    "no zip": lambda folder: (folder / "model.keras").write_bytes(b"nothing"),
    "no configuration": lambda folder: (folder / "model.keras").write_bytes(b"PK\5\6" + bytes(18)),
    "no matrix": lambda folder: (
        (folder / "model.keras").unlink(),
        (folder / "perturbation.npy").write_bytes(b"nothing"),
    ),
}
ODD = {
    "no settings at all": (None, None),
    "cut": (b"{", b"{"),
    "lists": (b"[]", b"[]"),
    "of other bytes": (b'{"target": "\xe9"}', b"\xff"),
    "an attack that says little": (b'{"host_sha256": "0"}', b'{"attack": []}'),
    "of other types": (b'{"host_sha256": [], "digit": {}}', b'{"base": 1, "from_seed": [{}]}'),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_is_no_model_is_left_out_and_the_others_are_listed(name, tmp_path, caplog):
    write_model(tmp_path / "good", tfnca.GrowingCA(hidden=4))
    write_model(tmp_path / "bad", tfnca.GrowingCA(hidden=4))
    BAD[name](tmp_path / "bad")
    assert [model.name for model in tfnca.models(tmp_path)] == ["good"]
    assert f"{tmp_path / 'bad'}" in caplog.text


@pytest.mark.parametrize(
    "model",
    [tfnca.GrowingCA(hidden=4), tfnca.MNISTCA(hidden=4), tfnca.MatrixPerturbation()],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("name", ODD)
def test_a_model_is_listed_whatever_is_beside_it(name, model, tmp_path):
    write_model(tmp_path / "odd", model, *ODD[name])
    write_model(tmp_path / "good", tfnca.GrowingCA(hidden=4), b'{"target": "lizard"}')
    found = {model.name: model for model in tfnca.models(tmp_path)}
    assert set(found) == {"good", "odd"}
    assert found["good"].line == "grows a lizard from one cell"
    assert str(found["odd"])


@pytest.mark.parametrize("is_known", [True, False])
def test_a_model_of_a_users_own_kind_is_listed(is_known, tmp_path, monkeypatch):
    known = keras.saving.get_custom_objects()
    own = type("Own", (tfnca.GrowingCA,), {})
    monkeypatch.setitem(known, "mine>Own", own)
    keras.saving.register_keras_serializable("mine")(own)
    write_model(tmp_path / "own", own(hidden=4), b'{"target": "lizard"}')
    write_model(
        tmp_path / "attack",
        tfnca.MatrixPerturbation(),
        json.dumps({"target": "no_tail", **model_facts("host", own(hidden=4))}).encode(),
    )
    if not is_known:
        known.pop("mine>Own")
    found = {model.name: model for model in tfnca.models(tmp_path)}
    assert (found["own"].layer, found["own"].line) == ("Own", "a model of the class Own")
    assert found["attack"].kind == "perturbation"


def test_the_host_is_told_by_its_settings_too(tmp_path):
    host = tfnca.GrowingCA(hidden=4, fire_rate=1.0)
    config = {"target": "no_tail", "host": "a.keras", **model_facts("host", host)}
    write_model(tmp_path / "attack", tfnca.MatrixPerturbation(), json.dumps(config).encode())
    other = tfnca.GrowingCA(hidden=4)
    other.set_weights(host.get_weights())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert same(tfnca.load_attack(tmp_path / "attack", host=host).host, host)
    with pytest.warns(UserWarning, match="attacks another host"):
        tfnca.load_attack(tmp_path / "attack", host=other)
    write_model(tmp_path / "other", other)
    write_model(tmp_path / "the host", host)
    (model,) = (model for model in tfnca.models(tmp_path) if model.kind == "perturbation")
    assert model.host == "the host"


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [("tail", "no_tail"), ("no_tial", "no_tail"), ("Mnist", "mnist"), ("lizards", "lizard")],
)
def test_a_name_that_may_have_been_meant_is_named(wanted, meant):
    for find_it in (tfnca.load, tfnca.load_attack):
        with pytest.raises(ValueError, match=f"did you mean '{meant}'.*Received: path='{wanted}'"):
            find_it(wanted)


def test_a_folder_that_hides_a_model_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()
    with pytest.raises(ValueError, match=r"mnist holds no model .* hides .*mnist/model\.keras"):
        tfnca.load("mnist")
