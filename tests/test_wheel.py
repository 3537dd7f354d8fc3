"""The wheel: built, small, enough by itself, and the same from the source distribution."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from tfnca.formats.names import model_files

ROOT = Path(__file__).parents[1]
SOURCES = ["pyproject.toml", "setup.py", "README.md", "LICENSE", "tfnca", "saved_models"]
MODEL_FILES = {"model.keras", "perturbation.npy", "config.json", "metrics.json", "preview.png"}
NOT_SOURCES = shutil.ignore_patterns("__pycache__", "*.tmp*")
BEGINNER = """
import sys, tfnca
assert tfnca.__file__.startswith(sys.argv[1]), tfnca.__file__
step = tfnca.load("growing_lizard")
attack = tfnca.load_attack("no_tail")
assert (attack.host.hidden, attack.perturbation.channels) == (step.hidden, 16)
assert all(model.path.startswith(sys.argv[1]) for model in tfnca.models())
print(len(tfnca.models()))
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(kind, source, out):
    """What the build backend makes of a source folder, which it changes: its path."""
    hook = f"import setuptools.build_meta as backend; backend.build_{kind}({str(out)!r})"
    run(sys.executable, "-c", hook, cwd=source)
    (found,) = out.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return found


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    if int(version("setuptools").split(".")[0]) < 77:
        pytest.skip("setuptools is too old to build a wheel: pip install 'setuptools>=77'")
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name, **({"ignore": NOT_SOURCES} if copy != shutil.copy else {}))
    return folder


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    run(*pip, "--wheel-dir", str(out), str(source))
    (found,) = out.glob("*.whl")
    return found


def test_a_wheel_of_at_most_5_mb_holds_the_package_and_its_models(wheel):
    assert wheel.stat().st_size <= 5e6
    package = {path for path in (ROOT / "tfnca").rglob("*") if path.is_file()}
    wanted = {str(path.relative_to(ROOT)) for path in package if "__pycache__" not in path.parts}
    for path in model_files(ROOT / "saved_models").values():
        present = MODEL_FILES & set(os.listdir(path.parent))
        wanted |= {str(Path("tfnca", path.parent.relative_to(ROOT), name)) for name in present}
    found = {name for name in contents(wheel) if ".dist-info/" not in name}
    assert found == wanted
    assert {"tfnca/py.typed", "tfnca/data/mnist_sample.npz", "tfnca/site/index.html"} < found


def test_an_installed_wheel_is_enough_in_an_empty_folder(wheel, tmp_path):
    (tmp_path / "empty").mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run(*pip, "--target", str(tmp_path / "site"), str(wheel))
    # The libraries are this Python's own; what is in PYTHONPATH comes before a tfnca among them.
    path = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    code = [sys.executable, "-c", BEGINNER, str(tmp_path / "site")]
    said = run(*code, cwd=tmp_path / "empty", env=path)
    assert int(said.split()[-1]) == len(model_files(ROOT / "saved_models"))
    assert list((tmp_path / "empty").iterdir()) == []


def test_an_installed_wheel_plays_without_any_library(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import sys; sys.path.insert(0, sys.argv[1]); import tfnca.__main__ as command; "
    code += "command.main(sys.argv[2:])"
    words = [str(tmp_path / "site"), "play", "--copy-to", str(tmp_path / "www")]
    run(sys.executable, "-I", "-S", "-c", code, *words)
    for name in ("index.html", "models/mnist/model.keras"):
        assert (tmp_path / "www" / name).stat().st_size > 1000


def test_the_source_distribution_builds_the_same_wheel(source, wheel, tmp_path):
    with tarfile.open(build("sdist", source, tmp_path)) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    again = contents(build("wheel", unpacked, tmp_path))
    assert again == contents(wheel)
