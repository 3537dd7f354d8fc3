"""The bundled models' exports: finds those that do not match the weights, and writes them."""

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
    """The bundled models that have exports.

    A host is exported alone, and an attack together with the host in `root` that its
    ``config.json`` names. Models in deeper folders are left out, because their hosts are not
    bundled.

    Yields:
        ``(the model's folder, path of the model, path of its host or None)``.

    Raises:
        ValueError: If a host is missing.
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
    """The exports in `root` that are missing or do not match the weights of their model.

    Yields:
        ``(the export's folder, the step, its measures)``.
    """
    for folder, path, host in shipped(root):
        step, measures = load_step([path], host)
        for name in EXPORTS:
            if _about(folder / name) != metadata(step, measures):
                yield folder / name, step, measures


def refresh(root: str | Path) -> Iterator[Path]:
    """Writes the stale exports again, and yields the folder of each."""
    for folder, step, measures in stale(root):
        EXPORTS[folder.name](step, folder, measures=measures)
        yield folder


def _about(folder):
    """The `metadata` in an export, or None."""
    if (folder / EXTRA).is_file():
        return json.loads((folder / EXTRA).read_text(encoding="utf-8"))
    if (folder / "model.json").is_file():
        text = (folder / "model.json").read_text(encoding="utf-8")
        about = json.loads(text)["userDefinedMetadata"]
        about.pop("weights", None)  # the names in a graph, which metadata do not contain
        return about
    return None
