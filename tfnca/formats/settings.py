"""What a model was trained with and for, from the ``config.json`` next to its file."""

import json
from pathlib import Path
from typing import Any

from tfnca.automata.injection import Injected
from tfnca.automata.invasion import Invasion
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.perturbed import Perturbed
from tfnca.automata.step import Step
from tfnca.deprecated import current_settings
from tfnca.formats.names import find, model_files, shipped_folder


def folder_of(model: str | Path) -> Path:
    """The folder of a model's file, or of a bundled model."""
    try:
        path = Path(find(model))
    except ValueError:  # loading the model will say what is wrong
        path = Path(model)
    return path if path.is_dir() else path.parent


def settings_beside(model: str | Path) -> dict[str, Any]:
    """The ``config.json`` next to a model's file or in its folder, or of a bundled model.

    Empty if there is none. Raises ValueError if it cannot be read.
    """
    path = folder_of(model) / "config.json"
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read. Received: {error}") from None
    return current_settings(settings) if isinstance(settings, dict) else {}


def spreads(settings: dict[str, Any]) -> bool:
    """Whether an adversary was trained to spread, in an `Invasion`."""
    return settings.get("attack") == "invasion"


def attack_on(host: Step | None, model: Step | StatePerturbation, settings: dict[str, Any]) -> Step:
    """The attack on a host that a perturbation or adversary was trained for, or a CA by itself.

    Raises ValueError if an attack has no host.
    """
    if host is None:
        if isinstance(model, StatePerturbation) or "host" in settings:
            kind = "A perturbation" if isinstance(model, StatePerturbation) else "An adversary"
            trained = (
                f", as it was trained with {_found(settings['host'])}" if "host" in settings else ""
            )
            raise ValueError(f"{kind} needs its host (--host){trained}. Received: none")
        return model
    if isinstance(model, StatePerturbation):
        return Perturbed(host, model)
    return (Invasion if spreads(settings) else Injected)(host, model)


def _found(trained: str) -> str:
    """A path that training named, or the name of the bundled model that was trained there."""
    name = Path(trained).parent.name
    return trained if Path(trained).exists() or name not in model_files(shipped_folder()) else name


def fill_in(options: Any, settings: dict[str, Any], **defaults: Any) -> None:
    """Sets each option that is None to the model's setting, or else to its default."""
    for name, default in defaults.items():
        if getattr(options, name) is None:
            value = settings.get(name)
            setattr(options, name, default if value is None else value)
