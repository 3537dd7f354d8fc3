"""A disk that fills up: one plain line, what was there stays, and nothing half-written is left.

The disk is a real one, of a few hundred kilobytes in memory, where the tests may mount it.
"""

import os
import re
import subprocess
from pathlib import Path

import pytest

import tfnca
from tfnca.files import write_atomically

ROOT = Path(__file__).parents[1]
MODELS = ROOT / "saved_models"
KILOBYTES = 1600


@pytest.fixture
def disk(tmp_path):
    """A folder on a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={KILOBYTES}k", "tmpfs", folder]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no `mount`")
    if done.returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(disk, left):
    """Leaves so many kilobytes."""
    state = os.statvfs(disk)
    (disk / "filling").write_bytes(bytes(state.f_bavail * state.f_frsize - 1024 * left))


def files(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def check(code, said):
    lines = re.findall(r"error: .*", said)  # behind what moves the cursor, if a bar was there
    assert (code, len(lines), "Traceback" in said) == (2, 1, False), said[-2000:]
    assert "No space left" in lines[0]


def test_a_file_is_written_whole_or_not_at_all(disk):
    write_atomically(disk / "file", b"first")
    fill(disk, 8)
    before = files(disk)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(disk / "file", bytes(100_000))
    assert files(disk) == before


@pytest.mark.parametrize("script", ["saved_model.py", "tfjs.py"])
def test_an_export(disk, script, command):
    model, out = MODELS / "growing_lizard/model.keras", disk / "out"
    fill(disk, 16)
    before = files(disk)
    code, _, said = command(f"export/{script}", model, "--out", out)
    check(code, said)
    assert files(disk) == before
    assert not out.exists()


def test_a_training(disk, command):
    """A run that can write no snapshot says so, and goes on once there is room."""
    out = disk / "out"
    small = ["--size", 12, "--padding", 2, "--pool-size", 8, "--batch-size", 4]
    small += ["--min-ca-steps", 2, "--max-ca-steps", 4, "--measure", "none"]
    words = ["train/growing.py", *small, "--snapshot-seconds", 0, "--out", out]
    assert command(*words, "--steps", 2)[0] == 0
    assert tfnca.load(out / "model.keras").channels == 16
    fill(disk, 4)
    before = files(disk)
    code, _, said = command(*words, "--steps", 4, "--resume")
    check(code, said)
    after = files(disk)
    assert not [path for path in after if ".tmp" in path.name]
    for name in ("model.keras", "history.csv"):
        assert after[Path("out") / name] == before[Path("out") / name], name
    # The newest has become the previous by the time that its successor does not fit.
    assert before[Path("out/snapshot.bin")] in after.values()
    (disk / "filling").unlink()
    assert command(*words, "--steps", 4, "--resume")[0] == 0


def test_a_folder_that_is_read_only(tmp_path, command):
    if os.geteuid() == 0:
        folder = Path("/proc/none")  # root may write everywhere else
    else:
        folder = tmp_path / "closed"
        folder.mkdir(mode=0o500)
    for words in (
        ["export/tfjs.py", MODELS / "mnist/model.keras", "--out", folder / "out"],
        ["train/mnist.py", "--steps", 1, "--out", folder / "out"],
    ):
        code, _, said = command(*words)
        lines = re.findall(r"error: .*", said)  # behind what moves the cursor, if a bar was there
        assert (code, len(lines), "Traceback" in said) == (2, 1, False), said[-2000:]
