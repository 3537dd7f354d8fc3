"""Which model it is: checksums of all that decides what a model computes."""

import hashlib
import inspect
import json
from typing import Any

import keras

from tfnca.files import weights_sha256


def identity(model: keras.layers.Layer) -> str:
    """The SHA-256 of all that decides what a model computes: class, settings and weights.

    Two models of the same weights differ where a fire rate, an angle, a bound or a tolerance does.
    A setting that is as its class has it by default does not count, so that one that a later
    version adds leaves older checksums as they are.

    Args:
        model: A step or a perturbation.
    """
    name = keras.saving.get_registered_name(type(model))
    about = [name, _settings(type(model), model.get_config()), weights_sha256(model)]
    return hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode()).hexdigest()


def model_facts(name: str, *models: keras.layers.Layer) -> dict[str, str]:
    """What a ``config.json`` says of the models that an option names.

    Args:
        name: The option's, such as ``"host"``.
        *models: The models, in their order.

    Returns:
        ``<name>_identity``, and ``<name>_sha256``, the checksums of the weights alone.
    """
    return {
        f"{name}_identity": ",".join(map(identity, models)),
        f"{name}_sha256": ",".join(map(weights_sha256, models)),
    }


def is_host(host: keras.layers.Layer, config: dict[str, Any]) -> bool | None:
    """Whether a model is the host that a ``config.json`` names; None where it names none.

    Files of earlier versions have the checksum of its weights alone.

    Args:
        host: A step.
        config: What the file says.
    """
    if "host_identity" in config:
        return config["host_identity"] == identity(host)
    if config.get("host_sha256") is None:
        return None
    return config["host_sha256"] == weights_sha256(host)


def _settings(kind: type, config: dict[str, Any]) -> dict[str, Any]:
    """What a layer's configuration says that changes its numbers and is not so by default."""
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
