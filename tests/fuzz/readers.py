"""What is fuzzed: every reader of files that may come from anywhere, and small files for it."""

import contextlib
import gzip
import hashlib
import io
import json
import struct
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

import tfnca
from tfnca.automata.perturbations import StatePerturbation
from tfnca.training import snapshots

GOLDENS = Path(__file__).parents[1] / "goldens/formats"
CONVENTIONS = json.loads((GOLDENS.parent / "conventions.json").read_text())
"""The conventions of the files that do not say their rule."""

FOREIGN = CONVENTIONS.keys() | {
    "old_torch.pth",
    "torch.safetensors",
    "arrays.npz",
    "med_nca.pth",
    "goal.pt",
    "textures.json",
}
"""Files as other projects write them."""


@dataclass(frozen=True)
class Case:
    """A good input: what is to be damaged, and how it is read.

    Attributes:
        kind: The reader.
        files: Bytes by path.
        main: The path that the reader is given.
        model: Which model, where the file holds several.
        convention: The rule of a file that does not say it.
    """

    kind: str
    files: dict[str, bytes]
    main: str
    model: str | None = None
    convention: str | None = None


def read(case: Case, folder: Path) -> Any:
    """Reads the case's files, which lie in `folder`, damaged or not."""
    kind, path = case.kind, folder / case.main
    with contextlib.redirect_stdout(io.StringIO()):
        if kind in ("model", "foreign"):
            model = tfnca.load(path, name=case.model, convention=case.convention)
            assert kind == "model" or not isinstance(model, StatePerturbation), type(model)
            return model
        if kind == "perturbation":
            return tfnca.load_perturbation(path)
        if kind == "digits":
            return tfnca.load_digits("test", path.parent)
        if kind == "target":
            return tfnca.load_target(path, 16)
        return snapshots.restore_snapshot(path.parent, _trainer())


def corpus(kind: str | None = None) -> list[Case]:
    """The golden files of all formats; pictures, digits and a snapshot, made here.

    Args:
        kind: Only the cases of this kind.
    """
    found = [case for case in _corpus() if kind in (None, case.kind)]
    if not found:
        raise SystemExit(f"kind must be one of {sorted({case.kind for case in _corpus()})}")
    return found


def _corpus() -> list[Case]:
    cases = []
    for path in sorted(GOLDENS.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            files = {name: archive.read(name) for name in archive.namelist() if name[-1] != "/"}
        main = next(name for name in files if name.replace("/", "_") == path.stem)
        is_array = "matrix" in main or "vector" in main or "Perturbation" in main
        inner = {"zip.zip": "lizard", "textures.json": "m1"}.get(main)
        kind = "perturbation" if is_array else "foreign" if main in FOREIGN else "model"
        cases.append(Case(kind, files, main, inner, CONVENTIONS.get(main)))
    cases += [Case("target", {f"x.{kind}": _picture(kind)}, f"x.{kind}") for kind in _PICTURES]
    images = struct.pack(">4I", 0x803, 3, 28, 28) + bytes(3 * 28 * 28)
    labels = struct.pack(">2I", 0x801, 3) + bytes(3)
    names = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
    for pack in (bytes, gzip.compress):
        files = dict(zip(names, map(pack, (images, labels)), strict=True))
        cases.append(Case("digits", files, names[0]))
    with tempfile.TemporaryDirectory() as folder:
        snapshots.save_snapshot(folder, _trainer(), [{"step": 1, "loss": 0.5}])
        name = snapshots.NEWEST
        cases.append(Case("snapshot", {name: (Path(folder) / name).read_bytes()}, name))
    return cases


def unwrapped(kind: str, data: bytes) -> bytes:
    """The part of a file that is worth damaging: a snapshot's archive, without its checksum."""
    return data[snapshots._HEAD :] if kind == "snapshot" else data


def wrapped(kind: str, data: bytes) -> bytes:
    """`unwrapped`, backwards: with a checksum that is right."""
    if kind != "snapshot":
        return data
    return snapshots._MAGIC + hashlib.sha256(data).hexdigest().encode() + b"\n" + data


_PICTURES = ("png", "gif", "webp", "tiff", "jpeg", "bmp")
_trainers: list[tfnca.Trainer] = []


def _picture(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (9, 7, 4), np.uint8)
    image, out = Image.fromarray(pixels), io.BytesIO()
    (image.convert("RGB") if kind in ("jpeg", "bmp") else image).save(out, kind)
    return out.getvalue()


def _trainer() -> tfnca.Trainer:
    if not _trainers:
        keras.utils.set_random_seed(0)  # so that a case is the same in every process
        trainer = tfnca.Trainer(tfnca.GrowingCA(hidden=4), tfnca.TargetLoss(np.zeros((8, 8, 4))), 2)
        trainer.compile(keras.optimizers.Adam(1e-3))
        trainer.attach(tfnca.GrowingPool(tfnca.seed_state(8), 4, 2, damaged=0))
        _trainers.append(trainer)
    return _trainers[0]
