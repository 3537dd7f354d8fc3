"""Models of other projects in every format of export: each computes what the package computes.

What is exported for TensorFlow.js and to ONNX says its rule, so that the package reads it again.
"""

import numpy as np
import pytest
import tensorflow as tf
from foreign import foreign
from test_portable import run_litert, run_onnx
from test_tfjs import run_in_node
from tfjs_jobs import graph_job

import tfnca
from tfnca.export.portable import save_portable
from tfnca.export.saved_model import save_saved_model
from tfnca.export.tfjs import save_tfjs

pytestmark = [pytest.mark.originals, pytest.mark.slow]

MODELS = {
    "texture": {"file": "textures.json", "name": "bubbly_0101"},
    "takeover": {"file": "takeover/lizard_persistent.pt"},
    "med-nca": {"file": "medseg/model0.pth"},
    "goal": {"file": "goal/movable_salamander.pt"},
    "filter-major": {"file": "gorold_0.pth"},
    "unscaled-texture": {"file": "monash/texture.pth"},
}
"""One of each convention that is not the article's own."""

SHAPE, STEPS = (2, 7, 9), 3


@pytest.fixture(scope="module", params=MODELS)
def run(request):
    """A model, a start, its draws, and the final state."""
    given = dict(MODELS[request.param])
    file = foreign() / given.pop("file")
    step, random = tfnca.load(file, convention=request.param, **given), np.random.default_rng(0)
    state = random.uniform(-0.5, 1.0, size=(*SHAPE, step.channels)).astype(np.float32)
    draws = {"fire_masks": (random.random((STEPS, 1, *SHAPE)) < 0.6).astype(np.float32)}
    if step.inputs:
        draws["inputs"] = random.normal(size=(*SHAPE, step.inputs)).astype(np.float32)
    final = np.asarray(tfnca.rollout(step, state, STEPS, engine="dense", seed=0, **draws))
    assert np.abs(final - state).max() > 0.1
    return step, state, draws, final


def step_by_step(call, state, draws):
    """The final state of an export's function that makes one step of float32 arrays."""
    given = {name: values for name, values in draws.items() if name != "fire_masks"}
    for fires in draws["fire_masks"]:
        state = np.asarray(call({"state": state, "fire_mask": fires, **given}))
    return state


def close(found, final):
    np.testing.assert_allclose(found, final, rtol=0, atol=1e-5 * np.abs(final).max())


def test_saved_model(run, tmp_path):
    step, state, draws, final = run
    save_saved_model(step, tmp_path / "model")
    module = tf.saved_model.load(str(tmp_path / "model"))

    def call(given):
        tensors = {name: tf.constant(values) for name, values in given.items()}
        return module.signatures["step_masked"](**tensors)["state"]

    close(step_by_step(call, state, draws), final)


def is_read_back(path, run):
    """Whether `tfnca.load` needs no convention for an export, and reads the same model."""
    step, state, draws, final = run
    found = tfnca.load(path)
    assert type(found) is type(step)
    assert found.rule == step.rule
    assert all(map(np.array_equal, found.get_weights(), step.get_weights()))
    again = tfnca.rollout(found, state, STEPS, engine="dense", seed=0, **draws)
    return np.array_equal(again, final)


@pytest.mark.filterwarnings("ignore")  # of the exporters
@pytest.mark.parametrize("ending", ["tflite", "onnx"])
def test_litert_and_onnx(run, tmp_path, ending):
    pytest.importorskip("ai_edge_litert" if ending == "tflite" else "tf2onnx")
    step, state, draws, final = run
    path = tmp_path / f"model.{ending}"
    save_portable(step, path)
    one_step = run_litert if ending == "tflite" else run_onnx
    close(step_by_step(lambda given: one_step(path, given), state, draws), final)
    if ending == "onnx":
        assert is_read_back(path, run)


def test_tensorflow_js(run, tmp_path):
    step, state, draws, final = run
    save_tfjs(step, tmp_path / "model")
    assert is_read_back(tmp_path / "model", run)
    job, expected = graph_job(tmp_path / "job", tmp_path / "model", step, state, STEPS, draws)
    np.testing.assert_array_equal(expected, final)
    close(run_in_node(tmp_path, {"model": job})["model"], final)
