"""A `NeuralCA` as a file: loaded by tfnca, exported with its inputs, refused if it is hostile."""

import json
import zipfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from rules import RULES, filled, some_inputs, some_state

import tfnca
from tfnca.export.saved_model import save_saved_model
from tfnca.export.tfjs import save_tfjs

SHAPE = (1, 6, 7)


@pytest.mark.parametrize("name", ["texture, clipped", "alpha, depthwise", "inputs, circular"])
def test_a_file_and_an_export_compute_the_same(name, tmp_path):
    ca = filled(RULES[name])
    state, given = some_state(ca.rule, SHAPE), some_inputs(ca.rule, SHAPE)
    expected = ca(state, seed=1, index=2, **given)
    keras.saving.save_model(ca, tmp_path / "model.keras")
    loaded = tfnca.load(tmp_path / "model.keras")
    assert type(loaded) is tfnca.NeuralCA
    np.testing.assert_array_equal(loaded(state, seed=1, index=2, **given), expected)

    if given:
        grid = np.broadcast_to(given["inputs"][:, None, None], (*SHAPE, ca.inputs))
        given = {"inputs": tf.constant(grid)}
    save_saved_model(ca, tmp_path / "saved")
    numbers = {"seed": tf.constant(1, tf.int64), "index": tf.constant(2, tf.int64)}
    served = tf.saved_model.load(str(tmp_path / "saved")).signatures["step"]
    found = served(state=tf.constant(state), **numbers, **given)["state"]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    save_tfjs(ca, tmp_path / "tfjs")


def test_an_injection_of_two_rules_is_loaded(tmp_path):
    host, adversary = filled(RULES["texture"]), filled({**RULES["leaky"], "channels": 5}, 1)
    step = tfnca.Injected(host, adversary)
    keras.saving.save_model(step, tmp_path / "model.keras")
    loaded = tfnca.load(tmp_path / "model.keras")
    state, mask = some_state(host.rule, SHAPE), np.ones(SHAPE)
    found = loaded(state, mask=mask, seed=1, index=0)
    np.testing.assert_array_equal(found, step(state, mask=mask, seed=1, index=0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"hidden": [4096] * 64},
        {"learned": {"multiplier": 4096}, "channels": 4096},
        {"learned": {"filters": "80"}},
        {"filters": "sobel"},
        {"filters": 7},
        {"alive": {"kind": "alpha", "channel": 99, "threshold": 0.1}},
        {"alive": {"kind": "alpha", "channel": 0, "threshold": "0.1"}},
        {"padding": ["zero"]},
        {"activation": None},
        {"state_clip": "2"},
        {"network_clip": [2]},
        {"negative_slope": "a"},
        {"last_bias": []},
        {"hidden": {}},
    ],
)
def test_a_hostile_rule_is_refused(wrong, tmp_path):
    path, changed = tmp_path / "model.keras", tmp_path / "changed.keras"
    keras.saving.save_model(filled(RULES["texture"]), path)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(changed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "config.json":
                config = json.loads(data)
                config["config"] |= wrong
                data = json.dumps(config).encode()
            new.writestr(name, data)
    with pytest.raises(ValueError, match=r"changed.keras.*Received"):
        tfnca.load(changed)
