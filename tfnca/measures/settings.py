"""The settings that a model was trained with, from the ``config.json`` next to its file."""

import json
from pathlib import Path
from typing import Any

from tfnca.deprecated import current_settings
from tfnca.formats.names import find


def settings_beside(model: str | Path) -> dict[str, Any]:
    """The ``config.json`` next to a model's file or in its folder, or of a bundled model.

    Empty if there is none. Raises ValueError if it cannot be read.
    """
    try:
        path = Path(find(model))
    except ValueError:  # loading the model will say what is wrong
        path = Path(model)
    path = (path if path.is_dir() else path.parent) / "config.json"
    if not path.is_file():
        return {}
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} cannot be read. Received: {error}") from None
    return current_settings(settings) if isinstance(settings, dict) else {}


def fill_in(options: Any, settings: dict[str, Any], **defaults: Any) -> None:
    """Sets each option that is None to the model's setting, or else to its default."""
    for name, default in defaults.items():
        if getattr(options, name) is None:
            value = settings.get(name)
            setattr(options, name, default if value is None else value)
