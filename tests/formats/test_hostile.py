"""Nothing broken or hostile loads: a ValueError of one line that names the file."""

import json
import time

import keras
import numpy as np
import published_formats as formats
import pytest
from hostile_files import FILES
from hostile_networks import NETWORKS
from hostile_trees import TREES
from published_formats import npy, write, write_zip

import tfnca
from tfnca.formats.load import load

HOSTILE = FILES | NETWORKS | TREES


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(tmp_path, name):
    make, message = HOSTILE[name]
    path = make(tmp_path)
    start = time.process_time()
    with pytest.raises(ValueError, match=f"(?s){message}") as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Received" in str(caught.value)
    assert time.process_time() - start < 5


def test_damage_anywhere_is_noticed(tmp_path):
    """A byte changed, or an end cut off, at many places: a ValueError or the right weights."""
    document, _ = formats.webgl_document(channels=4, hidden=8)
    tensors = formats.growing_tensors(channels=4, hidden=8)
    formats.write_checkpoint(tmp_path / "model", formats.checkpoint_keys(tensors))
    keras.saving.save_model(tfnca.MatrixPerturbation(), tmp_path / "model.keras")
    files = [tmp_path / "model.index", tmp_path / "model.keras"]
    files.append(write(tmp_path / "webgl.json", document))
    files.append(
        write_zip(tmp_path / "model.zip", {"graph": json.dumps(formats.graph_document(tensors))})
    )
    files.append(write(tmp_path / "matrix.npy", npy(np.eye(16, dtype=np.float32))))
    random = np.random.default_rng(0)
    refused = 0
    for file in files:
        whole = file.read_bytes()
        for _ in range(12):
            place = int(random.integers(len(whole)))
            for data in (whole[:place], whole[:place] + b"\xff" + whole[place + 1 :]):
                file.write_bytes(data)
                try:
                    load(file)
                except ValueError:
                    refused += 1
        file.write_bytes(whole)
        load(file)
    assert refused > 60
