"""The exports beside the trained models: which there are, and whether they are of these weights."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from tfnca.automata.identity import is_host
from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.step import Step
from tfnca.export.saved_model import EXTRA, save_saved_model
from tfnca.export.signatures import load_step, metadata
from tfnca.export.tfjs import save_tfjs
from tfnca.formats.load import load

EXPORTS: dict[str, Callable] = {"saved_model": save_saved_model, "tfjs": save_tfjs}


def shipped(root: str | Path) -> Iterator[tuple[Path, Path, Path | None]]:
    """The models that are shipped with exports.

    A base stands alone. An adversary or a perturbation goes with the base in `root` that its
    ``config.json`` speaks of.

    Args:
        root: The folder of trained models, each ``<name>/model.keras``; deeper folders hold
            models whose hosts are not there, and are left out.

    Yields:
        ``(the model's folder, path of the model, path of its host or None)``.

    Raises:
        ValueError: If a host is not there.
    """
    paths = sorted(Path(root).glob("*/model.keras"))
    models = {path: load(path) for path in paths}
    for path, model in models.items():
        config = json.loads((path.parent / "config.json").read_text(encoding="utf-8"))
        wanted = config.get("host_identity", config.get("host_sha256"))
        if wanted is None and not isinstance(model, StatePerturbation):
            yield path.parent, path, None
        elif host := next((p for p, other in models.items() if is_host(other, config)), None):
            yield path.parent, path, host
        else:
            raise ValueError(f"{path.parent} needs its host in {root}. Received: {wanted}")


def stale(root: str | Path) -> Iterator[tuple[Path, Step, dict]]:
    """The exports that are missing or not of the weights beside them.

    Args:
        root: See `shipped`.

    Yields:
        ``(the export's folder, the step, its measures)``.
    """
    for folder, path, host in shipped(root):
        step, measures = load_step([path], host)
        for name in EXPORTS:
            if _about(folder / name) != metadata(step, measures):
                yield folder / name, step, measures


def refresh(root: str | Path) -> Iterator[Path]:
    """Writes the stale exports anew.

    Args:
        root: See `shipped`.

    Yields:
        The folder of each export, once it is written.
    """
    for folder, step, measures in stale(root):
        EXPORTS[folder.name](step, folder, measures=measures)
        yield folder


def _about(folder):
    """What an export says about itself, or None."""
    if (folder / EXTRA).is_file():
        return json.loads((folder / EXTRA).read_text(encoding="utf-8"))
    if (folder / "model.json").is_file():
        return json.loads((folder / "model.json").read_text(encoding="utf-8"))[
            "userDefinedMetadata"
        ]
    return None
