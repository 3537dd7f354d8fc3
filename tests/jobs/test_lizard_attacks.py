"""The attacks on a Growing CA: their jobs, and how they are measured."""

import hashlib
import json
import runpy
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from descriptors import shuffled
from PIL import Image
from tensorflow.python.framework.config import disable_op_determinism

import tfnca
from tfnca import cli
from tfnca.automata.perturbations import KINDS
from tfnca.formats.settings import settings_beside
from tfnca.jobs import growing, growing_adversary, perturbation
from tfnca.jobs.lizard_attack import load_host
from tfnca.jobs.options import Common
from tfnca.jobs.results import measured
from tfnca.measures import model as model_measures
from tfnca.measures.lizard import (
    grown_states,
    lost_cells,
    measure_bounds,
    measure_damage,
    measure_drift,
    measure_left,
    measure_lift,
    measure_strengths,
)
from tfnca.measures.progress import Silent
from tfnca.measures.protocol import measure_adversary, measure_base, measure_perturbation

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "saved_models/growing_lizard/model.keras"
SCRIPTS = ["train/perturbation.py", "train/growing_adversary.py"]
START = 0.9 * np.eye(16, dtype=np.float32)
FILES = {"model.keras", "config.json", "metrics.json", "history.csv", "preview.png", "loss.png"}


@pytest.fixture(scope="module")
def jobs(tmp_path_factory):
    """Both attacks, tiny, by each recipe's defaults in turn: folder of the host, and of each."""
    folder = tmp_path_factory.mktemp("attacks")
    host = folder / "host.keras"
    keras.saving.save_model(tfnca.GrowingCA(), host)
    done, losses, pools = {}, {}, {}

    class Loss(tfnca.TargetLoss):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            losses.setdefault(script, self)  # the next is that of the recovery items

    class Pool(tfnca.GrowingPool):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            pools[script] = self

    with pytest.MonkeyPatch.context() as patch:
        for module in (growing_adversary, perturbation):
            patch.setattr(module, "TargetLoss", Loss)
            patch.setattr(module, "GrowingPool", Pool)
        for script, recipe in zip(SCRIPTS, ["stable", "published"], strict=True):
            done[script] = folder / Path(script).stem
            arguments = {
                "--host": host,
                "--out": done[script],
                "--recipe": recipe,
                "--steps": 2,
                "--size": 12,
                "--padding": 2,
                "--min-ca-steps": 2,
                "--max-ca-steps": 4,
                "--pool-size": 16,
                "--learning-rate": 1e-6,
                "--drift-penalty": 0.25,
            }
            if script == "train/growing_adversary.py":
                arguments |= {"--start": "host", "--first-density": 0.75, "--region": "host"}
            else:
                arguments["--start"] = folder / "start.npy"
                np.save(arguments["--start"], START)
            words = [str(word) for pair in arguments.items() for word in pair]
            patch.setattr("sys.argv", [script, *words])
            runpy.run_path(str(ROOT / script), run_name="__main__")
    disable_op_determinism()
    assert [losses[script].drift_penalty for script in SCRIPTS] == [0.25, 0.25]
    shares = [float(pools["train/growing_adversary.py"].density(step)) for step in (0, 1)]
    np.testing.assert_allclose(shares, [0.75, 0.1], rtol=1e-6)
    return host, done, pools["train/growing_adversary.py"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_jobs_leave_their_files(jobs, script):
    host, done, _ = jobs
    assert {path.name for path in done[script].iterdir()} >= FILES
    config = json.loads((done[script] / "config.json").read_text())
    weights = tfnca.load(host).get_weights()
    digest = hashlib.sha256(b"".join(weight.tobytes() for weight in weights)).hexdigest()
    assert config["host_sha256"] == digest
    recipe = {"stable": (0.99, "0.6,0.9"), "published": (0.0, "0.25")}[config["recipe"]]
    assert (config["ema"], config["drops"]) == recipe
    assert config["restarts"] == 1
    assert config["recovery_items"] == (2 if script == "train/perturbation.py" else 0)
    assert (config["steps"], config["pool_size"]) == (2, 16)
    with np.load(done[script] / "optimizer.npz") as averages:
        whitened = "whitened/moment_0" in averages.files
    assert whitened == (script == "train/perturbation.py")


def test_a_perturbation_is_a_symmetric_matrix_and_its_measures(jobs):
    folder = jobs[1]["train/perturbation.py"]
    matrix = np.load(folder / "perturbation.npy")
    assert np.array_equal(matrix, matrix.T)
    assert not np.array_equal(matrix, START)
    np.testing.assert_allclose(matrix, START, atol=1e-4)  # two steps at a rate of 1e-6 ago
    for path in (folder / "perturbation.npy", folder / "model.keras"):
        assert np.array_equal(tfnca.load_perturbation(path).matrix, matrix)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) == {
        "runs",
        "host",
        "from_seed",
        "from_grown",
        "lifted",
        "left",
        "drift",
        "spectrum",
    }
    assert [row["step"] for row in metrics["from_seed"]] == [96, 200, 500, 1000, 5000]
    assert metrics["lifted"]["runs"] == metrics["runs"] == 16
    np.testing.assert_allclose(metrics["spectrum"], np.linalg.eigvalsh(matrix), atol=1e-5)


