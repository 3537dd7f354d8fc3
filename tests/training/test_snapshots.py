"""Snapshots: whole runs come back bit for bit, torn files are found, a good one always remains."""

import errno
import hashlib
import io
import json
import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework.config import disable_op_determinism

import tfnca
from tfnca.files import write_atomically
from tfnca.training import snapshots
from tfnca.training.snapshots import NEWEST, PREVIOUS, restore_snapshot, save_snapshot

DIGITS = tfnca.load_digits("train", count=8, source="sample")


def job(size=8, hidden=80):
    """A new attack: its host is always the same, its adversary another each time."""
    host = tfnca.MNISTCA(hidden=hidden)
    host.set_weights([np.full(w.shape, 0.01) for w in host.weights])
    step = tfnca.Injected(host, tfnca.MNISTCA(hidden=hidden))
    trainer = tfnca.Trainer(step, tfnca.ClassLoss(digit=8), 2)
    trainer.compile(keras.optimizers.Adam(1e-3))
    trainer.attach(tfnca.DigitPool(DIGITS, size, 4, density=0.3))
    return trainer


def train(trainer, steps):
    trainer.fit(trainer.pool, epochs=1, steps_per_epoch=steps, verbose=0)


def everything(trainer):
    variables = [
        *trainer.step.variables,
        *trainer.optimizer.variables,
        *trainer.pool.variables.values(),
    ]
    return [variable.numpy() for variable in variables]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def mark(trainer, value):
    """Makes a state that can be told from another, without training."""
    for variable in [*trainer.step.trainable_variables, *trainer.pool.variables.values()]:
        variable.assign(tf.fill(variable.shape, tf.cast(value, variable.dtype)))


@pytest.fixture(scope="module")
def trainer():
    return job()


def saved(folder, trainer, *values):
    """Snapshots of marked states, one after the other."""
    for value in values:
        mark(trainer, value)
        save_snapshot(folder, trainer, [{"step": value}])


def value_of(trainer):
    values = {float(np.unique(v.numpy()).item()) for v in trainer.step.trainable_variables}
    (value,) = values
    assert all(np.all(v.numpy() == value) for v in trainer.pool.variables.values())
    return value


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_run_goes_on_bit_for_bit(tmp_path):
    keras.utils.set_random_seed(0)
    tf.config.experimental.enable_op_determinism()
    history = [{"step": 3, "loss": 0.1, "seconds": 2.5}]
    try:
        first, second = job(), job()
        train(first, 3)
        save_snapshot(tmp_path, first, history)
        at_snapshot = everything(first)
        assert not same(at_snapshot, everything(second))
        assert restore_snapshot(tmp_path, second) == history
        assert same(at_snapshot, everything(second))
        train(first, 3)
        train(second, 3)
    finally:
        disable_op_determinism()
    assert same(everything(first), everything(second))
    assert not any(
        np.array_equal(a, b)
        for a, b in zip(
            first.step.adversary.get_weights(),
            at_snapshot[: len(first.step.adversary.weights)],
            strict=True,
        )
    )
    assert int(second.optimizer.iterations) == 6


def test_the_newest_comes_back(tmp_path, trainer):
    saved(tmp_path, trainer, 1, 2, 3)
    mark(trainer, 9)
    assert restore_snapshot(tmp_path, trainer) == [{"step": 3}]
    assert value_of(trainer) == 3
    assert {path.name for path in tmp_path.iterdir()} == {NEWEST, PREVIOUS}


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes() + b"x"),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"something else"),
        lambda path: path.unlink(),
    ],
    ids=["a bit", "cut short", "longer", "empty", "foreign", "missing"],
)
def test_a_damaged_snapshot_gives_way_to_the_one_before(tmp_path, trainer, damage, capsys):
    saved(tmp_path, trainer, 1, 2)
    damage(tmp_path / NEWEST)
    assert restore_snapshot(tmp_path, trainer) == [{"step": 1}]
    assert value_of(trainer) == 1
    if (tmp_path / NEWEST).exists():
        assert f"{tmp_path / NEWEST} is damaged" in capsys.readouterr().err


def test_a_snapshot_from_before_the_trainer_counted_is_read(tmp_path, trainer, monkeypatch):
    saved(tmp_path, trainer, 1)
    trainer.optimizer.iterations.assign(5)
    every = snapshots._named_variables

    def without(trainer):
        return {k: v for k, v in every(trainer).items() if k != "trainer/steps_done"}

    monkeypatch.setattr(snapshots, "_named_variables", without)
    save_snapshot(tmp_path, trainer, [])
    monkeypatch.setattr(snapshots, "_named_variables", every)
    trainer.steps_done.assign(0)
    restore_snapshot(tmp_path, trainer)
    assert int(trainer.steps_done) == 5


