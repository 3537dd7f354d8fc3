"""What an exported step takes and gives, and what an export says about itself."""

import json
from pathlib import Path

import tensorflow as tf
from keras import ops

from tfnca.automata.injection import Injected
from tfnca.automata.mnist import MNISTCA
from tfnca.automata.perturbations.matrix import Perturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.engines.rollout import run
from tfnca.files import weights_sha256
from tfnca.formats.load import load

LICENCE = "Apache-2.0"


class _Mixture(Perturbation):
    """Perturbations of strengths `k`, which the traced function sets: A = I + Σ kᵢ(Aᵢ - I)."""

    def __init__(self, perturbations, names):
        super().__init__(perturbations[0].channels, name="mixture")
        self.perturbations = list(perturbations)
        self.names = list(names)
        self.k = ops.ones(len(self.names))

    @property
    def matrix(self):
        identity = ops.eye(self.channels)
        deltas = ops.stack([perturbation.matrix - identity for perturbation in self.perturbations])
        weighted = ops.matmul(
            ops.expand_dims(self.k, 0), ops.reshape(deltas, (len(self.names), -1))
        )
        return identity + ops.reshape(weighted, identity.shape)


def mix(host, perturbations, names):
    """A host under perturbations whose strengths are an input ``k`` of its exported graph.

    Args:
        host: See `Perturbed`.
        perturbations: `Perturbation`s.
        names: What each is called.

    Returns:
        A `Perturbed`; its matrix is I + Σ kᵢ(Aᵢ - I).

    Raises:
        ValueError: If the perturbations do not fit the host.

    Reference:
        The article's "Directions and compositionality of perturbations".
    """
    sizes = [perturbation.channels for perturbation in perturbations]
    if set(sizes) != {host.channels}:
        raise ValueError(
            f"The matrices must fit the host's {host.channels} channels. Received: sizes {sizes}"
        )
    return Perturbed(host, _Mixture(perturbations, names))


def mixed(step):
    """The step; a `Perturbed` becomes the `mix` of its one perturbation, if it is no mix yet."""
    if not isinstance(step, Perturbed) or isinstance(step.perturbation, _Mixture):
        return step
    return mix(step.host, [step.perturbation], ["perturbation"])


def load_step(models, host=None):
    """Loads what is to be exported.

    Args:
        models: Paths in any format that `tfnca.load` reads: a step; or an adversary, with its
            host; or perturbations, with their host.
        host: Path of the host.

    Returns:
        ``(step, measures)``: perturbations give their `mix`; measures are what a ``metrics.json``
        beside a model says, by the model's name.

    Raises:
        ValueError: If the models do not fit together or a perturbation comes without a host.
    """
    loaded = [load(path) for path in models]
    names, measures = [], {}
    for path in map(Path, models):
        names.append(path.parent.name if path.stem == "model" else path.stem.removesuffix("_sym_t"))
        if (metrics := path.parent / "metrics.json").exists():
            # Browsers read no NaN.
            text = metrics.read_text()
            measures[names[-1]] = json.loads(text, parse_constant=lambda constant: None)
    are_perturbations = [isinstance(model, Perturbation) for model in loaded]
    if len(loaded) > 1 and not all(are_perturbations):
        raise ValueError(f"Several models must all be perturbations. Received: {names}")
    if are_perturbations[0] and not host:
        raise ValueError("A perturbation needs its host (--host). Received: none")
    if are_perturbations[0]:
        return mix(load(host), loaded, names), measures
    return (Injected(load(host), loaded[0]) if host else loaded[0]), measures


def metadata(step, measures=None):
    """What an export says about itself, JSON-able.

    Args:
        step: What was exported.
        measures: Measures of the model, by name.

    Returns:
        A dictionary. ``weights_sha256`` tells whether an export is of these weights.
    """
    networks = step.networks
    about = {
        "kind": type(step).__name__,
        "channels": step.channels,
        "networks": [type(network).__name__ for network in networks],
        "fire_rate": [network.fire_rate for network in networks],
    }
    if isinstance(networks[0], MNISTCA):
        about["noise_std"] = [network.noise_std for network in networks]
    if isinstance(step, Perturbed):
        about["perturbations"] = mixed(step).perturbation.names
    about |= {"licence": LICENCE, "weights_sha256": weights_sha256(step)}
    return about | ({"measures": measures} if measures else {})


class Signatures:
    """The functions of an exported step.

    Args:
        step: Any step.
    """

    def __init__(self, step):
        self.step = step = mixed(step)
        count = len(step.networks)

        def spec(name, *shape):
            return {name: tf.TensorSpec(shape, tf.float32, name)}

        self.state = spec("state", None, None, None, step.channels)
        self.given = spec("mask", None, None, None) if count > 1 else {}
        if isinstance(step, Perturbed):
            self.given |= spec("k", len(step.perturbation.names))
        self.draws = spec("fire_mask", count, None, None, None)
        if isinstance(step.networks[0], MNISTCA):
            self.draws |= spec("noise", count, None, None, None, step.channels - 1)

    def _set_strengths(self, given):
        """Takes `k` out of what is given: the matrix in the graph is the mixture's from here on."""
        if "k" in given:
            self.step.perturbation.k = given.pop("k")

    def one_step(self, state, seed, index, **given):
        self._set_strengths(given)
        return {"state": self.step(state, seed=seed, index=index, **given)}

    def rollout(self, state, steps, seed, first_step, **given):
        self._set_strengths(given)
        mask = given.get("mask")
        return {"state": run(self.step, state, steps, mask, seed, first_step, engine="dense")}

    def step_masked(self, state, **given):
        self._set_strengths(given)
        count = len(self.step.networks)
        for name in self.draws:
            given[name] = tf.unstack(given[name], count)
            if name == "fire_mask":
                given[name] = [tf.expand_dims(fires, -1) for fires in given[name]]
            if count == 1:
                (given[name],) = given[name]
        return {"state": self.step(state, **given)}

    def function(self, name):
        """The concrete function called ``"step"``, ``"rollout"`` or ``"step_masked"``."""
        taken = {
            "step": {"seed": tf.int64, "index": tf.int64},
            "rollout": {"steps": tf.int32, "seed": tf.int64, "first_step": tf.int64},
            "step_masked": self.draws,
        }[name]
        taken = {
            key: spec if name == "step_masked" else tf.TensorSpec([], spec, key)
            for key, spec in taken.items()
        }
        call = {"step": self.one_step, "rollout": self.rollout, "step_masked": self.step_masked}
        function = tf.function(call[name], autograph=False)
        return function.get_concrete_function(**self.state, **taken, **self.given)
