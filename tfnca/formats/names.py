"""The models that ship, by name: from a checkout and from an installed package alike."""

import difflib
import os
import re
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]

_FILES = ("model.keras", "perturbation.npy")
"""What makes a folder a model's; the first that is there is its file."""


def shipped_folder() -> Path:
    """Where the models that ship are: in an installed package, beside the package in a checkout."""
    inside = _PACKAGE / "saved_models"
    return inside if inside.is_dir() else _PACKAGE.parent / "saved_models"


def model_files(root: str | os.PathLike[str]) -> dict[str, Path]:
    """The files of all models in a folder, by name.

    A model's name is its folder below `root`, such as ``"perturbation_no_tail"`` or
    ``"on_published_lizard/red"``.

    Args:
        root: A folder such as ``saved_models``.

    Returns:
        ``{name: path}``, sorted.
    """
    root = Path(root)
    found: dict[str, Path] = {}
    for file in _FILES:
        for path in [*root.glob(f"*/{file}"), *root.glob(f"*/*/{file}")]:
            found.setdefault(path.parent.relative_to(root).as_posix(), path)
    return dict(sorted(found.items()))


def short_names(names: list[str]) -> dict[str, str]:
    """What models may be called for short: without the ``perturbation_`` or ``growing_`` in front.

    Args:
        names: The models' names.

    Returns:
        ``{short name: name}``; a short name that is another's name, or of two models, is left out.
    """
    short = {name: re.sub(r"^(perturbation|growing)_", "", name) for name in names}
    taken = [*names, *short.values()]
    return {alias: name for name, alias in short.items() if taken.count(alias) == 1}


def find(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """A path as it is where something is there, and the file of the shipped model of that name.

    Args:
        path: A file, a folder, a checkpoint's prefix, or a shipped model's name, long or short.
            What exists always wins over a name.

    Raises:
        ValueError: If nothing is there and no model is called so.
    """
    if not isinstance(path, str | os.PathLike) or _exists(path):
        return path
    files = model_files(shipped_folder())
    aliases = short_names(list(files))
    wanted = os.fspath(path)
    name = aliases.get(wanted, wanted)
    if name in files:
        return files[name]
    known = [name for name in files if "/" not in name]  # below are those whose host does not ship
    near = _near(wanted, [*aliases, *files])
    raise ValueError(
        "path must be a file, a folder, a checkpoint's prefix, or a name that tfnca.models() "
        f"lists: {', '.join(known)} (growing_ and perturbation_ may be left out), …"
        f"{f'; did you mean {near}?' if near else ''} Received: path={wanted!r}"
    )


def _near(wanted: str, names: list[str]) -> str:
    """A name that may have been meant, or nothing."""
    close = difflib.get_close_matches(wanted, names, n=1)
    inside = sorted((name for name in names if wanted and wanted in name), key=len)
    return repr((close or inside or [""])[0]) if close or inside else ""


def hidden_model(path: str | os.PathLike[str]) -> str:
    """What to say where a file or folder has the name of a model that ships; nothing elsewhere."""
    files = model_files(shipped_folder())
    name = short_names(list(files)).get(os.fspath(path), os.fspath(path))
    if name not in files:
        return ""
    return f". It hides the model of that name that ships: {files[name]}"


def shipped(name: str) -> str | Path:
    """The file of the shipped model of that name, whatever the working folder holds.

    Args:
        name: A model's name; anything else is given back as it is.
    """
    return model_files(shipped_folder()).get(name, name)


def _exists(path: str | os.PathLike[str]) -> bool:
    """Whether something is there; also where the system cannot say, so that `load` tells why."""
    path = os.fsdecode(os.path.expanduser(path))
    prefix = re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", path)
    for candidate in (path, f"{prefix}.index"):
        try:
            os.stat(candidate)
            return True
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError):
            return True
    return False
