"""The step in TensorFlow.js: the same states, few bytes, few nodes, and only what it can run."""

import gzip
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from conftest import random_draws
from descriptors import LAYERS, random_state, shuffled, symmetric
from originals import originals
from tfjs_jobs import MODULES, ROOT, array, arrays, final_states, graph_job, write

import tfnca
from tfnca.automata.rule import Rule
from tfnca.export.demo_pages import save_demo
from tfnca.export.signatures import metadata, mix
from tfnca.export.tfjs import TFJS_OPS, check_ops, save_tfjs
from tfnca.formats.readers.growing_demo import DEMO_PERTURBATIONS

SHAPE = (2, 9, 11)
STEPS = 50
SIX = [tfnca.MatrixPerturbation(matrix=symmetric(seed, 0.02)) for seed in range(6)]


def lizard():
    """A Growing CA of random weights; small ones, so that 50 steps do not run away."""
    return shuffled(tfnca.GrowingCA(), seed=5, scale=0.3)


STEPS_TO_RUN = {
    "GrowingCA": lizard,
    "MNISTCA": lambda: shuffled(tfnca.MNISTCA(), seed=6, scale=0.3),
    "Injected": lambda: tfnca.Injected(lizard(), shuffled(lizard(), seed=7, scale=0.3)),
    "Injected MNISTCA": lambda: tfnca.Injected(
        shuffled(tfnca.MNISTCA(), seed=8, scale=0.3), shuffled(tfnca.MNISTCA(), seed=9, scale=0.3)
    ),
    "Perturbed": lambda: mix(lizard(), SIX, DEMO_PERTURBATIONS),
    "Invasion": lambda: tfnca.Invasion(lizard(), shuffled(lizard(), seed=7, scale=0.3)),
}
STRENGTHS = [0.4, 0.0, -0.2, 0.1, 0.0, 0.3]


def without_strengths(step):
    """The step at `STRENGTHS`, for the package's own rollout."""
    if not isinstance(step, tfnca.Perturbed):
        return step
    weighted = zip(step.perturbation.perturbations, STRENGTHS, strict=True)
    return tfnca.Perturbed(step.host, tfnca.combine(weighted))


def quantized_step(folder, step):
    """A copy of a Growing CA with the weights that an export holds."""
    document = json.loads((folder / "model.json").read_text())
    data, kernels = (folder / "weights.bin").read_bytes(), {}
    for entry in document["weightsManifest"][0]["weights"]:
        quantization = entry.get("quantization", {"dtype": entry["dtype"]})
        kind = np.dtype(quantization["dtype"])
        count = int(np.prod(entry["shape"]))
        array = np.frombuffer(data, kind, count)
        data = data[count * kind.itemsize :]
        if "scale" in quantization:
            array = array * quantization["scale"] + quantization["min"]
        kernels[tuple(entry["shape"][-2:])] = array.astype(np.float32)
    copy = tfnca.GrowingCA.from_config(step.get_config())
    weights = [kernels.get(weight.shape, weight) for weight in step.get_weights()]
    copy.set_weights(
        [np.reshape(new, old.shape) for new, old in zip(weights, step.get_weights(), strict=True)]
    )
    return copy


def run_in_node(folder, jobs):
    """Runs jobs of `run_tfjs.mjs` and returns the final states by name."""
    if shutil.which("node") is None or not (MODULES / "@tensorflow").is_dir():
        pytest.skip("needs Node and TensorFlow.js (make site installs it)")
    script = Path(__file__).with_name("run_tfjs.mjs")
    command = ["node", str(script), str(MODULES), str(write(folder, jobs))]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return final_states(jobs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tfjs")


@pytest.fixture(scope="module")
def exported(folder):
    """Each step and the folder of its export, and a quantised one of each kind."""
    found = {name: (make(), folder / name) for name, make in STEPS_TO_RUN.items()}
    for step, path in found.values():
        save_tfjs(step, path)
    for quantize in ("uint8", "float16"):
        step, path = found["GrowingCA"][0], folder / quantize
        save_tfjs(step, path, quantize=quantize)
        found[quantize] = quantized_step(path, step), path
    return found


@pytest.fixture(scope="module")
def in_node(exported, folder):
    """What TensorFlow.js makes of each export, and what the package does: one Node for all."""
    jobs, expected = {}, {}
    for name, (step, path) in exported.items():
        state = random_state(step, SHAPE)
        draws = random_draws(step, SHAPE, STEPS)
        reference = without_strengths(step)
        k = STRENGTHS if reference is not step else None
        jobs[name], expected[name] = graph_job(
            folder / name, path, reference, state, STEPS, draws, k=k
        )
    states = run_in_node(folder, jobs)
    return {name: (states[name], expected[name]) for name in jobs}


@pytest.mark.parametrize("name", [*STEPS_TO_RUN, "uint8", "float16"])
def test_fifty_steps_are_the_packages(in_node, name):
    state, expected = in_node[name]
    assert 0.1 < np.abs(expected).max() < 1e3
    np.testing.assert_allclose(state, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "nodes"), [("GrowingCA", 34), ("Injected MNISTCA", 64)])
