"""How each model that ships is made: the recipes, and the script that runs them."""

import importlib
import json
import os
import runpy
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import keras
import pytest

import tfnca
from tfnca.files import weights_sha256
from tfnca.jobs.options import flag
from tfnca.zoo.recipes import RECIPES, Recipe

ROOT = Path(__file__).parents[2]
SHIPPED = tfnca.models(ROOT / "saved_models")


def config(model):
    return json.loads((Path(model.path).parent / "config.json").read_text())


def test_a_model_comes_after_those_that_it_is_made_from():
    seen = set()
    for name, recipe in RECIPES.items():
        assert set(recipe.needs) <= seen, name
        seen.add(name)


def test_each_model_that_ships_has_a_recipe_and_the_other_way_round():
    shipped = {model.name for model in SHIPPED if "/" not in model.name}
    assert {name for name, recipe in RECIPES.items() if recipe.ships} == shipped


@pytest.mark.parametrize(
    "model", [model for model in SHIPPED if "sha256" in config(model)], ids=lambda model: model.name
)
def test_the_checksum_on_a_card_is_that_of_its_weights(model):
    assert config(model)["sha256"] == weights_sha256(tfnca.load(model.path))


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_gives_options_that_its_script_has(name):
    recipe = RECIPES[name]
    options = importlib.import_module(f"tfnca.jobs.options.{Path(recipe.script).stem}").Config
    words = recipe.words("out/x", lambda needed: f"{needed}.keras", "IDX")
    assert words[0] == recipe.script
    known = {flag(field) for field in options.__dataclass_fields__}
    assert {word for word in words if word.startswith("--")} <= known
    assert not [word for word in words if "{" in word]


@pytest.fixture
def models(tmp_path, monkeypatch):
    """`train/models.py` with a few recipes, and a stand-in for what they run."""
    recipes = {
        "host": Recipe("train/growing.py", "--steps 3", 1),
        "step_on_the_way": Recipe("train/perturbation.py", "--host {host}", 1, ships=False),
        "attack": Recipe("train/perturbation.py", "--host {host} --target no_tail", 1),
        "other_host": Recipe("train/growing.py", "--steps 4", 1),
        "digits": Recipe("train/mnist.py", "--data-dir {data}", 1),
    }
    monkeypatch.setattr("tfnca.zoo.recipes.RECIPES", recipes)
    script = runpy.run_path(str(ROOT / "train/models.py"))
    here = script["main"].__globals__
    here["ROOT"], here["SHIPPED"] = tmp_path, tmp_path / "saved_models"
    runs, clock = [], iter(range(1, 100))

    def run(words, cwd, env, **log):
        assert {env[name] for name in here["THREADS"]} == {"1"}
        if log:
            log["stdout"].write("a training's progress")
            if words[2] == "--steps":  # hosts
                meeting.wait(timeout=20)  # until both are running
        runs.append(words[1:])
        folder = Path(words[words.index("--out") + 1])
        folder.mkdir(parents=True, exist_ok=True)
        if fail := folder.name in failing:
            (folder / "snapshot.bin").touch()
            (folder / "config.json").write_text("{}")  # a script says its command at its end
        else:
            keras.saving.save_model(tfnca.GrowingCA(), folder / "model.keras")
            (folder / "config.json").write_text(
                json.dumps({"command": "python " + " ".join(words[1:])})
            )
            (folder / "metrics.json").write_text("{}")
        (folder / "history.csv").write_text("step\n")
        now = next(clock)
        for file in folder.iterdir():
            os.utime(file, (now, now))
        return SimpleNamespace(returncode=int(fail))

    failing, meeting = set(), threading.Barrier(2)
    monkeypatch.setattr("subprocess.run", run)

    def start(*words):
        monkeypatch.setattr(sys, "argv", ["models.py", *words, "--folder", str(tmp_path / "out")])
        runs.clear()
        here["main"]()
        return [(Path(words[words.index("--out") + 1]).name, words[-1]) for words in runs]

    return SimpleNamespace(start=start, failing=failing, folder=tmp_path, runs=runs)


def names(runs):
    return [name for name, _ in runs]


def test_makes_what_is_asked_for_and_nothing_twice(models):
    assert names(models.start("--only", "attack", "host")) == ["host", "attack"]
    assert models.start("--only", "attack", "host") == []
    (models.folder / "out/host/config.json").write_text('{"command": "python another"}')
    # The recipe has changed: the host is made anew, and so is what is made from it.
    assert names(models.start("--only", "attack", "host")) == ["host", "attack"]


def test_goes_on_from_a_snapshot(models):
    models.failing.add("host")
    with pytest.raises(SystemExit):
        models.start("--only", "host")
    models.failing.clear()
    assert models.start("--only", "host") == [("host", "--resume")]
    assert models.start("--only", "host") == []


def test_makes_several_at_once_and_each_after_those_it_needs(models):
    made = names(models.start("--only", "host", "other_host", "attack", "--jobs", "2"))
    assert sorted(made[:2]) == ["host", "other_host"]  # which the stand-in lets run together only
    assert made[2:] == ["attack"]
    assert (models.folder / "out/attack.log").read_text() == "a training's progress"


def test_what_needs_a_failed_model_is_not_made(models):
    models.failing.add("host")
    with pytest.raises(SystemExit, match=r"host failed: see .*host\.log"):
        models.start("--only", "host", "other_host", "attack", "--jobs", "2")
    assert sorted(names([(Path(w[-1]).name, "") for w in models.runs])) == ["host", "other_host"]


def test_ships_the_command_and_the_checksum(models):
    models.start("--only", "host", "step_on_the_way", "attack")
    models.start("--only", "host", "step_on_the_way", "attack", "--ship")
    shipped = models.folder / "saved_models"
    assert sorted(path.name for path in shipped.iterdir()) == ["attack", "host"]
    settings = json.loads((shipped / "host/config.json").read_text())
    assert settings["command"].startswith("python train/growing.py --steps 3 --out ")
    assert settings["sha256"] == weights_sha256(tfnca.load(shipped / "host/model.keras"))


def test_ships_nothing_of_this_machine(models):
    data = "--data-dir", "/a/folder"
    models.start("--only", "digits", *data)
    made = models.folder / "out/digits/config.json"
    reason = {"source": "sample: first 10000 train digits (no network: https://a.registry)"}
    made.write_text(json.dumps(json.loads(made.read_text()) | reason))
    models.start("--only", "digits", *data, "--ship")
    settings = (models.folder / "saved_models/digits/config.json").read_text()
    assert "/a/folder" not in settings
    assert json.loads(settings)["command"].startswith("python train/mnist.py --data-dir IDX --out ")
    assert json.loads(settings)["data_dir"] == "IDX"
    assert json.loads(settings)["source"] == "sample: first 10000 train digits"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "attack"], "Make host first"),
        (["--only", "host", "--ship"], "Received: host, which is not"),
        ([], "To train all models, give MNIST"),
        (["--only", "host", "--jobs", "0"], "--jobs must be 1 or more"),
    ],
)
def test_says_what_is_missing(models, capsys, words, message):
    with pytest.raises(SystemExit):
        models.start(*words)
    assert message in capsys.readouterr().err


def test_lists_what_is_made_from_what(models, capsys):
    assert models.start("--list") == []
    assert "| attack | host | 1 | yes |" in capsys.readouterr().out