def test_adversaries_stand_on_what_is_to_stay_or_on_all_of_the_host(jobs, monkeypatch):
    host, done, pool = jobs
    plain, target = (tfnca.load_target(name, 12)[..., 3] >= 0.1 for name in ("lizard", "no_tail"))
    tail = np.pad(plain & ~target, 2)
    where = pool.where
    assert where[tail].all()
    np.testing.assert_array_equal(where, np.pad(plain | target, 2))

    seen = []
    monkeypatch.setattr(model_measures, "MEASURED_PADDING", 2)
    monkeypatch.setattr(
        model_measures, "measure_adversary", lambda *given, **_: seen.append(given) or {}
    )
    model = str(done["train/growing_adversary.py"] / "model.keras")
    for words in ([], ["--region", "target"], ["--region", "host"]):
        monkeypatch.setattr("sys.argv", ["measure", model, "--host", str(host), *words])
        cli.run("measure")
    of_its_own, stays, anywhere = (given[3][..., 3] >= 0.1 for given in seen)
    np.testing.assert_array_equal(of_its_own, anywhere)  # as its config.json says
    assert (anywhere & ~stays).sum() > 50
    assert not (stays & ~anywhere).any()


def test_an_adversary_is_saved_alone(jobs):
    folder = jobs[1]["train/growing_adversary.py"]
    adversary = tfnca.load(folder / "model.keras")
    assert isinstance(adversary, tfnca.GrowingCA)
    assert np.abs(adversary.get_weights()[-1]).max() > 0
    started_from = tfnca.load(jobs[0]).get_weights()  # two steps at a rate of 1e-6 ago
    for weight, before in zip(adversary.get_weights(), started_from, strict=True):
        np.testing.assert_allclose(weight, before, atol=1e-4)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics) == {"runs", "density", "host", "from_grown", "left"}
    assert all(row["host_median"] > 0 for row in metrics["from_grown"])


def test_an_adversary_goes_on_from_a_file(jobs):
    host = tfnca.load(jobs[0])
    first_rule = growing_adversary.first_rule
    rules = {start: first_rule(start, host) for start in ("zero", "host", str(jobs[0]))}
    assert not rules["zero"].get_weights()[-1].any()
    for name in ("host", str(jobs[0])):
        assert rules[name] is not host  # which stays as it is while the rule learns
        for ours, theirs in zip(rules[name].get_weights(), host.get_weights(), strict=True):
            assert np.array_equal(ours, theirs)
    with pytest.raises(ValueError, match="nowhere"):
        first_rule("nowhere.keras", host)


@pytest.mark.parametrize("engine", ["auto", "dense"])
def test_another_kind_of_perturbation_is_a_matter_of_an_option(jobs, tmp_path, monkeypatch, engine):
    arguments = {
        "--host": jobs[0],
        "--out": tmp_path,
        "--kind": "shift",
        "--steps": 2,
        "--engine": engine,
        "--size": 6,
        "--padding": 1,
        "--min-ca-steps": 1,
        "--max-ca-steps": 2,
        "--pool-size": 8,
        "--batch-size": 3,
        "--measure": "none",
    }
    words = [str(word) for pair in arguments.items() for word in pair]
    monkeypatch.setattr("sys.argv", [SCRIPTS[0], *words])
    runpy.run_path(str(ROOT / SCRIPTS[0]), run_name="__main__")
    disable_op_determinism()
    vector = np.load(tmp_path / "perturbation.npy")
    assert vector.shape == (16,)
    assert np.isfinite(vector).all()
    assert np.abs(vector).max() > 0
    model = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(model, KINDS["shift"])
    np.testing.assert_array_equal(model.to_array(), vector)
    assert json.loads((tmp_path / "metrics.json").read_text()) == {"measure": "none"}
    assert json.loads((tmp_path / "config.json").read_text())["kind"] == "shift"


