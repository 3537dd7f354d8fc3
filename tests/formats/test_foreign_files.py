"""Models of other projects through `tfnca.load`, held to what independent programs make of them."""

import numpy as np
import pytest
from expected import assert_holds
from foreign import expected, foreign, start
from foreign_files import flax_msgpack, onnx_file, textures_document
from published_formats import growing_tensors, named_tensors, torch_tensors, write

import tfnca
from tfnca.formats.load import load, load_arrays

FILES = {
    "textures.json/bubbly_0101": None,
    "textures.json/interlaced_0172": None,
    "textures.json/mixed4c_439": None,
    "takeover/lizard_persistent.pt": "takeover",
    "gorold_0.pth": "filter-major",
    "medseg/model0.pth": None,
    "medseg/model1.pth": None,
    "goal/movable_salamander.pt, goal 0": None,
    "goal/movable_salamander.pt, goal 1": None,
    "monash/texture.pth": "unscaled-texture",
}
"""What `expected.json` holds, and the convention without which shapes do not say the rule."""


@pytest.mark.originals
@pytest.mark.parametrize("name", FILES)
def test_what_an_independent_program_computes(name):
    known, convention = expected(name), FILES[name]
    file, _, goal = name.partition(", goal ")
    file, _, inner = file.partition(".json/")
    path = foreign() / (f"{file}.json" if inner else file)
    ca = load(path, name=inner or None, convention=convention)
    if convention:
        with pytest.raises(ValueError, match=f"several rules.*convention='{convention}'"):
            load(path)
    state = start(known["start"], ca.channels, known["size"])
    fires = np.ones((known["steps"], 1, *state.shape[:3]))
    inputs = None
    if goal:
        inputs = load_arrays(path)["encoder.embedding.weight"][int(goal)][None]
    state = tfnca.rollout(ca, state, known["steps"], fire_masks=fires, inputs=inputs, seed=0)
    state = np.asarray(state, np.float64)[0]
    row, column = (known["size"] // number for number in (3, 2))
    found = {
        "mean": state.mean(),
        "std": state.std(),
        "largest": np.abs(state).max(),
        "mean_of_first_channels": state[..., :4].mean((0, 1)),
        "at_row_h3_column_h2": state[row, column, :4],
    }
    for key, value in found.items():
        np.testing.assert_allclose(value, known[key], atol=1e-4 * known["largest"], err_msg=key)


@pytest.mark.originals
def test_what_no_convention_describes_is_asked_about():
    """The alive rule of this one is outside any rule; under each that fits it would be wrong."""
    with pytest.raises(ValueError, match=r"cat.pth fits several rules"):
        load(foreign() / "monash/cat.pth")


@pytest.mark.originals
def test_the_rows_of_a_particle_ca_are_channel_by_channel():
    """Filter by filter its states explode. The file does not tell its padding, so `load` asks."""
    path = foreign() / "pwhiddy_192.pt"
    with pytest.raises(ValueError, match=r"pwhiddy_192.pt fits several rules"):
        load(path)
    filters = ("identity", "sobel_x", "sobel_y_flipped")
    rule = tfnca.NeuralCA(filters=filters, hidden=192, padding="circular")
    by_channel = tfnca.rollout(load(path, rule=rule), tfnca.seed_state(32), 60, seed=1)
    assert 0.1 < np.abs(by_channel).max() < 3
    wrong = load(path, convention="filter-major")
    assert not np.abs(tfnca.rollout(wrong, tfnca.seed_state(32), 60, seed=1)).max() < 1e6


@pytest.mark.originals
def test_every_texture_of_a_file_loads():
    with pytest.raises(ValueError, match="several models"):
        load(foreign() / "textures.json")
    assert load(foreign() / "textures.json", name="woven_0121").channels == 12


def test_textures(tmp_path):
    document, held = textures_document(5)
    path = write(tmp_path / "textures.json", document)
    for name, (first, last) in held.items():
        ca = load(path, name=name)
        kernel = first[:-1].reshape(4, 4, -1).swapaxes(0, 1).reshape(16, -1)
        arrays = kernel, first[-1], last[:-1], last[-1]
        for weight, array in zip(ca.get_weights(), arrays, strict=True):
            np.testing.assert_allclose(weight, array, rtol=1e-6)
        assert (ca.padding, ca.alive, ca.state_clip) == ("circular", None, 2.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"layout": [1, 1]}, "layout"),
        ({"shape": [17, 9]}, "its picture is RGBA"),
        ({"shape": [1 << 20, 1 << 20]}, "at most .* bytes"),
        ({"data": "data:image/gif;base64,"}, "begin with"),
        ({"scale": 1e999}, "JSON"),
    ],
)
def test_textures_that_are_wrong(tmp_path, change, message):
    document, _ = textures_document(5)
    document["layers"][0] |= change
    with pytest.raises(ValueError, match=f"textures.json.*{message}"):
        load(write(tmp_path / "textures.json", document), name="m0")


def test_a_tree_of_flax(tmp_path):
    tensors = growing_tensors(channels=6, hidden=4)
    (tmp_path / "ca.msgpack").write_bytes(flax_msgpack(tensors))
    assert_holds(load(tmp_path / "ca.msgpack", convention="growing"), tensors)


def test_onnx(tmp_path):
    tensors = growing_tensors(channels=6, hidden=4)
    named = named_tensors(torch_tensors(tensors), parts=("weight", "bias"))
    (tmp_path / "ca.onnx").write_bytes(onnx_file(named))
    assert_holds(load(tmp_path / "ca.onnx", convention="growing"), tensors)


def test_onnx_that_leads_to_other_files(tmp_path):
    import onnx

    tensor = onnx.numpy_helper.from_array(np.zeros((48, 8), np.float32), "w")
    onnx.external_data_helper.set_external_data(tensor, "/etc/hostname")
    tensor.ClearField("raw_data")
    graph = onnx.helper.make_graph([], "ca", [], [], [tensor])
    (tmp_path / "ca.onnx").write_bytes(onnx.helper.make_model(graph).SerializeToString())
    with pytest.raises(ValueError, match="stored in another file"):
        load(tmp_path / "ca.onnx")
