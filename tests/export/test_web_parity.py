"""The page computes what the package computes: its draws, its states, its combinations."""

import json

import numpy as np
import pytest
from conftest import random_draws
from descriptors import shuffled
from tfjs_jobs import (
    ROOT,
    WEB,
    array,
    arrays,
    chromium,
    final_states,
    graph_job,
    run_node,
    site_tools,
    write,
)

import tfnca
from tfnca.automata import randomness
from tfnca.export.signatures import load_step
from tfnca.export.tfjs import save_tfjs

MODELS = ROOT / "saved_models"


def test_draws_equal_the_packages():
    """A seed in the page is the same seed in Python: fire masks and noise agree."""
    script = """
        const { fireMask, noise } = await import("./src/random.js");
        const box = { top: 3, left: 2, height: 4, width: 5 };
        console.log(JSON.stringify([
          [...fireMask(box, [0.5, 0.3], 7, 11)], [...noise(box, 3, [1, 1], 7, 11)],
        ]));
    """
    fires, noise = json.loads(run_node("--input-type=module", "-e", script))
    crop = np.s_[0, 3:7, 2:7]
    shape = (1, 8, 8)
    for network, rate in enumerate((0.5, 0.3)):
        ours = np.reshape(fires, (2, 4, 5))[network]
        theirs = np.asarray(randomness.fire_mask(shape, rate, 7, 11, network))[crop][..., 0]
        np.testing.assert_array_equal(ours, theirs)
        ours = np.reshape(noise, (2, 4, 5, 3))[network]
        theirs = np.asarray(randomness.normal(shape, 3, 7, 11, network))[crop]
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_combination_equals_the_packages():
    rng = np.random.default_rng(0)
    halves = [np.eye(16) + 0.1 * rng.normal(size=(16, 16)) for _ in range(2)]
    a, b = [(half + half.T) / 2 for half in halves]
    # Only `combine` is wanted; TF.js need not be there.
    source = (WEB / "src" / "ca.js").read_text()
    combine = source[source.index("export function combine") :].removeprefix("export ")
    given = json.dumps({"a": a.tolist(), "b": b.tolist()})
    script = f"{combine}\nconsole.log(JSON.stringify(combine({given}, {{ a: 1, b: -0.5 }})));"
    ours = json.loads(run_node("-e", script))
    pairs = [(tfnca.MatrixPerturbation(matrix=a), 1.0), (tfnca.MatrixPerturbation(matrix=b), -0.5)]
    np.testing.assert_allclose(ours, np.asarray(tfnca.combine(pairs).matrix), atol=1e-6)


# ---------------------------------------------------------------------------------------------
# The same states as the package's
# ---------------------------------------------------------------------------------------------

RED = "growing_adversary_red"
STEPS = 50
SEED = 11
SHIPPED = {  # what runs → its host, if it has one
    "growing_lizard": None,
    "mnist": None,
    "mnist_adversary": "mnist",
    "growing_adversary_red": "growing_lizard",
    "perturbation_no_arm": "growing_lizard",
}
FOREIGN = ("a takeover host", "a texture", "an invasion")
"""What a visitor gives to the page: rules of other projects, and adversaries that spread."""

DEFENDED = "mnist_adversary, deviation test"
"""`tfnca.Verified` of the same models, which the page computes by itself."""

RUNS = [
    *((name, "wasm", way) for name in SHIPPED for way in ("graph", "page")),
    (DEFENDED, "wasm", "page"),
    *((name, "wasm", "page") for name in FOREIGN),
    # WebGL imitated in software takes seconds per model, so it gets only these two, one per kind.
    *((name, "webgl", "graph") for name in ("mnist_adversary", "perturbation_no_arm")),
]
"""What runs, on what, and how: ``graph`` is the export with the same fire masks and noise as in
Python, ``page`` the page's own CA with the same seed."""