def test_a_start_is_of_the_kind_that_is_trained(jobs):
    config = perturbation.Config(kind="shift", start=str(jobs[1][SCRIPTS[0]] / "perturbation.npy"))
    with pytest.raises(ValueError, match=r"--start must .* --kind shift. Received: a matrix in"):
        perturbation.first_perturbation(config, tfnca.load(jobs[0]))


@pytest.mark.parametrize(("first", "shares"), [(None, [0.1] * 3), (0.9, [0.9, 0.5, 0.1])])
def test_the_share_of_adversaries_may_fall(first, shares):
    density = growing_adversary.adversary_fraction(
        growing_adversary.Config(steps=8, density=0.1, first_density=first)
    )
    falling = [density if first is None else float(density(step)) for step in (0, 2, 7)]
    np.testing.assert_allclose(falling, shares, atol=1e-6)


@pytest.mark.parametrize("option", ["density", "first_density"])
def test_a_share_out_of_range_is_named(option):
    with pytest.raises(ValueError, match=r"density must be in \(0, 1\]. Received: density=1.5"):
        growing_adversary.adversary_fraction(growing_adversary.Config(steps=8, **{option: 1.5}))


# Measures


@pytest.fixture
def standing(monkeypatch):
    """Rollouts that do nothing."""
    nothing = lambda step, state, steps, *_, **__: tf.convert_to_tensor(state)  # noqa: E731
    monkeypatch.setattr(sys.modules["tfnca.engines.rollout"], "rollout", nothing)


@pytest.mark.parametrize("at", [(96, 200, 500), (96, 200, 500, 1000, 5000)])
@pytest.mark.parametrize("kind", ["base", "matrix", "shift", "adversary"])
def test_a_bar_goes_to_its_end(standing, kind, at):
    bars = []

    class Counted(Silent):
        def __init__(self, total):
            self.total, self.done, self.closed = total, [], False
            bars.append(self)

        def update(self, steps):
            self.done.append(steps)

        def close(self):
            self.closed = True

    ca, target = tfnca.GrowingCA(), np.ones((6, 6, 4), np.float32)
    options = {"runs": 2, "at": at, "progress": Counted}
    if kind == "base":
        found = measure_base(ca, target, **options)
    elif kind == "adversary":
        found = measure_adversary(tfnca.Injected(ca, ca), target, 0.5, **options)
    else:
        step = tfnca.Perturbed(ca, KINDS[kind]())
        found = measure_perturbation(step, target, target, **options)
        assert ("spectrum" in found, "length" in found) == (kind == "matrix", kind == "shift")
    assert (found["runs"], [row["step"] for row in found["from_grown"]]) == (2, list(at))
    (bar,) = bars
    assert sum(bar.done) == bar.total
    assert len(bar.done) > len(at)
    assert bar.closed


@pytest.mark.parametrize("measure", ["full", "quick", "none"])
def test_how_much_is_measured_is_an_option(measure):
    found = measured(Common(measure=measure), lambda progress, runs=16: {"runs": runs}, {"runs": 4})
    assert (
        found
        == {
            "full": {"runs": 16},
            "quick": {"measure": "quick", "runs": 4},
            "none": {"measure": "none"},
        }[measure]
    )


class Walker(tfnca.GrowingCA):
    """Moves everything one cell to the right."""

    def call(self, state, **kwargs):
        return tf.roll(state, 1, axis=2)


@pytest.fixture
def by_hand(monkeypatch):
    """Rollouts by plain calls, for steps that are no CA."""

    def rollout(step, state, steps, *_, **__):
        for _ in range(steps):
            state = step(state)
        return state

    monkeypatch.setattr(sys.modules["tfnca.measures.lizard"], "rollout", rollout)
    monkeypatch.setattr(sys.modules["tfnca.engines.rollout"], "rollout", rollout)


