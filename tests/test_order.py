"""The order of the package's rooms: who may import whom, read from the sources."""

import ast
import importlib
import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tfnca

ROOT = Path(tfnca.__file__).parent
ORDER = [
    "deprecated",
    "lazy",
    "patience",
    "types",
    "files",
    "choices",
    "commands",
    "cli",
    "play",
    "automata",
    "engines",
    "data",
    "training",
    "formats",
    "export",
    "pictures",
    "plots",
    "tasks",
    "measures",
    "placement",
    "defence",
    "zoo",
    "jobs",
    "article",
    "__main__",
]
"""A room imports from itself and from those above it; `article` and `jobs` not from each other."""

RIGHT = {
    "train/mnist.py": ["--data-dir", "nowhere", "--out", "out"],
    "tfnca": ["measure", "nowhere"],
}
"""Commands whose options are right, and that fail once they work."""

SOURCES = sorted(ROOT.rglob("*.py"))


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """The modules of this package that a file imports, wherever in the file it does."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "tfnca":
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] == "tfnca")


def test_every_room_has_its_place():
    assert {room(path) for path in SOURCES} - {"__init__"} == set(ORDER)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_imports_only_from_rooms_above_it(path):
    own = room(path)
    if own == "__init__":
        return
    allowed = set(ORDER[: ORDER.index(own) + 1]) - ({"jobs"} if own == "article" else set())
    for name in imported(path):
        assert name.split(".")[1] in allowed, f"{path} imports {name}"


def test_no_two_files_import_each_other():
    graph = {}
    for path in SOURCES:
        module = ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        names = set(imported(path)) | {name.rpartition(".")[0] for name in imported(path)}
        graph[module] = names
    done = set()

    def visit(module, along):
        assert module not in along, f"a circle: {along[along.index(module) :]}"
        if module not in done:
            for other in graph[module] & graph.keys():
                visit(other, [*along, module])
            done.add(module)

    for module in graph:
        visit(module, [])


HEAVY = "; import sys; sys.exit(not {'keras', 'tensorflow', 'numba'}.isdisjoint(sys.modules))"


@pytest.mark.parametrize("name", RIGHT)
def test_a_command_says_that_it_loads_and_shows_no_log_of_tensorflow(name, tmp_path):
    ours, theirs = pty.openpty()
    command = [str(ROOT.parent / name)] if name.endswith(".py") else ["-m", name]
    environment = {n: v for n, v in os.environ.items() if n != "TF_CPP_MIN_LOG_LEVEL"}
    process = subprocess.Popen(
        [sys.executable, *command, *RIGHT[name]],
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": str(ROOT.parent)},
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
    )
    began, said = time.monotonic(), os.read(ours, 1000).decode()
    assert "Loading TensorFlow" in said
    assert time.monotonic() - began < 3
    printed, _ = process.communicate()
    os.write(theirs, b"the end")
    while not said.endswith("the end"):
        said += os.read(ours, 10_000).decode()
    loading, error, _ = said.splitlines()
    assert loading == "Loading TensorFlow …"
    assert error.startswith("error: ")
    assert [line.split(":")[0] for line in printed.splitlines()] in ([], ["Device"])
    for descriptor in (ours, theirs):
        os.close(descriptor)


LOG = r"""
import os, sys, tfnca.patience
with tfnca.patience._without_log():
    os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are\n")
    os.write(2, b"I0000 00:00:1.2 3 cudart_stub.cc:31] Could not find cuda drivers\n")
    os.write(2, b"E0000 00:00:1.2 3 cuda.cc:1] failed call to cuInit\n")
    os.write(2, b"F0000 00:00:1.2 3 cpu.cc:1] this processor has no AVX\n")
    print("an error of Python's", file=sys.stderr)
    if len(sys.argv) > 1:
        os.abort()
print("then ours", file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("level", "words", "shown"),
    [
        ("3", [], ["F0000", "an", "then"]),
        ("3", ["abort"], ["F0000", "an"]),
        ("0", [], ["WARNING:", "I0000", "E0000", "F0000", "an", "then"]),
    ],
)
def test_the_log_is_hidden_and_what_ends_the_process_is_not(level, words, shown):
    done = subprocess.run(
        [sys.executable, "-c", LOG, *words],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": level},
        capture_output=True,
        text=True,
    )
    assert [line.split()[0] for line in done.stderr.splitlines()] == shown


def test_the_package_loads_once_it_is_used():
    """What it shows and what type checkers read are the names that it has then."""
    code = "import tfnca; dir(tfnca); hasattr(tfnca, 'no_such_name')" + HEAVY
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
    for package in ("tfnca", "tfnca.placement", "tfnca.defence"):
        module = importlib.import_module(package)
        tree = ast.parse(Path(module.__file__).read_text())
        static = {
            (node.module, name.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module != "tfnca.lazy"
            for name in node.names
            if node.module.startswith("tfnca")
        }
        assert {name for _, name in static} == set(module.__all__) <= set(dir(module))
        for home, name in static:
            assert getattr(module, name) is getattr(importlib.import_module(home), name)


@pytest.mark.parametrize(
    "program",
    [
        "import tfnca, keras",
        "from tfnca.types import Array; import keras",
    ],
)
def test_keras_alone_loads_our_files_once_the_package_is_imported(program):
    path = str(ROOT.parent / "saved_models/growing_lizard/model.keras")
    code = f"{program}; print(type(keras.saving.load_model({path!r})).__name__)"
    code += "; assert tfnca.training.losses.ClassLoss" if "import tfnca" in program else ""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "GrowingCA\n", done.stderr


WITHOUT_COMPILER = ["tfnca", "tfnca.automata.perturbed", "tfnca.formats.load", "tfnca.export.tfjs"]
IMPORTING = """
import sys
for name in sys.argv[1:]:
    __import__(name)
    print(name, *[module for module in ("numba", "threadpoolctl") if module in sys.modules])
"""


def test_who_imports_the_package_is_told_nothing_and_loads_no_compiler():
    """In one process, since a fresh one takes seconds: each module joins those before it."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", IMPORTING, *WITHOUT_COMPILER]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=theirs, text=True, cwd=ROOT.parent, check=True
    )
    assert done.stdout.splitlines() == WITHOUT_COMPILER
    os.write(theirs, b"the end")
    said = ""
    while not said.endswith("the end"):
        said += os.read(ours, 10_000).decode()
    assert "Loading" not in said
