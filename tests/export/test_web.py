"""The site: built from the models in saved_models, driven in a real Chromium.

`TFNCA_MODELS` names another folder of models, and `CHROMIUM` another browser. Screenshots are
kept in out/screenshots.
"""

import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
from conftest import random_draws
from tfjs_jobs import ROOT, WEB, array, arrays, final_states, graph_job, write

import tfnca
from tfnca.automata import randomness
from tfnca.export.signatures import load_step

MODELS = Path(os.environ.get("TFNCA_MODELS") or ROOT / "saved_models")
SCREENSHOTS = ROOT / "out" / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")

MNIST = ["mnist/tfjs"]
DECEIVED = [*MNIST, "mnist_adversary/tfjs"]
LIZARD = ["growing_lizard/tfjs"]
FIGURES = [*LIZARD, "perturbation_no_tail", "perturbation_no_leg"]
CHECKS = {
    "a drawn 3 is a 3": MNIST,
    "ten adversaries make it an 8": DECEIVED,
    "without them it is a 3 again": DECEIVED,
    "the keyboard does it all": DECEIVED,
    "one adversary where it hurts most": [*DECEIVED, "mnist_adversary/influence.json"],
    "wary cells": [*DECEIVED, "mnist_defended_adversary/tfjs"],
    "the tail slider removes the tail": [*LIZARD, "perturbation_no_tail"],
    "damage, seed and reset": LIZARD,
    "Figure 11 runs": FIGURES,
    "Figure 12 runs": FIGURES,
    "Figure 13 runs": FIGURES,
    "Figure 14 runs": FIGURES,
    "Figure 11 removes the tail": FIGURES,
    "the figures keep to their schedules": FIGURES,
    "adversaries in the lizard": [*LIZARD, "growing_adversary_red/tfjs"],
    "the living box equals the whole grid": [*MNIST, *LIZARD],
    "a model of another kind is refused": MNIST,
    "a damaged model is refused": MNIST,
    "a visitor's model runs": MNIST,
    "a saved moment goes on": LIZARD,
    "a link brings the settings back": [*LIZARD, "perturbation_no_tail"],
    "the last seconds are a moving picture": LIZARD,
    "compared with what happens without the attack": [*LIZARD, "perturbation_no_tail"],
    "no console error": [],
    "no foreign request": [],
    "it works offline": [],
    "a new build drops the old one's cache": [],
    "a damaged file of the site gives a message": MNIST,
    "without WebGL it says so and runs": [],
    "a phone has room for it": [],
}
"""What e2e.mjs checks, and the models that each check needs."""


def run(*command, **environment):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=WEB,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def node():
    if not shutil.which("node"):
        pytest.skip("the site's tests need node")
    return "node"


@pytest.fixture(scope="module")
def site(node, tmp_path_factory):
    """The folder of the built site."""
    if not (WEB / "node_modules").is_dir():
        pytest.skip("the site's packages are absent: run `npm ci` in export/web")
    folder = tmp_path_factory.mktemp("site")
    data, built = folder / "data", folder / "site"
    log = run(sys.executable, "prepare.py", "--models", MODELS.resolve(), "--out", data)
    print(log)
    run(
        node,
        "node_modules/vite/bin/vite.js",
        "build",
        TFNCA_SITE_DATA=str(data),
        TFNCA_SITE=str(built),
    )
    return built


@pytest.fixture(scope="module")
def results(node, site):
    """What e2e.mjs found: check → what went wrong, or None."""
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"no Chromium at {CHROMIUM}; CHROMIUM names another")
    output = run(node, "e2e.mjs", site, SCREENSHOTS, TFNCA_SITE=str(site))
    return {line["check"]: line["error"] for line in map(json.loads, output.splitlines())}


@pytest.mark.parametrize("check", CHECKS)
def test_page(results, check):
    absent = [name for name in CHECKS[check] if not (MODELS / name).exists()]
    if absent:
        pytest.skip(f"{MODELS} has no {', '.join(absent)}")
    assert results[check] is None, results[check]


def test_the_moving_picture_shows_a_lizard_grow(results):
    if not (MODELS / LIZARD[0]).exists():
        pytest.skip(f"{MODELS} has no {LIZARD[0]}")
    frames = imageio.mimread(SCREENSHOTS / "growing.gif", mode="RGB")
    assert 10 <= len(frames) <= 100
    assert {frame.shape for frame in frames} == {(288, 288, 3)}
    inked = [int((frame.min(-1) < 200).sum()) for frame in frames]
    assert inked[-1] > 2 * max(inked[0], 16), inked