def block(*places, size=16):
    state = np.zeros((len(places), size, size, 16), np.float32)
    for i, (row, column) in enumerate(places):
        state[i, row : row + 2, column : column + 2, :4] = 1.0
    return state


def test_drift_is_what_the_centre_moves_in_cells(by_hand):
    state = block((4, 2), (8, 3))
    rows = measure_drift(Walker(), state, 6, every=2)
    assert [row["step"] for row in rows] == [2, 4, 6]
    assert [row["drift"] for row in rows] == pytest.approx([0, 2, 2])
    assert [row["away"] for row in rows] == pytest.approx([0, 2, 4])
    assert all(row["cells"] == 4 and row["dead"] == 0 for row in rows)
    empty = measure_drift(Walker(), np.zeros_like(state), 2, every=2)
    assert empty == [{"step": 2, "drift": 0.0, "away": 0.0, "cells": 0.0, "dead": 2}]


def test_a_lifted_run_is_back_at_any_place_but_not_if_it_died(by_hand):
    class Lifted(Walker):
        perturbed = 0
        host = Walker()

        def call(self, state, **kwargs):
            return state * np.array([1.0, 1.0, 0.0], np.float32)[:, None, None, None]

    plain = block((5, 5))[0, ..., :4]
    start = block((5, 5), (2, 9), (5, 5))
    start[1, 2, 9, 0] = 0.0  # one channel of one cell is missing
    found = measure_lift(Lifted(), start, plain, on=3, off=4)
    assert (found["runs"], found["back"], found["dead"]) == (3, 1, 1)
    assert found["shifted"] == pytest.approx(
        [0.0, 1 / plain.size, np.square(plain).mean()], abs=1e-9
    )


def test_strengths_run_from_nothing_to_all():
    cells = np.zeros((12, 12), bool)
    cells[6, 6] = True
    shrink = tfnca.MatrixPerturbation(matrix=0.9 * np.eye(16))
    rows = measure_strengths(tfnca.GrowingCA(), shrink, cells, [0, 1, 2], runs=2, steps=2)
    assert [row["k"] for row in rows] == [0, 1, 2]
    assert [row["alpha"] for row in rows] == pytest.approx([1.0, 0.81, 0.64], abs=1e-6)


class Fader(tfnca.GrowingCA):
    """Halves the alpha of every cell, or of the cells that no adversary holds."""

    def call(self, state, mask=None, **unused):
        return tf.concat([state[..., :3], state[..., 3:4] / 2, state[..., 4:]], axis=-1)


def test_what_is_left_of_a_part_is_its_mean_alpha():
    cells = np.zeros((12, 12), bool)
    cells[2:4, 5:7] = True
    state = np.zeros((3, 12, 12, 16), np.float32)
    state[:, 2:4, 5:7, 3] = np.array([0.4, 0.8, 1.6])[:, None, None]  # beyond 1 no more than 1
    state[:, 8:, 8:, 3] = 1.0  # elsewhere: does not count
    rows = measure_left(Fader(), state, cells, at=(0, 2))
    assert [row["step"] for row in rows] == [0, 2]
    assert [row["alpha"] for row in rows] == pytest.approx([0.8, 0.2])
    assert [row["alpha_worst"] for row in rows] == pytest.approx([1.0, 0.4])


@pytest.mark.parametrize("kind", ["adversary", "perturbation"])
def test_what_is_left_is_measured_where_a_part_is_to_go(kind):
    plain, target = (tfnca.pad_target(tfnca.load_target(name), 2) for name in ("lizard", "no_arm"))
    ca, options = tfnca.GrowingCA(), {"runs": 2, "at": (1, 500)}
    for wanted in (target, plain):
        if kind == "adversary":
            step = tfnca.Injected(ca, ca)
            found = measure_adversary(step, wanted, 0.5, plain=plain, **options)
        else:
            found = measure_perturbation(tfnca.Perturbed(ca), wanted, plain, **options)
        if wanted is plain:
            assert "left" not in found
        else:
            # A rule that does nothing leaves a single cell, the seed's.
            (row,) = found["left"]["rows"]
            assert (found["left"]["runs"], row["step"], row["alpha"]) == (2, 500, 0.0)


