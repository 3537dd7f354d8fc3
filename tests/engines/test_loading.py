"""The compiled engine as a file among others: when it loads, and what it caches where."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from descriptors import LAYERS, STEPS, random_masks, random_state

import tfnca
from tfnca.automata import state as states
from tfnca.engines import rollout

ROOT = Path(__file__).parents[2]


def python(code, *arguments, before=(), **environment):
    """Runs code in a process of its own; returns what it printed and its stderr."""
    done = subprocess.run(
        [*before, sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_one_specialisation_serves_every_kind_of_step():
    from tfnca.engines import kernels

    for name in STEPS:
        step = LAYERS[name]()
        state = random_state(step, (2, 5, 6))
        tfnca.rollout(step, state, 2, engine="sparse", seed=0, **random_masks(step, (2, 5, 6)))
    assert len(kernels.run.signatures) == 1


CHANGED = """
import sys
import numpy as np
import tfnca
from tfnca.engines import kernels
host = tfnca.NeuralCA(alive=tfnca.Alpha(4, float(sys.argv[1])), state_clip=0.5)
step = tfnca.Perturbed(host, np.load(sys.argv[2]))
runs = [
    np.array(tfnca.rollout(step, np.load(sys.argv[3]), 2, engine=engine, seed=0))
    for engine in ("dense", "sparse")
]
hits = sum(kernels.run.stats.cache_hits.values())
print(np.abs(runs[0] - runs[1]).max(), np.abs(runs[0]).max(), hits)
"""


def test_the_numbers_of_another_rule_reach_the_cached_kernel(tmp_path):
    step = LAYERS["Perturbed"]()
    state = random_state(step, (1, 6, 6))
    tfnca.rollout(step, state, 1, engine="sparse", seed=0)  # the cache is warm
    np.save(tmp_path / "matrix.npy", step.perturbation.to_array())
    np.save(tmp_path / "state.npy", state)
    printed, said = python(CHANGED, 0.45, tmp_path / "matrix.npy", tmp_path / "state.npy")
    difference, largest, hits = map(float, printed.split())
    assert hits == 1, said
    assert 0.1 < largest <= 0.5
    assert difference < 1e-6
    assert "compiling" not in said


COMPANION = """
from tfnca.engines import compiling, kernels
from tfnca.engines.arguments import arguments_back
arguments = arguments_back()
compiling._start("run_back", compiling._signature(arguments))
assert compiling._companion is not None
compiling.prepare(kernels.run_back, arguments)
stats = kernels.run_back.stats
print(sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


@pytest.mark.slow
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two cores")
def test_what_a_companion_compiled_is_found_in_the_cache(tmp_path):
    printed, said = python(COMPANION, NUMBA_CACHE_DIR=str(tmp_path))
    assert printed.split() == ["1", "0"]
    assert "compiling" not in said


COMPILED = """
import sys, types
from numba import njit
@njit(cache=True)
def entry(x):
    return x + 1
@njit(cache=True)
def other(x):
    return x - 1
package = types.ModuleType("tfnca")  # without Keras, which takes seconds to import
package.__path__ = [sys.argv[1]]
sys.modules["tfnca"] = package
from tfnca.engines import compiling
started = []
compiling._start = lambda name, signature: started.append((name, len(signature)))
compiling.prepare(entry, (1.0,), other, lambda: (1.0, 2))
print(started, entry.signatures == [compiling._signature((1.0,))])
"""


def test_whoever_has_to_compile_has_the_other_entry_compiled_meanwhile(tmp_path):
    module = tmp_path / "small.py"
    module.write_text(COMPILED)
    run = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import small"
    first, said = python(run, ROOT / "tfnca", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert first.strip() == "[('other', 2)] True"
    assert "compiling the living-cells engine, once" in said
    second, said = python(run, ROOT / "tfnca", NUMBA_CACHE_DIR=str(tmp_path / "cache"))
    assert second.strip() == "[] True"
    assert "compiling" not in said


def test_a_companion_compiles_what_a_training_runs():
    from tfnca.engines import compiling, kernels
    from tfnca.engines.arguments import arguments_back

    trainer = tfnca.Trainer(tfnca.GrowingCA(), tfnca.TargetLoss(np.zeros((8, 8, 4))), 2, "sparse")
    trainer.compile("sgd")
    trainer.fit(tfnca.GrowingPool(tfnca.seed_state(8), size=8), 1, 1, verbose=0)
    assert kernels.run_back.signatures == [compiling._signature(arguments_back())]


ALL_KINDS = """
import conftest
import descriptors
import numpy as np
import tensorflow as tf
import tfnca
for name in descriptors.STEPS:
    step = descriptors.LAYERS[name]()
    shape = (3, 5, 4)
    state = descriptors.random_state(step, shape)
    for draws in ({"seed": 1, **descriptors.random_masks(step, shape)},
                  conftest.random_draws(step, shape, 3)):
        found = [
            conftest.gradients(
                lambda x: tfnca.rollout(step, x, 3, **{"seed": 1, "engine": engine, **draws}),
                step, state, state,
            )
            for engine in ("sparse", "dense")
        ]
        for sparse, dense in zip(*found, strict=True):
            np.testing.assert_allclose(sparse, dense, atol=1e-3 * np.abs(dense).max())
    print(name)
"""


@pytest.mark.slow
def test_without_a_cache_folder_and_with_all_indices_checked():
    """A read-only package, no home, NUMBA_BOUNDSCHECK: it compiles, says so, and stays inside."""
    before = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write everywhere; needs setpriv to become another user")
        before = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
        starts = subprocess.run([*before, sys.executable, "-c", ""], capture_output=True)
        if starts.returncode:
            pytest.skip(f"another user cannot start this Python: {starts.stderr.decode()}")
    folder = Path(tempfile.mkdtemp())
    try:
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "tfnca", folder / "tfnca", ignore=ignore)
        for name in ("conftest.py", "descriptors.py", "rules.py"):
            shutil.copy(ROOT / "tests" / name, folder)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        environment = {"PYTHONPATH": str(folder), "HOME": "/nonexistent", "NUMBA_BOUNDSCHECK": "1"}
        environment |= {"PYTHONDONTWRITEBYTECODE": "1", "NUMBA_CACHE_DIR": ""}
        printed, said = python(ALL_KINDS, before=before, **environment)
        assert printed.split("\n")[:-1] == STEPS
        assert "no cache folder can be written" in said
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(folder)


def test_settings_changed_later_take_effect_in_both_engines():
    changes = {
        "GrowingCA": [("fire_rate", 0.9), ("step_size", 0.2), ("angle", 1.0)],
        "MNISTCA": [("fire_rate", 0.9), ("noise_std", 0.5)],
        "Injected": [("fire_rate", 0.1)],
        "Perturbed": [("step_size", 0.1)],
    }
    for name, of_kind in changes.items():
        step = LAYERS[name]()
        state, masks = random_state(step, (2, 6, 7)), random_masks(step, (2, 6, 7))

        def both(step=step, state=state, masks=masks):
            runs = [
                tfnca.rollout(step, state, 3, engine=engine, seed=0, **masks).numpy()
                for engine in ("dense", "sparse")
            ]
            np.testing.assert_allclose(runs[0], runs[1], atol=1e-5 * np.abs(runs[0]).max())
            return runs[0]

        before = both()
        for attribute, value in of_kind:
            setattr(step.networks[-1], attribute, value)
            after = both()
            assert np.abs(after - before).max() > 1e-3, (name, attribute)
            before = after


def test_a_graph_is_kept_for_one_setting_only():
    ca = LAYERS["GrowingCA"]()
    for rate in (0.1, 0.2, 0.3):
        ca.fire_rate = rate
        tfnca.rollout(ca, random_state(ca), 1, engine="dense", seed=0)
    assert len(rollout._graphs[ca]) == 1
    assert states.LIVING_THRESHOLD == 0.1


NOT_COMPILED = """
import conftest, descriptors
import numpy as np
import tfnca
from tfnca.engines import kernels
assert not hasattr(kernels.run, "signatures")
for name in ("Injected", "Injected MNISTCA"):
    step = descriptors.LAYERS[name]()
    shape = 1, 4, 4
    state, masks = descriptors.random_state(step, shape), descriptors.random_masks(step, shape)
    found = [
        conftest.gradients(
            lambda x: tfnca.rollout(step, x, 1, seed=0, engine=engine, **masks), step, state, state
        )
        for engine in ("sparse", "dense")
    ]
    for sparse, dense in zip(*found, strict=True):
        np.testing.assert_allclose(sparse, dense, atol=1e-4 * np.abs(dense).max())
    print(name)
"""


def test_the_kernels_run_as_plain_python_where_numba_is_told_not_to_compile():
    """To be debugged line by line, and counted by coverage; a wrapping hash warns there."""
    path = os.pathsep.join(map(str, (ROOT, ROOT / "tests")))
    environment = {"PYTHONPATH": path, "NUMBA_DISABLE_JIT": "1"}
    printed, _ = python(NOT_COMPILED, PYTHONWARNINGS="ignore::RuntimeWarning", **environment)
    assert printed.split("\n")[:-1] == ["Injected", "Injected MNISTCA"]
