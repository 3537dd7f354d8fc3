"""Checksums that identify a model by everything that decides its output."""

import hashlib
import inspect
import json
from typing import Any

import keras

from tfnca.files import weights_sha256


def identity(model: keras.layers.Layer) -> str:
    """The SHA-256 of everything that decides a model's output: class, settings and weights.

    Two models with the same weights differ if a fire rate, an angle, a bound or a tolerance
    differs. Settings at their default value do not count, so that a setting added in a later
    version does not change older checksums.

    Args:
        model: A step or a perturbation.
    """
    name = keras.saving.get_registered_name(type(model))
    about = [name, _settings(type(model), model.get_config()), weights_sha256(model)]
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def model_facts(name: str, *models: keras.layers.Layer) -> dict[str, str]:
    """The entries of a ``config.json`` about the models that an option names, for example ``host``.

    They are ``<name>_identity``, and ``<name>_sha256``, the checksums of the weights alone.
    """
    return {
        f"{name}_identity": ",".join(map(identity, models)),
        f"{name}_sha256": ",".join(map(weights_sha256, models)),
    }


def is_host(host: keras.layers.Layer, config: dict[str, Any]) -> bool | None:
    """Whether a model is the host that a ``config.json`` names; None if it names none.

    Files of earlier versions contain only the checksum of the host's weights.
    """
    if "host_identity" in config:
        return config["host_identity"] == identity(host)
    if config.get("host_sha256") is None:
        return None
    return config["host_sha256"] == weights_sha256(host)


def _settings(kind: type, config: dict[str, Any]) -> dict[str, Any]:
    """The settings of a layer that affect its output and differ from their defaults."""
    usual: dict[str, Any] = {"dtype": _FLOAT32}
    for base in reversed(kind.__mro__):
        if "__init__" in vars(base):
            parameters = inspect.signature(vars(base)["__init__"]).parameters
            usual |= {name: each.default for name, each in parameters.items() if name != "dtype"}
    found = {}
    for name, value in config.items():
        if name in ("name", "trainable") or value == usual.get(name, ...):
            continue
        if isinstance(value, dict) and isinstance(value.get("config"), dict):
            inner = keras.saving.get_registered_object(value.get("registered_name"))
            own = value["config"] if inner is None else _settings(inner, value["config"])
            value = [value.get("registered_name"), own]
        found[name] = value
    return found


_FLOAT32 = keras.saving.serialize_keras_object(keras.DTypePolicy("float32"))
