"""Files of public projects: by path, outside the project, read-only, and read without torch."""

import base64
import collections
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DTYPES = {"FloatStorage": np.float32, "LongStorage": np.int64}


def foreign():
    """The folder of these files, ``TFNCA_FOREIGN``; skips the test where it is absent."""
    folder = Path(os.environ.get("TFNCA_FOREIGN", Path(__file__).parents[2] / "shared/foreign"))
    if not folder.is_dir():
        pytest.skip(f"files of other projects absent: {folder} (set TFNCA_FOREIGN)")
    return folder


def expected(name):
    """What an independent program makes of a file in which every cell fires."""
    return json.loads((foreign() / "expected.json").read_text())[name]


class _Names(pickle.Unpickler):
    """Reads a state dict: of classes it knows an ordered dictionary and a tensor, nothing else."""

    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: (storage, offset, size)
        if module == "torch" and name in DTYPES:
            return name
        raise pickle.UnpicklingError(f"{module}.{name}")

    def persistent_load(self, pid):
        return pid[1:3]  # type and key


def state_dict(name):
    """A PyTorch state dict as ``{name: array}``, of the zip format or of the older one."""
    data = (foreign() / name).read_bytes()
    if zipfile.is_zipfile(io.BytesIO(data)):
        archive = zipfile.ZipFile(io.BytesIO(data))
        root = archive.namelist()[0].split("/")[0]
        entries = _Names(io.BytesIO(archive.read(f"{root}/data.pkl"))).load()
        stored = {key: archive.read(f"{root}/data/{key}") for (_, key), *_ in entries.values()}
    else:
        stream = io.BytesIO(data)
        _, _, _, entries, keys = (_Names(stream).load() for _ in range(5))
        stored = {}
        for key in keys:
            count = int.from_bytes(stream.read(8), "little")
            kind = next(kind for (kind, other), *_ in entries.values() if other == key)
            stored[key] = stream.read(count * np.dtype(DTYPES[kind]).itemsize)
    arrays = {}
    for name, ((kind, key), offset, size) in entries.items():
        values = np.frombuffer(stored[key], DTYPES[kind])
        arrays[name] = values[offset : offset + int(np.prod(size))].reshape(size)
    return arrays


def texture(name):
    """Kernel and bias of both layers of one of the 66 texture CAs; rows filter-major."""
    file = json.loads((foreign() / "textures.json").read_text())
    number = file["model_names"].index(name)
    weights = []
    for layer in file["layers"]:
        picture = Image.open(io.BytesIO(base64.b64decode(layer["data"].split(",")[1])))
        pixels = np.asarray(picture.convert("RGBA"), np.float64)
        rows, columns = layer["shape"]
        across, wide = layer["layout"][0], -(-columns // 4)
        down, right = number // across * rows, number % across * wide
        tile = pixels[down : down + rows, right : right + wide].reshape(rows, -1)[:, :columns]
        values = (tile - 127) / 255 * layer["scale"]
        weights += [values[:-1].astype(np.float32), values[-1].astype(np.float32)]
    return weights


def start(kind, channels, size):
    """A state that `expected.json` describes in words."""
    rows, columns, numbers = np.indices((size, size, channels))
    state = np.zeros((1, size, size, channels), np.float32)
    if kind.endswith("sin(0.3 row + 0.7 column + 1.1 channel)"):
        factor = float(kind.split(" ")[0]) if kind[0].isdigit() else 1.0
        state[0] = factor * np.sin(0.3 * rows + 0.7 * columns + 1.1 * numbers)
    elif kind == "one cell, alpha 1, all else 0":
        state[0, size // 2, size // 2, 3] = 1
    elif kind == "seed: alpha and hidden channels 1":
        state[0, size // 2, size // 2, 3:] = 1
    else:
        raise ValueError(kind)
    return state
