"""What the tests share: given draws, gradients, and a summary of what was skipped."""

import os
from collections import Counter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
import tensorflow as tf
from descriptors import random_masks

SLOW_FILES = (
    "test_web.py",
    "test_web_parity.py",
    "test_loading.py",
    "test_sparse.py",
    "test_jobs.py",
    "test_benchmarks.py",
    "test_published.py",
    "test_xla.py",
    "test_saved_model.py",
    "test_full_disk.py",
    "test_workers.py",
)
"""Those that take half a minute or more."""


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
        size = (steps, networks, *shape, step.channels - 1)
        draws["noise"] = random.normal(scale=0.05, size=size).astype(np.float32)
    return draws | random_masks(step, shape, seed=seed)


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
