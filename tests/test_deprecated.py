"""Old names work for one release, with a warning; files that contain them load forever."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import keras
import numpy as np
import pytest

import tfnca
from tfnca.automata.perturbations import matrix, shift
from tfnca.cli.shared import add_lizard
from tfnca.commands import Parser
from tfnca.deprecated import ARGUMENTS, CLASSES, flag
from tfnca.formats.settings import settings_beside
from tfnca.jobs.options import growing_adversary, mnist, perturbation
from tfnca.jobs.resume import check_same_run
from tfnca.zoo.models import _layer

ROOT = Path(__file__).parents[1]
TARGET = np.zeros((8, 8, 4))
PAIR = tfnca.Injected(tfnca.GrowingCA(), tfnca.GrowingCA())
DIGITS = tfnca.load_digits("test", count=8, source="sample")
OLD_ARGUMENTS = {
    "still": (lambda **k: tfnca.TargetLoss(TARGET, **k), 0.5, "drift_penalty"),
    "hopeless": (
        lambda **k: tfnca.GrowingPool(tfnca.seed_state(8), 8, **k),
        2.0,
        "reset_threshold",
    ),
    "chosen": (lambda **k: tfnca.GrowingPool(tfnca.seed_state(8), 8, **k), "any", "reset_policy"),
    "fresh": (lambda **k: tfnca.DigitPool(DIGITS, 8, 4, **k), 2, "new_digits"),
    "mutated": (lambda **k: tfnca.DigitPool(DIGITS, 8, 4, **k), 2, "swapped_digits"),
    "lifted": (
        lambda **k: tfnca.Trainer(PAIR, sum, recovery_loss=sum, **k),
        1,
        "recovery_items",
    ),
}


@pytest.mark.parametrize("old", OLD_ARGUMENTS)
def test_an_old_argument_works_with_a_warning(old):
    make, value, new = OLD_ARGUMENTS[old]
    with pytest.warns(DeprecationWarning, match=f"{old} is now {new}") as warned:
        made = make(**{old: value})
    assert getattr(made, new) == value
    assert warned[0].filename == __file__  # Python shows only those of the main program
    with pytest.raises(ValueError, match=r"one argument. Received: both"):
        make(**{old: value, new: value})


@pytest.mark.parametrize(("holds", "mode"), [(False, "silence"), (True, "clip")])
def test_the_old_argument_of_a_deviation_test(holds, mode):
    host = tfnca.MNISTCA(hidden=4)
    with pytest.warns(DeprecationWarning, match="holds is now mode") as warned:
        assert tfnca.Verified(host, host, holds=holds).mode == mode
    assert warned[0].filename == __file__
    config = tfnca.Verified(host, host).get_config()
    del config["mode"]
    assert tfnca.Verified.from_config(config | {"holds": holds}).mode == mode
    with pytest.raises(ValueError, match=r"mode must be .* 'clip'. Received: mode='wary'"):
        tfnca.Verified(host, host, mode="wary")


@pytest.mark.parametrize("old", CLASSES)
@pytest.mark.parametrize("module", [tfnca, matrix, shift])
def test_an_old_class_is_the_new_one_with_a_warning(old, module):
    if not hasattr(module, CLASSES[old]):
        return
    with pytest.warns(DeprecationWarning, match=f"{old} is now {CLASSES[old]}") as warned:
        assert getattr(module, old) is getattr(tfnca, CLASSES[old])
    assert warned[0].filename == __file__
    assert old not in dir(tfnca)


def lizard_options(words):
    parser = Parser("tfnca measure")
    add_lizard(parser, "lizard")
    return vars(parser.parse_args(words))


@pytest.mark.parametrize("words", [["--among", "host"], ["--among=host"]])
def test_an_old_option_works_and_its_new_name_is_printed(words, capsys):
    with pytest.warns(DeprecationWarning, match="--among is now --region"):
        options = lizard_options(words)
    assert options["region"] == "host"
    assert capsys.readouterr().err == (
        "note: --among is now --region. The old name works until the next release.\n"
    )
    assert lizard_options(["--region", "host"])["region"] == "host"


def test_a_job_with_recipes_prints_a_new_name_once(capsys):
    words = ["--lifted", "9", "--batch-size", "8"]
    with pytest.warns(DeprecationWarning, match="--lifted"), pytest.raises(SystemExit):
        tfnca.jobs.options.run(perturbation.Config, "nowhere:main", None, words=words)
    said = capsys.readouterr().err
    assert said.count("note: --lifted is now --recovery-items.") == 1
    assert "--recovery-items must be at most --batch-size" in said


@pytest.mark.parametrize("job", [growing_adversary, perturbation, mnist])
def test_help_names_the_new_options_only(job, capsys):
    with pytest.raises(SystemExit):
        tfnca.jobs.options.run(job.Config, "nowhere:main", job.__doc__, words=["--help"])
    said = capsys.readouterr().out.split()
    assert flag("batch_size") in said
    assert not {flag(old) for old in ARGUMENTS} & set(said)


def test_an_option_that_only_another_command_has_is_not_renamed(capsys):
    with pytest.raises(SystemExit):
        lizard_options(["--still", "1"])
    assert "--still" in capsys.readouterr().err


def test_remaining_words_of_a_command_are_left_to_it():
    parser = Parser("tfnca train")
    parser.add_argument("words", nargs=argparse.REMAINDER)
    assert parser.parse_args(["growing", "--still", "1"]).words == ["growing", "--still", "1"]


def test_settings_beside_a_model_are_read_by_their_old_names(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"among": "host", "density": 0.3}))
    assert settings_beside(tmp_path) == {"region": "host", "density": 0.3}


def test_a_run_that_was_begun_with_old_names_is_resumed(tmp_path):
    now = growing_adversary.Config(out=str(tmp_path), region="host", recovery_items=2)
    old_names = {new: old for old, new in ARGUMENTS.items()}
    before = {old_names.get(name, name): value for name, value in asdict(now).items()}
    assert (before["among"], before["lifted"]) == ("host", 2)
    (tmp_path / "config.json").write_text(json.dumps(before))
    check_same_run(now, {})
    with pytest.raises(ValueError, match="--region was host, is now target"):
        check_same_run(replace(now, region="target"), {})


@pytest.mark.parametrize("old", CLASSES)
def test_the_class_of_an_old_file_goes_by_its_new_name(old):
    assert _layer(ROOT / f"tests/goldens/layers/{old.lower()}.keras") == CLASSES[old]


def test_new_files_of_renamed_classes_are_named_as_the_old_ones_are(tmp_path):
    for kind in (tfnca.MatrixPerturbation, tfnca.ShiftPerturbation):
        old = next(old for old, new in CLASSES.items() if new == kind.__name__)
        assert keras.saving.get_registered_name(kind) == f"tfnca>{old}"
        keras.saving.save_model(kind(), tmp_path / "model.keras")
        assert type(tfnca.load(tmp_path / "model.keras")) is kind
