"""A step in LiteRT and in ONNX Runtime, each where it is installed."""

import numpy as np
import pytest
from conftest import random_draws
from descriptors import LAYERS, random_state

import tfnca
from tfnca.automata.step import freeze_copy
from tfnca.export.portable import save_portable

SHAPE = (2, 6, 7)


def run_litert(path, given):
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    interpreter = litert.Interpreter(str(path))
    inputs = {
        detail["name"].removeprefix("serving_default_").split(":")[0]: detail["index"]
        for detail in interpreter.get_input_details()
    }
    for name, index in inputs.items():
        interpreter.resize_tensor_input(index, given[name].shape)
    interpreter.allocate_tensors()
    for name, index in inputs.items():
        interpreter.set_tensor(index, given[name])
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


def run_onnx(path, given):
    session = pytest.importorskip("onnxruntime").InferenceSession(str(path))
    return session.run(None, given)[0]


@pytest.mark.filterwarnings("ignore")  # of the exporters, not of ours
@pytest.mark.parametrize(
    ("name", "run"),
    [
        ("MNISTCA", run_litert),
        ("Injected MNISTCA", run_litert),
        ("Perturbed", run_litert),
        ("Invasion", run_litert),
        ("Injected MNISTCA", run_onnx),
        ("Perturbed", run_onnx),
        ("Invasion", run_onnx),
    ],
)
def test_a_step_is_the_layers(tmp_path, name, run):
    pytest.importorskip("ai_edge_litert" if run is run_litert else "tf2onnx")
    step = LAYERS[name]()
    path = tmp_path / ("model.tflite" if run is run_litert else "model.onnx")
    save_portable(step, path)
    state, draws = random_state(step, SHAPE), random_draws(step, SHAPE, 1)
    given = {"state": state, "fire_mask": draws["fire_masks"][0]}
    given |= {"noise": draws["noise"][0]} if "noise" in draws else {}
    given |= {"mask": draws["mask"]} if "mask" in draws else {}
    given |= {"k": [1.0]} if isinstance(step, tfnca.Perturbed) else {}
    given = {key: np.asarray(value, np.float32) for key, value in given.items()}
    expected = tfnca.rollout(step, state, 1, engine="dense", seed=0, **draws)
    assert np.abs(expected - state).max() > 0.1
    np.testing.assert_allclose(run(path, given), expected, rtol=0, atol=1e-5)
    freeze_copy(step)  # the exporter leaves nothing behind that a host may not have


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"model\.pb"):
        save_portable(LAYERS["GrowingCA"](), tmp_path / "model.pb")
