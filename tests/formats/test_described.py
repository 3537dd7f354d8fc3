"""Exports that say their rule: what they say is checked before a model is built of it."""

import copy
import json
import math
import zipfile

import numpy as np
import onnx
import pytest
from test_goldens import FOLDER

import tfnca

MODELS = {"rule_model.json.zip": "rule/model.json", "rule.onnx.zip": "rule.onnx"}


def description(path):
    if path.suffix == ".json":
        return json.loads(path.read_text())["userDefinedMetadata"]
    return json.loads(onnx.load(path).metadata_props[0].value)


def describe(path, about):
    if path.suffix == ".json":
        path.write_text(json.dumps(json.loads(path.read_text()) | {"userDefinedMetadata": about}))
    else:
        model = onnx.load(path)
        model.metadata_props[0].value = about if isinstance(about, str) else json.dumps(about)
        onnx.save(model, path)


@pytest.fixture(params=MODELS)
def path(request, tmp_path):
    with zipfile.ZipFile(FOLDER / request.param) as archive:
        archive.extractall(tmp_path)
    return tmp_path / MODELS[request.param]


def test_it_has_the_rule(path):
    rule = tfnca.load(path).rule
    assert (rule.padding, rule.inputs, rule.state_clip, rule.fire_rate) == ("circular", 1, 2, 0.75)
    assert rule.alive == tfnca.Alpha()
    assert rule.learned.multiplier == 2
    assert rule.filters[1] == ((0, 1, 0), (1, -4, 1), (0, 1, 0))


def test_it_takes_no_other(path):
    with pytest.raises(ValueError, match="says by which rule it was trained"):
        tfnca.load(path, convention="takeover")


def set_rule(**settings):
    return lambda about: about["rules"][0].update(settings)


def set_weight(number, name):
    return lambda about: about["weights"][0].__setitem__(number, name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_rule(padding="spiral"), "padding must be one of"),
        (set_rule(hidden=[4, 4096, 4096]), "no more than the 239 weights it has, found 16814284"),
        (set_rule(hidden=[4]), r"must be float32 of shape \(4, 5\)"),
        (set_rule(hidden=[3, 3]), r"must be float32 of shape \(24, 3\)"),
        (set_rule(channels=4), "must be float32 of shape"),
        (set_rule(fire_rate=-1.0), "fire_rate must be"),
        (set_rule(filters=["identity", "sobel_x"]), "each tensor must be used"),
        (set_rule(filters=[[[[0]]]]), "filter"),
        (set_rule(dtype="float64"), "needs the settings"),
        (lambda about: about["rules"][0].pop("padding"), "needs the settings"),
        (lambda about: about["rules"].append(about["rules"][0]), "zip"),
        (lambda about: about.update(networks=["Dense"]), "must be one of .*, not 'Dense'"),
        (lambda about: about.update(networks=[["NeuralCA"]]), "not a readable description"),
        (lambda about: about.update(kind="Injected"), "must hold what it says"),
        (lambda about: about.update(rules=None), "not a readable description"),
        (set_weight(0, "elsewhere"), "elsewhere"),
        (set_weight(0, None), "None must be float32|weights it has"),
        (lambda about: about["weights"][0].append(None), "argument"),
        (lambda about: about.update(networks=[], rules=[], weights=[]), "0 networks"),
    ],
)
def test_what_is_wrong_is_refused(path, change, message):
    about = copy.deepcopy(description(path))
    change(about)
    describe(path, about)
    with pytest.raises(ValueError, match=message) as error:
        tfnca.load(path)
    assert "\n" not in str(error.value)


def test_weights_must_be_finite(path):
    infinite, last = np.float32(np.inf).tobytes(), description(path)["weights"][0][-1]
    if path.suffix == ".json":
        (group,) = json.loads(path.read_text())["weightsManifest"]
        sizes = [(entry["name"], 4 * math.prod(entry["shape"])) for entry in group["weights"]]
        end = next(i for i, (name, _) in enumerate(sizes, 1) if name == last)
        end = sum(size for _, size in sizes[:end])
        data = bytearray((path.parent / "weights.bin").read_bytes())
        data[end - 4 : end] = infinite
        (path.parent / "weights.bin").write_bytes(data)
    else:
        model = onnx.load(path)
        (tensor,) = (each for each in model.graph.initializer if each.name == last)
        tensor.raw_data = tensor.raw_data[:-4] + infinite
        onnx.save(model, path)
    with pytest.raises(ValueError, match="must be finite"):
        tfnca.load(path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"kind": NaN}'])
def test_a_description_that_is_none_is_refused(tmp_path, text):
    with zipfile.ZipFile(FOLDER / "rule.onnx.zip") as archive:
        archive.extractall(tmp_path)
    describe(tmp_path / "rule.onnx", text)
    with pytest.raises(ValueError, match="Received"):
        tfnca.load(tmp_path / "rule.onnx")
