"""`NeuralCA` against rules that other projects trained, as an independent program runs them.

In all of them every cell fires in every step.
"""

import json

import numpy as np
import pytest
from foreign import expected, foreign, start, state_dict, texture

from tfnca import Alpha, NeuralCA

TEXTURE = {
    "channels": 12,
    "filters": ("identity", "sobel_x", "sobel_y", "laplacian"),
    "padding": "circular",
    "fire_rate": 1.0,
}
GROWING = {"hidden": 128, "alive": Alpha(), "fire_rate": 1.0}


def filled(rule, weights):
    ca = NeuralCA(**rule)
    ca.set_weights(weights)
    return ca


def by_channel(kernel, count):
    """Rows of a first kernel, filter by filter, in the order of ours."""
    channels = kernel.shape[0] // count
    return kernel.reshape(count, channels, -1).swapaxes(0, 1).reshape(kernel.shape)


def dense(arrays, *names):
    """Kernels and biases of linear layers or 1×1 convolutions."""
    for name in names:
        weight = arrays[f"{name}.weight"]
        yield weight.reshape(weight.shape[:2]).T
        if f"{name}.bias" in arrays:
            yield arrays[f"{name}.bias"]


def texture_ca(name):
    kernel, *rest = texture(name)
    rule = {**TEXTURE, "hidden": 96, "network_clip": 2.0, "state_clip": 2.0}
    return filled(rule, [by_channel(kernel, 4), *rest])


def takeover():
    arrays = state_dict("takeover/lizard_persistent.pt")
    rule = {**GROWING, "padding": "circular"}
    return filled(rule, list(dense(arrays, "layers.0", "layers.2")))


def gorold():
    arrays = state_dict("gorold_0.pth")
    names = list(dict.fromkeys(name.rpartition(".")[0] for name in arrays))
    kernel, *rest = dense(arrays, *[name for name in names if arrays[f"{name}.weight"].ndim])
    return filled(GROWING, [by_channel(kernel, 3), *rest])


def med_nca(name):
    arrays = state_dict(name)
    convolutions = [arrays[f"{name}.weight"].transpose(2, 3, 1, 0) for name in ("p0", "p1")]
    kernel, bias, last = dense(arrays, "fc0", "fc1")
    rule = {
        "channels": 32,
        "filters": ("identity",),
        "learned": {"filters": 64},
        "padding": "reflect",
        "fixed": 1,
        "last_bias": False,
        "fire_rate": 1.0,
    }
    biases = np.concatenate([arrays["p0.bias"], arrays["p1.bias"]])
    return filled(rule, [np.concatenate(convolutions, -1), biases, kernel, bias, last[:, 1:]])


def goal_ca():
    """Goals are added to the last channels, which is what the same weights make of an input."""
    arrays = state_dict("goal/movable_salamander.pt")
    depthwise = arrays["perception_net.weight"].reshape(37, 3, 3, 3).transpose(2, 3, 0, 1)
    kernel, *rest = dense(arrays, *[f"update_net.out.{layer}" for layer in (0, 2, 4)])
    rule = {
        "channels": 37,
        "filters": None,
        "learned": {"multiplier": 3, "bias": False},
        "hidden": (64, 64),
        "last_bias": False,
        "alive": Alpha(),
        "inputs": 32,
        "state_clip": 10.0,
        "fire_rate": 1.0,
    }
    depthwise = np.concatenate([depthwise, depthwise[:, :, 5:]], 2)
    return filled(rule, [depthwise, np.concatenate([kernel, kernel[15:]]), *rest])


def monash():
    arrays = state_dict("monash/texture.pth")
    filters = ("identity", "sobel_x_unscaled", "sobel_y_unscaled", "laplacian_unscaled")
    kernel, bias, last = dense(arrays, "layers.0", "layers.2")
    rule = {**TEXTURE, "filters": filters, "hidden": len(bias), "last_bias": False}
    return filled(rule, [kernel, bias, last])


RULES = {
    "textures.json/bubbly_0101": lambda: texture_ca("bubbly_0101"),
    "textures.json/interlaced_0172": lambda: texture_ca("interlaced_0172"),
    "textures.json/mixed4c_439": lambda: texture_ca("mixed4c_439"),
    "takeover/lizard_persistent.pt": takeover,
    "gorold_0.pth": gorold,
    "medseg/model0.pth": lambda: med_nca("medseg/model0.pth"),
    "medseg/model1.pth": lambda: med_nca("medseg/model1.pth"),
    "goal/movable_salamander.pt, goal 0": goal_ca,
    "goal/movable_salamander.pt, goal 1": goal_ca,
    "monash/texture.pth": monash,
}


@pytest.mark.parametrize("name", RULES)
def test_as_the_independent_program(name):
    facts = expected(name)
    ca = RULES[name]()
    state = start(facts["start"], facts["channels"], facts["size"])
    given = {}
    if "goal" in name:
        goals = state_dict("goal/movable_salamander.pt")["encoder.embedding.weight"]
        given["inputs"] = goals[[int(name[-1])]]
    for index in range(facts["steps"]):
        state = ca(state, seed=0, index=index, **given)
    state, size, largest = np.asarray(state)[0], facts["size"], facts["largest"]
    found = {
        "mean": state.mean(),
        "std": state.std(),
        "largest": np.abs(state).max(),
        "mean_of_first_channels": state[..., :4].mean((0, 1)),
        "at_row_h3_column_h2": state[size // 3, size // 2, :4],
    }
    for key, value in found.items():
        np.testing.assert_allclose(value, facts[key], rtol=0, atol=1e-4 * largest, err_msg=key)


def test_every_expected_file_is_here():
    assert set(json.loads((foreign() / "expected.json").read_text())) == set(RULES)
