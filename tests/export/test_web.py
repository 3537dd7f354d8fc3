"""The page as a visitor uses it, driven in a real Chromium; and its build. tests/test_play.py has
what needs no Node.

`CHROMIUM` names another browser. Screenshots are kept in out/screenshots.
"""

import json
import runpy
import subprocess
import sys

import imageio.v2 as imageio
import numpy as np
import pytest
from tfjs_jobs import ROOT, WEB, chromium, run_node, site_tools

SITE = ROOT / "tfnca/site"
SCREENSHOTS = ROOT / "out" / "screenshots"
CHECKS = [
    "a drawn 3 is a 3",
    "ten adversaries make it an 8",
    "without them it is a 3 again",
    "the keyboard does it all",
    "one adversary where it does most",
    "weak spots keep the classes' colours, and say where there are none",
    "defended cells",
    "the tail slider removes the tail",
    "damage, seed and reset",
    "Figure 11 runs",
    "Figure 12 runs",
    "Figure 13 runs",
    "Figure 14 runs",
    "sprinkled adversaries remove the tail",
    "adversaries that spread take over a lizard that stays where it is",
    "red is told from green without colour",
    "Figure 11 removes the tail",
    "the figures keep to their schedules",
    "the living box equals the whole grid",
    "a model of another kind is refused",
    "a rule that the page cannot run is refused in plain words",
    "a model that is not exported is refused with the command",
    "a damaged model is refused",
    "a texture hides the lizard's targets, and a lizard brings them back",
    "a dropped folder with a model runs",
    "a visitor's model runs",
    "the first view shows a digit being read, and what to do",
    "messages and Compare move nothing",
    "a screen reader hears at most one message a second",
    "the digits embedded",
    "the lizard embedded",
    "another page runs the CA in twenty lines",
    "a saved step continues",
    "a link brings the settings back",
    "a perturbation is dropped in",
    "the last seconds are a moving picture",
    "compared with what happens without the attack",
    "no console error",
    "no foreign request",
    "it works offline",
    "a new build drops the old one's cache",
    "a damaged file of the site gives a message",
    "without WebGL it says so and runs",
    "a phone has room for it",
]
"""What e2e.mjs checks."""


@pytest.fixture(scope="module")
def results():
    """What e2e.mjs found: check → what went wrong, or None."""
    site_tools()
    chromium()
    output = run_node("e2e.mjs", SCREENSHOTS)
    return {line["check"]: line["error"] for line in map(json.loads, output.splitlines())}


@pytest.mark.parametrize("check", CHECKS)
def test_page(results, check):
    assert results[check] is None, results[check]


def test_the_moving_picture_shows_a_lizard_grow(results):
    frames = imageio.mimread(SCREENSHOTS / "growing.gif", mode="RGB")
    assert 10 <= len(frames) <= 100
    assert {frame.shape for frame in frames} == {(288, 288, 3)}
    inked = [int((frame.min(-1) < 200).sum()) for frame in frames]
    assert inked[-1] > 2 * max(inked[0], 16), inked


def test_every_check_is_listed(results):
    assert set(results) == set(CHECKS)


def test_a_new_build_is_what_ships(tmp_path):
    """Built anew from the sources and the models, the site is the same to the byte."""
    site_tools()
    command = [sys.executable, str(WEB / "build.py"), "--out", str(tmp_path / "site")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    read = lambda folder: {  # noqa: E731
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    built, shipped = read(tmp_path / "site"), read(SITE)
    assert built.keys() == shipped.keys()
    assert not [name for name in built if built[name] != shipped[name]]


def test_a_shift_in_place_of_a_matrix_gets_no_slider(tmp_path, capsys):
    folder = tmp_path / "perturbation_red"
    folder.mkdir()
    np.save(folder / "perturbation.npy", np.ones(16, np.float32))
    prepare = runpy.run_path(str(WEB / "prepare.py"))
    assert prepare["find_perturbations"](tmp_path) == {}
    assert "without the slider red" in capsys.readouterr().out


def test_an_export_of_other_weights_is_refused():
    prepare = runpy.run_path(str(WEB / "prepare.py"))
    with pytest.raises(ValueError, match="Run `make exports`"):
        prepare["locate"](bytes(5000), {"mnist": b"other weights"}, "a folder")
