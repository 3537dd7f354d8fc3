"""The benchmarks time what they say: published formulas, the floor's arithmetic, a run of all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import random_draws
from descriptors import shuffled, symmetric
from foreign import foreign

import tfnca
from tfnca.automata.growing import GrowingCA
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.scaling import with_colour_pace

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "benchmarks"
ORIGINALS = Path(os.environ.get("TFNCA_ORIGINALS", ROOT.parent / "shared" / "originals"))

sys.path.insert(0, str(FOLDER))
import bench  # noqa: E402
import colours  # noqa: E402
import ours  # noqa: E402
import problems  # noqa: E402
import published  # noqa: E402
import recipes  # noqa: E402
import rule_speed  # noqa: E402
import takeover_matrix  # noqa: E402
import textures  # noqa: E402
import unchanged  # noqa: E402
import worker  # noqa: E402


def small_problem(kind):
    """A problem of a few cells and random weights, as `problems.training` makes large ones."""
    make = MNISTCA if kind == "mnist" else GrowingCA
    random = np.random.default_rng(0)
    parts = {"host": problems.arrays(shuffled(make(), seed=0, scale=0.5))}
    if kind in ("mnist", "injection"):
        parts["adversary"] = problems.arrays(shuffled(make(), seed=1, scale=0.5))
    if kind == "perturbation":
        parts["matrix"] = [symmetric(2)]
    state = random.normal(scale=0.3, size=(2, 6, 7, parts["host"][-1].size + (kind == "mnist")))
    state[:, 1:5, 1:6, 3] += 1.0  # lives through a few steps
    target = random.random((2, 6, 7, 10) if kind == "mnist" else (6, 7, 4))
    target[..., :3] *= target[..., 3:4]  # a picture is premultiplied
    labels = np.full(2, 8, np.int32) if kind == "mnist" else None
    if kind == "mnist":
        target = problems.cell_labels(state[..., 0], labels)
    return {
        "kind": kind,
        "parts": parts,
        "trained": problems.TRAINED[kind],
        "sobel": problems.sobel_kernels(),
        "mask": random_draws(
            ours.make_step({"kind": kind, "fire_rate": 0.5, "parts": parts}), (2, 6, 7), steps=1
        )["mask"].numpy()
        if "adversary" in parts
        else None,
        "labels": labels,
        "state": state.astype(np.float32),
        "target": np.array(target, np.float32),
        "steps": 3,
        "fire_rate": 0.5,
        "noise_std": 0.02 if kind == "mnist" else 0.0,
        "learning_rate": 1e-6,
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", problems.TRAINED)
def test_published_formulas_and_both_engines_agree(kind):
    problem = small_problem(kind)
    makers = {"published": published, "dense": ours, "sparse": ours}
    found = {}
    for engine, module in makers.items():
        train, check = module.make(problem, engine)
        assert np.isfinite(train())
        found[engine] = {name: np.array(value) for name, value in check(3).items()}
        assert np.ptp(found[engine]["state"]) > 0.1
        assert np.linalg.norm(found[engine]["gradient 0"]) == pytest.approx(1.0, abs=1e-3)
    checks, wrong = bench.compare(found)
    assert wrong == []
    assert set(checks["sparse"]) == {"full horizon", *checks["published"]}


def test_a_wrong_state_is_an_error():
    right = {"state": np.ones(3), "gradient 0": np.array([1.0, 0.0])}
    wrong = {"state": np.array([1.0, 1.0, 1.001]), "gradient 0": np.array([0.0, 1.0])}
    checks, errors = bench.compare({"dense": right, "published": right, "jax": wrong})
    assert checks["published"] == {"state": 0.0, "gradient 0": 0.0}
    assert len(errors) == 2
    assert all(error.startswith("jax: its") for error in errors)
    assert bench.compare({"dense": right, "jax": {**right, "state": np.full(3, np.nan)}})[1]


def test_floor_is_the_hand_count():
    forward = 2 * (48 * 128 + 128 * 16)
    growing, injection = small_problem("growing"), small_problem("injection")
    assert problems.floor_flops(growing, 50, [10]) == 10 * 3 * forward
    assert problems.floor_flops(injection, 50, [10, 7]) == (10 * 2 + 7 * 3) * forward
    perturbation = small_problem("perturbation")
    expected = 10 * 2 * forward + 50 * 3 * 2 * 16 * 16
    assert problems.floor_flops(perturbation, 50, [10]) == expected
    forward = 2 * (9 * 20 * 80 + 80 * 80 + 80 * 19)
    assert problems.floor_flops(small_problem("mnist"), 50, [10, 7]) == (10 * 2 + 7 * 3) * forward


def test_cells_are_counted():
    problem = small_problem("injection") | {"fire_rate": 1.0, "steps": 1}
    problem["state"][..., 3] = 0.0
    problem["state"][0, 2, 3, 3] = 1.0  # one living neighbourhood of nine cells
    adversaries = int(problem["mask"][0, 1:4, 2:5].sum())
    assert 0 < adversaries < 9
    assert problems.count_cells(problem) == (9, [9 - adversaries, adversaries])
    herd = {"state": np.zeros((1, 9, 9, 16), np.float32)}
    assert problems.count_cells(problem | herd | {"mask": np.zeros((1, 9, 9))}) == (0, [0, 0])
    assert not np.any(tfnca.living_mask(herd["state"]))


@pytest.mark.slow
@pytest.mark.skipif(
    not (ORIGINALS / "mnist_ca.json").exists()
    and not (ROOT / "saved_models" / "mnist" / "model.keras").exists(),
    reason="no trained MNIST CA",
)
def test_bench_runs(tmp_path):
    command = [
        sys.executable,
        FOLDER / "bench.py",
        "--quick",
        "--only",
        "mnist_adversary",
        "--engines",
        "published",
        "dense",
        "sparse",
        "--out",
        tmp_path,
    ]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    results = json.loads((tmp_path / "bench.json").read_text())
    assert results["errors"] == []
    result = results["train_step"]["mnist_adversary"]
    assert result["ratio_published"] > 1.0
    assert result["above_floor"] > 1.0
    assert set(result["checks"]) == {"published", "sparse"}
    assert result["peak_rss_mb"]["sparse"] < result["peak_rss_mb"]["published"]
    assert "mnist_adversary" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "training.png").stat().st_size > 1000


def test_bench_says_what_it_lacks(tmp_path):
    command = [sys.executable, FOLDER / "bench.py", "--rounds", "0"]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert "--rounds must be at least 1. Received: 0" in run.stderr


def test_a_gpu_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr("tensorflow.config.list_physical_devices", lambda kind: [])
    monkeypatch.setattr("tensorflow.config.list_logical_devices", lambda kind: [])
    with pytest.raises(
        ValueError, match=r"requires a GPU that TensorFlow finds.*Received: --device gpu"
    ):
        bench.gpu()
    with pytest.raises(ImportError, match="finds no GPU"):
        worker.take_gpu("ours")


def test_colours_return_at_the_pace_they_are_given(monkeypatch):
    monkeypatch.setattr(colours, "RUNS", 1)
    monkeypatch.setattr(colours, "AT", (1, 4))
    host = tfnca.load("growing_lizard")
    plain, blue = (tfnca.pad_target(tfnca.load_target(name), 16) for name in ("lizard", "blue"))
    left = [
        colours.left_of_a_shift(with_colour_pace(host, pace), plain, blue) for pace in (1.0, 0.25)
    ]
    assert all(fast < slow - 0.1 for fast, slow in zip(*left, strict=True)), left
    seed = tfnca.seed_state(72)
    grown = [
        np.asarray(tfnca.rollout(ca, seed, 300, seed=0))
        for ca in (host, with_colour_pace(host, 0.5))
    ]
    assert np.square(grown[0] - grown[1])[..., :4].mean() < 5e-5


def test_a_recipes_row_holds_its_measures():
    rows = [{"step": step, "median": step / 1e6, "worst": 1.0} for step in (96, 500, 5000)]
    metrics = {"from_seed": rows, "from_grown": rows, "lifted": {"back": 12}}
    row = recipes.summary("published", metrics, 12.4)
    assert row == {
        "recipe": "published",
        "seconds": 12,
        "from_seed_500": 0.0005,
        "from_seed_5000": 0.005,
        "from_grown_500": 0.0005,
        "from_grown_5000": 0.005,
        "back": 12,
    }
    assert recipes.table([row]).splitlines()[2] == (
        "| published | 12 | 0.0005 | 0.0050 | 0.0005 | 0.0050 | 12 |"
    )
    attacked = {"from_grown": [row | {"host_median": 0.02} for row in rows]}
    assert recipes.summary("stable", attacked, 1)["host_cells_5000"] == 0.02


def test_unknown_recipes_are_named():
    command = [sys.executable, FOLDER / "recipes.py", "perturbation", "--only", "magic"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Received: ['magic']" in done.stderr


def test_an_older_revision_trains_with_the_old_names_of_options(tmp_path):
    assert unchanged.training_command(tmp_path)[5:] == [
        *("--fresh", "1", "--mutated", "1", "--lifted", "2", "--test-digits", "600")
    ]
    assert unchanged.training_command(unchanged.ROOT) == unchanged.TRAIN


@pytest.mark.slow  # numba compiles the timed loops
def test_the_parts_of_a_step_are_timed():
    import parts

    host = shuffled(tfnca.GrowingCA(), seed=0, scale=0.05)
    state = np.array(tfnca.rollout(host, tfnca.seed_state(40), 1, seed=0))
    state[:, 8:32, 8:32, 3] = 1.0
    found = parts.measure(host, state)
    assert found["all"] > 0
    assert min(list(found.values())[:4]) > 0


@pytest.mark.parametrize("name", rule_speed.RULES)
def test_both_engines_run_every_rule_that_is_timed(name):
    ca, state = rule_speed.problem(8, rule_speed.RULES[name][1], batch=1)
    assert ca.living(state) is None or np.any(ca.living(state))
    assert set(rule_speed.measure(ca, state, steps=1)) == {"dense", "sparse"}


@pytest.mark.slow
def test_a_texture_is_attacked_and_measured_beside_its_controls(tmp_path, monkeypatch):
    """Tiny textures and one training step; the identity is the host, and --out is used again."""
    for name, value in {"SIZE": 12, "SETTLED": 4, "AT": (0, 3), "SEEDS": (1, 2)}.items():
        monkeypatch.setattr(textures, name, value)
    rule = {"hidden": 6, "padding": "circular", "state_clip": 2.0}
    host, other = (shuffled(tfnca.NeuralCA(channels=5, **rule), seed) for seed in (0, 1))
    before = host.get_weights()
    updates = {"adversary": 1, "matrix": 1}
    rows = textures.compared(host, other, 10, updates, tmp_path)
    plain, identity, _, adversary, matrix, goal = rows
    np.testing.assert_allclose(identity.to_goal, plain.to_goal, atol=1e-6)
    assert adversary.to_goal[0] == matrix.to_goal[0] == plain.to_goal[0]
    assert len({str(row.to_goal[1]) for row in (plain, adversary, matrix, goal)}) == 4
    assert np.median(goal.to_goal) < np.median(goal.to_host)
    for old, new in zip(before, host.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    again = textures.compared(host, other, 10, updates, tmp_path)
    assert [row.to_goal for row in again] == [row.to_goal for row in rows]
    assert len(textures.table(rows).splitlines()) == 2 + len(rows)


@pytest.mark.slow
def test_a_takeover_host_is_rescaled_and_turned_red(tmp_path, monkeypatch):
    """Its states leave ±3, so that the identity changes it; the rescaled host's do not."""
    for name, value in {"SIZE": 40, "RUNS": 1, "SETTLED": 60, "AT": (60,)}.items():
        monkeypatch.setattr(takeover_matrix, name, value)
    file = str(foreign() / "takeover/lizard_persistent.pt")
    rows = takeover_matrix.compared(file, updates=1, out=tmp_path)
    errors = {name: row["errors"]["seed, 60"] for name, row in rows.items()}
    assert next(iter(errors)) == "host, no attack"
    assert (tmp_path / "red.npy").is_file()
    assert errors["identity, rescaled host"] == pytest.approx(errors["host, no attack"], abs=1e-6)
    assert errors["identity"] != pytest.approx(errors["host, no attack"], abs=1e-5)
    assert len(takeover_matrix.table(rows).splitlines()) == 2 + len(rows)
