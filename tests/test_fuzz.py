"""A few hundred damaged files for every reader; `make fuzz` tries as many as one has time for."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

FUZZ = Path(__file__).parent / "fuzz"
WEB = Path(__file__).parents[1] / "export/web"


@pytest.fixture(scope="module")
def fuzz():
    sys.path.insert(0, str(FUZZ))
    import readers
    import run

    yield run, readers.corpus()
    sys.path.remove(str(FUZZ))


def test_what_is_whole_is_read(fuzz, tmp_path):
    run, cases = fuzz
    for number, case in enumerate(cases):
        assert run.try_case(case, case.files, tmp_path / str(number)) == "read", case.main


def test_what_is_damaged_is_read_or_refused(fuzz, tmp_path):
    run, cases = fuzz
    found = []
    for number in range(600):
        case, files = run.make(number, 1, cases)
        found.append(run.try_case(case, files, tmp_path / str(number)))
        shutil.rmtree(tmp_path / str(number))
    assert set(found) == {"read", "refused"}
    assert found.count("refused") > found.count("read")


def test_a_case_is_the_same_again(fuzz):
    run, cases = fuzz
    made = [run.make(number, 5, cases) for number in range(60, 70)]
    assert made == [run.make(number, 5, cases) for number in range(60, 70)]
    assert any(files != case.files for case, files in made)


def test_a_reader_that_fails_is_found(fuzz, tmp_path, monkeypatch):
    run, cases = fuzz
    monkeypatch.setattr("tfnca.load", lambda *_, **__: np.zeros(3)[7])
    assert "IndexError" in run.try_case(cases[0], cases[0].files, tmp_path)


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
def test_the_page_reads_or_refuses_moments_and_links():
    command = ["node", str(WEB / "fuzz.mjs"), "500"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert '"read":' in done.stdout
