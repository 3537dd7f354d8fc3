"""The attack bench, with the models that ship."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

import tfnca
from tfnca import cli
from tfnca.data.digits import load_digits
from tfnca.data.drawing import lizard
from tfnca.data.targets import pad_target
from tfnca.measures import sweep
from tfnca.measures.lizard import MEASURED_PADDING

MODELS = Path(__file__).parents[2] / "saved_models"


def model(name):
    return tfnca.load(MODELS / name / "model.keras")


def test_stops_come_thick_at_first_and_end_at_the_horizon():
    steps = sweep.stops(5000)
    assert steps[:4] == [1, 2, 3, 4]
    assert steps[-1] == 5000
    assert np.all(np.diff(steps) > 0)
    assert sweep.stops(1) == [1]


@pytest.fixture(scope="module")
def digits():
    step = tfnca.Injected(model("mnist"), model("mnist_adversary"))
    return sweep.sweep_digits(
        step, load_digits("test", count=20, source="sample"), (0.01, 0.2), 60, seeds=(0, 1)
    )


def test_more_adversaries_take_more_digits_and_faster(digits):
    few, many = digits["summary"]
    assert many["takeover"] > few["takeover"] + 0.3
    assert many["steps_to_flip"] is not None
    assert few["steps_to_flip"] is None or few["steps_to_flip"] > many["steps_to_flip"]
    assert 0.3 < many["recovered"] < 1.05
    for row in digits["summary"]:
        own = [r for r in digits["rows"] if r["density"] == row["density"]]
        assert own[0]["step"] == 0
        assert own[-1]["step"] == 60 + 200
        assert row["takeover"] == next(r for r in own if r["step"] == 60)["takeover"]


def test_a_sweep_leaves_its_files(digits, tmp_path):
    sweep.save_sweep(digits, tmp_path / "new")
    assert json.loads((tmp_path / "new/sweep.json").read_text()) == digits
    with open(tmp_path / "new/sweep.csv") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(digits["rows"])
    assert [float(row["takeover"]) for row in rows] == [r["takeover"] for r in digits["rows"]]
    assert {path.name for path in (tmp_path / "new").glob("*.png")} == {
        "takeover.png",
        "steps_to_flip.png",
        "recovery.png",
        "time.png",
    }


def test_lizards_are_swept_beside_the_host_alone(tmp_path):
    step = tfnca.Injected(model("growing_lizard"), model("growing_adversary_red"))
    target, plain = (
        pad_target(picture, MEASURED_PADDING) for picture in (lizard(color="red"), lizard())
    )
    found = sweep.sweep_lizard(step, target, plain, (0.6,), horizon=8, runs=2)
    alone = [row for row in found["rows"] if row["density"] == 0]
    attacked = [row for row in found["rows"] if row["density"] == 0.6]
    assert [row["step"] for row in attacked] == [row["step"] for row in alone] == [*range(1, 9)]
    assert alone[-1]["median"] == pytest.approx(np.square(plain - target).mean(), rel=0.1)
    assert attacked[-1]["median"] < alone[-1]["median"]
    assert found["summary"][0]["median"] == attacked[-1]["median"]
    assert 0 <= found["summary"][0]["back"] <= 2
    assert set(sweep.pictures(found)) == {"error.png", "host_error.png", "density.png"}


@pytest.mark.parametrize("region", ["target", "host"])
def test_a_sweeps_adversaries_stand_where_they_are_told_to(monkeypatch, region):
    tailless, plain = np.zeros((6, 6, 4), np.float32), np.ones((6, 6, 4), np.float32)
    tailless[:3] = 1
    given = []

    def masks(picture, density, runs, seed):
        given.append(picture)
        return np.zeros((runs, 6, 6), np.float32)

    monkeypatch.setattr(sweep, "target_masks", masks)
    step = tfnca.Injected(tfnca.GrowingCA(), tfnca.GrowingCA())
    sweep.sweep_lizard(step, tailless, plain, (0.5,), horizon=1, runs=1, region=region)
    np.testing.assert_array_equal(given, [{"target": tailless, "host": plain}[region]])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--horizon", "0"], "--horizon must be positive. Received: 0"),
        (["--seeds", "0"], "--seeds must be positive. Received: 0"),
        (
            ["--densities", "10,0"],
            "must be percentages above 0 and below 100, for example 1,10,60. Received: 10,0",
        ),
        (["--densities", "10,100"], "Received: 10,100"),
        (["--densities", "a"], "Received: a"),
        (["--host", "nowhere.keras"], "nowhere.keras"),
    ],
)
def test_wrong_calls_are_one_line(arguments, message, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    host = ["--host", str(MODELS / "mnist/model.keras")]
    adversary = str(MODELS / "mnist_adversary/model.keras")
    with pytest.raises(SystemExit) as error:
        cli.run("sweep", words=[adversary, *host, *arguments])
    assert error.value.code == 2
    line = capsys.readouterr().err
    assert message in line
    assert "Traceback" not in line
