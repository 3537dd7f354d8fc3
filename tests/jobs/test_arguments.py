"""Every option of every command, without a value, with a wrong one and with extreme ones.

Whatever is wrong is said in one line, with exit code 2, and nothing is written. What is right gets
as far as the work itself, which here does not begin.
"""

import argparse
import runpy
import sys
from pathlib import Path

import pytest
from conftest import run_module

from tfnca.commands import Parser

ROOT = Path(__file__).parents[2]
TRAINING = sorted(
    f"train/{path.name}"
    for path in (ROOT / "train").glob("*.py")
    if path.stem not in ("launch", "models")
)
COMMANDS = [
    *TRAINING,
    "train/models.py",
    *sorted(f"export/{path.name}" for path in (ROOT / "export").glob("*.py")),
    "tfnca.article.claims",
    "tfnca.article.figures",
    "tfnca.article.report",
    "tfnca.defence",
    "tfnca.defence.benchmark",
    "tfnca.measures",
    "tfnca.measures.sweep",
    "tfnca.placement",
]
EXTREME = {
    int: [
        "-1",
        "0",
        "2147483648",
        "340282366920938463463374607431768211456",
        "1.5",
        "1e3",
        "x",
        "",
    ],
    float: ["-1", "-0.0", "1e-45", "1e308", "1e999", "nan", "-inf", "x", "1,5", ""],
    str: ["", "\t", "None", "../none", "x" * 300, "é", "1,,2", "nan"],
}
"""Values by an option's type; those that are right do no harm."""


class Accepted(BaseException):
    """Raised where the work would begin."""


class Found(BaseException):
    def __init__(self, parser):
        self.parser = parser


def execute(name):
    if name.endswith(".py"):
        runpy.run_path(name, run_name="__main__")
    else:
        run_module(name)


@pytest.fixture(scope="module")
def options():
    """The options of a command: its parser's actions."""
    found = {}

    def read(name):
        if name not in found:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(sys, "argv", [name])
                patch.chdir(ROOT)

                def stop(parser, *_):
                    raise Found(parser)

                patch.setattr(Parser, "parse_args", stop)
                with pytest.raises(Found) as caught:
                    execute(name)
            found[name] = caught.value.parser._actions
        return found[name]

    return read


def begin(*_, **__):
    raise Accepted


@pytest.fixture
def call(monkeypatch, capsys, tmp_path):
    """Runs a command up to its work; the lines of its complaint, or None if there is none."""
    monkeypatch.setattr("tfnca.cli.work", begin)
    monkeypatch.setattr("tfnca.jobs.options.work", begin)
    monkeypatch.chdir(ROOT)

    def run(name, *arguments):
        needed = ["none.keras"] if name not in TRAINING else []
        monkeypatch.setattr(sys, "argv", [name, *needed, *arguments])
        try:
            execute(name)
        except Accepted:
            return None
        except SystemExit as stop:
            code = stop.code
        else:
            code = 0
        said = capsys.readouterr().err
        assert (code, "Traceback" in said) == (2, False), (name, arguments, said[-500:])
        return [line for line in said.splitlines() if line.startswith("error:")]

    return run


def flags(actions):
    return [a for a in actions if a.option_strings and not isinstance(a, argparse._HelpAction)]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_value(name, options, call):
    for action in flags(options(name)):
        if action.nargs is None and not isinstance(action, argparse.BooleanOptionalAction):
            lines = call(name, action.option_strings[0])
            assert lines is not None, action.option_strings[0]
            assert len(lines) == 1, lines
            assert action.option_strings[0] in lines[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option(name, call):
    lines = call(name, "--no-such-option", "1")
    assert lines is not None
    assert len(lines) == 1


@pytest.mark.parametrize("name", TRAINING)
def test_wrong_and_extreme_values(name, options, call, tmp_path):
    """Of the scripts that train; those of other commands need a model first."""
    refused = 0
    for action in flags(options(name)):
        if isinstance(action, argparse.BooleanOptionalAction) or action.dest in ("out", "resume"):
            continue
        for value in EXTREME[action.type or str]:
            flag = action.option_strings[0]
            lines = call(name, "--out", str(tmp_path / "out"), f"{flag}={value}")
            refused += lines is not None
            if lines is not None:
                assert len(lines) == 1, (flag, value, lines)
                assert "\n" not in lines[0]
            elif action.type in (int, float):
                assert value not in ("x", "", "nan", "1,5", "1e999", "-inf"), (flag, value)
    assert refused > 50
    assert not (tmp_path / "out").exists()
