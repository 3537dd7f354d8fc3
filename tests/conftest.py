"""What the tests share: draws, gradients, commands, and a summary of what was skipped."""

import gc
import os
import runpy
import sys
import warnings
from collections import Counter
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf
from descriptors import random_masks

ROOT = Path(__file__).parents[1]

SLOW_FILES = (
    "test_web.py",
    "test_web_parity.py",
    "test_sparse.py",
    "test_xla.py",
    "test_loading.py",
    "test_jobs.py",
    "test_benchmarks.py",
    "test_published.py",
    "test_saved_model.py",
    "test_guards.py",
    "test_workers.py",
)
"""Those that take half a minute or more.

Of the first three one alone runs compiled code, so that the other worker does not compile it too.
"""


def pytest_collection():
    gc.disable()  # until all is imported: see what_stays_is_not_looked_at


def pytest_collection_modifyitems(items):
    """Slow files first, so that no worker is left with one of them when the other has done."""
    places = {name: place for place, name in enumerate(SLOW_FILES)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


def pytest_terminal_summary(terminalreporter):
    """One line for each reason for which tests were skipped; the reason says how to run them."""
    skipped = terminalreporter.stats.get("skipped", [])
    reasons = Counter(str(report.longrepr[2]).removeprefix("Skipped: ") for report in skipped)
    for reason, count in sorted(reasons.items()):
        terminalreporter.write_line(f"{count} skipped: {reason}")


def random_draws(step, shape, steps, seed=0):
    """Fire masks and noise to hand in, and an adversary mask, as `rollout` takes them."""
    random = np.random.default_rng(seed)
    networks = len(step.networks)
    draws = {"fire_masks": random.random((steps, networks, *shape)) < 0.6}
    if step.adds_noise:
        size = (steps, networks, *shape, step.changing)
        draws["noise"] = random.normal(scale=0.05, size=size).astype(np.float32)
    return draws | random_masks(step, shape, seed=seed)


@pytest.fixture(scope="module", autouse=True)
def what_stays_is_not_looked_at():
    """Spares the garbage collector the 400,000 objects of libraries, and what earlier files left.

    A command that fails collects garbage. With them each time takes 0.3 s.
    """
    set_aside()
    gc.enable()


def set_aside():
    """From here on the garbage collector looks only at what is made later."""
    gc.collect()
    gc.freeze()


def run_module(name):
    """Runs a module as ``python -m`` does; what was imported of it stays as it was.

    Python warns that such a module is there twice, but so it should be: a test may have patched the
    imported one, and without it the next import would put another beside the one in its package.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "'.*' found in sys.modules", RuntimeWarning)
        runpy.run_module(name, run_name="__main__")


@pytest.fixture
def command(monkeypatch, capsys):
    """Runs a script or a module; returns its exit code, what it printed, and its complaints."""
    set_aside()
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)
    monkeypatch.chdir(ROOT)

    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        try:
            if script.endswith(".py"):
                runpy.run_path(script, run_name="__main__")
            else:
                run_module(script)
            code = 0
        except SystemExit as stop:
            code = stop.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture(params=["dense", "sparse"])
def engine(request):
    return request.param


def gradients(function, layer, state, upstream):
    """The result of ``function(state)`` and the gradients of its product with `upstream`.

    The gradients are those of the state and of the weights that training changes.
    """
    trained = getattr(layer, "trained", layer)
    state, variables = tf.convert_to_tensor(state), [weight.value for weight in trained.weights]
    with tf.GradientTape() as tape:
        tape.watch(state)
        result = function(state)
        total = tf.reduce_sum(result * upstream)
    return [value.numpy() for value in [result, *tape.gradient(total, [state, *variables])]]
