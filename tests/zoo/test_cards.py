"""Model cards: what the JSON files say, and nothing that they do not."""

import json
import re
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
import yaml

import tfnca
from tfnca.zoo.cards import card, current_options, refresh_cards, stale_cards
from tfnca.zoo.summary import main_measures, number

ROOT = Path(__file__).parents[2] / "saved_models"
SHIPPED = tfnca.models(ROOT)


def named(model):
    return model.name


def test_no_card_is_stale():
    assert [str(path) for path, _ in stale_cards(ROOT)] == [], "run: make cards"


@pytest.mark.parametrize("model", SHIPPED, ids=named)
def test_the_head_is_what_the_hubs_read(model):
    text = card(model)
    head = yaml.safe_load(text.split("---\n")[1])
    assert (head["license"], head["library_name"]) == ("apache-2.0", "keras")
    assert "neural-cellular-automata" in head["tags"]
    (entry,) = head["model-index"]
    (result,) = entry["results"]
    assert entry["name"] == model.name
    assert result["task"]["type"]
    assert result["dataset"]["name"]
    measured = {metric["name"]: metric["value"] for metric in result["metrics"]}
    assert measured == pytest.approx(model.measures, abs=1e-6)


@pytest.mark.parametrize("model", SHIPPED, ids=named)
def test_a_card_says_command_cost_host_and_numbers(model):
    text = card(model)
    folder = Path(model.path).parent
    config = json.loads((folder / "config.json").read_text())
    metrics = json.loads((folder / "metrics.json").read_text())
    assert current_options(config["command"]) in text
    assert config["device"] in text
    for run in config.get("earlier_runs", []):
        assert current_options(run.get("command", "")) in text
        assert run.get("note", "") in text
    for note in config.get("notes", []):
        assert note in text
    if model.host:
        assert f"`{model.host}`" in text
    body = text.split("---\n", 2)[2]
    for measure in main_measures(metrics):
        if measure.kind != "success_rate":
            assert number(measure.value, measure.kind) in body


@pytest.mark.parametrize(
    "name",
    [
        *("mnist", "mnist_adversary", "growing_lizard"),
        *("growing_adversary_red", "perturbation_red", "invasion_red"),
    ],
)
def test_the_python_of_a_card_runs(name):
    (model,) = [model for model in SHIPPED if model.name == name]
    (source,) = re.findall(r"```python\n(.*?)```", card(model), flags=re.S)
    result = {}
    source = source.replace("cells, 0.01", "cells, 0.5")  # after 4 steps there are few cells
    exec(re.sub("steps=[25]00", "steps=4", source), result)
    last = result["chosen"] if "chosen" in result else result["picture"]
    assert last.shape[1:3] in {(28, 28), (72, 72)}
    if name == "invasion_red":  # the alphas of all species make the picture
        assert result["step"].owners(result["state"]).numpy().max() == 1
        expected = tfnca.to_rgb(result["step"].seen(result["state"]))
        np.testing.assert_array_equal(last, expected)


def test_an_invasion_is_measured_by_its_picture_and_by_the_cells_that_it_has():
    rows = [
        {"step": step, "error": [0.3, 0.1, 0.2], "share": [1.0, 0.5, 0.9]} for step in (120, 500)
    ]
    alone = [{"step": 500, "error": [0.4, 0.4, 0.5], "share": [0.0] * 3}]
    found = main_measures({"invasion": rows, "host_alone": alone})
    assert [(each.kind, each.value) for each in found] == [
        ("mse", 0.2),
        ("fraction", 0.9),
        ("mse", 0.4),
    ]
    assert all("500 steps" in each.name for each in found[:2])
    assert found[2].name == "baseline MSE"


def test_commands_have_the_present_names_of_their_options():
    old = "train.py --still 0.1 --lifted=2 --distill --among host --stillness 3"
    new = "train.py --drift-penalty 0.1 --recovery-items=2 --distill --region host --stillness 3"
    assert current_options(old) == new


def test_a_changed_measure_makes_its_card_and_the_index_stale(tmp_path):
    for name in ("mnist", "perturbation_red", "growing_lizard"):
        shutil.copytree(ROOT / name, tmp_path / name)
    assert {path.parent.name for path in refresh_cards(tmp_path)} == {tmp_path.name}
    metrics = json.loads((tmp_path / "mnist" / "metrics.json").read_text())
    metrics["base"][2]["digit_accuracy"] = 0.125
    (tmp_path / "mnist" / "metrics.json").write_text(json.dumps(metrics))
    written = {str(path.relative_to(tmp_path)) for path in refresh_cards(tmp_path)}
    assert written == {"README.md", "mnist/README.md"}
    assert "0.125" in (tmp_path / "README.md").read_text()
    assert list(refresh_cards(tmp_path)) == []


def test_an_attack_that_does_worse_than_nothing_says_so(tmp_path):
    shutil.copytree(ROOT / "growing_lizard", tmp_path / "growing_lizard")
    shutil.copytree(ROOT / "perturbation_red", tmp_path / "red")
    path = tmp_path / "red" / "metrics.json"
    metrics = json.loads(path.read_text())
    for row in metrics["from_grown"]:
        row["median"] = 1.0 if row["step"] == 5000 else 0.0
    path.write_text(json.dumps(metrics))
    red = tfnca.models(tmp_path)[1]
    assert "At step 5,000 the attack is no closer to its target" in card(red)


def test_a_run_without_extras_has_a_card(tmp_path):
    shutil.copytree(ROOT / "mnist_defended", tmp_path / "mnist_defended")
    path = tmp_path / "mnist_defended" / "config.json"
    config = json.loads(path.read_text())
    extras = ("earlier_runs", "from_step", "machine", "notes")
    path.write_text(json.dumps({key: config[key] for key in config if key not in extras}))
    (plain,) = tfnca.models(tmp_path)
    assert "20,000 steps, 41 minutes" in card(plain)


def test_a_model_without_measures_is_listed_and_has_no_card(tmp_path):
    shutil.copytree(ROOT / "perturbation_red", tmp_path / "red")
    (tmp_path / "red" / "metrics.json").unlink()
    (model,) = tfnca.models(tmp_path)
    assert model.measures == {}
    with pytest.raises(ValueError, match=r"needs metrics\.json .*red"):
        card(model)


def test_a_perturbation_of_another_kind_is_told_by_its_file(tmp_path):
    shutil.copytree(ROOT / "perturbation_red", tmp_path / "shift_red")
    (tmp_path / "shift_red" / "perturbation.npy").unlink()
    keras.saving.save_model(tfnca.ShiftPerturbation(), tmp_path / "shift_red" / "model.keras")
    (model,) = tfnca.models(tmp_path)
    assert (model.kind, model.layer) == ("perturbation", "ShiftPerturbation")
    assert "A vector that is added to the state of every living cell" in card(model)