def test_lost_cells_are_the_part_left_out():
    plain, target = tfnca.lizard(), tfnca.lizard(without="tail")
    lost = lost_cells(plain, target)
    assert 50 < lost.sum() < (plain[..., 3] > 0.1).sum() / 2
    assert not lost_cells(plain, plain).any()


class Healer(tfnca.GrowingCA):
    """Fills all holes but those in the first item."""

    def call(self, state, **kwargs):
        healed = tf.ones_like(state[1:])
        return tf.concat([state[:1], healed], axis=0)


def test_damage_is_a_circle_on_the_body_and_repair_is_counted(by_hand, monkeypatch):
    target = np.ones((21, 21, 4), np.float32)
    monkeypatch.setattr(
        "tfnca.measures.lizard.grown_states",
        lambda step, size, runs, seed, bar: np.ones((runs, *size, 16)),
    )
    found = measure_damage(Healer(), target, runs=3, radius=0.4)
    assert (found["runs"], found["radius"], found["below"]) == (3, 0.4, 2)
    # A circle's area, less what lies outside of the grid: between a quarter and all of it.
    area = np.pi * (0.4 * 10) ** 2 / target[..., 0].size
    assert area / 5 < found["damaged"]["median"] <= found["damaged"]["worst"] < 1.1 * area
    assert found["repaired"]["median"] == 0.0
    assert found["repaired"]["worst"] > area / 5


class Swelling(tfnca.GrowingCA):
    """A pattern that stands, while one channel of four cells rises to `top` and stays."""

    def __init__(self, top, **kwargs):
        super().__init__(**kwargs)
        self.top = top

    def call(self, state, index=0, **kwargs):
        cells = np.zeros((1, 12, 12, 16), np.float32)
        cells[:, 4:8, 4:8, :4] = 1.0
        cells[:, 4:6, 4:6, 9] = self.top
        return tf.minimum(tf.maximum(state, cells / self.top) * 1.5, cells)

    def get_config(self):
        return {**super().get_config(), "top": self.top}


@pytest.mark.parametrize(("top", "beyond"), [(2.5, 0.0), (6.0, 4 / 16 / 16)])
def test_bounds_are_the_largest_values_and_those_beyond(by_hand, top, beyond):
    found = measure_bounds(Swelling(top), (12, 12), runs=2, steps=300)
    assert found["runs"] == 2
    assert (found["growing"], found["grown"]) == (top, top)
    np.testing.assert_allclose(found["beyond"], beyond)


def test_the_identity_does_nothing_within_the_bound_and_something_beyond():
    """Both hosts see their channel 9 in their red; only the clip can make them differ."""
    kernel = np.zeros((48, 128), np.float32)
    kernel[27, 0] = kernel[9, 1] = 1.0  # what channels 9 and 3 are in the cell itself
    costs = {}
    for top in (2.5, 6.0):
        host = tfnca.GrowingCA(fire_rate=1.0)
        last = np.zeros((128, 16), np.float32)
        last[0, 9], last[1, 9] = -0.5, top / 2  # channel 9 tends to `top`
        last[0, 0] = 0.01
        host.set_weights([kernel, np.zeros(128), last, np.zeros(16)])
        found = measure_bounds(host, (12, 12), runs=2, steps=40)
        assert found["growing"] == pytest.approx(top, rel=1e-3)
        costs[top] = found["identity"]["median"]
    assert costs[2.5] == 0.0
    assert costs[6.0] > 1e-5


@pytest.mark.skipif(not SHIPPED.exists(), reason="no trained lizard")
def test_the_identity_does_nothing_to_the_lizard_that_ships():
    found = measure_bounds(tfnca.load(SHIPPED), (72, 72), runs=4, seed=1)
    assert found["identity"]["median"] < 2e-5


def test_a_perturbation_says_what_the_identity_does_to_its_host(capsys, monkeypatch):
    say = perturbation.say_identity
    for cost, warns in ((0.0, False), (8e-6, False), (0.0087, True), (np.nan, True)):
        found = {"growing": 12.3, "grown": 6.4, "identity": {"median": cost, "worst": cost}}
        monkeypatch.setitem(say.__globals__, "measure_bounds", lambda *_, found=found, **__: found)
        say(None, (72, 72))
        printed = capsys.readouterr().out
        assert f"{cost:.1e}" in printed
        assert ("Warning" in printed and "12.3" in printed) == warns