def shipped_step(name):
    """A bundled model as its export has it: an injection or a mixture holds its host."""
    if name == DEFENDED:
        return tfnca.Verified(tfnca.load("mnist"), tfnca.load("mnist_adversary"))
    if name == "a takeover host":
        step = tfnca.NeuralCA(alive=tfnca.Alpha(), padding="circular")
        step.set_weights(tfnca.load("growing_lizard").get_weights())
        return step
    if name == "an invasion":
        return tfnca.Invasion(tfnca.load("growing_lizard"), tfnca.load_attack(RED).adversary)
    if name == "a texture":
        filters = ("identity", "sobel_x", "sobel_y", "laplacian")
        clips = {"state_clip": 2.0, "network_clip": 2.0}
        step = tfnca.NeuralCA(12, filters, hidden=16, padding="circular", **clips)
        return shuffled(step, seed=0, scale=0.5)
    paths = [MODELS / folder / "model.keras" for folder in (name, SHIPPED[name]) if folder]
    return load_step(paths[:1], *paths[1:])[0]


def start_of(step):
    """A seed or a digit, and the adversaries' mask: all that a run needs but its draws."""
    if isinstance(step, tfnca.Invasion):
        grown = tfnca.rollout(step.host, tfnca.seed_state(32), 40, seed=SEED)
        cells = tfnca.living_mask(grown).numpy()[..., 0]
        mask = tfnca.random_mask(cells, 0.3, seed=SEED).numpy()
        return step.invade(grown, np.zeros_like(mask)).numpy(), {"mask": mask}
    digits = step.channels == 20
    state = tfnca.seed_state(24 if step.channels == 12 else 32, channels=step.channels)
    if type(step) is tfnca.NeuralCA:  # at the border, so that it grows across it
        state = np.roll(state, 14, axis=1) if step.rule.alive else np.zeros_like(state)
    if digits:
        state = tfnca.digit_state(tfnca.load_digits("test", count=1).images).numpy()
    given = {}
    if len(step.networks) == 2:
        # A seed is one cell: adversaries must be where it grows.
        density = 0.1 if digits else 0.4
        given["mask"] = tfnca.random_mask(np.ones(state.shape[:3]), density, seed=SEED).numpy()
    return state, given


@pytest.fixture(scope="module")
def in_chromium(tmp_path_factory):
    """One of `RUNS` → (the state in Chromium or why there is none, the package's)."""
    site_tools()
    chromium()
    folder, jobs, expected = tmp_path_factory.mktemp("parity"), {}, {}
    for name in [*SHIPPED, DEFENDED, *FOREIGN]:
        step = shipped_step(name)
        state, given = start_of(step)
        perturbed = isinstance(step, tfnca.Perturbed)
        ways = []
        files = []
        if name in FOREIGN:
            save_tfjs(step, folder / name)
            files = [str(folder / name / part) for part in ("model.json", "weights.bin")]
        elif name != DEFENDED:
            draws = random_draws(step, state.shape[:3], STEPS) | given
            graph = MODELS / name / "tfjs"
            k = [1.0] if perturbed else None
            job = graph_job(folder / name, graph, step, state, STEPS, draws, k=k)
            ways.append(("graph", *job))
        of_page = {
            "page": "mnist" if step.channels == 20 else "growing",
            "adversary": "red" if name == "growing_adversary_red" else None,
            "defended": name == DEFENDED,
            "perturbation": name.removeprefix("perturbation_") if perturbed else None,
            "steps": STEPS,
            "seed": SEED,
            "files": files or None,
            "state": array(folder / f"{name}.page", state),
            "given": arrays(folder / f"{name}.page", given),
        }
        if isinstance(step, tfnca.Invasion):  # the page gives the marked cells to the adversary
            state, given = step.invade(state, given["mask"]).numpy(), {}
        by_seed = tfnca.rollout(step, state, STEPS, seed=SEED, engine="dense", **given).numpy()
        for way, job, wanted in [*ways, ("page", of_page, by_seed)]:
            for backend in [run[1] for run in RUNS if (run[0], run[2]) == (name, way)]:
                out = {"backend": backend, "out": str(folder / f"{name}.{way}.{backend}")}
                jobs[name, backend, way] = job | out
                expected[name, backend, way] = wanted
    lines = run_node("parity.mjs", write(folder, jobs)).splitlines()
    missing = {line["backend"]: line["missing"] for line in map(json.loads, lines)}
    states = final_states(jobs)
    return {key: (states.get(key, missing.get(key[1])), expected[key]) for key in jobs}


@pytest.mark.parametrize(("name", "backend", "way"), RUNS)
def test_chromium_makes_the_packages_states(in_chromium, name, backend, way, record_property):
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