def test_a_snapshot_spliced_from_two_is_damaged(tmp_path, trainer, capsys):
    saved(tmp_path, trainer, 1, 2)
    first, second = ((tmp_path / name).read_bytes() for name in (PREVIOUS, NEWEST))
    half = len(first) // 2
    (tmp_path / NEWEST).write_bytes(second[:half] + first[half:])
    assert restore_snapshot(tmp_path, trainer) == [{"step": 1}]
    assert "is damaged" in capsys.readouterr().err


def test_two_damaged_snapshots_are_an_error(tmp_path, trainer):
    saved(tmp_path, trainer, 1, 2)
    flip(tmp_path / NEWEST)
    flip(tmp_path / PREVIOUS)
    mark(trainer, 9)
    with pytest.raises(ValueError, match="every snapshot is damaged"):
        restore_snapshot(tmp_path, trainer)
    assert value_of(trainer) == 9


def test_no_snapshot_is_an_error(tmp_path, trainer):
    with pytest.raises(ValueError, match=f"Nothing to resume.*{tmp_path}"):
        restore_snapshot(tmp_path, trainer)


@pytest.mark.parametrize(
    ("other", "name"),
    [({"size": 9}, "pool/"), ({"hidden": 40}, "optimizer/|weight/")],
)
def test_a_snapshot_of_another_run_is_named(tmp_path, trainer, other, name):
    saved(tmp_path, trainer, 1)
    other = job(**other)
    mark(other, 9)
    with pytest.raises(ValueError, match=f"other settings.*({name}).*Received: .*expected"):
        restore_snapshot(tmp_path, other)
    assert value_of(other) == 9


# Writing


@pytest.fixture
def full_disk(monkeypatch):
    def fsync(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    def switch(full):
        monkeypatch.setattr(os, "fsync", fsync if full else lambda _: None)

    return switch


@pytest.mark.parametrize("data", ["text: ä", b"\x00bytes"])
def test_atomic_writing_replaces_the_file(tmp_path, data):
    path = tmp_path / "file"
    path.write_text("old")
    write_atomically(path, data)
    assert path.read_bytes() == (data if isinstance(data, bytes) else data.encode())
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, full_disk):
    path = tmp_path / "file"
    path.write_text("old")
    full_disk(True)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        write_atomically(tmp_path / "file" / "below", "new")


def test_a_full_disk_leaves_a_good_snapshot(tmp_path, trainer, full_disk):
    saved(tmp_path, trainer, 1, 2)
    full_disk(True)
    for value in (3, 4):
        with pytest.raises(OSError, match="No space left"):
            saved(tmp_path, trainer, value)
    full_disk(False)
    assert restore_snapshot(tmp_path, trainer) == [{"step": 2}]
    assert value_of(trainer) == 2


def test_a_damaged_snapshot_never_pushes_the_good_one_out(tmp_path, trainer, full_disk):
    saved(tmp_path, trainer, 1, 2)
    flip(tmp_path / NEWEST)
    restore_snapshot(tmp_path, trainer)
    full_disk(True)  # stands for a kill while the next snapshot is written
    with pytest.raises(OSError, match="No space left"):
        saved(tmp_path, trainer, 3)
    full_disk(False)
    assert restore_snapshot(tmp_path, trainer) == [{"step": 1}]


def foreign(**arrays):
    body = io.BytesIO()
    np.savez(body, **arrays)
    return body.getvalue()


HISTORY = np.frombuffer(b"[]", np.uint8)
COUNT = {"optimizer/0": np.int64(1)}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"PK\x05\x06" + bytes(18),
        foreign(history=HISTORY)[:-9],
        foreign(**COUNT),
        foreign(history=HISTORY),
        foreign(history=np.frombuffer(b"{", np.uint8), **COUNT),
        foreign(history=np.frombuffer(b"7", np.uint8), **COUNT),
        foreign(history=HISTORY, weight=np.array([None]), **COUNT),
    ],
)
def test_what_another_program_wrote_is_damaged_whatever_its_checksum(tmp_path, trainer, body):
    """Found by fuzzing: such files led to errors from inside zipfile, json and NumPy."""
    digest = hashlib.sha256(body).hexdigest().encode() + b"\n"
    (tmp_path / NEWEST).write_bytes(snapshots._MAGIC + digest + body)
    with pytest.raises(ValueError, match="Nothing to resume: every snapshot is damaged"):
        restore_snapshot(tmp_path, trainer)


def test_a_snapshot_of_another_precision_is_of_another_run(tmp_path, trainer):
    save_snapshot(tmp_path, trainer, [])
    arrays, history = snapshots._read(tmp_path / NEWEST)
    arrays["weight/0"] = arrays["weight/0"].astype(np.float64)
    body = foreign(history=np.frombuffer(json.dumps(history).encode(), np.uint8), **arrays)
    digest = hashlib.sha256(body).hexdigest().encode() + b"\n"
    (tmp_path / NEWEST).write_bytes(snapshots._MAGIC + digest + body)
    with pytest.raises(ValueError, match=r"differs in weight/0. Received: float64.*float32"):
        restore_snapshot(tmp_path, trainer)
