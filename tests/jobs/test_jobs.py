"""Runs that survive, the scripts' command lines, and whole small jobs with all that they leave."""

import base64
import csv
import dataclasses
import gc
import gzip
import importlib
import io
import json
import os
import re
import signal
import struct
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import imageio.v2 as imageio
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.python.framework.config import disable_op_determinism

import tfnca
from tfnca.commands import POSITIVE
from tfnca.files import weights_sha256
from tfnca.jobs import mnist_defence
from tfnca.jobs.options import Common, option
from tfnca.jobs.options import run as run_script
from tfnca.jobs.resume import check_same_run
from tfnca.jobs.run import make_optimizer, schedule, train

ROOT = Path(__file__).parents[2]
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for path in ROOT.glob("train/*.py")
    if path.stem not in ("launch", "models")
)
DIGITS = tfnca.load_digits("train", count=8, source="sample")


# Runs


@pytest.fixture
def small_epochs(monkeypatch):
    """Epochs of three training steps, and a run's determinism, undone afterwards."""
    monkeypatch.setattr("tfnca.jobs.run.EPOCH", 3)
    tf.config.experimental.enable_op_determinism()
    yield
    disable_op_determinism()


@dataclasses.dataclass(frozen=True)
class Settings(Common):
    """Options of a made-up script."""

    steps: int = option(4, "training steps", POSITIVE)
    learning_rate: float = option(1e-3, "at the start", POSITIVE)
    data_dir: str | None = option(None, "a folder")
    host: str = option("host", "a host")
    fast: bool = option(False, "whether to hurry")


def settings(folder, **kwargs):
    folder.mkdir(exist_ok=True)
    return Common(out=str(folder), **{"snapshot_seconds": 0.0} | kwargs)


def job(ema=0.0):
    """A run of a base: its first weights are always the same."""
    keras.utils.set_random_seed(1)
    trainer = tfnca.Trainer(tfnca.MNISTCA(), tfnca.ClassLoss(), 2)
    trainer.compile(make_optimizer("adam", 1e-3, ema))
    return trainer, tfnca.DigitPool(DIGITS, 8, 4)


def everything(trainer):
    variables = [
        *trainer.step.variables,
        *trainer.optimizer.variables,
        *trainer.pool.variables.values(),
    ]
    return [variable.numpy() for variable in variables]


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


class At(keras.callbacks.Callback):
    """Does something at the end of a training step."""

    def __init__(self, step, action):
        super().__init__()
        self.step, self.action = step, action

    def on_train_batch_end(self, batch, logs=None):
        if int(self.model.optimizer.iterations) == self.step:
            self.action(self.model)


def interrupt(_):
    signal.raise_signal(signal.SIGINT)  # the run stops after the training step that follows


class KilledError(Exception):
    """In place of a signal that ends the process."""


def kill(_):
    raise KilledError


def whole_run(folder, steps=8, **adam):
    trainer, pool = job(**adam)
    history = train(settings(folder), trainer, pool, steps)
    return everything(trainer), history


def resumed_run(folder, action, at, steps=8, **adam):
    trainer, pool = job(**adam)
    with pytest.raises((SystemExit, KilledError)) as stop:
        train(settings(folder), trainer, pool, steps, callbacks=[At(at, action)])
    trainer, pool = job(**adam)
    for variable in trainer.step.trainable_variables:
        variable.assign(tf.zeros(variable.shape))  # must come from the snapshot
    train(settings(folder, resume="exact"), trainer, pool, steps)
    return everything(trainer), stop.value


@pytest.mark.parametrize(("action", "at"), [(kill, 5), (interrupt, 4)])
def test_a_stopped_run_ends_as_one_that_was_left_alone(tmp_path, small_epochs, action, at, capsys):
    expected, history = whole_run(tmp_path / "whole")
    assert [row["step"] for row in history] == [3, 6, 8]
    ours, stop = resumed_run(tmp_path / "stopped", action, at)
    printed = capsys.readouterr().out
    assert "Resuming at step" in printed
    if action is interrupt:
        assert stop.code == 130
        assert f"Stopped at step {at + 1}" in printed
        assert "--resume" in printed
    assert same(expected, ours)


def test_an_average_of_the_weights_survives_a_stop_too(tmp_path, small_epochs):
    expected, _ = whole_run(tmp_path / "whole", steps=9, ema=0.5)
    ours, _ = resumed_run(tmp_path / "stopped", interrupt, 3, steps=9, ema=0.5)
    assert same(expected, ours)


