"""The bundled models: a list of them, and attacks ready to run."""

import functools
import itertools
import json
import logging
import os
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfnca.automata.identity import identity, is_host
from tfnca.automata.injection import Injected
from tfnca.automata.invasion import Invasion
from tfnca.automata.perturbations import KINDS, StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.step import Step
from tfnca.deprecated import CLASSES
from tfnca.files import weights_sha256
from tfnca.formats.archive import MAX_TEXT_BYTES, refusing
from tfnca.formats.load import load, load_perturbation
from tfnca.formats.names import find, model_files, shipped_folder, short_names
from tfnca.formats.settings import attack_on
from tfnca.zoo.summary import line, main_measures, task_of

_log = logging.getLogger(__name__)

TITLES = {"host": "Hosts", "adversary": "Adversaries", "perturbation": "Perturbations"}
"""The kinds of models in the order of the list, with their titles."""

HOST_NOT_BUNDLED = """\
Attacks whose host is not bundled, because it is a file of the article or your own
(in brackets; tfnca.load_attack(name, host=FILE) runs the attack)"""


@dataclass(frozen=True)
class ShippedModel:
    """A trained model on disk; `dataclasses.asdict` turns it into values that JSON can store.

    Attributes:
        name: The name for `tfnca.load`, which is the model's folder below ``saved_models``.
        short: A shorter name for `tfnca.load`, or None.
        kind: ``"host"``, ``"adversary"`` or ``"perturbation"``.
        layer: The name of its class, for example ``"GrowingCA"``.
        host: The host of an attack: a model's name, or the name of a file that is not bundled;
            None for a host.
        host_ships: Whether `host` is the name of a model.
        line: A description in one line.
        measures: The main measures, by name.
        path: The model's file, for `keras.saving.load_model` or another program.
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
        return "  ".join(filter(None, self.columns()))

    @property
    def of_digits(self) -> bool:
        """Whether the model classifies digits, or attacks a CA that does. Others draw pictures."""
        return task_of(self.layer) == "digit"

    @property
    def title(self) -> str:
        """The title of the model's table in a list."""
        return TITLES[self.kind] if self.host_ships or not self.host else HOST_NOT_BUNDLED

    def columns(self) -> tuple[str, str, str]:
        """Name, description and host, as they are printed."""
        name = f"{self.name} ({self.short})" if self.short else self.name
        host = self.host if self.host_ships else f"[{self.host}]"
        return name, self.line, f"on {host}" if self.host else ""


class ModelList(list[ShippedModel]):
    """Models, printed as a table for each kind."""

    def __repr__(self) -> str:
        tables = []
        for title, group in itertools.groupby(self, key=lambda model: model.title):
            rows = [model.columns() for model in group]
            widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
            lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
            tables.append("\n".join([title, *(f"  {line}" for line in lines)]))
        return "\n\n".join(tables)


def models(root: str | os.PathLike[str] | None = None) -> ModelList:
    """Lists the bundled models: hosts first, then adversaries and perturbations.

    Attacks on hosts that are not bundled come last.

    Args:
        root: Another folder of trained models.

    Returns:
        A list of `ShippedModel` that prints as a table for each kind. A file that is not a model
        is left out. The log names it, and any other file that cannot be read.

    Examples:
        >>> import tfnca
        >>> [model.name for model in tfnca.models() if model.kind == "host"]
        ['growing_lizard', 'mnist', 'mnist_defended']
    """
    files = model_files(root or shipped_folder())
    short = {name: alias for alias, name in short_names(list(files)).items() if alias != name}
    hosts = _hosts(files)
    found = ModelList()
    for name, path in files.items():
        try:
            found.append(_describe(name, short.get(name), path, hosts))
        except ValueError as error:
            _log.warning("%s is left out: %s", path, error)
    titles = [*TITLES.values(), HOST_NOT_BUNDLED]
    found.sort(key=lambda model: (titles.index(model.title), model.name))
    return found


def _describe(name: str, short: str | None, path: Path, hosts: dict[str, str]) -> ShippedModel:
    """Describes one model; raises ValueError if its file is not a model."""
    layer, config = _layer(path), _tolerant(path, "config.json")
    kind, host = _kind(config, layer), _trained_for(config, hosts)
    try:
        about = line(config, kind, layer)
    except (LookupError, TypeError, ValueError) as error:
        _log.warning("%s: its config.json lacks a setting. Received: %r", path, error)
        about = f"a model of the class {layer}"
    try:
        found = main_measures(_tolerant(path, "metrics.json"))
        measures = {each.name: float(each.value) for each in found}
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        _log.warning("%s: its metrics.json is not of tfnca.measures. Received: %r", path, error)
        measures = {}
    return ShippedModel(
        name=name,
        short=short,
        kind=kind,
        layer=layer,
        host=None if kind == "host" else host or _host_file(config),
        host_ships=host is not None,
        line=about,
        measures=measures,
        path=str(path),
    )


