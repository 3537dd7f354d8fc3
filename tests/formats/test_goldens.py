"""Today's files load for ever: one small file of each format, and the checksum of what it holds.

A file is never written again, and a checksum never changed. `make_goldens.py` wrote the files, each
into a zip.
"""

import hashlib
import json
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

from tfnca.automata.growing import GrowingCA
from tfnca.automata.perturbations import StatePerturbation
from tfnca.formats.load import load
from tfnca.formats.readers import READERS

FOLDER = Path(__file__).parents[1] / "goldens/formats"
CONVENTIONS = json.loads((FOLDER.parent / "conventions.json").read_text())
"""The conventions of the files that do not say their rule."""

CHECKSUMS = {
    "GrowingCA.keras": "8ba58480fa8d3e1b",
    "MNISTCA.keras": "56b62f4bc0767d30",
    "Injected.keras": "868698f80f5082e4",
    "Perturbation.keras": "54723560ea67baac",
    "StateShift.keras": "dc367ba0d9e35405",
    "Perturbed.keras": "03c5d088af3a6132",
    "matrix.npy": "54723560ea67baac",
    "vector.npy": "dc367ba0d9e35405",
    "checkpoint.index": "184b9631669d2ad6",
    "checkpoint_2_0.index": "8d4c4beed4c384e4",
    "zip.zip: lizard": "8d4c4beed4c384e4",
    "zip.zip: tail": "54723560ea67baac",
    "graph.json": "8d4c4beed4c384e4",
    "graph_mnist.json": "184b9631669d2ad6",
    "shards/model.json": "bfe8f0fb7c1c7634",
    "tfjs/model.json": "bcf8a4d5e1abaf9e",
    "webgl.json": "9e301db1c433b848",
    "data.js": "bcbb845d0ada2ad6",
    "data.js: adversary": "d8970033dcc3781a",
    "gca_data.js": "8d4c4beed4c384e4",
    "gca_data.js: tail": "54723560ea67baac",
    "gca_data.js: blue": "3846f22e12e1bcf4",
    "keras_3.weights.h5": "8d4c4beed4c384e4",
    "keras_2.h5": "8d4c4beed4c384e4",
    "arrays.npz": "184b9631669d2ad6",
    "torch.safetensors": "184b9631669d2ad6",
    "torch.pt": "8d4c4beed4c384e4",
    "old_torch.pth": "184b9631669d2ad6",
    "textures.json: m1": "6395737c96a466c4",
    "flax.msgpack": "8d4c4beed4c384e4",
    "growing.onnx": "8d4c4beed4c384e4",
    "lightning.ckpt": "8d4c4beed4c384e4",
    "med_nca.pth": "57011c9ea0ce8bba",
    "goal.pt": "10e7f676bb7b97b0",
    "tree.npz": "8d4c4beed4c384e4",
    "rule/model.json": "9e314340930439aa",
    "rule.onnx": "9e314340930439aa",
}


def checksum(model):
    """Of what a model is: its class, by its name in files, its settings and numbers."""
    is_array = isinstance(model, StatePerturbation)
    arrays = [model.to_array()] if is_array else model.get_weights()
    name = keras.saving.get_registered_name(type(model)).removeprefix("tfnca>")
    digest = hashlib.sha256(name.encode())
    for array in arrays:
        digest.update(str(array.shape).encode() + np.ascontiguousarray(array, "<f4").tobytes())
    for network in [] if is_array else model.networks:
        for name in ("fire_rate", "step_size", "angle", "noise_std"):
            digest.update(repr(getattr(network, name)).encode())
    return digest.hexdigest()[:16]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A folder of all the files."""
    folder = tmp_path_factory.mktemp("goldens")
    for path in FOLDER.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder)
    return folder


def golden(unpacked, name):
    file, _, inner = name.partition(": ")
    return load(unpacked / file, name=inner or None, convention=CONVENTIONS.get(name))


@pytest.mark.parametrize("name", CHECKSUMS)
def test_golden(unpacked, name):
    assert checksum(golden(unpacked, name)) == CHECKSUMS[name]


def test_every_file_is_tested():
    files = {name.partition(": ")[0].replace("/", "_") for name in CHECKSUMS}
    assert files == {path.stem for path in FOLDER.glob("*.zip")}


def test_every_reader_has_one(unpacked):
    paths = [unpacked / name.partition(": ")[0] for name in CHECKSUMS]
    readers = [
        next((r for r in READERS if r.recognises(path.name, path.read_bytes())), None)
        for path in paths
    ]
    read = {reader.read.__module__ for reader in readers if reader}
    assert read == {r.read.__module__ for r in READERS}


SAY_THEIR_ORDER = {"growing_demo", "keras_file", "webgl"}
"""Readers of formats that say how a Growing CA's first kernel orders its rows."""


@pytest.mark.parametrize("name", CHECKSUMS)
def test_every_reader_asks_for_the_row_order(unpacked, name):
    file, _, inner = name.partition(": ")
    model = golden(unpacked, name)
    if not isinstance(model, GrowingCA):
        return
    other = load(unpacked / file, name=inner or None, convention="filter-major")
    same = np.array_equal(model.get_weights()[0], other.get_weights()[0])
    data = (unpacked / file).read_bytes()
    readers = (r.read.__module__.split(".")[-1] for r in READERS if r.recognises(file, data))
    is_ours = b'"convertedBy": "tfnca"' in data or b'"convertedBy":"tfnca"' in data
    assert same == (is_ours or next(readers, "a zip") in SAY_THEIR_ORDER)


def test_they_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 100_000
