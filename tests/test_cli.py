"""The command `tfnca`, and what is true of all commands: they answer at once, and take plug-ins."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import tfnca
from tfnca import __main__ as command
from tfnca import choices
from tfnca.commands import find
from tfnca.jobs.digits import load_digit_ca
from tfnca.jobs.lizard_attack import load_host
from tfnca.jobs.options import growing_adversary, mnist_adversary, mnist_defence, perturbation
from tfnca.training.trainer import MOST_STEPS

ROOT = Path(__file__).parents[1]
MODULES = "measures measures.sweep placement defence defence.benchmark"
ARTICLE = "article.claims article.figures article.report"
COMMANDS = [
    *([f"train/{path.name}"] for path in ROOT.glob("train/*.py")),
    *([f"export/{path.name}"] for path in ROOT.glob("export/*.py")),
    *(["-m", f"tfnca.{name}"] for name in f"{MODULES} {ARTICLE}".split()),
    *(["-m", "tfnca", name] for name in command.COMMANDS),
    *(["-m", "tfnca", name, job] for name, jobs in command.JOBS.items() for job in jobs),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_and_wrong_options_load_no_tensorflow(words, tmp_path):
    """Modules that end the program stand in for the libraries that take seconds to load."""
    for name in ("tensorflow", "keras", "numba", "scipy"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('loaded ' + __name__)")
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    for more, code in (["--help"], 0), (["--no-such-option"], 2):
        done = subprocess.run(
            [sys.executable, *words, *more],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, "loaded" in done.stderr) == (code, False), done.stderr
        if code == 0:
            name = " ".join(words).replace("-m tfnca ", "tfnca ").replace("-m ", "python -m ")
            assert done.stdout.startswith(f"usage: {name.split('/')[-1]} [-h]")
        elif "launch" not in words[0]:
            (line,) = done.stderr.splitlines()
            assert line.startswith("error: ")


EXAMPLES = [
    line.split("   ")[0].split()[1:]
    for line in map(str.strip, command.EXAMPLES.splitlines())
    if line.startswith("tfnca ")
]


@pytest.fixture
def begun(monkeypatch):
    """What would be worked on: the arguments of `tfnca.commands.work`, and the plug-ins."""
    found = []

    def work(*arguments, plugins):
        found.append((arguments, list(plugins)))

    for place in ("tfnca.cli", "tfnca.jobs.options"):
        monkeypatch.setattr(f"{place}.work", work)
    monkeypatch.setattr(command.launch, "main", lambda prog, words: found.append((words, [])))
    return found


@pytest.mark.parametrize("words", [w for w in EXAMPLES if w[0] != "play"], ids=" ".join)
def test_an_example_of_help_is_a_command(words, begun):
    command.main(words)
    ((arguments, _),) = begun
    if words[0] == "launch":
        assert arguments == words[1:]
    else:
        place = arguments[2] if arguments[0] == "tfnca.jobs.start:run" else arguments[0]
        assert callable(find(arguments[0]))
        assert callable(find(place))


def test_every_command_has_an_example():
    jobs = {(name, job) for name, jobs in command.JOBS.items() for job in jobs}
    assert jobs <= {tuple(words[:2]) for words in EXAMPLES}
    assert {*command.COMMANDS, *command.JOBS, "launch", "play"} == {words[0] for words in EXAMPLES}


@pytest.mark.parametrize(
    "words",
    [
        ["--plugin", "mine", "measure", "mnist"],
        ["measure", "--plugin", "mine", "mnist"],
        ["--plugin", "mine", "train", "growing"],
        ["attack", "mnist", "--plugin", "mine"],
    ],
)
def test_a_plugin_may_be_named_anywhere(words, begun):
    command.main(words)
    assert begun[0][1] == ["mine"]


def test_a_plugin_is_imported_from_the_working_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    Path("its_own.py").write_text("import sys; sys.stderr.write('registered')")
    command.main(["--plugin", "its_own", "models", "nothing"])
    assert capsys.readouterr() == ("No models in nothing.\n", "registered")
    Path("broken.py").write_text("1 / 0")
    for name in ("broken", "nowhere"):
        with pytest.raises(SystemExit) as stop:
            command.main(["--plugin", name, "models"])
        assert stop.value.code == 2
        said = capsys.readouterr().err
        assert "error: --plugin must name a Python module in this folder or PYTHONPATH" in said
        assert f"Received: {name}, " in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["traim"], "invalid choice: 'traim'"),
        (["train", "lizard"], "invalid choice: 'lizard'"),
        (["export", "mnist", "--format", "onnx", "--out", "x"], "invalid choice: 'onnx'"),
        (["attack", "mnist", "--density", "2"], "--density must be in (0, 1]. Received: 2.0"),
    ],
)
def test_what_is_wrong_is_named(words, message, capsys):
    with pytest.raises(SystemExit) as stop:
        command.main(words)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


def test_hosts_by_default_are_the_bundled_ones_in_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mnist", "mnist_adversary", "growing_lizard"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.keras").touch()
    defence = mnist_defence.Config()
    for option in (mnist_adversary.Config().host, defence.bank, defence.start):
        assert isinstance(load_digit_ca("--host", option), tfnca.MNISTCA)
    for options in (growing_adversary, perturbation):
        assert isinstance(load_host(options.Config().host), tfnca.GrowingCA)


def test_what_options_allow_is_what_the_trainer_takes():
    assert choices.MOST_STEPS == MOST_STEPS
