"""Reads ``.keras`` files: tfnca's models, and only the weights of other models."""

import contextlib
import io
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras

# tfnca's classes are registered with Keras when they are imported.
from tfnca.automata import injection, perturbed, verified  # noqa: F401
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.step import Step
from tfnca.formats.archive import (
    check_finite,
    decode,
    is_zip,
    parse_json,
    refusing,
    some,
    unzip,
    zip_names,
)
from tfnca.formats.build import weights_asked_for
from tfnca.formats.foreign import build_foreign
from tfnca.formats.hdf5 import check_hdf5, read_hdf5
from tfnca.formats.readers.base import Models, Source, reader

OURS = {
    name: known
    for name, known in keras.saving.get_custom_objects().items()
    if isinstance(known, type) and known.__module__.startswith("tfnca.")
}
"""The package's own classes by the names that they are registered under."""

_WEIGHTS = "model.weights.h5"
_PARTS = {"config.json", "metadata.json", _WEIGHTS}


def _is_keras(name: str, data: bytes) -> bool:
    """Whether a zip, possibly truncated, is a ``.keras`` file and not an archive of such files."""
    names = zip_names(data)
    return is_zip(data) and (_WEIGHTS in names if names else _WEIGHTS.encode() in data)


@reader(_is_keras, priority=1)  # it contains more than a file of the article with equal weights
def read(source: Source) -> Models:
    where = source.where
    parts = unzip(where, source.data, source.budget)
    if set(parts) != _PARTS:
        raise ValueError(f"{where} must hold {some(sorted(_PARTS))}. Received: {some(parts)}")
    config = parse_json(where, decode(where, parts["config.json"]), finite=False)
    if isinstance(config, dict) and config.get("registered_name") not in known_classes():
        return _weights_alone(source, config, parts[_WEIGHTS])
    with refusing(where, "Keras file of tfnca"), _ours_by_name(config):
        with h5py.File(io.BytesIO(parts[_WEIGHTS]), "r") as weights:
            tensors = check_hdf5(where, weights, source.budget)
            count = sum(math.prod(tensor.shape) for tensor in tensors.values())
        _check_config(config, count)
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
    """A model of another project's class, for example ``CAModel``; none of its code is run."""
    where, foreign = source.where, _foreign(config)
    arrays = read_hdf5(where, weights, source.budget)
    # A package in the registered name, or a layer's name that only classes of tfnca have.
    own = source.convention is source.rule is None and ">" in str(config.get("registered_name"))
    if own or any("update_layers" in name for name in arrays):
        raise ValueError(f"{where}: {foreign}")
    try:
        if found := build_foreign(source, arrays):
            return found
        raise ValueError(f"there are none. Received: {some(arrays)}")
    except ValueError as error:
        raise ValueError(f"{where}: {foreign}. Its weights alone: {error}") from error


def known_classes() -> set[str]:
    """The registered names of the classes that a file may contain: steps and perturbations."""
    return {
        name
        for name, known in keras.saving.get_custom_objects().items()
        if isinstance(known, type) and issubclass(known, Step | StatePerturbation)
    }


@contextlib.contextmanager
def _ours_by_name(config: Any) -> Iterator[None]:
    """Makes tfnca's registered names mean tfnca's classes for files that contain them.

    A user's class may be registered as ``tfnca>GrowingCA`` too; its files name another module.
    """
    known = keras.saving.get_custom_objects()
    named = [each.get("registered_name") for each in _made(config) if _is_ours(each)]
    others = {name: known[name] for name in named if known[name] is not OURS[name]}
    known.update({name: OURS[name] for name in others})
    try:
        yield
    finally:
        known.update(others)


def _is_ours(made: dict[str, Any]) -> bool:
    return made.get("registered_name") in OURS and str(made.get("module")).startswith("tfnca.")


def _made(config: Any) -> Iterator[dict[str, Any]]:
    """The parts of a Keras file's configuration that name a class."""
    pending = [config]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            pending += value.values()
            if "class_name" in value:
                yield value
        elif isinstance(value, list):
            pending += value


def _foreign(config: dict[str, Any]) -> str:
    name, module, kind = (config.get(key) for key in ("registered_name", "module", "class_name"))
    return (
        f"the class {kind} of {module} is not registered as a step or a perturbation. Import the "
        "module in which @keras.saving.register_keras_serializable registers it, or pass "
        f"--plugin MODULE. Received: {name!r}"
    )


def _check_config(config: Any, count: int) -> None:
    """Raises ValueError unless a Keras file's configuration is safe to build.

    It may contain only known classes, and must not need more weights than the file has, `count`.
    """
    asked = sum(map(_weights_asked_for, _made(config)))
    if asked > count:
        raise ValueError(f"it must ask for no more than the {count} weights it has, found {asked}")


def _weights_asked_for(config: dict[str, Any]) -> int:
    """The minimal number of weights that the class in a configuration will create."""
    made = [config.get(key) for key in ("registered_name", "module", "class_name")]
    if made == [None, "keras", "DTypePolicy"]:
        return 0
    if made[0] not in known_classes():
        raise ValueError(_foreign(config))
    kind = keras.saving.get_registered_object(made[0])
    return weights_asked_for(kind, config.get("config") or {})