def load_attack(
    name: str | os.PathLike[str], host: Step | str | os.PathLike[str] | None = None
) -> Injected | Invasion | Perturbed:
    """Loads an attack together with its host, ready to run.

    Args:
        name: A bundled adversary or perturbation (``"no_tail"``, ``"mnist_adversary"``), or the
            folder or file of a training run, with its ``config.json``.
        host: The host to attack: a step, a path or a name. By default, the bundled model that the
            attack was trained for, found by the checksum of its weights. Any other host causes a
            warning.

    Returns:
        `Injected` of host and adversary, `Invasion` if the adversary was trained to spread, or
        `Perturbed` of host and perturbation.

    Raises:
        ValueError: If there is no such attack, if it does not fit the host, or if its host is not
            bundled and `host` is None.

    Example:

    >>> import tfnca
    >>> step = tfnca.load_attack("no_tail")
    >>> state = tfnca.rollout(step, tfnca.seed_state(32), steps=2, seed=0)

    Reference:
        The article's three attacks.
    """
    path = Path(find(name))
    attack, config = load(path), _json(path, "config.json")
    wanted = _wanted(config)
    if wanted is None and not isinstance(attack, StatePerturbation) and host is None:
        raise ValueError(
            "load_attack takes an adversary or a perturbation whose config.json names its host, "
            f"or needs host=. Received: name={str(name)!r}, a {type(attack).__name__}"
        )
    files = model_files(shipped_folder())
    shipped = _trained_for(config, _hosts(files))
    if host is not None:
        attacked = host if isinstance(host, Step) else load(host)
    elif shipped is not None:
        attacked = load(files[shipped])
    else:
        raise ValueError(
            f"load_attack needs host=: {name} was trained for {_host_file(config)}, which is not "
            "bundled. Give the path of that file, or another host to attack. Received: host=None"
        )
    step = attack_on(attacked, attack, config)
    if is_host(attacked, config) is False:
        given = host.name if isinstance(host, Step) else host
        attacks = _hosts(files).get(identity(attacked), given)
        warnings.warn(
            f"{name} was trained for {shipped or _host_file(config)} and attacks another host: "
            f"{attacks}.",
            stacklevel=2,
        )
    return step


def _hosts(files: dict[str, Path]) -> dict[str, str]:
    """The hosts among models, ``{checksum: name}``, by their `identity` and by their weights."""
    hosts: dict[str, str] = {}
    for name, path in files.items():
        try:
            if _kind(_tolerant(path, "config.json"), _layer(path)) == "host":
                for checksum in _checksums(path, path.stat().st_mtime_ns):
                    hosts.setdefault(checksum, name)
        except ValueError as error:  # `models` logs a warning
            _log.debug("%s is not a host: %s", path, error)
    return hosts


def _wanted(config: dict[str, Any]) -> Any:
    """The host's checksum in a ``config.json``: its `identity`, or in old files of its weights."""
    return config.get("host_identity", config.get("host_sha256"))


def _trained_for(config: dict[str, Any], hosts: dict[str, str]) -> str | None:
    """The name of the host in a ``config.json``, None if it is not among `hosts`."""
    return hosts.get(str(_wanted(config)))


def _host_file(config: dict[str, Any]) -> str:
    return Path(config.get("host") or "a host that its config.json does not name").name


def _kind(config: dict[str, Any], layer: str) -> str:
    if layer in {kind.__name__ for kind in KINDS.values()}:
        return "perturbation"
    return "adversary" if _wanted(config) is not None else "host"


def _layer(path: Path) -> str:
    """The class of the model in a file, without loading it; ValueError if there is none."""
    if path.suffix == ".npy":
        return type(load_perturbation(path)).__name__
    with refusing(path, "Keras file"), zipfile.ZipFile(path) as parts:
        if parts.getinfo("config.json").file_size > MAX_TEXT_BYTES:
            raise ValueError(f"config.json must have at most {MAX_TEXT_BYTES} bytes")
        name = str(json.loads(parts.read("config.json"))["class_name"])
        return CLASSES.get(name, name)


@functools.cache
def _checksums(path: Path, changed: int) -> tuple[str, str]:
    """The `identity` of a model's file and its weights' checksum; `changed` is its time stamp."""
    model = load(path)
    return identity(model), weights_sha256(model)


def _json(path: Path, name: str) -> dict[str, Any]:
    """A JSON file next to a model; empty if there is none."""
    file = (path if path.is_dir() else path.parent) / name
    if not file.is_file():
        return {}
    with refusing(file, "JSON file"):
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict):
            raise ValueError("it must contain an object")
    return found


def _tolerant(path: Path, name: str) -> dict[str, Any]:
    """As `_json`, but empty if the file cannot be read."""
    try:
        return _json(path, name)
    except ValueError as error:
        _log.warning("%s", error)
        return {}


def main(options: Any) -> None:
    """Prints the table, as ``tfnca models`` does."""
    found = models(options.folder)
    print(repr(found) or f"No models in {options.folder}.")
