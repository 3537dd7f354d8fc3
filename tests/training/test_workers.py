"""Shards and workers: a training is the same however many processes share it."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from descriptors import shuffled

import tfnca
from tfnca.training.snapshots import restore_snapshot, save_snapshot
from tfnca.training.workers import Workers, join_workers, shard_seed

ROOT = Path(__file__).parents[2]
SIZE = 8
TARGET = np.full((SIZE, SIZE, 4), 0.25, np.float32)


def job(shards=1, normalize_gradients=True, seed=5):
    step = shuffled(tfnca.GrowingCA(), 1)
    trainer = tfnca.Trainer(
        step, tfnca.TargetLoss(TARGET), 3, seed=seed, normalize_gradients=normalize_gradients
    )
    trainer.compile(keras.optimizers.SGD(1e-2))
    trainer.share(shards)
    return trainer


def pool():
    return tfnca.GrowingPool(tfnca.seed_state(SIZE), size=6, batch_size=4)


def fit(trainer, steps):
    trainer.fit(trainer.pool if hasattr(trainer, "pool") else pool(), 1, steps, verbose=0)
    return trainer


def moved(trainer):
    before = shuffled(tfnca.GrowingCA(), 1).get_weights()
    return [a - b for a, b in zip(trainer.step.get_weights(), before, strict=True)]


def test_the_gradient_is_the_mean_over_shards():
    seeds = [shard_seed(5, shard) for shard in range(3)]
    assert seeds[0] == 5
    assert len(set(seeds)) == 3
    each = [moved(fit(job(1, False, seed), 1)) for seed in seeds]
    # All draw as many CA steps: 3 is no range.
    for together, *parts in zip(moved(fit(job(3, False), 1)), *each, strict=True):
        assert np.abs(together).max() > 1e-6
        np.testing.assert_allclose(together, np.mean(parts, axis=0), rtol=1e-3, atol=1e-7)


def test_each_shard_has_a_pool_of_its_own():
    trainer = fit(job(2), 2)
    first, second = (each.variables["states"].numpy() for each in trainer.pools)
    assert np.abs(first - second).max() > 1e-3
    assert trainer.pools[0] is trainer.pool


def test_a_snapshot_holds_every_shard(tmp_path):
    trainer = fit(job(2), 2)
    save_snapshot(tmp_path, trainer, [])
    other = job(2)
    other.attach(pool())
    restore_snapshot(tmp_path, other)
    for ours, theirs in zip(trainer.pools, other.pools, strict=True):
        np.testing.assert_array_equal(*(p.variables["states"].numpy() for p in (ours, theirs)))
    one = job(1)
    one.attach(pool())
    with pytest.raises(ValueError, match=r"other settings.*pool/1/states"):
        restore_snapshot(tmp_path, one)


def test_shards_keep_their_states_if_a_setting_changes_before_the_fit(tmp_path):
    trainer = fit(job(2), 2)
    save_snapshot(tmp_path, trainer, [])
    other = job(2)
    other.attach(trainer.pool.copy())
    restore_snapshot(tmp_path, other)
    own = other.pools
    other.step.networks[0].fire_rate = 0.25
    fit(other, 1)
    assert other.pools is own
    states = [each.variables["states"].numpy() for each in other.pools]
    assert np.abs(states[0] - states[1]).max() > 1e-3
    before = trainer.pools[1].variables["states"].numpy()
    kept = [np.array_equal(a, b) for a, b in zip(states[1], before, strict=True)]
    assert kept.count(True) == 2  # all but the batch of 4


@pytest.mark.parametrize("shards", [0, 1.5, 3])
def test_shards_come_out_even(shards):
    with pytest.raises(ValueError, match=r"shards.*Received: .*" + str(shards)):
        job().share(shards, Workers(0, 2))


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", '{"cluster": {"worker": ["a:1"]}, "task": {"index": 1}}'],
)
def test_workers_that_nobody_names(monkeypatch, text):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if text is not None:
        monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match=r"TF_CONFIG.*tfnca launch"):
        join_workers()


def test_one_worker_needs_no_server(monkeypatch):
    task = {"cluster": {"worker": ["localhost:1"]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(task))
    alone = join_workers()
    assert (alone.index, alone.count, alone.is_chief) == (0, 1, True)
    assert alone.any([True, False]) == [True, False]
    assert alone.gather(tf.ones([2]), "nothing").numpy().tolist() == [1, 1]


OPTIONS = [
    "--size", "12", "--padding", "2", "--pool-size", "8", "--batch-size", "3",
    "--min-ca-steps", "6", "--max-ca-steps", "8", "--measure", "none",
    "--steps", "6", "--shards", "2",
]  # fmt: skip


def everything(folder):
    """What a run has at its end, but the times in its history."""
    body = (folder / "snapshot.bin").read_bytes().split(b"\n", 2)[2]
    (folder / "snapshot.npz").write_bytes(body)
    with np.load(folder / "snapshot.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name != "history"}


def start(folder, *launch):
    command = [*launch, "train/growing.py", *OPTIONS, "--out", str(folder)]
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_workers_train_what_one_does(tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    runs = [start(alone), start(together, "train/launch.py", "2")]
    said = [run.communicate(timeout=300)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(said)[-3000:]
    assert "2 workers" in said[1]
    expected, found = everything(alone), everything(together)
    assert set(found) == set(expected)
    assert "pool/1/states" in found
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["0", "train/growing.py"], "workers must be at least 1. Received: 0"),
        (["2", "train/nothing.py"], "existing script. Received: train/nothing.py"),
        (["two", "train/growing.py"], "invalid int value: 'two'"),
    ],
)
def test_a_launch_that_cannot_be(words, message, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("sys.argv", ["launch.py", *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("train/launch.py", run_name="__main__")
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


FAILING = """
import json, os, sys, time
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
if index == 1:
    print("no memory left", sys.argv[1:])
    os.kill(os.getpid(), 9) if "--killed" in sys.argv else sys.exit(3)
time.sleep(1)
sys.exit(2)
"""


@pytest.mark.parametrize(
    ("option", "how", "code"),
    [("--shards=4", "ended with code 3", 3), ("--killed", "was killed by signal 9", 1)],
)
def test_a_launch_shows_what_the_first_that_failed_said(tmp_path, option, how, code):
    script = tmp_path / "script.py"
    script.write_text(FAILING)
    command = [sys.executable, str(ROOT / "train/launch.py"), "2", str(script), option]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    assert f"worker 1 {how} first" in done.stderr
    if option == "--shards=4":  # the last of two counts
        assert "['--shards', '2', '--shards=4', '--strategy', 'multiworker']" in done.stderr
