"""What a model was trained for: the settings beside its file."""

import json
from pathlib import Path
from typing import Any

from tfnca.deprecated import current_settings
from tfnca.formats.names import find


def settings_beside(model: str | Path) -> dict[str, Any]:
    """The ``config.json`` that a training script left beside a model.

    Args:
        model: A model's file, its folder, or the name of one that ships.

    Returns:
        The settings; an empty dictionary where there are none.

    Raises:
        ValueError: If there are, and they cannot be read.
    """
    try:
        path = Path(find(model))
    except ValueError:  # whoever loads it says what is wrong
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
    """Gives each option that is None the model's own setting, or else its default.

    Args:
        options: What the command line gave, changed in place.
        settings: See `settings_beside`.
        **defaults: The options to fill in.
    """
    for name, default in defaults.items():
        if getattr(options, name) is None:
            value = settings.get(name)
            setattr(options, name, default if value is None else value)
