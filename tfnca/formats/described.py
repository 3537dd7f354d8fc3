"""Builds the networks of tfnca's own exports, which tell their rules and name their weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfnca.automata.injection import Injected
from tfnca.automata.invasion import Invasion
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.presets import PRESETS
from tfnca.automata.step import CellularAutomaton, Step
from tfnca.automata.verified import Verified
from tfnca.formats.archive import check_finite, refusing, some
from tfnca.formats.build import weights_asked_for

METADATA_KEY = "tfnca"
"""The key of the metadata in an ONNX file."""

_KINDS = {kind.__name__: kind for kind in (*PRESETS.values(), NeuralCA)}

_MOST_NETWORKS = 8

_LARGE = 9
"""Only larger constants can be weights; a graph has smaller ones of its own."""


def has_described_networks(step: Step) -> bool:
    """Whether metadata can describe every network of a step: those of other classes have code."""
    return all(type(network) in _KINDS.values() for network in step.networks)


def build_described(
    where: str, about: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> list[CellularAutomaton]:
    """Builds the networks that the metadata of an export describe, see `tfnca.export.signatures`.

    Args:
        where: Name of the file in messages.
        about: The metadata: ``networks``, ``rules`` and ``weights``.
        arrays: The constants of the graph by name, convolutions in Keras' order of axes.

    Returns:
        The CAs, the host first.

    Raises:
        ValueError: If a class is not tfnca's, if a setting is wrong, if a weight is missing, left
            over, of the wrong size or not finite.
    """
    with refusing(where, "description of a model"):
        parts = list(zip(about["networks"], about["rules"], about["weights"], strict=True))
        if not 1 <= len(parts) <= _MOST_NETWORKS:
            raise ValueError(f"it describes {len(parts)} networks, not 1 to {_MOST_NETWORKS}")
        cas = [_network(arrays, *part) for part in parts]
    used = {name for names in about["weights"] for name in names}
    left = [
        name
        for name, array in arrays.items()
        if array.dtype.kind == "f" and array.size > _LARGE and name not in used
        if not any(_is_perception(array, ca) for ca in cas)
    ]
    if left:
        raise ValueError(f"{where}: each tensor must be used. Received: left over {some(left)}")
    return cas


def assemble(
    where: str, about: Mapping[str, Any], cas: Sequence[CellularAutomaton]
) -> dict[str, Step]:
    """A CA, or an attack together with its host and its adversary.

    Raises:
        ValueError: If this is not what the metadata say, or if the two do not fit together.
    """
    step = joined(where, about, cas)
    check_kind(where, about, type(step).__name__, step)
    if len(cas) == 1:
        return {"": step}
    return {"": step, "host": cas[0]} | ({"adversary": cas[1]} if len(cas) == 2 else {})


def joined(where: str, about: Mapping[str, Any], cas: Sequence[CellularAutomaton]) -> Step:
    """The step of all networks without a perturbation."""
    host, *adversaries = cas
    if not adversaries:
        return host
    with refusing(where, "host and adversary"):
        if about.get("channels", host.channels) > host.channels:  # an alpha for each species
            return Invasion(host, adversaries)
        (adversary,) = adversaries
        if "tolerance" in about:
            return Verified(host, adversary, about["tolerance"], about["mode"])
        return Injected(host, adversary)


def check_kind(where: str, about: Mapping[str, Any], kind: str, step: Step) -> None:
    """Raises ValueError unless what was read has the classes and size that the metadata say."""
    found = [kind, step.channels, [type(ca).__name__ for ca in step.networks]]
    expected = [about.get(key) for key in ("kind", "channels", "networks")]
    if about and found != expected:  # its class may be a subclass of the class in its graph
        raise ValueError(
            f"{where} must hold what it says (kind, channels, networks), {expected}. "
            f"Received: {found}"
        )


def in_keras_order(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of an ONNX file with Keras' order of axes, (3, 3, in, out), in convolutions."""
    return {
        name: array.transpose(2, 3, 1, 0) if array.ndim == 4 else array
        for name, array in arrays.items()
    }


def _network(
    arrays: Mapping[str, np.ndarray], kind: str, settings: dict[str, Any], names: list[str | None]
) -> CellularAutomaton:
    if kind not in _KINDS:
        raise ValueError(f"a network must be one of {list(_KINDS)}, not {kind!r}")
    made = _KINDS[kind]
    if set(settings) != set(made.arguments):
        raise ValueError(f"{kind} needs the settings {made.arguments}, not {some(settings)}")
    stored = [None if name is None else arrays[name] for name in names]
    count = sum(array.size for array in stored if array is not None)
    if (asked := weights_asked_for(made, settings)) > count:
        raise ValueError(f"it must ask for no more than the {count} weights it has, found {asked}")
    ca = made(**settings)
    for name, variable, array in zip(names, ca.weights_in_order, stored, strict=True):
        shape = tuple(variable.shape)
        if array is None and len(shape) == 1:  # a bias of zeros, which an export leaves out
            array = np.zeros(shape, np.float32)
        if array is None or array.dtype != np.float32 or array.size != math.prod(shape):
            found = "missing" if array is None else f"{array.dtype} of shape {array.shape}"
            raise ValueError(f"{name} must be float32 of shape {shape}, and is {found}")
        check_finite(kind, str(name), array)
        variable.assign(array.reshape(shape))
    return ca


def _is_perception(array: np.ndarray, ca: CellularAutomaton) -> bool:
    """Whether a constant holds the fixed filters of a CA, once per channel that a cell reads."""
    stencils = np.repeat(ca.rule.stencils[:, :, None, :], ca.rule.seen, 2)
    return array.size == stencils.size and np.allclose(array.reshape(stencils.shape), stencils)