def test_a_finished_run_with_an_average_is_left_as_it_ended(tmp_path, small_epochs):
    trainer, pool = job(ema=0.5)
    train(settings(tmp_path / "run"), trainer, pool, 6)
    expected = trainer.step.get_weights()
    trainer, pool = job(ema=0.5)
    train(settings(tmp_path / "run", resume="exact"), trainer, pool, 6)
    assert same(expected, trainer.step.get_weights())


def test_another_precision_is_that_of_the_training_alone(tmp_path, small_epochs):
    losses, seen = {}, set()
    look = At(1, lambda model: seen.update(layer.compute_dtype for layer in layers(model)))
    for precision in ("float32", "mixed_bfloat16"):
        trainer, pool = job()
        config = settings(tmp_path / precision, precision=precision, engine="dense")
        history = train(config, trainer, pool, 2, callbacks=[look])
        assert seen == {precision.removeprefix("mixed_")}
        assert {layer.dtype_policy.name for layer in layers(trainer)} == {"float32"}
        losses[precision] = history[-1]["loss"]
        seen.clear()
    assert losses["mixed_bfloat16"] != losses["float32"]
    np.testing.assert_allclose(losses["mixed_bfloat16"], losses["float32"], rtol=0.02)


def layers(trainer):
    return [layer for ca in trainer.step.networks for layer in (ca, *ca.layers_in_order)]


def test_another_precision_is_not_for_compiled_code(tmp_path):
    config = settings(tmp_path, precision="mixed_bfloat16", engine="sparse")
    with pytest.raises(ValueError, match=r"use --engine dense.*--engine sparse"):
        train(config, *job(), 4)


def test_resuming_with_weights_takes_a_new_pool(tmp_path, small_epochs):
    folder = tmp_path / "run"
    train(settings(folder), *job(), 4)
    trainer, pool = job()
    first_pool = pool.variables["states"].numpy()
    pools = []
    look = At(1, lambda model: pools.append(model.pool.variables["states"].numpy()))
    saved = tfnca.load(folder / "model.keras").get_weights()
    history = train(settings(folder, resume="weights"), trainer, pool, 1, callbacks=[look])
    assert [row["step"] for row in history] == [1]
    changed = np.any(pools[0] != first_pool, axis=(1, 2, 3))
    assert 0 < changed.sum() <= 4  # one batch of a pool of eight
    change = max(
        np.abs(a - b).max() for a, b in zip(saved, trainer.step.get_weights(), strict=True)
    )
    assert 0 < change < 0.02  # one step of Adam away


@pytest.mark.parametrize(("before", "after"), [(0.0, 0.9), (0.9, 0.0), (0.9, 0.9)])
def test_an_average_may_begin_or_end_where_weights_are_resumed(
    tmp_path, small_epochs, before, after
):
    folder = tmp_path / "run"
    train(settings(folder), *job(before), 4)
    saved = tfnca.load(folder / "model.keras").get_weights()
    trainer, pool = job(after)
    train(settings(folder, resume="weights"), trainer, pool, 1)
    change = max(
        np.abs(a - b).max() for a, b in zip(saved, trainer.step.get_weights(), strict=True)
    )
    assert 0 < change < 0.02  # one step of Adam away, where the average begins anew


@pytest.mark.parametrize("resume", [None, "weights"])
def test_a_run_of_its_own_trains_all_its_steps_and_is_the_one_that_is_resumed(
    tmp_path, small_epochs, resume
):
    folder = tmp_path / "run"
    train(settings(folder), *job(), 6)
    finished = tfnca.load(folder / "model.keras").get_weights()
    trainer, pool = job()
    with pytest.raises(KilledError):  # before its first snapshot
        train(settings(folder, resume=resume), trainer, pool, 6, callbacks=[At(1, kill)])
    with pytest.raises(ValueError, match="Nothing to resume"):
        train(settings(folder, resume="exact"), *job(), 6)
    trainer, pool = job()
    history = train(settings(folder, resume="weights"), trainer, pool, 6)
    assert [row["step"] for row in history] == [3, 6]
    assert int(trainer.optimizer.iterations) == 6  # which its schedule follows
    assert not same(finished, trainer.step.get_weights())


def test_a_command_that_fails_leaves_the_settings_of_an_earlier_run(tmp_path, small_epochs):
    (tmp_path / "config.json").write_text("earlier")
    config = settings(tmp_path, resume="exact")
    with pytest.raises(ValueError, match="Nothing to resume"):
        train(config, *job(), steps=3)
    assert (tmp_path / "config.json").read_text() == "earlier"