def test_every_check_is_listed(results):
    assert set(results) <= set(CHECKS)


def test_site_is_small(site):
    sizes = run(
        "node",
        "-e",
        """
        const { gzipSync } = require("node:zlib");
        const { readdirSync, readFileSync, statSync } = require("node:fs");
        const files = readdirSync(process.argv[1], { recursive: true })
          .map((name) => `${process.argv[1]}/${name}`).filter((name) => statSync(name).isFile());
        console.log(files.reduce((sum, name) => sum + gzipSync(readFileSync(name)).length, 0));
    """,
        site,
    )
    assert int(sizes) < 1.2e6


def read_weights(folder):
    """Name → bytes; and the sizes of the files."""
    groups = json.loads((folder / "model.json").read_text())["weightsManifest"]
    files = [(folder / path).read_bytes() for group in groups for path in group["paths"]]
    data, found = b"".join(files), {}
    for weight in (weight for group in groups for weight in group["weights"]):
        end = 4 * int(np.prod(weight["shape"]))
        found[weight["name"]], data = data[:end], data[end:]
    assert not data
    return found, [len(file) for file in files]


def test_models_share_files_and_hold_their_own_weights(site):
    folders = [path for path in (site / "models").iterdir() if path.name != "shared"]
    for folder in folders:
        weights, sizes = read_weights(folder)
        assert weights == read_weights(MODELS / folder.name / "tfjs")[0]
        assert sizes == sorted(sizes, reverse=True)  # or TensorFlow.js misreads them
    if MODELS.name == "saved_models":
        assert len(list((site / "models/shared").iterdir())) == 2


def test_the_site_carries_the_notices_of_what_it_bundles(site):
    notice = (site / "NOTICE.txt").read_text()
    assert "MNIST" in notice
    assert "MIT License" in notice


def test_page_names_no_other_server(site):
    html = (site / "index.html").read_text()
    assert 'src="http' not in html
    assert '<link rel="stylesheet" crossorigin href="./' in html


def test_draws_equal_the_packages(node):
    """A seed in the page is the same seed in Python: fire masks and noise agree."""
    script = """
        const { fireMask, noise } = await import("./src/random.js");
        const box = { top: 3, left: 2, height: 4, width: 5 };
        console.log(JSON.stringify([
          [...fireMask(box, [0.5, 0.3], 7, 11)], [...noise(box, 3, [1, 1], 7, 11)],
        ]));
    """
    fires, noise = json.loads(run(node, "--input-type=module", "-e", script))
    crop = np.s_[0, 3:7, 2:7]
    shape = (1, 8, 8)
    for network, rate in enumerate((0.5, 0.3)):
        ours = np.reshape(fires, (2, 4, 5))[network]
        theirs = np.asarray(randomness.fire_mask(shape, rate, 7, 11, network))[crop][..., 0]
        np.testing.assert_array_equal(ours, theirs)
        ours = np.reshape(noise, (2, 4, 5, 3))[network]
        theirs = np.asarray(randomness.normal(shape, 3, 7, 11, network))[crop]
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_combination_equals_the_packages(node):
    rng = np.random.default_rng(0)
    halves = [np.eye(16) + 0.1 * rng.normal(size=(16, 16)) for _ in range(2)]
    a, b = [(half + half.T) / 2 for half in halves]
    # Only `combine` is wanted; TF.js need not be there.
    source = (WEB / "src" / "ca.js").read_text()
    combine = source[source.index("export function combine") :].removeprefix("export ")
    given = json.dumps({"a": a.tolist(), "b": b.tolist()})
    script = f"{combine}\nconsole.log(JSON.stringify(combine({given}, {{ a: 1, b: -0.5 }})));"
    ours = json.loads(run(node, "-e", script))
    pairs = [(tfnca.Perturbation(matrix=a), 1.0), (tfnca.Perturbation(matrix=b), -0.5)]
    np.testing.assert_allclose(ours, np.asarray(tfnca.combine(pairs).matrix), atol=1e-6)


# ---------------------------------------------------------------------------------------------
# The same states as the package's
# ---------------------------------------------------------------------------------------------

