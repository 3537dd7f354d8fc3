"""Inputs, outputs and metadata of exported steps."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from tfnca.automata.context import Context
from tfnca.automata.invasion import Invasion
from tfnca.automata.neural_ca import NeuralCA
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.rule import as_json
from tfnca.automata.step import Step, next_state
from tfnca.automata.verified import Verified
from tfnca.engines.rollout import run
from tfnca.files import weights_sha256
from tfnca.formats.described import has_described_networks
from tfnca.formats.load import load
from tfnca.formats.settings import attack_on, folder_of, settings_beside
from tfnca.types import Array

LICENCE = "Apache-2.0"


class Mixture(StatePerturbation):
    """Affine perturbations of strengths `k`: A = I + Σ kᵢ(Aᵢ - I), b = Σ kᵢbᵢ.

    Args:
        perturbations: Affine `StatePerturbation`s of one size, at least one.
        names: A name for each.

    Raises:
        ValueError: If there is none, if one is not affine, or if sizes differ.
    """

    def __init__(self, perturbations: Sequence[StatePerturbation], names: Sequence[str]) -> None:
        sizes = {perturbation.channels for perturbation in perturbations}
        if len(sizes) != 1 or not all(each.is_affine for each in perturbations):
            kinds = [type(each).__name__ for each in perturbations]
            raise ValueError(
                "The perturbations of a mixture must be affine and of one size. "
                f"Received: {kinds} with {sorted(sizes)} channels"
            )
        super().__init__(sizes.pop(), name="mixture")
        self.perturbations = list(perturbations)
        self.names = list(names)
        self.k = ops.ones(len(self.names))

    @contextlib.contextmanager
    def at(self, k: Array) -> Iterator[None]:
        """Sets the strengths to `k`, ``(count,)``, a tensor of the graph that is being traced."""
        before, self.k = self.k, k
        try:
            yield
        finally:
            self.k = before

    @property
    def matrix(self) -> Array | None:
        matrices = [each.matrix for each in self.perturbations]
        if all(matrix is None for matrix in matrices):
            return None
        identity = ops.eye(self.channels)
        deltas = [ops.zeros_like(identity) if m is None else m - identity for m in matrices]
        weighted = ops.matmul(
            ops.expand_dims(self.k, 0), ops.reshape(ops.stack(deltas), (len(self.names), -1))
        )
        return identity + ops.reshape(weighted, identity.shape)

    @property
    def vector(self) -> Array | None:
        vectors = [each.vector for each in self.perturbations]
        if all(vector is None for vector in vectors):
            return None
        zeros = ops.zeros(self.channels)
        # Cast: a vector may be a Keras variable, which `stack` does not take.
        vectors = [ops.cast(zeros if v is None else v, "float32") for v in vectors]
        return ops.reshape(ops.matmul(ops.expand_dims(self.k, 0), ops.stack(vectors)), (-1,))


def mix(host: Step, perturbations: Sequence[StatePerturbation], names: Sequence[str]) -> Perturbed:
    """Perturbs a host by a `Mixture`; its strengths are an input ``k`` of exported graphs.

    Reference:
        The article's "Directions and compositionality of perturbations".
    """
    return Perturbed(host, Mixture(perturbations, names))


def mixed(step: Step) -> Step:
    """Returns the step, or the `mix` of its perturbation if that can have a strength."""
    if type(step) is not Perturbed or not step.perturbation.is_affine or strengths(step):
        return step
    return mix(step.host, [step.perturbation], ["perturbation"])


def strengths(step: Step) -> list[str]:
    """The names of the strengths ``k`` of a step's exports; empty for most steps."""
    return step.perturbation.names if isinstance(step.perturbation, Mixture) else []


def load_step(
    models: Sequence[str | Path],
    host: str | Path | None = None,
    name: str | None = None,
    host_name: str | None = None,
    convention: str | None = None,
    host_convention: str | None = None,
) -> tuple[Step, dict]:
    """Loads the step to export, and the measures of its models.

    The measures are the contents of the ``metrics.json`` next to each model, by name. The models
    are a step; or an adversary, with its host; or perturbations, with their host, which become a
    `mix`. Names and conventions are those of `tfnca.load`.

    Raises:
        ValueError: If the models do not fit together, or if a perturbation has no host.
    """
    loaded = [load(path, name, convention) for path in models]
    attacked = load(host, host_name, host_convention) if host else None
    names, measures = [], {}
    for path in map(Path, models):
        stem = path.parent.name if path.stem == "model" else path.stem.removesuffix("_sym_t")
        names.append(name or stem)
        if (metrics := folder_of(path) / "metrics.json").exists():
            # Browsers cannot read NaN.
            text = metrics.read_text(encoding="utf-8")
            measures[names[-1]] = json.loads(text, parse_constant=lambda constant: None)
    are_perturbations = [isinstance(model, StatePerturbation) for model in loaded]
    if len(loaded) > 1 and not all(are_perturbations):
        raise ValueError(f"Several models must all be perturbations. Received: {names}")
    if are_perturbations[0]:
        if attacked is None:
            raise ValueError("A perturbation needs its host (--host). Received: none")
        return mix(attacked, loaded, names), measures
    return attack_on(attacked, loaded[0], settings_beside(models[0])), measures


_USUAL = {"step_size": 1.0, "angle": 0.0}
"""Settings that an export mentions only if a network has another value."""