def test_the_graph_is_small(exported, name, nodes):
    document = json.loads((exported[name][1] / "model.json").read_text())
    topology = document["modelTopology"]["node"]
    assert len(topology) <= nodes
    assert not any("value" in node.get("attr", {}) for node in topology)


@pytest.mark.parametrize(("name", "bytes_"), [("GrowingCA", 40_000), ("uint8", 12_000)])
def test_it_is_small_to_fetch(exported, name, bytes_):
    assert sum(len(gzip.compress(p.read_bytes())) for p in exported[name][1].iterdir()) <= bytes_


@pytest.mark.parametrize("quantize", ["uint8", "float16"])
def test_quantised_kernels_differ_a_little_and_nothing_else(exported, quantize):
    step, (quantized, _) = exported["GrowingCA"][0], exported[quantize]
    for ours, theirs in zip(step.get_weights(), quantized.get_weights(), strict=True):
        difference = np.abs(ours - theirs).max()
        assert (0 < difference < np.ptp(ours) / 255) if ours.ndim == 2 else difference == 0


def test_it_says_what_it_is(exported):
    step, path = exported["Injected MNISTCA"]
    save_tfjs(step, path, measures={"adversary": {"takeover": 0.99}})
    about = json.loads((path / "model.json").read_text())["userDefinedMetadata"]
    assert len(about.pop("weights_sha256")) == 64
    assert about == {
        "kind": "Injected",
        "channels": 20,
        "networks": ["MNISTCA", "MNISTCA"],
        "fire_rate": [0.5, 0.5],
        "noise_std": [0.02, 0.02],
        "licence": "Apache-2.0",
        "measures": {"adversary": {"takeover": 0.99}},
    }
    document = json.loads((exported["Perturbed"][1] / "model.json").read_text())
    assert document["userDefinedMetadata"]["perturbations"] == list(DEMO_PERTURBATIONS)
    assert set(document["signature"]["inputs"]) == {"state", "fire_mask", "k"}


def test_one_model_gives_one_export(exported, tmp_path):
    step, path = exported["GrowingCA"]
    save_tfjs(step, tmp_path / "again")
    for file in path.iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_an_operation_that_is_missing_there_is_named_with_its_layer():
    with tf.Graph().as_default() as graph, tf.name_scope("lizard/hidden"):
        tf.roll(tf.compat.v1.placeholder(tf.float32, [3]), 1, 0, name="turn")
    with pytest.raises(ValueError, match=r"Roll \(turn\) in layer lizard/hidden"):
        check_ops(graph.as_graph_def())


@pytest.mark.parametrize(
    "parts",
    [{"activation": "leaky_relu"}, {"filters": (), "learned": {"multiplier": 2}}],
    ids=["leaky relu", "depthwise with a bias"],
)
def test_what_it_cannot_fuse_runs_apart(tmp_path, parts):
    step = shuffled(tfnca.NeuralCA(channels=5, hidden=4, **parts), seed=3, scale=0.3)
    save_tfjs(step, tmp_path / "model")
    state, draws = random_state(step, SHAPE), random_draws(step, SHAPE, 3)
    job, expected = graph_job(tmp_path / "job", tmp_path / "model", step, state, 3, draws)
    assert np.abs(expected - state).max() > 0.1
    found = run_in_node(tmp_path, {"model": job})["model"]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_an_unknown_precision_is_refused(tmp_path):
    with pytest.raises(ValueError, match="int4"):
        save_tfjs(LAYERS["GrowingCA"](), tmp_path / "model", quantize="int4")
    assert not (tmp_path / "model").exists()


