"""The order of the package's rooms: who may import whom, read from the sources."""

import ast
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
    "patience",
    "types",
    "files",
    "commands",
    "play",
    "automata",
    "engines",
    "data",
    "training",
    "formats",
    "export",
    "pictures",
    "plots",
    "measures",
    "placement",
    "defence",
    "zoo",
    "jobs",
    "article",
]
"""A room imports from itself and from those above it; `article` and `jobs` not from each other."""

COMMANDS = [["-m", "tfnca.placement"], ["export/tfjs.py"]] + [
    [f"train/{path.name}"]
    for path in sorted(ROOT.parent.glob("train/*.py"))
    if path.stem != "launch"
]

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


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_command_says_at_once_that_it_loads(command):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *command, "--help"], cwd=ROOT.parent, stderr=theirs, stdout=theirs
    )
    os.close(theirs)
    began = time.monotonic()
    assert "Loading TensorFlow" in os.read(ours, 1000).decode()
    assert time.monotonic() - began < 3
    process.kill()
    process.wait()
    os.close(ours)


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
