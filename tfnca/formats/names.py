"""Finds the bundled models by name, in a checkout and in an installed package."""

import difflib
import os
import re
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]

_FILES = ("model.keras", "perturbation.npy")
"""File names of models; a folder's model is the first of them that exists."""


def shipped_folder() -> Path:
    """The folder of the bundled models, inside the package or next to it in a checkout."""
    inside = _PACKAGE / "saved_models"
    return inside if inside.is_dir() else _PACKAGE.parent / "saved_models"


def model_files(root: str | os.PathLike[str]) -> dict[str, Path]:
    """The files of all models in a folder such as ``saved_models``, ``{name: path}``, sorted.

    A model's name is its folder below `root`, for example ``"perturbation_no_tail"`` or
    ``"on_published_lizard/red"``.
    """
    root = Path(root)
    found: dict[str, Path] = {}
    for file in _FILES:
        for path in [*root.glob(f"*/{file}"), *root.glob(f"*/*/{file}")]:
            found.setdefault(path.parent.relative_to(root).as_posix(), path)
    return dict(sorted(found.items()))


def short_names(names: list[str]) -> dict[str, str]:
    """The names of models by their short names: without ``perturbation_`` or ``growing_``.

    Short names that are ambiguous or the name of a model are left out.
    """
    short = {name: re.sub(r"^(perturbation|growing)_", "", name) for name in names}
    taken = [*names, *short.values()]
    return {alias: name for name, alias in short.items() if taken.count(alias) == 1}


def find(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """Returns an existing path unchanged, and for the name of a bundled model its file.

    Args:
        path: A file, a folder, a checkpoint's prefix, or a bundled model's name, long or short.
            An existing path has priority over a name.

    Raises:
        ValueError: If the path does not exist and no model has that name.
    """
    if not isinstance(path, str | os.PathLike) or _exists(path):
        return path
    files = model_files(shipped_folder())
    aliases = short_names(list(files))
    wanted = os.fspath(path)
    name = aliases.get(wanted, wanted)
    if name in files:
        return files[name]
    known = [name for name in files if "/" not in name]  # without models on other people's hosts
    near = _near(wanted, [*aliases, *files])
    raise ValueError(
        "path must be a file, a folder, a checkpoint's prefix, or a name that tfnca.models() "
        f"lists: {', '.join(known)} (growing_ and perturbation_ may be left out), …"
        f"{f'; did you mean {near}?' if near else ''} Received: path={wanted!r}"
    )


def _near(wanted: str, names: list[str]) -> str:
    """A similar name, or an empty string."""
    close = difflib.get_close_matches(wanted, names, n=1)
    inside = sorted((name for name in names if wanted and wanted in name), key=len)
    return repr((close or inside or [""])[0]) if close or inside else ""


def hidden_model(path: str | os.PathLike[str]) -> str:
    """A hint for a message if a file or folder has the name of a bundled model, else empty."""
    files = model_files(shipped_folder())
    name = short_names(list(files)).get(os.fspath(path), os.fspath(path))
    if name not in files:
        return ""
    return f". It hides the bundled model of that name: {files[name]}"


def shipped(name: str) -> str | Path:
    """The file of the bundled model of that name, even if a file in the working folder hides it.

    Any other value is returned unchanged.
    """
    return model_files(shipped_folder()).get(name, name)


def _exists(path: str | os.PathLike[str]) -> bool:
    """Whether a path exists; True if the system cannot tell, so that `load` reports the reason."""
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