def test_a_perturbation_says_that_its_host_does_not_grow_the_picture(capsys):
    target, grown = np.zeros((8, 8, 4)), np.zeros((1, 8, 8, 16))
    for value, warns in ((0.0, False), (0.03, False), (0.1, True), (np.nan, True)):
        perturbation.say_growth(grown + value, target)
        printed = capsys.readouterr().out
        assert ("--host-target" in printed and "scaled" in printed) == warns


@pytest.mark.skipif(not SHIPPED.exists(), reason="no trained lizard")
def test_a_scaled_lizard_does_not_grow_from_the_usual_seed(capsys):
    target, host = tfnca.pad_target(tfnca.lizard(), 16), tfnca.load(SHIPPED)
    perturbation.say_growth(grown_states(host, (72, 72), 1), target)
    assert not capsys.readouterr().out
    factors = np.where(np.arange(16) < 4, 1.0, 0.3)
    perturbation.say_growth(grown_states(host.scaled(factors), (72, 72), 1), target)
    assert "its seed" in capsys.readouterr().out


def test_a_scaled_rule_is_the_same_rule_in_other_units():
    random = np.random.default_rng(0)
    ca = tfnca.GrowingCA()
    ca.set_weights([0.1 * random.normal(size=w.shape) for w in ca.get_weights()])
    factors = np.ones(16, np.float32)
    factors[4:] = random.uniform(0.2, 2.0, 12)
    state = random.normal(size=(1, 9, 9, 16)).astype(np.float32)
    scaled = ca.scaled(factors)
    for index in range(3):
        expected = ca(state, seed=0, index=index) * factors
        np.testing.assert_allclose(
            scaled(state * factors, seed=0, index=index), expected, 1e-3, 1e-4
        )
    for wrong in (np.ones(5), np.zeros(16), 2 * np.ones(16)):
        with pytest.raises(ValueError, match=r"factors must be 16 .*channels 0, 1, 2, 3.*Received"):
            ca.scaled(wrong)


def test_a_lizard_goes_on_from_a_file_with_slower_colours(tmp_path):
    host = shuffled(tfnca.GrowingCA(), seed=0)
    keras.saving.save_model(host, tmp_path / "host.keras")
    config = growing.Config(start=str(tmp_path / "host.keras"), bound_weight=0.0, colour_pace=0.25)
    before, after = host.get_weights(), growing.first_rule(config, (9, 9)).get_weights()
    for number, (old, new) in enumerate(zip(before, after, strict=True)):
        factors = np.where(np.arange(old.shape[-1]) < 3, 0.25, 1.0) if number >= 2 else 1.0
        np.testing.assert_array_equal(new, old * factors)


def test_a_lizard_goes_on_from_a_file_within_the_bound(tmp_path):
    rule, config = growing.first_rule, growing.Config
    host = tfnca.GrowingCA(fire_rate=1.0)
    weights = host.get_weights()
    weights[3][9] = 1.0  # channel 9 rises by 1 in each step
    host.set_weights(weights)
    keras.saving.save_model(host, tmp_path / "host.keras")
    start = str(tmp_path / "host.keras")
    assert not rule(config(), (9, 9)).get_weights()[2].any()
    same = rule(config(start=start, bound_weight=0.0), (9, 9))
    np.testing.assert_array_equal(same.get_weights()[3], weights[3])
    bounded = rule(config(start=start, bound_weight=0.1, bound=2.0), (9, 9))
    np.testing.assert_allclose(bounded.get_weights()[3][9], 2.0 / 401, rtol=1e-4)
    np.save(tmp_path / "matrix.npy", START)
    with pytest.raises(ValueError, match="--start must be a Growing CA"):
        rule(config(start=str(tmp_path / "matrix.npy")), (9, 9))


@pytest.mark.parametrize("hollow", [True, False])
def test_a_picture_that_is_empty_in_its_middle_is_told_of(tmp_path, capsys, hollow):
    """The seed stands there: trained on a ring a rule let it die, and nothing said why."""
    ring = np.full((8, 8, 4), 255, np.uint8)
    if hollow:
        ring[2:6, 2:6] = 0
    Image.fromarray(ring).save(tmp_path / "ring.png")
    config = growing.Config(
        target=str(tmp_path / "ring.png"),
        size=8,
        padding=1,
        steps=1,
        batch_size=4,
        pool_size=4,
        min_ca_steps=1,
        max_ca_steps=2,
        measure="none",
        out=str(tmp_path / "out"),
        drops="0.5",
        ema=0.0,
        bound_weight=0.0,
    )
    (tmp_path / "out").mkdir()
    growing.main(config)
    assert ("empty at its centre" in capsys.readouterr().out) == hollow


