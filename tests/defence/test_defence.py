"""Defence: liars are told from honest cells, and silenced ones persuade nobody."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import tfnca
from tfnca.automata.verified import deviation
from tfnca.defence.benchmark import find_models, leaderboard
from tfnca.defence.detection import roc_auc, watch
from tfnca.defence.lizards import benchmark_lizards, find_lizards, lizard_leaderboard
from tfnca.measures.digits import digit_mask, digit_measures

HOST = tfnca.load("mnist")
ADVERSARY = tfnca.load("mnist_adversary")
DIGITS = tfnca.load_digits("test", count=20)
LIZARD = tfnca.pad_target(tfnca.load_target("lizard"), 16)
MODELS = Path(__file__).parents[2] / "saved_models"


def test_who_lies_is_told_the_better_the_longer_one_watches():
    rows = watch(tfnca.Injected(HOST, ADVERSARY), DIGITS, steps=12)
    assert rows[-1]["auc"] > 0.95
    assert rows[0]["auc"] < rows[5]["auc"] <= rows[-1]["auc"]
    assert rows[-1]["accused"] == 0


def test_who_follows_the_rule_is_not_told_from_the_host():
    rows = watch(tfnca.Injected(HOST, HOST), DIGITS, steps=6)
    assert abs(rows[-1]["auc"] - 0.5) < 0.05
    assert rows[-1]["found"] == rows[-1]["accused"] == 0


def test_a_deviation_is_counted_in_the_noise_of_the_rule():
    state = tfnca.rollout(HOST, tfnca.digit_state(DIGITS.images), 20, seed=0)
    shape = state.shape[:3]
    ones, silence = np.ones((1, 1, *shape)), np.zeros((1, 1, *shape, 19))
    after = np.array(tfnca.rollout(HOST, state, 1, fire_masks=ones, noise=silence, seed=0))
    assert np.max(deviation(HOST, state, after)) < 1e-3
    alive = np.argwhere(DIGITS.images > 0.1)[0]
    after[(*alive, 7)] += 3 * HOST.noise_std
    found = np.array(deviation(HOST, state, after))
    assert found[tuple(alive)] == pytest.approx(3, abs=0.01)
    found[tuple(alive)] = 0
    assert found.max() < 1e-3


def test_silenced_liars_take_nothing():
    mask = digit_mask(DIGITS, 0.1, seed=0)
    start = tfnca.rollout(HOST, tfnca.digit_state(DIGITS.images), 100, seed=0)
    taken = {}
    for kind in (tfnca.Injected, tfnca.Verified):
        state = tfnca.rollout(kind(HOST, ADVERSARY), start, 100, mask=mask, step_offset=100, seed=0)
        taken[kind] = digit_measures(state, DIGITS.labels, 8, mask)["takeover"]
    assert taken[tfnca.Injected] > 0.9
    assert taken[tfnca.Verified] == 0


def test_without_liars_nobody_is_silenced():
    start = tfnca.digit_state(DIGITS.images)
    plain = tfnca.rollout(HOST, start, 60, engine="sparse", seed=0)
    verified = tfnca.rollout(tfnca.Verified(HOST, ADVERSARY), start, 60, engine="sparse", seed=0)
    np.testing.assert_allclose(verified, plain, atol=1e-5)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="host must be a NeuralCA without inputs"):
        tfnca.Verified(tfnca.NeuralCA(inputs=1), tfnca.NeuralCA(inputs=1))
    with pytest.raises(ValueError, match="tolerance must be a positive number"):
        tfnca.Verified(HOST, ADVERSARY, tolerance=0)
    with pytest.raises(ValueError, match=r"tolerance must be a positive number.*='0.1'"):
        tfnca.Verified(HOST, ADVERSARY, tolerance="0.1")
    step = tfnca.Verified(HOST, ADVERSARY)
    with pytest.raises(ValueError, match="tolerance must be a positive number"):
        step.tolerance = -1
    with pytest.raises(ValueError, match="mode must be 'silence' or 'clip'"):
        step.mode = "wary"
    assert (step.tolerance, step.mode) == (5.0, "silence")


def test_the_area_under_the_curve():
    assert roc_auc(np.array([3.0, 4.0]), np.array([1.0, 2.0])) == 1
    assert roc_auc(np.array([1.0]), np.array([2.0])) == 0
    assert roc_auc(np.zeros(5), np.zeros(7)) == 0.5


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name in ("mnist", "mnist_adversary"):
        (folder / name).mkdir()
        for file in ("model.keras", "config.json"):
            shutil.copy(MODELS / name / file, folder / name / file)
    return folder


def test_a_benchmark_of_a_folder(models, tmp_path, command):
    options = "--test-digits", 4, "--mapped", 1, "--seeds", 1, "--out", tmp_path
    code, said, complaints = command("tfnca.defence.benchmark", models, *options)
    assert code == 0, complaints
    found = json.loads((tmp_path / "benchmark.json").read_text())
    rows = {row["defence"]: row for row in found["attacks"] if not row["held"]}
    assert [(row["defence"], row["held"]) for row in found["attacks"]] == [
        ("none", False),
        ("verified", False),
        ("verified", True),
    ]
    assert rows["none"]["10 %"]["takeover"] > rows["verified"]["10 %"]["takeover"]
    assert rows["none"]["fresh"]
    assert not rows["verified"]["fresh"]
    table = (tmp_path / "README.md").read_text()
    assert table == leaderboard(found)
    assert table in said
    first = table.splitlines()[2]
    assert first.startswith("| mnist | verified |")


def test_a_folder_without_an_attack_is_refused(models, tmp_path):
    shutil.copytree(models / "mnist", tmp_path / "mnist")
    with pytest.raises(ValueError, match="1 hosts and 0 attacks"):
        find_models(tmp_path)


@pytest.fixture(scope="module")
def lizards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lizards")
    names = ("growing_lizard", "perturbation_no_leg", "growing_adversary_no_tail", "mnist")
    for name in names:
        (folder / name).mkdir()
        for file in ("model.keras", "config.json"):
            shutil.copy(MODELS / name / file, folder / name / file)
    spreads = folder / "spreads"
    shutil.copytree(folder / "growing_adversary_no_tail", spreads)
    settings = json.loads((spreads / "config.json").read_text()) | {"attack": "invasion"}
    (spreads / "config.json").write_text(json.dumps(settings))
    return folder


def test_a_benchmark_of_lizards(lizards, tmp_path, command, monkeypatch):
    """The legless matrix works on its host; the digits' CA and an invasion are left out."""
    monkeypatch.setattr("tfnca.defence.benchmark.benchmark_lizards", short_benchmark)
    options = "--task", "lizard", "--seeds", 2, "--out", tmp_path
    code, said, complaints = command("tfnca.defence.benchmark", lizards, *options)
    assert code == 0, complaints
    found = json.loads((tmp_path / "benchmark.json").read_text())
    rows = {row["attack"]: row for row in found["attacks"]}
    assert set(rows) == {"perturbation_no_leg", "growing_adversary_no_tail"}
    legless = rows["perturbation_no_leg"]
    assert legless["host"] == "growing_lizard"
    assert legless["remaining"][-1] < 0.5
    measured = legless["measured"]
    attacked, alone = (measured[name][-1]["median"] for name in ("attack", "baseline"))
    assert legless["remaining"][-1] == attacked / alone
    assert measured["runs"] == found["runs"] == 2
    assert measured["recovery"][0]["shifted_median"] > 0.002
    assert legless["recovery"] == measured["recovery"][-1]["shifted_median"] < 0.0005
    assert rows["growing_adversary_no_tail"]["measured"]["density"] == 0.3
    table = (tmp_path / "README.md").read_text()
    assert table == lizard_leaderboard(found)
    assert table in said