def test_the_list_of_operations_is_the_converters():
    package = MODULES / "@tensorflow" / "tfjs-converter"
    if not package.is_dir():
        pytest.skip("needs TensorFlow.js (make site installs it)")
    found = set()
    for path in (package / "dist" / "operations" / "op_list").glob("*.js"):
        found.update(re.findall(r"'tfOpName': '(\w+)'", path.read_text()))
    assert found == TFJS_OPS


def in_eight_bits(folder, step, target):
    """The errors of four runs to step 500 with the weights of an export in uint8."""
    save_tfjs(step, folder / "tfjs", quantize="uint8")
    quantized = quantized_step(folder / "tfjs", step)
    state = tfnca.rollout(quantized, tfnca.seed_state(72, batch=4), 500, seed=0, engine="sparse")
    target = tfnca.pad_target(tfnca.load_target(target))
    return np.mean(np.square(state[..., :4] - target), axis=(1, 2, 3))


@pytest.mark.originals
def test_the_published_lizard_in_eight_bits_holds(tmp_path):
    step = tfnca.load(originals() / "growing_ca_lizard.json")
    assert in_eight_bits(tmp_path, step, target_file(tmp_path)).max() < 0.001


def test_our_lizard_in_eight_bits_holds(tmp_path, record_property):
    step = tfnca.load(ROOT / "saved_models" / "growing_lizard" / "model.keras")
    errors = in_eight_bits(tmp_path, step, "lizard")
    record_property("mean squared errors at step 500", errors.round(6).tolist())
    print(f"our lizard in uint8, step 500: {errors.min():.6f} to {errors.max():.6f}")
    assert errors.max() < 0.001


def target_file(folder):
    """The article's picture of the lizard."""
    shutil.unpack_archive(originals() / "growing_ca_target_images.zip", folder)
    (path,) = Path(folder).rglob("lizard_complete.png")
    return path


# ---------------------------------------------------------------------------------------------
# The article's own pages
# ---------------------------------------------------------------------------------------------


def test_the_digits_page_gets_the_weights(exported, tmp_path):
    step, _ = exported["Injected MNISTCA"]
    back = tfnca.load(save_demo(step, tmp_path))
    for ours, theirs in zip(step.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_the_lizard_page_gets_graph_and_matrices(exported, folder):
    step, _ = exported["Perturbed"]
    path = save_demo(step, folder / "demo")
    back = tfnca.load(path)
    for ours, theirs in zip(step.host.get_weights(), back.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for name, matrix in zip(DEMO_PERTURBATIONS, SIX, strict=True):
        loaded = tfnca.load_perturbation(path, name=name)
        np.testing.assert_array_equal(loaded.matrix, matrix.matrix)
    state = random_state(step, SHAPE)
    given = {"fire_rate": 1.0, "angle": 0.3, "step_size": 0.7}
    job = {
        "model": str(path),
        "steps": 10,
        "input": "x",
        "state": array(folder / "demo.state", state),
        "given": arrays(folder / "demo", given),
        "draws": {},
        "out": str(folder / "demo.out"),
    }
    host = tfnca.GrowingCA(**given)
    host.set_weights(step.host.get_weights())
    expected = tfnca.rollout(host, state, 10, engine="dense", seed=0).numpy()
    result = run_in_node(folder, {"demo": job})["demo"]
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("name", ["GrowingCA", "Injected"])
def test_the_pages_show_nothing_else(exported, tmp_path, name):
    with pytest.raises(ValueError, match=f"Received: {name}"):
        save_demo(exported[name][0], tmp_path)


def test_the_digits_page_reads_states_without_a_bound(tmp_path):
    step = tfnca.Injected(tfnca.MNISTCA(message_bound=1.0), tfnca.MNISTCA())
    with pytest.raises(ValueError, match="without a message_bound"):
        save_demo(step, tmp_path)


def test_it_says_what_is_unlike_the_published(tmp_path):
    rule = tfnca.NeuralCA(5, hidden=4, alive=tfnca.Alpha(3), padding="circular")
    (found,) = json.loads(json.dumps(metadata(rule)))["rules"]
    assert Rule(**found) == rule.rule
    about = metadata(tfnca.GrowingCA(hidden=4, angle=0.5, step_size=2.0))
    assert "rules" not in about
    assert (about["angle"], about["step_size"]) == ([0.5], [2.0])
    verified = tfnca.Verified(tfnca.MNISTCA(hidden=4), tfnca.MNISTCA(hidden=4), 4.0, mode="clip")
    about = metadata(verified)
    assert (about["tolerance"], about["mode"]) == (4.0, "clip")