STEPS = 50
SEED = 11
SHIPPED = {  # what runs → its host, if it has one
    "growing_lizard": None,
    "mnist": None,
    "mnist_adversary": "mnist",
    "growing_adversary_red": "growing_lizard",
    "perturbation_no_arm": "growing_lizard",
}
RUNS = [
    *((name, "wasm", way) for name in SHIPPED for way in ("graph", "page")),
    # A WebGL that is imitated in software takes seconds a model, so it gets these; they hold
    # both bases.
    *((name, "webgl", "graph") for name in ("mnist_adversary", "perturbation_no_arm")),
]
"""What runs, on what, and how: ``graph`` is the export with the same fire masks and noise as in
Python, ``page`` the page's own CA with the same seed."""


def shipped_step(name):
    """A model of `MODELS` as its export has it: an injection or a mixture holds its host."""
    paths = [MODELS / folder / "model.keras" for folder in (name, SHIPPED[name]) if folder]
    if not all(path.is_file() for path in paths):
        return None
    return load_step(paths[:1], *paths[1:])[0]


def start_of(step):
    """A seed, or a digit, and who is an adversary: all that a run needs but its draws."""
    digits = step.channels == 20
    state = tfnca.seed_state(32)
    if digits:
        state = tfnca.digit_state(tfnca.load_digits("test", count=1).images).numpy()
    given = {}
    if len(step.networks) == 2:
        # A seed is one cell: adversaries must stand where it grows.
        density = 0.1 if digits else 0.4
        given["mask"] = tfnca.random_mask(np.ones(state.shape[:3]), density, seed=SEED).numpy()
    return state, given


@pytest.fixture(scope="module")
def in_chromium(node, site, tmp_path_factory):
    """One of `RUNS` → (the state in Chromium or why there is none, the package's)."""
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"no Chromium at {CHROMIUM}; CHROMIUM names another")
    folder, jobs, expected = tmp_path_factory.mktemp("parity"), {}, {}
    for name in SHIPPED:
        if (step := shipped_step(name)) is None:
            continue
        state, given = start_of(step)
        draws = random_draws(step, state.shape[:3], STEPS) | given
        perturbed = isinstance(step, tfnca.Perturbed)
        graph, by_draws = graph_job(
            folder / name,
            MODELS / name / "tfjs",
            step,
            state,
            STEPS,
            draws,
            k=[1.0] if perturbed else None,
        )
        of_page = {
            "page": "mnist" if step.channels == 20 else "growing",
            "adversary": "red" if name == "growing_adversary_red" else None,
            "perturbation": name.removeprefix("perturbation_") if perturbed else None,
            "steps": STEPS,
            "seed": SEED,
            "state": array(folder / f"{name}.page", state),
            "given": arrays(folder / f"{name}.page", given),
        }
        by_seed = tfnca.rollout(step, state, STEPS, seed=SEED, engine="dense", **given).numpy()
        for way, job, wanted in (("graph", graph, by_draws), ("page", of_page, by_seed)):
            for backend in [run[1] for run in RUNS if (run[0], run[2]) == (name, way)]:
                out = {"backend": backend, "out": str(folder / f"{name}.{way}.{backend}")}
                jobs[name, backend, way] = job | out
                expected[name, backend, way] = wanted
    lines = run(node, "parity.mjs", write(folder, jobs), TFNCA_SITE=str(site)).splitlines()
    missing = {line["backend"]: line["missing"] for line in map(json.loads, lines)}
    states = final_states(jobs)
    return {key: (states.get(key, missing.get(key[1])), expected[key]) for key in jobs}


@pytest.mark.parametrize(("name", "backend", "way"), RUNS)
def test_chromium_makes_the_packages_states(in_chromium, name, backend, way, record_property):
    if (name, backend, way) not in in_chromium:
        pytest.skip(f"{MODELS} has no {name}")
    state, expected = in_chromium[name, backend, way]
    if isinstance(state, str) and backend == "webgl":
        pytest.skip(f"no WebGL with float textures: {state}")
    largest = np.abs(expected).max()
    difference = np.abs(state - expected).max() / largest
    record_property("largest difference, of the largest state", float(difference))
    print(f"{name}, {way}, {backend}: {difference:.2g} of the largest state, {largest:.3g}")
    living = expected[..., 0 if expected.shape[-1] == 20 else 3] > 0.1
    assert living.sum() > 50, "too little lives for a test"
    assert difference < 1e-5


def test_a_shift_in_place_of_a_matrix_gets_no_slider(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "perturbation_red"
    folder.mkdir()
    np.save(folder / "perturbation.npy", np.ones(16, np.float32))
    prepare = runpy.run_path(str(WEB / "prepare.py"))
    assert prepare["read_perturbations"](tmp_path) == {}
    assert "is a shift" in capsys.readouterr().out