def metadata(step: Step, measures: dict | None = None) -> dict:
    """The metadata of an export, which can be written as JSON.

    Its ``weights_sha256`` tells whether an export matches given weights. Measures are by name.
    """
    networks = step.networks
    about = {
        "kind": type(step).__name__,
        "channels": step.channels,
        "networks": [type(network).__name__ for network in networks],
        "fire_rate": [network.fire_rate for network in networks],
    }
    if step.adds_noise:
        about["noise_std"] = [network.noise_std for network in networks]
    if any(network.message_bound for network in networks):
        about["message_bound"] = [network.message_bound for network in networks]
    for name, usual in _USUAL.items():
        values = [getattr(network, name) for network in networks]
        if values != [usual] * len(networks):
            about[name] = values
    plain = step.host if isinstance(step, Perturbed) else step
    if isinstance(plain, Verified):
        about |= {"tolerance": plain.tolerance, "mode": plain.mode}
    # A reader of the graph alone finds only plain or injected CAs of the article's two kinds.
    needs_rules = isinstance(plain, Invasion | Verified) or NeuralCA in map(type, networks)
    if needs_rules and has_described_networks(step):
        about["rules"] = rules(step)
    if names := strengths(mixed(step)):
        about["perturbations"] = names
    about |= {"licence": LICENCE, "weights_sha256": weights_sha256(step)}
    return about | ({"measures": measures} if measures else {})


def rules(step: Step) -> list[dict]:
    """The arguments of each network's class, as JSON-able dictionaries."""
    return [
        {name: as_json(getattr(network, name)) for name in network.arguments}
        for network in step.networks
    ]


def stored_weights(step: Step, arrays: Mapping[str, np.ndarray]) -> list | None:
    """The names under which a graph stores the weights of each network.

    Args:
        step: The exported step.
        arrays: The constants of the graph by name, convolutions in Keras' order of axes.

    Returns:
        For each network, the names of its `weights_in_order`; None for a bias of zeros that the
        graph leaves out. None altogether if the graph stores a weight in another form.
    """
    names = {array.tobytes(): name for name, array in arrays.items()}
    found = []
    for network in step.networks:
        values = [np.asarray(weight, np.float32) for weight in network.weights_in_order]
        found.append([names.get(array.tobytes()) for array in values])
        if any(
            name is None and (array.ndim > 1 or array.any())
            for name, array in zip(found[-1], values, strict=True)
        ):
            return None
    return found


class Signatures:
    """The functions of an exported step.

    Args:
        step: Any step.
    """

    NAMES = ("step", "rollout", "step_masked")

    def __init__(self, step: Step) -> None:
        self.step = step = mixed(step)
        count = len(step.networks)

        def spec(name, *shape):
            return {name: tf.TensorSpec(shape, tf.float32, name)}

        self.state = spec("state", None, None, None, step.channels)
        self.given = spec("mask", None, None, None) if step.has_adversary else {}
        if inputs := max(getattr(network, "inputs", 0) for network in step.networks):
            self.given |= spec("inputs", None, None, None, inputs)
        if names := strengths(step):
            self.given |= spec("k", len(names))
        self.draws = spec("fire_mask", count, None, None, None)
        if step.adds_noise:
            self.draws |= spec("noise", count, None, None, None, step.changing)

    def one_step(self, state: Array, seed: Array, index: Any, **given: Any) -> dict:
        with self._strengths(given):
            return {"state": next_state(self.step, state, Context(seed, index, **given))}

    def rollout(
        self, state: Array, steps: Array, seed: Array, first_step: int, **given: Any
    ) -> dict:
        with self._strengths(given):
            of_run = steps, given.get("mask"), seed, first_step
            inputs = given.get("inputs")
            return {"state": run(self.step, state, *of_run, engine="dense", inputs=inputs)}

    def step_masked(self, state: Array, **given: Any) -> dict:
        with self._strengths(given):
            count = len(self.step.networks)
            for name in self.draws:
                given[name] = tf.unstack(given[name], count)
                if name == "fire_mask":
                    given[name] = [tf.expand_dims(fires, -1) for fires in given[name]]
                if count == 1:
                    (given[name],) = given[name]
            # All draws are given, but without a seed the graph would still draw one.
            return {"state": next_state(self.step, state, Context(seed=0, **given))}

    def _strengths(self, given):
        """Removes `k` from the given inputs and sets it while a function is traced."""
        k = given.pop("k", None)
        return contextlib.nullcontext() if k is None else self.step.perturbation.at(k)

    def inputs(self, name: str) -> dict[str, tf.TensorSpec]:
        """The inputs of one of `NAMES` as ``{name: tf.TensorSpec}``, the state first."""
        taken = {
            "step": {"seed": tf.int64, "index": tf.int64},
            "rollout": {"steps": tf.int32, "seed": tf.int64, "first_step": tf.int64},
            "step_masked": self.draws,
        }[name]
        taken = {
            key: spec if name == "step_masked" else tf.TensorSpec([], spec, key)
            for key, spec in taken.items()
        }
        return self.state | taken | self.given

    def function(self, name: str) -> Any:
        """The graph function called `name`, with the inputs `inputs(name)`."""
        call = {"step": self.one_step, "rollout": self.rollout, "step_masked": self.step_masked}
        return tf.function(call[name], autograph=False)

    def traced(self, name: str) -> Any:
        """The concrete function called `name`."""
        return self.function(name).get_concrete_function(**self.inputs(name))
