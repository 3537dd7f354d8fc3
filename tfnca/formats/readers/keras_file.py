"""``.keras`` files: our own models; of a model of others, the weights alone."""

import io
import tempfile
from pathlib import Path
from typing import Any

import h5py
import keras

# What ships is registered with Keras when it is imported.
from tfnca.automata import growing, injection, mnist, perturbed  # noqa: F401
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.step import Step
from tfnca.formats.archive import (
    MAX_SIDE,
    check_finite,
    decode,
    is_zip,
    parse_json,
    refusing,
    some,
    unzip,
    zip_names,
)
from tfnca.formats.build import build_ca
from tfnca.formats.hdf5 import check_hdf5, read_hdf5
from tfnca.formats.readers.base import Models, Source, reader
from tfnca.formats.tensors import arrange

PACKAGE = "tfnca>"
"""What Keras' names of our registered classes start with."""

_WEIGHTS = "model.weights.h5"
_PARTS = {"config.json", "metadata.json", _WEIGHTS}


def _is_keras(name: str, data: bytes) -> bool:
    """A zip that is a ``.keras`` file itself, not an archive that holds some; even one cut off."""
    names = zip_names(data)
    return is_zip(data) and (_WEIGHTS in names if names else _WEIGHTS.encode() in data)


@reader(_is_keras, priority=1)  # it knows more than a published file of the same weights
def read(source: Source) -> Models:
    where = source.where
    parts = unzip(where, source.data, source.budget)
    if set(parts) != _PARTS:
        raise ValueError(f"{where} must hold {some(sorted(_PARTS))}. Received: {some(parts)}")
    config = parse_json(where, decode(where, parts["config.json"]))
    if isinstance(config, dict) and not str(config.get("registered_name")).startswith(PACKAGE):
        return _weights_alone(source, config, parts[_WEIGHTS])
    with refusing(where, "Keras file of tfnca"):
        _check_config(config)
        with h5py.File(io.BytesIO(parts[_WEIGHTS]), "r") as weights:
            tensors = list(check_hdf5(where, weights, source.budget))
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "model.keras").write_bytes(source.data)
            model = keras.saving.load_model(
                Path(folder, "model.keras"), compile=False, safe_mode=True
            )
    if not isinstance(model, Step | StatePerturbation):
        raise ValueError(f"{where} must hold a step or a perturbation. Received: {model!r}")
    if len(tensors) != len(model.variables):
        raise ValueError(
            f"{where} must hold {len(model.variables)} tensors and no other. "
            f"Received: {some(tensors)}"
        )
    for variable in model.variables:
        check_finite(where, variable.path, variable.numpy())
    return {"": model}


def _weights_alone(source: Source, config: dict[str, Any], weights: bytes) -> Models:
    """A model of somebody else's class, such as the published ``CAModel``: no code of it is run."""
    where, foreign = source.where, _foreign(config)
    arrays = read_hdf5(where, weights, source.budget)
    if any("update_layers" in name for name in arrays):  # ours alone call them that
        raise ValueError(
            f"{where} must be of a class that is known; a subclass of tfnca's loads once it is "
            'imported, registered by @keras.saving.register_keras_serializable("tfnca"). '
            f"Received: {foreign}"
        )
    try:
        return {"": build_ca(where, arrange(where, arrays), source.row_order)}
    except ValueError as error:
        raise ValueError(f"{where}: {foreign}; and its weights alone: {error}") from error


def known_classes() -> set[str]:
    """The registered names of the classes that a file may ask for: steps and perturbations."""
    return {
        name
        for name, known in keras.saving.get_custom_objects().items()
        if name.startswith(PACKAGE)
        and isinstance(known, type)
        and issubclass(known, Step | StatePerturbation)
    }


def _foreign(config: dict[str, Any]) -> str:
    made = [config.get(key) for key in ("registered_name", "module", "class_name")]
    return f"its classes must be among {sorted(known_classes())}, found {made}"


def _check_config(config: Any, key: str = "") -> None:
    """Raises ValueError unless a Keras file's configuration names only classes that are known."""
    if isinstance(config, dict):
        if "class_name" in config:
            made = [config.get(key) for key in ("registered_name", "module", "class_name")]
            if made[0] not in known_classes() and made != [None, "keras", "DTypePolicy"]:
                raise ValueError(_foreign(config))
        for name, value in config.items():
            _check_config(value, name)
    elif isinstance(config, list):
        for value in config:
            _check_config(value)
    elif isinstance(config, int | float) and key != "shared_object_id" and abs(config) > MAX_SIDE:
        raise ValueError(f"{key} must be at most {MAX_SIDE}, found {config}")