@pytest.mark.parametrize(
    ("model", "options", "keys"),
    [
        ("host", ["--target", "lizard"], {"from_seed", "damaged_at_200", "bounds"}),
        ("train/perturbation.py", ["--target", "red"], {"host", "lifted", "drift", "spectrum"}),
        ("train/growing_adversary.py", ["--density", "0.5"], {"density", "host", "from_grown"}),
    ],
)
def test_any_lizard_model_is_measured_by_one_command(
    jobs, tmp_path, monkeypatch, model, options, keys
):
    host, done, _ = jobs
    words = [host] if model == "host" else [done[model] / "model.keras", "--host", host]
    out = tmp_path / "below" / "measures.json"
    monkeypatch.setattr("sys.argv", ["measure", *map(str, words), *options, "--out", str(out)])
    cli.run("measure")
    assert set(json.loads(out.read_text())) >= keys


@pytest.mark.parametrize(
    ("settings", "words", "expected"),
    [
        (None, [], (8, 0.1)),
        ({"digit": 3, "density": 0.25}, [], (3, 0.25)),
        ({"digit": 3}, ["--digit", "5", "--density", "0.5"], (5, 0.5)),
        ({"digit": 0}, [], (0, 0.1)),
    ],
)
@pytest.mark.parametrize("command", ["measures", "sweep"])
def test_the_digit_is_the_one_that_the_adversary_was_trained_for(
    tmp_path, monkeypatch, command, settings, words, expected
):
    keras.saving.save_model(tfnca.MNISTCA(), tmp_path / "model.keras")
    if settings is not None:
        (tmp_path / "config.json").write_text(json.dumps(settings))
    model = str(tmp_path / "model.keras")
    found = []

    def attack(step, digits, density, seeds, target, progress):
        found.append((target, density))
        return {}

    def swept(step, digits, densities, seeds, target, **more):
        assert more == {"folder": tmp_path / "sweep" / "cells", "jobs": 1}
        found.append((target, expected[1]))
        return {"summary": []}

    if command == "sweep":
        words = [word for word in words if word not in ("--density", "0.5")]
        monkeypatch.setattr("tfnca.measures.sweep.sweep_digits", swept)
        monkeypatch.setattr("tfnca.measures.sweep.save_sweep", lambda *_: None)
        words += ["--out", str(tmp_path / "sweep")]
    else:
        monkeypatch.setattr(model_measures, "attack_digits", attack)
    monkeypatch.setattr("sys.argv", [command, model, "--host", model, *words])
    cli.run("sweep" if command == "sweep" else "measure")
    assert found == [expected]


def test_a_lizards_target_is_the_one_that_it_was_trained_for(jobs, monkeypatch):
    host, done, _ = jobs
    asked = []
    monkeypatch.setattr(
        model_measures, "load_target", lambda name: asked.append(name) or tfnca.lizard()
    )
    monkeypatch.setattr(model_measures, "measure_perturbation", lambda *_, **__: {})
    model = str(done["train/perturbation.py"] / "model.keras")
    for words, expected in [([], "no_tail"), (["--target", "red"], "red")]:
        monkeypatch.setattr("sys.argv", ["measure", model, "--host", str(host), *words])
        cli.run("measure")
        assert asked == [expected, "lizard"]
        asked.clear()


def test_settings_that_cannot_be_read_are_named(tmp_path):
    (tmp_path / "config.json").write_text("{")
    for model in (tmp_path, tmp_path / "model.keras"):
        with pytest.raises(ValueError, match=r"config.json cannot be read. Received: "):
            settings_beside(model)