def begun(folder, facts=None, **kwargs):
    """The settings of a run in a folder, written as `train` does."""
    config = Settings(out=str(folder), **kwargs)
    text = json.dumps(dataclasses.asdict(config) | (facts or {}))
    (folder / "config.json").write_text(text)
    return config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 99}, "--seed was 0, is now 99;"),
        ({"learning_rate": 0.1}, "--learning-rate was 0.001, is now 0.1;"),
        ({"steps": 3}, "--steps was 4, is now 3;"),
        ({"engine": "dense"}, "--engine was auto, is now dense;"),
        ({"fast": True}, "--fast was False, is now True;"),
        ({"host": "other"}, "--host was host, is now other;"),
        ({"seed": 1, "fast": True}, "--seed was 0, is now 1; --fast was False, is now True;"),
    ],
)
def test_a_run_of_other_settings_is_not_resumed(tmp_path, change, message):
    config = dataclasses.replace(begun(tmp_path), **change)
    with pytest.raises(ValueError, match=r"You may change --.*, and increase --steps") as error:
        check_same_run(config, {})
    assert message in str(error.value).replace(". You", "; You")
    for name in ("--snapshot-seconds", "--preview-steps", "--measure"):
        assert name in str(error.value)


def test_what_may_change_may(tmp_path, capsys):
    config = begun(tmp_path)
    free = {"snapshot_seconds": 1.0, "preview_steps": 7, "measure": "none", "resume": "exact"}
    check_same_run(dataclasses.replace(config, **free), {})
    assert not capsys.readouterr().out
    check_same_run(dataclasses.replace(config, steps=9), {})
    assert "--steps was 4, is now 9" in capsys.readouterr().out  # since drops are fractions of them


def test_files_are_compared_by_what_they_held(tmp_path):
    config = begun(tmp_path, {"host_sha256": "one"})
    check_same_run(dataclasses.replace(config, host="moved"), {"host_sha256": "one"})
    with pytest.raises(ValueError, match=r"--host was host, is now host \(its content changed\)"):
        check_same_run(config, {"host_sha256": "two"})


def test_a_model_of_other_settings_is_another(tmp_path):
    config = begun(tmp_path, {"host_sha256": "one", "host_identity": "one"})
    check_same_run(config, {"host_sha256": "one", "host_identity": "one"})
    check_same_run(config, {"host_sha256": "one"})  # of an earlier version
    with pytest.raises(ValueError, match=r"--host was host, is now host \(its content changed\)"):
        check_same_run(config, {"host_sha256": "one", "host_identity": "two"})


