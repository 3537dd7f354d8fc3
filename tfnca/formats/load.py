"""Checkpoints: every published file, and our own, as a step or a perturbation.

A reader takes one file's bytes and returns the models inside. The formats are told apart by
content. Files from elsewhere are not trusted: everything is checked before a weight is assigned,
and whatever is wrong with a file ends in a ValueError that names it.
"""

import re
from pathlib import Path, PurePosixPath

import numpy as np

from tfnca.automata.perturbations.matrix import Perturbation
from tfnca.automata.step import Step
from tfnca.formats.archive import MAX_TEXT_BYTES, check_amount, is_zip, refusing, some, unzip
from tfnca.formats.checkpoint import read_checkpoint
from tfnca.formats.demo_data import read_growing_demo, read_mnist_demo
from tfnca.formats.graph import read_graph
from tfnca.formats.keras_file import is_keras, read_keras
from tfnca.formats.matrix import read_npy
from tfnca.formats.names import find
from tfnca.formats.webgl import read_webgl


def load(path, name=None):
    """Loads a model: our `.keras` files and every format that the article's authors published.

    The formats are TF2 checkpoints, graph-model JSON, the article's demo data (`data.js`,
    `gca_data.js`), 8-bit WebGL JSON, and `.npy` matrices, each also inside a zip or a folder.
    Fire rate and noise are not part of the published files: they get the layers' defaults.

    Args:
        path: A file, a checkpoint's prefix, a zip, or a folder (its own files, no subfolders); or,
            where nothing of that name is there, the name of a model that ships (`tfnca.models`).
        name: Which model to take where there are several: a file's name with or without its
            ending, a matrix (``"tail"``), or ``"host"`` and ``"adversary"`` of a `data.js`.

    Returns:
        A step or a `Perturbation`. A `data.js` gives an `Injected`, a `gca_data.js` its host.

    Raises:
        ValueError: If there is no such file, nothing or more than one model in it, or anything
            in it is missing, left over, of the wrong shape, not finite, or not safe to read.

    Example:

    >>> import keras, tempfile, tfnca
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keras.saving.save_model(tfnca.Perturbation(), f"{folder}/model.keras")
    ...     type(load(f"{folder}/model.keras")).__name__
    'Perturbation'
    """
    return _pick(find(path), name, (Step, Perturbation))


def load_perturbation(path, name=None):
    """Loads a perturbation's matrix.

    Args:
        path: A `.npy`, our `.keras`, the article's `gca_data.js`, or a zip or folder of them; or a
            name, as `load`.
        name: Which one to take where there are several, such as ``"tail"``.

    Returns:
        A `Perturbation`.

    Raises:
        ValueError: As `load`.

    Example:

    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/tail_sym_t.npy", np.eye(16, dtype="float32"))
    ...     load_perturbation(folder, name="tail").channels
    16
    """
    return _pick(find(path), name, Perturbation)


def _pick(path, name, kinds):
    """The one model of `kinds` in `path`, or the one called `name`."""
    path = Path(path)
    files, is_container = _gather(path)
    readers = {member: reader for member in files if (reader := _reader(member, files[member]))}
    # A .keras file knows more than a published one of the same weights: it comes first.
    members = sorted(readers, key=lambda member: (readers[member] is not read_keras, member))
    entries = []  # (what it may be called, whether it is what its file stands for, model)
    for member in [member for member in members if name in _names(member)] or members:
        where = f"{path}/{member}" if is_container else str(path)
        for number, (inner, model) in enumerate(readers[member](where, member, files).items()):
            names = [inner] if number else [member, inner, *_names(member)]
            if isinstance(model, kinds):
                entries.append((names, number == 0, model))
    if name is None:
        chosen = [entry for entry in entries if entry[1]] or entries
    else:
        chosen = [entry for entry in entries if name in entry[0]]
    distinct = []
    for entry in chosen:
        if not any(_same(entry[2], other[2]) for other in distinct):
            distinct.append(entry)
    if len(distinct) == 1:
        return distinct[0][2]
    what = "perturbation" if kinds is Perturbation else "model"
    if distinct:
        names = sorted(entry[0][-1 if name is None else 0] for entry in distinct)
        raise ValueError(
            f"{path} holds several {what}s: choose one by its name, {some(names)}. "
            f"Received: name={name!r}"
        )
    which = "in a format that tfnca knows" if name is None else f"called {name!r}"
    names = sorted({entry[0][-1] for entry in entries}) or sorted(files)
    raise ValueError(f"{path} holds no {what} {which}. Received: {some(names)}")


def _gather(path):
    """Reads the files that `path` stands for.

    Returns:
        ``({name: bytes}, whether they come from a zip or a folder)``.
    """
    prefix = Path(re.sub(r"\.(index|data-\d{5}-of-\d{5})$", "", str(path)))
    part = re.compile(re.escape(prefix.name) + r"\.(index|data-\d{5}-of-\d{5})")
    paths = None
    with refusing(path, "file or folder"):
        if Path(f"{prefix}.index").is_file():
            paths = [file for file in prefix.parent.iterdir() if part.fullmatch(file.name)]
        elif path.is_dir():
            # Snapshots and videos may stand beside a model, and no model is as large as they are.
            paths = [file for file in path.iterdir() if file.is_file()]
            paths = [file for file in paths if file.stat().st_size <= MAX_TEXT_BYTES]
        elif path.is_file():
            paths = [path]
        size = sum(file.stat().st_size for file in paths or ())
    if paths is None:
        raise ValueError(
            f"path must be a file, a folder or a checkpoint's prefix. Received: path={str(path)!r}"
        )
    check_amount(path, len(paths), size)
    with refusing(path, "file or folder"):
        files = {file.name: file.read_bytes() for file in sorted(paths)}
    if paths == [path] and is_zip(data := files[path.name]) and not _reader(path.name, data):
        return unzip(path, data), True
    return files, path.is_dir()


def _reader(member, data):
    """The reader for a file's content, or None if it is no model."""
    text = data.removeprefix(b"\xef\xbb\xbf").lstrip()
    if PurePosixPath(member).name.startswith(".") or member.startswith("__MACOSX/"):
        return None
    if is_zip(data):
        return read_keras if is_keras(data) else None
    if data.startswith(b"\x93NUMPY"):
        return read_npy
    if data.endswith(b"\x57\xfb\x80\x8b\x24\x75\x47\xdb") or member.endswith(".index"):
        return read_checkpoint
    if text.startswith(b"{") and b'"modelTopology"' in text:
        return read_graph
    if text.startswith(b"[") and b'"data_b64"' in text:
        return read_webgl
    if re.search(rb"\bGRAPH_URL\s*=|\bPERTURBATIONS\s*=\s*\[", text):
        return read_growing_demo
    return read_mnist_demo if re.search(rb"WEIGHTS_B64\s*=\s*\[", text) else None


def _names(member):
    """What a file may be called; the last is its short name."""
    file = PurePosixPath(member)
    return member, file.name, file.stem, file.stem.removesuffix("_sym_t")


def _same(model, other):
    """Whether two models are of one kind and hold the same numbers."""
    numbers = [
        [model.matrix] if isinstance(model, Perturbation) else model.get_weights()
        for model in (model, other)
    ]
    return type(model) is type(other) and all(map(np.array_equal, *numbers))
