"""Our own ``.keras`` files."""

import contextlib
import io
import math
import tempfile
import zipfile
from pathlib import Path

import h5py
import keras

from tfnca.automata.growing import GrowingCA
from tfnca.automata.injection import Injected
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.perturbations.matrix import Perturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.step import Step
from tfnca.formats.archive import (
    MAX_SIDE,
    check_amount,
    check_finite,
    decode,
    parse_json,
    refusing,
    some,
    unzip,
)


def is_keras(data):
    """Whether a zip is a ``.keras`` file itself, not an archive that holds some."""
    with contextlib.suppress(zipfile.BadZipFile, NotImplementedError):
        return "model.weights.h5" in zipfile.ZipFile(io.BytesIO(data)).namelist()
    return b"model.weights.h5" in data


def read_keras(where, member, files):
    parts = unzip(where, files[member])
    expected = {"config.json", "metadata.json", "model.weights.h5"}
    if set(parts) != expected:
        raise ValueError(f"{where} must hold {some(expected)}. Received: {some(parts)}")
    config = parse_json(where, decode(where, parts["config.json"]))
    with refusing(where, "Keras file of tfnca"):
        _check_config(config)
        tensors = {}
        with h5py.File(io.BytesIO(parts["model.weights.h5"])) as weights:
            weights.visititems(
                lambda name, item: tensors.update({name: getattr(item, "shape", None)})
            )
        tensors = {name: shape for name, shape in tensors.items() if shape is not None}
        check_amount(where, len(tensors), 4 * sum(map(math.prod, tensors.values())))
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "model.keras").write_bytes(files[member])
            model = keras.saving.load_model(
                Path(folder, "model.keras"), compile=False, safe_mode=True
            )
    if not isinstance(model, Step | Perturbation):
        raise ValueError(f"{where} must hold a step or a perturbation. Received: {model!r}")
    if len(tensors) != len(model.variables):
        raise ValueError(
            f"{where} must hold {len(model.variables)} tensors and no other. "
            f"Received: {some(tensors)}"
        )
    for variable in model.variables:
        check_finite(where, variable.path, variable.numpy())
    return {"": model}


def _check_config(config, key=""):
    """Raises ValueError unless a Keras file's configuration names only classes of this package."""
    if isinstance(config, dict):
        if "class_name" in config:
            made = [config.get(key) for key in ("registered_name", "module", "class_name")]
            known = [f"tfnca>{layer.__name__}" for layer in _LAYERS]
            if made[0] not in known and made != [None, "keras", "DTypePolicy"]:
                raise ValueError(f"its classes must be among {known}, found {made}")
        for name, value in config.items():
            _check_config(value, name)
    elif isinstance(config, list):
        for value in config:
            _check_config(value)
    elif isinstance(config, int | float) and key != "shared_object_id" and abs(config) > MAX_SIDE:
        raise ValueError(f"{key} must be at most {MAX_SIDE}, found {config}")


_LAYERS = (GrowingCA, MNISTCA, Injected, Perturbed, Perturbation)
