"""The job that trains an invading adversary, on a tiny grid."""

import functools
import json

import keras
import numpy as np
import pytest

import tfnca
from tfnca.export.signatures import load_step
from tfnca.jobs import invasion
from tfnca.measures.invasion import measure_from

TINY = [
    *("--steps", 2, "--size", 12, "--padding", 2, "--age", 40, "--batch-size", 2),
    *("--pool-size", 3, "--min-ca-steps", 2, "--max-ca-steps", 3, "--ema", 0),
]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(invasion, "QUICK", {"runs": 2, "at": (2, 4)})


@pytest.mark.parametrize(
    ("place", "cells"),
    [(["--patch", 1], (1, 1)), (["--spray", 0.5, "--cell-cost", -1], (2, 200))],
)
def test_an_invasion_is_trained_and_measured(place, cells, command, quick, monkeypatch, tmp_path):
    starts = []
    pool = invasion.GrowingPool
    monkeypatch.setattr(
        invasion, "GrowingPool", lambda s, **rest: (starts.append(s), pool(s, **rest))[1]
    )
    code, _, errors = command(
        "train/invasion.py", *TINY, *place, "--measure", "quick", "--out", tmp_path
    )
    assert code == 0, errors
    host, adversary = tfnca.load("growing_lizard"), tfnca.load(tmp_path / "model.keras")
    step = tfnca.load_attack(tmp_path)
    assert isinstance(step, tfnca.Invasion)
    for model in (tmp_path / "model.keras", tmp_path):
        exported, measures = load_step([model], "growing_lizard")
        assert isinstance(exported, tfnca.Invasion)
        assert len(measures) == 1
    counts = (np.asarray(step.owners(starts[0])) == 1).sum((1, 2))
    low, high = cells
    assert len(counts) == 3
    assert all(low <= count <= high for count in counts)
    pairs = zip(host.get_weights(), adversary.get_weights(), strict=True)
    assert all(0 < np.abs(ours - theirs).max() < 0.1 for ours, theirs in pairs)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    for name in ("invasion", "host_alone"):
        assert [row["step"] for row in metrics[name]] == [2, 4]
        assert all(len(row["error"]) == 2 for row in metrics[name])
    assert max(metrics["invasion"][0]["share"]) > 0 == max(metrics["host_alone"][0]["share"])
    assert "host_sha256" in json.loads((tmp_path / "config.json").read_text())
    assert (tmp_path / "preview.png").exists()
    assert "log-scaled" not in errors  # a reward makes losses negative


def test_a_cost_for_cells_is_part_of_the_loss(command, monkeypatch, tmp_path):
    seen = []
    loss = invasion.InvasionLoss
    monkeypatch.setattr(
        invasion, "InvasionLoss", lambda *given: (seen.append(given[1:]), loss(*given))[1]
    )
    code, _, errors = command(
        *("train/invasion.py", *TINY, "--cell-cost", 0.25, "--measure", "none"), "--out", tmp_path
    )
    assert code == 0, errors
    assert seen == [(0.25,)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--host", "mnist"], "host must live by an alpha channel"),
        (["--host", "no_tail"], "--host and --start must be CAs that live by their alpha"),
        (["--patch", 99], "size must be an integer in 1 to 16"),
        (["--spray", 2], "--spray must be in (0, 1]"),
    ],
)
def test_options_that_do_not_fit(words, message, command, tmp_path):
    code, _, errors = command("train/invasion.py", *TINY, *words, "--out", tmp_path)
    assert code == 2
    assert message in errors


def test_a_host_of_another_project_grows_from_its_own_seed():
    begins = invasion.beginning(invasion.Config(seed_cell="alpha", age=1))
    host = tfnca.NeuralCA(16, alive=tfnca.Alpha(), padding="circular")
    state = begins.grown(host, (8, 8), 2, seed=0)
    np.testing.assert_array_equal(np.asarray(state)[:, 4, 4, 3:], [[1.0] + [0.0] * 12] * 2)


def test_a_bundled_one_is_exported_as_what_it_is():
    step, _ = load_step(["invasion_red"], "growing_lizard")
    assert isinstance(step, tfnca.Invasion)


def test_tfnca_measure_finds_what_the_training_found(command, monkeypatch, tmp_path):
    settings = {"age": 40, "spray": 0.3, "target": "blue", "size": 20, "padding": 2}
    host, adversary = tfnca.load("growing_lizard"), tfnca.load("growing_adversary_red")
    (tmp_path / "config.json").write_text(json.dumps(settings | {"attack": "invasion"}))
    keras.saving.save_model(adversary, tmp_path / "model.keras")
    short = functools.partial(measure_from, at=(2, 4))
    monkeypatch.setattr("tfnca.measures.model.measure_from", short)
    begins = invasion.beginning(invasion.Config(age=40, spray=0.3))
    target = tfnca.pad_target(tfnca.load_target("blue", 20), 2)
    expected = short(begins, tfnca.Invasion(host, adversary), target, runs=2)
    words = "measure", tmp_path, "--host", "growing_lizard", "--runs", 2
    code, _, errors = command("tfnca", *words, "--out", tmp_path / "found.json")
    assert code == 0, errors
    assert json.loads((tmp_path / "found.json").read_text()) == expected
    assert 0 < expected["invasion"][0]["share"][0] < 1


@pytest.mark.parametrize("words", [("measure", "--task", "pattern"), ("sweep",), ("place",)])
def test_commands_for_adversaries_that_stay_refuse_it(command, words, tmp_path):
    """They would place a mask, which it does not take."""
    out = "--out", tmp_path / "out"
    code, _, errors = command("tfnca", *words, "invasion_red", "--host", "growing_lizard", *out)
    assert code == 2
    assert "One that spreads is measured by tfnca measure, without --task" in errors
    assert not any(tmp_path.rglob("*.json"))