def test_an_option_that_came_later_had_its_default(tmp_path):
    config = begun(tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    del values["fast"]
    (tmp_path / "config.json").write_text(json.dumps(values))
    check_same_run(config, {})
    with pytest.raises(ValueError, match="--fast was False, is now True"):
        check_same_run(dataclasses.replace(config, fast=True), {})


@pytest.mark.parametrize("text", [None, "", "[]", "{"])
def test_settings_that_cannot_be_read_are_named(tmp_path, text):
    if text is not None:
        (tmp_path / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json cannot be read. Received: "):
        check_same_run(Settings(out=str(tmp_path)), {})


def test_a_resumed_run_compares_its_settings(tmp_path, small_epochs):
    folder = tmp_path / "run"
    train(settings(folder), *job(), 3)
    before = (folder / "config.json").read_text()
    trainer, pool = job()
    with pytest.raises(ValueError, match="--seed was 0, is now 99"):
        train(settings(folder, resume="exact", seed=99), trainer, pool, 6)
    assert (folder / "config.json").read_text() == before
    assert int(trainer.steps_done) == 0


@pytest.mark.parametrize(
    ("words", "fast"), [([], False), (["--fast"], True), (["--no-fast"], False)]
)
def test_an_option_may_be_a_pair_of_flags(tmp_path, monkeypatch, words, fast):
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)
    monkeypatch.setattr(sys, "argv", ["script", *words, "--out", str(tmp_path)])
    found = []
    run_script(Settings, found.append, "A script.")
    assert found[0].fast is fast


@pytest.mark.parametrize("ema", [1, -0.5, float("nan")])
def test_an_average_that_never_learns_is_refused(ema):
    with pytest.raises(ValueError, match=r"ema must be in \[0, 1\)"):
        make_optimizer("adam", 1e-3, ema)


def test_an_optimiser_of_other_weights_is_named(tmp_path, small_epochs):
    folder = tmp_path / "run"
    train(settings(folder), *job(), 2)
    with np.load(folder / "optimizer.npz") as arrays:
        values = dict(arrays)
    for wrong, message in [
        (values | {"adam/hidden_bias_momentum": np.zeros(3)}, r"momentum .*Received: shape \(3,\)"),
        ({"adam/iteration": values["adam/iteration"]}, "learning_rate .*Received: nothing"),
    ]:
        np.savez(folder / "optimizer.npz", **wrong)
        with pytest.raises(ValueError, match=message):
            train(settings(folder, resume="weights"), *job(), 3)


@pytest.mark.parametrize("missing", ["model.keras", "optimizer.npz"])
def test_weights_to_resume_from_must_be_there(tmp_path, missing):
    trainer, pool = job()
    trainer.attach(pool)
    trainer.save(tmp_path / "model.keras")
    (tmp_path / "optimizer.npz").write_bytes(b"")
    (tmp_path / missing).unlink()
    with pytest.raises(ValueError, match=f"requires {missing}"):
        train(settings(tmp_path, resume="weights"), trainer, pool, 1)


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_weights(tmp_path, small_epochs):
    trainer, pool = job()
    kept = []

    def poison(model):
        kept[:] = model.step.get_weights()
        states = model.pool.variables["states"]
        states.assign(tf.fill(states.shape, np.nan))

    with pytest.raises(ValueError, match=r"not finite at step 5\b.*lower learning rate"):
        train(settings(tmp_path), trainer, pool, 9, callbacks=[At(4, poison)])
    assert int(trainer.optimizer.iterations) == 4
    assert same(kept, trainer.step.get_weights())
    assert same(kept, tfnca.load(tmp_path / "model.keras").get_weights())
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["3"]


def test_previews_and_histories_are_written_on_the_way(tmp_path, small_epochs):
    trainer, pool = job()
    picture = np.random.default_rng(0).random((4, 5, 3))
    config = settings(tmp_path, preview_steps=6)
    train(config, trainer, pool, 14, lambda: picture)
    previews = sorted((tmp_path / "previews").iterdir())
    assert [path.name for path in previews] == ["000006.png", "000012.png"]
    with Image.open(previews[0]) as image:
        assert np.array_equal(image, np.round(255 * picture))
    rows = list(csv.DictReader((tmp_path / "history.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["3", "6", "9", "12", "14"]
    seconds = [float(row["seconds"]) for row in rows]
    assert seconds == sorted(seconds)
    assert all(float(row["loss"]) > 0 for row in rows)
    assert list((tmp_path / "tensorboard").rglob("events.out.tfevents.*"))


def test_the_learning_rate_falls_twice_by_ten():
    rate = schedule(2e-3, 1000, "0.3,0.7")
    at = [float(rate(step)) for step in (0, 299, 302, 699, 702, 5000)]
    np.testing.assert_allclose(at, [2e-3, 2e-3, 2e-4, 2e-4, 2e-5, 2e-5], rtol=1e-5)


@pytest.mark.parametrize("drops", ["a", "0.7,0.3", "0,0.5", "1.0", "nan"])
def test_wrong_drops_are_named(drops):
    with pytest.raises(ValueError, match=f"drops must be .*Received: '{drops}'"):
        schedule(2e-3, 1000, drops)


# Command lines, in this process


def complaint(result):
    """The one line of a wrong call."""
    code, _, err = result
    lines = [line for line in err.splitlines() if line.startswith("error:")]
    assert code == 2, err
    assert len(lines) == 1, err
    assert "Traceback" not in err
    return lines[0]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_mentions_every_option(script, command):
    code, out, _ = command(script, "--help")
    config = importlib.import_module(f"tfnca.jobs.options.{Path(script).stem}").Config
    assert code == 0
    for field in dataclasses.fields(config):
        assert re.search(rf"^  --{field.name.replace('_', '-')}\b", out, re.MULTILINE)
        words = field.metadata["help"].split()
        assert " ".join(words) in " ".join(out.split())
    assert {"out", "seed", "resume"} <= {field.name for field in dataclasses.fields(config)}


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("export/saved_model.py", ["model", "--out OUT", "--host HOST"]),
        ("tfnca.article.report", ["folder"]),
    ],
)
def test_help_of_the_others(script, options, command):
    code, out, _ = command(script, "--help")
    assert code == 0
    assert all(option in out for option in options)


MNIST, ATTACK = "train/mnist.py", "train/mnist_adversary.py"
DEFENCE = "train/mnist_defence.py"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder of idx files, and models to attack."""
    folder = tmp_path_factory.mktemp("data")
    for split, name, count in (("train", "train", 40), ("test", "t10k", 25)):
        digits = tfnca.load_digits(split, count=count, source="sample")
        images = np.round(255 * digits.images).astype(np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", digits.labels)):
            header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            path = folder / f"{name}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))
    keras.saving.save_model(tfnca.MNISTCA(), folder / "digits.keras")
    keras.saving.save_model(tfnca.GrowingCA(), folder / "lizard.keras")
    keras.saving.save_model(tfnca.MatrixPerturbation(), folder / "matrix.keras")
    (folder / "file").write_text("no folder")
    (folder / "broken.keras").write_bytes(b"PK\x03\x04 broken")
    return folder


@pytest.mark.parametrize("options", [[], ["--message-bound", 1.5]])
def test_a_defence_leaves_a_host(options, command, data, tmp_path):
    bank = ",".join([str(data / "digits.keras")] * 2)
    given = ["--start", data / "digits.keras", "--bank", bank, "--data-dir", data, *options]
    given += ["--steps", 2, "--ca-steps", 2, "--measure", "none", "--out", tmp_path]
    code, _, err = command(DEFENCE, *given, "--test-digits", 5)
    assert code == 0, err
    trained, start = tfnca.load(tmp_path / "model.keras"), tfnca.load(data / "digits.keras")
    assert trained.message_bound == (1.5 if options else None)
    assert any(map(np.any, map(np.subtract, trained.get_weights(), start.get_weights())))
    assert json.loads((tmp_path / "config.json").read_text())["bank"] == bank


def test_the_liars_of_a_bank_take_turns():
    liar, bank = tfnca.MNISTCA(), [tfnca.MNISTCA() for _ in range(3)]
    turns = mnist_defence.TakeTurns(liar, bank)
    met = []
    for done in range(0, 500, 100):
        turns.set_model(SimpleNamespace(steps_done=done))
        turns.on_train_begin() if done == 200 else turns.on_train_batch_end(0)
        kernels = [np.array_equal(liar.get_weights()[0], each.get_weights()[0]) for each in bank]
        met.append(kernels.index(True))
    assert met == [0, 1, 2, 0, 1]


def test_a_liar_may_be_trained_to_stay_within_the_rule(command, data, tmp_path):
    given = ["--host", data / "digits.keras", "--start", data / "digits.keras", "--tolerance", 4]
    given += ["--data-dir", data, "--steps", 2, "--ca-steps", 2, "--test-digits", 5]
    code, _, err = command(ATTACK, *given, "--measure", "none", "--out", tmp_path)
    assert code == 0, err
    settings = json.loads((tmp_path / "config.json").read_text())
    assert settings["tolerance"] == 4
    assert settings["start_sha256"] == settings["host_sha256"]


@pytest.mark.parametrize("script", [ATTACK, DEFENCE])
def test_any_ca_of_digits_is_attacked_and_defended(script, command, data, tmp_path):
    rule = {"channels": 13, "hidden": (6,), "alive": tfnca.Stroke(), "fixed": 1}
    host = tmp_path / "host.keras"
    keras.saving.save_model(tfnca.NeuralCA(**rule), host)
    given = ["--host", host] if script == ATTACK else ["--start", host, "--bank", host]
    given += ["--data-dir", data, "--steps", 2, "--ca-steps", 2, "--test-digits", 5]
    code, _, err = command(script, *given, "--measure", "none", "--out", tmp_path / "out")
    assert code == 0, err
    trained = tfnca.load(tmp_path / "out" / "model.keras")
    assert trained.channels == 13
    assert isinstance(trained, tfnca.MNISTCA) == (script == ATTACK)


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--unknown", 1], "--unknown"),
        (["--steps", "many"], "steps.*many"),
        (["--steps", -5], "steps"),
        (["--seed", -1], "(?i)seed"),
        (["--engine", "warp"], "engine.*warp"),
        (["--resume", "all"], "resume.*all"),
        (["--out", "{data}/file/below"], "file"),
    ],
)
def test_wrong_calls_of_any_script(script, arguments, message, command, data, tmp_path):
    given = [str(argument).format(data=data) for argument in arguments]
    if "--out" not in given:
        given += ["--out", tmp_path / "out"]
    if "adversary" in script or "perturbation" in script:
        given += ["--host", data / ("digits.keras" if "mnist" in script else "lizard.keras")]
    if "mnist" in script:
        given += ["--data-dir", data, "--test-digits", 5]
    assert re.search(message, complaint(command(script, *given)))


GROWING, LIZARD = "train/growing.py", "train/growing_adversary.py"
HOST = ["--host", "{data}/digits.keras"]


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        (MNIST, ["--data-dir", "{data}/none"], "data_dir must be a folder.*{data}/none"),
        (MNIST, ["--data-dir", "{out}"], "data_dir must contain"),
        (MNIST, ["--resume"], "no snapshot in this folder.*{out}"),
        (MNIST, ["--resume", "weights"], "--resume weights requires model.keras"),
        (MNIST, ["--loss", "l3"], "loss.*l3"),
        (MNIST, ["--batch-size", 0], "--batch-size must be positive. Received: 0"),
        (
            MNIST,
            ["--batch-size", 1],
            "--new-digits and --swapped-digits must .*Received: --new-digits 4",
        ),
        (MNIST, ["--batch-size", 200], "--batch-size must be at most --pool-size.*200"),
        (MNIST, ["--ca-steps", 0], "--ca-steps must be in 1 to 8191. Received: 0"),
        (MNIST, ["--noise", -1], "--noise must not be negative. Received: -1"),
        (MNIST, ["--ema", 1], r"--ema must be in \[0, 1\). Received: 1"),
        (MNIST, ["--ema", -0.5], r"--ema must be in \[0, 1\). Received: -0.5"),
        (MNIST, ["--learning-rate", "nan"], "--learning-rate must be positive. Received: nan"),
        (MNIST, ["--drops", "0.7,0.3"], "--drops must be ascending.*Received: 0.7,0.3"),
        (MNIST, ["--measure", "some"], "measure.*some"),
        (MNIST, ["--seed", 2**32], r"--seed must be in 0 to 2\*\*32 - 1"),
        (GROWING, ["--batch-size", 1], "--batch-size must be at least 3, .* --regime regen.*1"),
        (GROWING, ["--colour-pace", 0.5], "--colour-pace requires --start, .* 0.5 and no --start"),
        (GROWING, ["--max-ca-steps", 3], "--min-ca-steps must be at most --max-ca-steps.*s 3"),
        (GROWING, ["--max-radius", 0.05], "--min-radius must be at most --max-radius.*0.05"),
        (GROWING, ["--size", 0], "--size must be positive. Received: 0"),
        (LIZARD, ["--batch-size", 1], "--damaged must be at most --batch-size.*--batch-size 1"),
        (LIZARD, ["--own-weight", 2], r"--own-weight must be in \[0, 1\]. Received: 2"),
        (LIZARD, ["--first-density", 0], r"--first-density must be in \(0, 1\]. Received: 0"),
        ("train/perturbation.py", ["--kind", "warp"], "--kind must be one of matrix, shift.*warp"),
        (MNIST, ["--test-digits", 26], "count must be at most 25.*26"),
        (ATTACK, ["--host", "{data}/none.keras"], "{data}/none.keras"),
        (ATTACK, ["--host", "{data}/broken.keras"], "{data}/broken.keras"),
        (ATTACK, ["--host", "{data}/lizard.keras"], "--host must name a CA of digits.*GrowingCA"),
        (ATTACK, [*HOST, "--digit", 11], "digit must be in 0 to 9.*11"),
        (ATTACK, [*HOST, "--digit", -1], "digit must be in 0 to 9.*-1"),
        (ATTACK, [*HOST, "--digit", "eight"], "digit.*eight"),
        (ATTACK, [*HOST, "--density", 0], r"--density must be in \(0, 1\]. Received: 0"),
        (ATTACK, [*HOST, "--density", 1.5], r"--density must be in \(0, 1\]. Received: 1.5"),
        (
            ATTACK,
            [*HOST, "--least-density", 0.2],
            "--least-density must be at most --density.*Received: --least-density 0.2",
        ),
        (ATTACK, [*HOST, "--density", "nan"], r"density must be in \(0, 1\].*nan"),
        (ATTACK, [*HOST, "--data-dir", "{data}/none"], "{data}/none"),
        (ATTACK, [*HOST, "--resume"], "no snapshot in this folder"),
        (ATTACK, [*HOST, "--tolerance", 0], "--tolerance must be positive. Received: 0"),
        (
            ATTACK,
            [*HOST, "--start", "{data}/lizard.keras"],
            "--start must name a CA of digits.*MNIST",
        ),
        (
            DEFENCE,
            ["--start", "{data}/lizard.keras"],
            "--start must name a CA of digits.*GrowingCA",
        ),
        (
            DEFENCE,
            ["--bank", "{data}/digits.keras,{data}/lizard.keras"],
            "--bank must name a CA of digits",
        ),
        (DEFENCE, ["--bank", "{data}/none.keras"], "{data}/none.keras"),
        (DEFENCE, ["--message-bound", 0], "--message-bound must be positive. Received: 0"),
        (DEFENCE, ["--lowest", 0.9, "--highest", 0.5], "--lowest must be at most --highest"),
        ("export/saved_model.py", [], "required"),
        ("export/saved_model.py", ["{data}/none", "--out", "{out}/x"], "{data}/none"),
        ("export/saved_model.py", ["{data}/matrix.keras", "--out", "{out}/x"], "needs its host"),
        (
            "export/saved_model.py",
            ["{data}/lizard.keras", "--host", "{data}/digits.keras", "--out", "{out}/x"],
            "same channels",
        ),
        (
            "export/saved_model.py",
            ["{data}/lizard.keras", "--out", "{data}/file/below"],
            "{data}/file",
        ),
        ("export/saved_model.py", ["{data}/lizard.keras", "--out", "{data}/file"], "{data}/file"),
        ("tfnca.article.report", [], "required"),
        ("tfnca.article.report", ["{data}/none"], "{data}/none"),
        ("tfnca.article.report", ["{data}"], "{data}"),
    ],
)
def test_wrong_calls(script, arguments, message, command, data, tmp_path):
    places = {"data": data, "out": tmp_path}
    given = [str(argument).format(**places) for argument in arguments]
    if script.startswith("train/"):
        given += ["--out", tmp_path]
    if script in (MNIST, ATTACK):
        if "--data-dir" not in given:
            given += ["--data-dir", data]
        if "--test-digits" not in given:
            given += ["--test-digits", 5]
    assert re.search(message.format(**places), complaint(command(script, *given)))


# Whole jobs, in processes of their own


def process(*arguments, folder):
    """Runs a script as a user does, where MNIST cannot be downloaded and no originals are."""
    nowhere = "http://127.0.0.1:9"
    environment = os.environ | {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "HTTP_PROXY": nowhere,
        "HTTPS_PROXY": nowhere,
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "NO_PROXY": "",
        "no_proxy": "",
        "TFDS_DATA_DIR": str(folder / "tfds"),
        "TFNCA_ORIGINALS": str(folder / "none"),
    }
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def jobs(tmp_path_factory, data):
    """A tiny base, a tiny attack on it, stopped and resumed, its report: folders and outputs."""
    folder = tmp_path_factory.mktemp("jobs")
    base, attack = folder / "base", folder / "attack"
    few = ["--steps", 3, "--test-digits", 20]
    attacking = [
        *(ATTACK, "--host", base / "model.keras", "--data-dir", data, "--out", attack),
        *("--test-digits", 10, "--ca-steps", 4),
    ]
    done = [
        process(MNIST, *few, "--out", base, folder=folder),
        process(*attacking, "--steps", 3, folder=folder),
        process(*attacking, "--steps", 5, "--resume", folder=folder),
        process("-m", "tfnca.article.report", attack, folder=folder),
    ]
    return base, attack, done


@pytest.mark.parametrize("number", range(4), ids=["base", "attack", "resumed", "report"])
def test_jobs_succeed(jobs, number):
    done = jobs[2][number]
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    if number < 3:
        assert "Device: " in done.stdout
    if number < 2:
        assert "3/3" in done.stderr  # the progress bar
        assert "loss=" in done.stderr
    if number == 2:
        assert "Resuming at step 3." in done.stdout


def test_the_base_is_trained_on_the_bundled_sample(jobs):
    base, _, done = jobs
    assert "10000 for training from sample" in done[0].stdout
    config = json.loads((base / "config.json").read_text())
    assert config["source"].startswith("sample: first 10000 train digits")
    assert config["steps"] == 3
    assert config["seed"] == 0
    assert "train/mnist.py --steps 3" in config["command"]
    metrics = json.loads((base / "metrics.json").read_text())
    assert set(metrics) == {"digits", "seeds", "base", "swapped"}
    assert metrics["digits"] == 20
    assert [row["step"] for row in metrics["base"]] == [20, 50, 200, 1000]
    assert [row["step"] for row in metrics["swapped"]] == [200, 400]
    names = ("digit_accuracy", "cell_accuracy", "agreement", "takeover")
    for row in metrics["base"]:
        assert set(row) == {"step", *names, *(f"{name}_sd" for name in names)}
        assert all(0 <= row[name] <= 1 for name in names)


@pytest.mark.parametrize("which", [0, 1])
def test_jobs_leave_their_files(jobs, which):
    folder = jobs[which]
    model = tfnca.load(folder / "model.keras")
    assert isinstance(model, tfnca.MNISTCA)
    assert model.count_params() == 22_499
    assert any(np.any(weight) for weight in model.update_layers[-1].get_weights())
    assert (folder / "model.keras").stat().st_size < 200_000
    for name in ("preview.png", "loss.png"):
        with Image.open(folder / name) as image:
            pixels = np.asarray(image)
        assert min(pixels.shape[:2]) > 50
        assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 5
    assert not [path.name for path in folder.iterdir() if ".tmp" in path.name]


def test_the_attack_knows_its_host_and_goes_on(jobs):
    base, attack, _ = jobs
    config = json.loads((attack / "config.json").read_text())
    assert config["host_sha256"] == weights_sha256(tfnca.load(base / "model.keras"))
    assert config["source"].startswith("idx")
    assert config["density"] == 0.1
    assert config["digit"] == 8
    rows = list(csv.DictReader((attack / "history.csv").read_text().splitlines()))
    assert [row["step"] for row in rows] == ["3", "5"]
    assert list(rows[0]) == ["step", "loss", "seconds"]
    assert all(float(row["loss"]) > 0 for row in rows)
    metrics = json.loads((attack / "metrics.json").read_text())
    assert set(metrics) == {
        *("digits", "others", "target", "density", "seeds"),
        *("attack", "sparse", "steps_to_flip", "published"),
    }
    at = {row["step"]: row for row in metrics["attack"]}
    assert {20, 50, 200, 250, 400, 450, 600} <= set(at)
    assert {"host_takeover", "host_cell_accuracy", "flipped", "flipped_sd"} <= set(at[400])
    assert "host_takeover" not in at[200]
    assert metrics["published"] is None


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # imageio-ffmpeg's pipes
def test_the_report_is_one_page_with_everything(jobs):
    page = (jobs[1] / "report.html").read_text()
    sources = re.findall(r"(?:src|href)='([^']*)'", page)
    assert all(source.startswith("data:") for source in sources)
    assert "http" not in re.sub(r"data:[^']*", "", page)
    pictures = [s.removeprefix("data:image/png;base64,") for s in sources if "image/png" in s]
    assert len(pictures) == 5  # the curves; before, during, after; 1 %
    sizes = []
    for picture in pictures:
        with Image.open(io.BytesIO(base64.b64decode(picture))) as image:
            image.load()
            sizes.append(image.size)
    assert sizes[1:] == [sizes[1]] * 4
    (video,) = [s.removeprefix("data:video/mp4;base64,") for s in sources if "video/mp4" in s]
    with imageio.get_reader(base64.b64decode(video), "mp4") as reader:
        assert reader.count_frames() >= 300
    gc.collect()  # so that they are closed in here
    assert "takeover rate" in page
    assert "host_sha256" in page


def test_a_report_needs_an_attack(jobs, command):
    assert str(jobs[0]) in complaint(command("tfnca.article.report", jobs[0]))


def test_a_host_may_be_a_folder(data, tmp_path, command):
    """As `tfnca.load` takes it; after hours of training it is too late to find out."""
    (tmp_path / "host").mkdir()
    (tmp_path / "host" / "model.keras").write_bytes((data / "digits.keras").read_bytes())
    code, _, err = command(
        *(ATTACK, "--host", tmp_path / "host", "--data-dir", data, "--out", tmp_path / "out"),
        *("--steps", 1, "--ca-steps", 2, "--test-digits", 5),
    )
    assert code == 0, err
    assert "host_sha256" in json.loads((tmp_path / "out" / "config.json").read_text())


def test_a_wrong_call_in_a_process_of_its_own(tmp_path):
    done = process(ATTACK, "--host", tmp_path / "none", "--out", tmp_path / "out", folder=tmp_path)
    result = done.returncode, done.stdout, done.stderr
    assert str(tmp_path / "none") in complaint(result)
