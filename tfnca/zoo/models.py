"""The models that ship: what there is, and attacks ready to run."""

import functools
import json
import os
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfnca.automata.injection import Injected
from tfnca.automata.perturbations import KINDS, StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.step import Step
from tfnca.files import weights_sha256
from tfnca.formats.load import load, load_perturbation
from tfnca.formats.names import find, model_files, shipped_folder, short_names
from tfnca.zoo.summary import line, main_measures

ORDER = ("host", "adversary", "perturbation")
"""The kinds of models, as they are listed."""


@dataclass(frozen=True)
class ShippedModel:
    """A trained model on disk; `dataclasses.asdict` gives what JSON can hold.

    Attributes:
        name: What `tfnca.load` takes: its folder below ``saved_models``.
        short: What else it may be called, or None.
        kind: ``"host"``, ``"adversary"`` or ``"perturbation"``.
        layer: Its class, such as ``"GrowingCA"``.
        host: What it attacks: a model's name, or the name of a file that does not ship; None for
            a host.
        host_ships: Whether `host` is the name of a model.
        line: What it is, in one line.
        measures: The main ones, by name.
        path: Its file, for `keras.saving.load_model` or another program.
    """

    name: str
    short: str | None
    kind: str
    layer: str
    host: str | None
    host_ships: bool
    line: str
    measures: dict[str, float]
    path: str

    def __str__(self) -> str:
        return "  ".join(self.columns())

    def columns(self) -> tuple[str, str, str, str]:
        """Name, kind, host and the rest, as they are printed; what does not ship in brackets."""
        name = f"{self.name} ({self.short})" if self.short else self.name
        host = self.host if self.host_ships else f"[{self.host}]" if self.host else ""
        rest = [self.line, *(f"{name}: {value:.2g}" for name, value in self.measures.items())]
        return name, self.kind, f"on {host}" if host else "", "; ".join(rest[:2])


class ModelList(list[ShippedModel]):
    """Models, printed as a table."""

    def __repr__(self) -> str:
        rows = [model.columns() for model in self]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        padded = [map(str.ljust, row, widths) for row in rows]
        return "\n".join("  ".join(row).rstrip() for row in padded)


def models(root: str | os.PathLike[str] | None = None) -> ModelList:
    """The models that ship: hosts first, then adversaries and perturbations.

    Args:
        root: Another folder of trained models.

    Returns:
        A list of `ShippedModel` that prints as a table.

    Examples:
        >>> import tfnca
        >>> [model.name for model in tfnca.models() if model.kind == "host"]
        ['growing_lizard', 'mnist', 'mnist_defended']
    """
    files = model_files(root or shipped_folder())
    short = {name: alias for alias, name in short_names(list(files)).items() if alias != name}
    about = {name: (_config(path), _layer(path)) for name, path in files.items()}
    kinds = {name: _kind(*each) for name, each in about.items()}
    hosts = _hosts(files)
    found = []
    for name, path in files.items():
        config, layer = about[name]
        host = hosts.get(config.get("host_sha256", ""), _host_file(config))
        found.append(
            ShippedModel(
                name=name,
                short=short.get(name),
                kind=kinds[name],
                layer=layer,
                host=None if kinds[name] == "host" else host,
                host_ships=config.get("host_sha256") in hosts,
                line=line(config, kinds[name], layer),
                measures={each.name: each.value for each in main_measures(_metrics(path))},
                path=str(path),
            )
        )
    found.sort(key=lambda model: ("/" in model.name, ORDER.index(model.kind), model.name))
    return ModelList(found)


def load_attack(
    name: str | os.PathLike[str], host: Step | str | os.PathLike[str] | None = None
) -> Injected | Perturbed:
    """An attack on its host, ready to run.

    Args:
        name: An adversary or a perturbation that ships (``"no_tail"``, ``"mnist_adversary"``), or
            a run's folder or file with its ``config.json`` beside it.
        host: What to attack: a step, a path or a name. If not given, the shipped model that it was
            trained for, found by the checksum of its weights. Another one is attacked with a
            warning.

    Returns:
        `Injected` of host and adversary, or `Perturbed` of host and perturbation.

    Raises:
        ValueError: If there is no such attack, it does not fit the host, or `host` is not given
            and does not ship.

    Example:

    >>> import tfnca
    >>> step = tfnca.load_attack("no_tail")
    >>> state = tfnca.rollout(step, tfnca.seed_state(32), steps=2, seed=0)

    Reference:
        The article's three attacks.
    """
    path = Path(find(name))
    attack, config = load(path), _config(path)
    wanted = config.get("host_sha256")
    if wanted is None and not isinstance(attack, StatePerturbation) and host is None:
        raise ValueError(
            "load_attack takes an adversary or a perturbation whose config.json names its host, "
            f"or needs host=. Received: name={str(name)!r}, a {type(attack).__name__}"
        )
    files = model_files(shipped_folder())
    shipped = _hosts(files)
    if host is not None:
        attacked = host if isinstance(host, Step) else load(host)
    elif wanted in shipped:
        attacked = load(files[shipped[wanted]])
    else:
        raise ValueError(
            f"load_attack needs host=: {name} was trained for {_host_file(config)}, which does not "
            "ship. Received: host=None"
        )
    wrap = Perturbed if isinstance(attack, StatePerturbation) else Injected
    step = wrap(attacked, attack)
    actual = weights_sha256(attacked)
    if wanted not in (None, actual):
        given = host.name if isinstance(host, Step) else host
        warnings.warn(
            f"{name} was trained for {shipped.get(wanted, _host_file(config))} and attacks "
            f"another host: {shipped.get(actual, given)}.",
            stacklevel=2,
        )
    return step


def _hosts(files: dict[str, Path]) -> dict[str, str]:
    """The hosts among models: ``{checksum of the weights: name}``."""
    return {
        _sha256(path): name
        for name, path in files.items()
        if _kind(_config(path), _layer(path)) == "host"
    }


def _host_file(config: dict[str, Any]) -> str:
    return Path(config.get("host") or "a host that its config.json does not name").name


def _kind(config: dict[str, Any], layer: str) -> str:
    if layer in {kind.__name__ for kind in KINDS.values()}:
        return "perturbation"
    return "adversary" if "host_sha256" in config else "host"


def _layer(path: Path) -> str:
    """The class of the model in a file, without loading it."""
    if path.suffix == ".npy":
        return type(load_perturbation(path)).__name__
    with zipfile.ZipFile(path) as parts:
        return json.loads(parts.read("config.json"))["class_name"]


def _sha256(path: Path) -> str:
    return _sha256_of(path, path.stat().st_mtime_ns)


@functools.cache
def _sha256_of(path: Path, changed: int) -> str:
    """The checksum of a file's weights; `changed` is when it was written."""
    return weights_sha256(load(path))


def _config(path: Path) -> dict[str, Any]:
    return _json(path, "config.json")


def _metrics(path: Path) -> dict[str, Any]:
    return _json(path, "metrics.json")


def _json(path: Path, name: str) -> dict[str, Any]:
    """A file beside a model, or nothing where there is none."""
    file = (path if path.is_dir() else path.parent) / name
    return json.loads(file.read_text()) if file.is_file() else {}
