"""Mutation testing: changes one place of the package at a time, and asks whether a test notices.

Places are drawn at random, those of a type hint left out; the changes are cosmic-ray's. Each is
made in a copy of the project, where its room's tests run until one fails::

    pip install cosmic-ray
    PYTHONPATH=. python tests/mutants.py --count 10 --out out/mutants.json

Prints a table, and each change that no test noticed.
"""

import argparse
import difflib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cosmic_ray.ast import ast_nodes, get_ast_from_path
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

ROOT = Path(__file__).parents[1]
TESTS = {
    "automata": ["tests/automata", "tests/test_conformance.py", "tests/engines/test_rollout.py"],
    "engines": ["tests/engines"],
    "training": ["tests/training"],
    "formats": ["tests/formats"],
}
"""The rooms, and the tests that should notice."""
WITH_ARGUMENTS = ("core/VariableReplacer", "core/VariableInserter")
HINTS = ("tfpdef", "annassign")


def is_hint(node):
    """Whether a node stands in a type hint."""
    while node is not None and node.parent is not None:
        parent = node.parent
        if parent.type in HINTS:
            return True
        if parent.type == "funcdef" and node.get_previous_sibling() == "->":
            return True
        node = parent
    return False


def places(room):
    """All places of a room's sources: ``{(path, line, column): [(operator, occurrence), …]}``."""
    found = {}
    for path in sorted((ROOT / "tfnca" / room).rglob("*.py")):
        nodes = list(ast_nodes(get_ast_from_path(path)))
        for name in operator_names():
            if name in WITH_ARGUMENTS:
                continue
            operator = get_operator(name)()
            spots = [(node, at) for node in nodes for at in operator.mutation_positions(node)]
            for occurrence, (node, (start, _)) in enumerate(spots):
                if not is_hint(node):
                    found.setdefault((path, *start), []).append((name, occurrence))
    return found


def sample(room, count, seed):
    """`count` changes of a room: pairs ``(path, mutated code)``."""
    draw = random.Random(f"{seed} {room}")
    spots = places(room)
    for path, line, column in draw.sample(sorted(spots), min(count, len(spots))):
        name, occurrence = draw.choice(spots[path, line, column])
        code = mutate_code(path.read_text(), get_operator(name)(), occurrence)
        yield path.relative_to(ROOT), code


def copy_project(folder):
    names = shutil.ignore_patterns(".git", ".venv", "out", "node_modules", "__pycache__")
    shutil.copytree(ROOT, folder, ignore=names)
    return folder


def notice(folder, room, timeout):
    """How a copy's tests end: ``"killed"``, ``"survived"`` or ``"hung"``."""
    environment = os.environ | {
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": str(folder / "cache"),
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *TESTS[room]]
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, timeout=timeout
        )
    except subprocess.TimeoutExpired:
        return "hung"
    return "killed" if done.returncode else "survived"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10, help="changes of each room")
    parser.add_argument("--rooms", nargs="+", choices=TESTS, default=list(TESTS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="changes tried at the same time")
    parser.add_argument("--timeout", type=float, default=900, help="seconds of a room's tests")
    parser.add_argument("--out", type=Path, default=ROOT / "out/mutants.json")
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    changes = [(r, *c) for r in options.rooms for c in sample(r, options.count, options.seed)]
    random.Random(options.seed).shuffle(changes)  # a run that is cut short has seen all rooms
    results, own = [], threading.local()

    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(options.jobs) as pool:

        def attempt(change):
            room, path, code = change
            if not hasattr(own, "copy"):
                own.copy = copy_project(Path(folder) / str(threading.get_ident()))
            target, before = own.copy / path, (ROOT / path).read_text()
            target.write_text(code)
            outcome = notice(own.copy, room, options.timeout)
            target.write_text(before)
            lines = difflib.unified_diff(before.splitlines(), code.splitlines(), str(path), n=0)
            difference = "\n".join(list(lines)[2:])
            print(f"{outcome}: {path} {difference}", flush=True)
            results.append({"room": room, "path": str(path), "diff": difference, "end": outcome})
            options.out.write_text(json.dumps(results, indent=2))

        list(pool.map(attempt, changes))
    print("| room | changes | noticed | not |\n|---|---|---|---|")
    for room in options.rooms:
        ends = Counter(result["end"] for result in results if result["room"] == room)
        print(f"| {room} | {ends.total()} | {ends['killed'] + ends['hung']} | {ends['survived']} |")


if __name__ == "__main__":
    main()