def test_digits_are_measured_by_the_same_command(tmp_path, monkeypatch, capsys):
    model = tmp_path / "digits.keras"
    keras.saving.save_model(tfnca.MNISTCA(), model)
    few = ["--test-digits", "4", "--seeds", "1"]
    monkeypatch.setattr("sys.argv", ["measure", str(model), *few])
    cli.run("measure")
    found = json.loads(capsys.readouterr().out)
    assert (found["digits"], found["seeds"]) == (4, [0])
    assert [row["step"] for row in found["base"]] == [20, 50, 200, 1000]
    assert [row["step"] for row in found["swapped"]] == [200, 400]


HOSTS = {"no_tail": "growing_lizard", "mnist_adversary": "mnist", "invasion_red": "growing_lizard"}


@pytest.mark.parametrize("name", HOSTS)
def test_an_attack_is_not_measured_without_its_host(name, tmp_path, monkeypatch, capsys):
    """An adversary alone would be measured as a host."""
    monkeypatch.chdir(tmp_path)  # where the paths of its training lead nowhere
    monkeypatch.setattr("sys.argv", ["measure", name])
    with pytest.raises(SystemExit) as stop:
        cli.run("measure")
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert f"needs its host (--host), as it was trained with {HOSTS[name]}. Received" in said


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        ("mnist --target red", "--target red"),
        ("mnist_adversary --host mnist --region host", "--region host"),
        ("growing_lizard --density 0.3 --digit 3", "--density 0.3 --digit 3"),
        ("no_tail --host growing_lizard --density 0.2", "--density 0.2"),
        ("adversary_red --host growing_lizard --digit 1", "--digit 1"),
        ("invasion_red --host growing_lizard --density 0.3", "--density 0.3"),
    ],
)
def test_options_that_would_change_nothing_are_refused(words, unused, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["measure", *words.split()])
    with pytest.raises(SystemExit) as stop:
        cli.run("measure")
    assert stop.value.code == 2
    assert f"which would change nothing. Received: {unused}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0"], "--seeds must be positive. Received: 0"),
        (["--out", "."], "--out must name a file. Received: the folder ."),
        ([], "its host given by --host. Received: Injected"),
    ],
)
def test_wrong_measurements_are_named_before_they_begin(
    tmp_path, monkeypatch, capsys, options, message
):
    model = tmp_path / "pair.keras"
    keras.saving.save_model(tfnca.Injected(tfnca.MNISTCA(), tfnca.MNISTCA()), model)
    monkeypatch.setattr("sys.argv", ["measure", str(model), *options])
    with pytest.raises(SystemExit) as stop:
        cli.run("measure")
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_digits_of_other_channels_are_measured(tmp_path, monkeypatch, capsys):
    model = tmp_path / "digits.keras"
    keras.saving.save_model(tfnca.MNISTCA(channels=24), model)
    few = ["--test-digits", "2", "--seeds", "1", "--horizon", "200"]
    monkeypatch.setattr("sys.argv", ["measure", str(model), *few])
    cli.run("measure")
    assert json.loads(capsys.readouterr().out)["digits"] == 2


def test_a_host_may_be_any_ca_that_grows_a_picture(tmp_path):
    kept = {"channels": 16, "hidden": 4, "alive": tfnca.Alpha()}
    circular, fixed = (tfnca.NeuralCA(**kept, **m) for m in ({"padding": "circular"}, {"fixed": 1}))
    keras.saving.save_model(circular, tmp_path / "circular.keras")
    keras.saving.save_model(fixed, tmp_path / "fixed.keras")
    host = load_host(tmp_path / "circular.keras")
    for start in ("host", "zero"):
        rule = growing_adversary.first_rule(start, host)
        assert rule.rule == host.rule
        assert rule is not host
    with pytest.raises(ValueError, match="--host must be a CA that grows a picture, and it never"):
        load_host(tmp_path / "fixed.keras")
    weights = [np.random.default_rng(0).normal(size=s) for s in ((48, 128), (128,), (128, 16))]
    arrays = [weight.astype(np.float32) for weight in (*weights, np.zeros(16))]
    np.savez(tmp_path / "theirs.npz", *arrays)
    kernels = [load_host(tmp_path / "theirs.npz", None, name).get_weights()[0]
               for name in ("growing", "filter-major")]  # fmt: skip
    np.testing.assert_array_equal(kernels[0], arrays[0])
    by_channel = arrays[0].reshape(3, 16, -1).swapaxes(0, 1).reshape(48, -1)
    np.testing.assert_array_equal(kernels[1], by_channel)