def short_benchmark(folder, runs):
    return benchmark_lizards(folder, runs, at=(50, 200))


def test_lizards_are_ranked_by_the_attack_that_comes_closest():
    rows = [
        {"host": host, "attack": attack, "remaining": [remaining, 1.0], "recovery": 0.0002}
        for host, attack, remaining in (("a", "x", 0.9), ("a", "y", 0.1), ("b", "x", 0.5))
    ]
    table = lizard_leaderboard({"at": [500, 5000], "attacks": rows}).splitlines()
    assert [line.split(" | ")[:2] for line in table[2:]] == [
        ["| b", "x"],
        ["| a", "y"],
        ["| a", "x"],
    ]


def test_a_folder_without_a_lizard_is_refused(models):
    with pytest.raises(ValueError, match=r"grows a picture.*0 hosts and 0 attacks"):
        find_lizards(models)


def test_cells_of_a_lizard_that_follow_its_rule_are_not_accused():
    """They may rest, fire, or die with their neighbours."""
    host, task = tfnca.load("growing_lizard"), tfnca.PatternTask(LIZARD)
    state = tfnca.rollout(host, task.start(2, 16).state, 30, seed=0)  # it still grows
    for number in range(5):
        after = tfnca.rollout(host, state, 1, seed=0, step_offset=30 + number)
        found = np.asarray(deviation(host, state, after))
        assert found.max() < 0.1
        state = after
    other = np.array(state)
    other[0, 36, 36, 5] += 0.1
    assert np.asarray(deviation(host, before=after, after=other))[0, 36, 36] > 5


def test_adversaries_in_a_lizard_are_detected_and_silenced():
    host, task = tfnca.load("growing_lizard"), tfnca.PatternTask(LIZARD)
    adversary = tfnca.load("growing_adversary_red")
    rows = watch(tfnca.Injected(host, adversary), task, 0.2, settled=20, steps=6, runs=2)
    assert rows[-1]["auc"] > 0.9
    assert rows[-1]["accused"] == 0
    step = tfnca.Verified(host, host)
    ready = task.begin(host, 1, settle=True).state
    mask = np.asarray(tfnca.random_mask(task.cells(ready), 0.2, seed=0))
    after = tfnca.rollout(step, ready, 5, mask=mask, seed=0)
    assert np.square(np.asarray(after)[..., :4] - LIZARD).mean() < 1e-3  # nobody is silenced
