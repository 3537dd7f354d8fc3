"""Loads models from files in tfnca's, the article's and other projects' formats, by their content.

Files are not trusted: everything is checked before a weight is assigned, and any fault raises a
ValueError that names the file. The formats are in `tfnca.formats.readers`. This module chooses a
reader for each file, and a model among those that the readers find.
"""

import logging
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from tfnca.automata.perturbations import StatePerturbation
from tfnca.automata.step import CellularAutomaton, Step
from tfnca.formats.archive import (
    MAX_TEXT_BYTES,
    Budget,
    Folder,
    is_zip,
    refusing,
    some,
    unzip,
)
from tfnca.formats.conventions import CONVENTIONS, ROW_ORDERS
from tfnca.formats.names import find, hidden_model
from tfnca.formats.readers import READERS, Model, Reader, Source

_log = logging.getLogger(__name__)

Entry = tuple[list[str], bool, Model]
"""The names of a model, whether it is the main model of its file, and the model."""


def load(
    path: str | os.PathLike[str],
    name: str | None = None,
    convention: str | None = None,
    rule: CellularAutomaton | None = None,
    row_order: str | None = None,
) -> Step | StatePerturbation:
    """Loads a model from a file, or from a file in a zip or a folder.

    `load` reads these formats:

    - tfnca's: ``.keras``, ``.npy`` of a perturbation (a matrix ``(channels, channels)`` or a vector
      ``(channels,)``), and exports: ``.onnx``, and ``model.json`` with its ``.bin``.
    - The article's: TF2 checkpoints (``X.index``, ``X.data-…``; also of TensorFlow 2.0), graph
      models as JSON, the demo data ``data.js`` and ``gca_data.js``, 8-bit WebGL JSON, ``.npy``.
    - Any graph model of TensorFlow.js: ``model.json`` and ``.bin`` shards, quantized or not.
    - Other projects': PyTorch state dicts (``.pt``, ``.pth``, ``.ckpt``), ``.safetensors``,
      ``.npz``, ``.h5``, ``.keras``, ``tf.train.Checkpoint``, flax ``.msgpack``, ``.onnx``, and the
      JSON of Self-Organising Textures. From these, only the weights are read. They may have any
      names, because they are recognised by their shapes.

    Shapes do not tell with which filters, padding and alive rule a file was trained, or how its
    rows are ordered. If several rules fit, `load` lists them and asks for `convention` or `rule`.
    Other projects' files do not contain fire rate and noise, so these get the layers' defaults.
    No code in a file is run. `load` only creates steps and perturbations whose classes are
    registered with Keras, including yours, and reads a pickle without unpickling it.

    Args:
        path: A file, a checkpoint's prefix, a zip, or a folder (without its subfolders). If no
            such file exists, the name of a bundled model (`tfnca.models`).
        name: The model to take if there are several: a file's name with or without its ending, a
            matrix (``"tail"``), or ``"host"`` or ``"adversary"`` of an injection.
        convention: The rule with which another project's file was trained: ``"growing"`` (the
            article's, rows channel by channel), ``"filter-major"``, ``"transposed"``,
            ``"takeover"``, ``"texture"``, ``"med-nca"``, ``"goal"`` …; all are in
            `tfnca.formats.conventions.CONVENTIONS`. It is not needed for files that tell their
            rule (tfnca's and the article's).
        rule: A CA with that rule in place of a convention, for example
            ``tfnca.NeuralCA(channels=12, …)``. The file's weights are loaded into a copy of it.
        row_order: Deprecated: ``"channel"`` is ``convention="growing"``, ``"kernel"`` is
            ``convention="filter-major"``.

    Returns:
        A step or a perturbation. A `data.js` gives an `Injected`, a `gca_data.js` its host.

    Raises:
        ValueError: If there is no such file, if it contains no model or several, or if anything
            in it is missing, left over, of the wrong shape, not finite, or not safe to read. In a
            folder or zip with a readable file, unreadable ones are skipped and named in the log.

    Example:

    >>> import keras, tempfile, tfnca
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keras.saving.save_model(tfnca.MatrixPerturbation(), f"{folder}/model.keras")
    ...     type(load(f"{folder}/model.keras")).__name__
    'MatrixPerturbation'
    """
    if row_order is not None:
        by_order = {order: convention for convention, order in ROW_ORDERS.items()}
        if row_order not in by_order or convention is not None or rule is not None:
            raise ValueError(
                f"row_order must be one of {tuple(by_order)}, without a convention, which replaces "
                f"it. Received: row_order={row_order!r}, convention={convention!r}"
            )
        convention = by_order[row_order]
        warnings.warn(
            f"row_order is deprecated: use convention={convention!r}",
            DeprecationWarning,
            stacklevel=2,
        )
    if convention is not None and convention not in CONVENTIONS:
        raise ValueError(
            f"convention must be one of {', '.join(CONVENTIONS)}. Received: {convention!r}"
        )
    if rule is not None and (convention is not None or not isinstance(rule, CellularAutomaton)):
        raise ValueError(
            "rule must be a CA, for example a tfnca.NeuralCA, and replaces a convention. "
            f"Received: rule={rule!r}, convention={convention!r}"
        )
    return _pick(find(path), name, None, convention, rule)


def candidates(
    path: str | os.PathLike[str], name: str | None = None
) -> dict[str, CellularAutomaton]:
    """Loads another project's file with each convention that fits it: CAs by convention.

    Raises ValueError if none fits.
    """
    found: dict[str, CellularAutomaton] = {}
    refusals = []
    for convention in CONVENTIONS:
        try:
            found[convention] = load(path, name, convention)
        except ValueError as error:
            refusals.append(error)
    if not found:
        raise refusals[0]
    return found


def load_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Loads the arrays in another project's file by their names, even if they are not a CA's.

    Args:
        path: A file of weights; see `load`.

    Returns:
        ``{name: array}``, for example the goals next to a GoalNCA's weights.

    Raises:
        ValueError: If there is no such file, or it cannot be read.

    Example:

    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(f"{folder}/goals.npz", goals=np.eye(3))
    ...     load_arrays(f"{folder}/goals.npz")["goals"].shape
    (3, 3)
    """
    budget = Budget()
    files, members, _ = _gather(Path(os.path.expanduser(path)), budget)
    refusals: list[str] = []
    for member in members:
        source = Source(f"{path}: {member}", member, files, budget)
        reader = _reader(member, files[member])
        try:
            if reader:
                reader.read(source)
        except ValueError as error:  # its arrays may not be a CA's
            refusals.append(str(error))
        if source.arrays:
            return source.arrays
    raise ValueError(
        "; also ".join(refusals[:4])
        or f"{path} holds no arrays in a format that tfnca knows. Received: {some(members)}"
    )


def load_perturbation(path: str | os.PathLike[str], name: str | None = None) -> StatePerturbation:
    """Loads a perturbation: a matrix or a vector.

    Args:
        path: A `.npy`, a `.keras` of tfnca, the article's `gca_data.js`, a zip or folder of them,
            or a name; see `load`.
        name: The perturbation to take if there are several, for example ``"tail"``.

    Returns:
        A `StatePerturbation`: a `MatrixPerturbation` for a matrix, a `ShiftPerturbation` for a
        vector.

    Raises:
        ValueError: See `load`.

    Example:

    >>> import numpy as np, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/tail_sym_t.npy", np.eye(16, dtype="float32"))
    ...     load_perturbation(folder, name="tail").channels
    16
    """
    return _pick(find(path), name, StatePerturbation)


def _pick(
    path: str | os.PathLike[str],
    name: str | None,
    kind: type[Model] | None,
    convention: str | None = None,
    rule: CellularAutomaton | None = None,
) -> Model:
    """The one model of `kind` in `path`, or the one called `name`."""
    if not isinstance(path, str | os.PathLike):
        raise ValueError(f"path must be a string or a path. Received: path={path!r}")
    path = Path(os.path.expanduser(path))
    budget = Budget()
    files, members, is_container = _gather(path, budget)
    readers: dict[str, Reader] = {}
    entries: list[Entry] = []
    unreadable: list[str] = []
    others: list[str] = []
    for member in members:
        try:
            if reader := _reader(member, files[member]):
                readers[member] = reader
        except Exception as error:  # it may be unreadable, or deleted
            unreadable.append(_complaint(f"{path}/{member}", error))
    ordered = sorted(readers, key=lambda member: (-readers[member].priority, member))
    for member in [member for member in ordered if name in _names(member)] or ordered:
        where = f"{path}/{member}" if is_container else str(path)
        try:
            source = Source(where, member, files, budget, convention, rule, name)
            models = readers[member].read(source)
            source.check_rule()
        except Exception as error:
            unreadable.append(_complaint(where, error))
            others += [member] if member.endswith(".npy") else []
            continue
        # A file with several models of one kind has no main model.
        equals = len(models) > 1 and len({*map(type, models.values())}) == 1
        for number, (inner, model) in enumerate(models.items()):
            is_main = number == 0 and not equals
            names = [member, inner, *_names(member)] if is_main else [inner]
            if kind is None or isinstance(model, kind):
                entries.append((names, is_main, model))
    if unreadable and not entries:
        raise ValueError("; also ".join(unreadable[:4]))
    passed_over = f"; passed over: {'; '.join(unreadable[:4])}" if unreadable else ""
    found = sorted({entry[0][-1] for entry in entries}) or sorted(members)
    names, _, model = _choose(path, name, kind, entries, f"{some(found)}{passed_over}")
    if name is None and names[0].endswith(".npy") and others:
        raise ValueError(
            f"{path} holds {names[0]}, which may be a perturbation or a layer's bias, because "
            f"other .npy files in it are no perturbations: choose it by its name. Received: "
            f"{some(others)}"
        )
    if passed_over:
        _log.warning("%s: loaded a %s%s", path, type(model).__name__, passed_over)
    return model


def _complaint(where: str, error: Exception) -> str:
    """A reader's message about a file, or one about the exception in the reader."""
    message = " ".join(str(error).split())
    if isinstance(error, ValueError) and where in message and "Received" in message:
        return message
    return f"{where} cannot be read. Received: {type(error).__name__}: {message[:400]}"


def _choose(
    path: Path, name: str | None, kind: type[Model] | None, entries: list[Entry], found: str
) -> Entry:
    """The one model among `entries`, or the one called `name`, with its names."""
    if name is None:
        chosen = [entry for entry in entries if entry[1]] or entries
    else:
        chosen = [entry for entry in entries if name in entry[0]]
    distinct: list[Entry] = []
    for entry in chosen:
        if not any(_same(entry[2], other[2]) for other in distinct):
            distinct.append(entry)
    if len(distinct) == 1:
        return distinct[0]
    what = "model" if kind is None else "perturbation"
    if distinct:
        short = {entry[0][-1] for entry in distinct}
        is_short = name is None and len(short) == len(distinct)
        names = sorted(entry[0][-1 if is_short else 0] for entry in distinct)
        raise ValueError(
            f"{path} holds several {what}s: choose one by its name, {some(names)}. "
            f"Received: name={name!r}"
        )
    which = "in a format that tfnca knows" if name is None else f"called {name!r}"
    if re.search(r"saved_model\.pb|\.tflite", found):
        which += "; SavedModels and LiteRT files are only written: load what was exported"
    raise ValueError(f"{path} holds no {what} {which}{hidden_model(path)}. Received: {found}")


def _gather(path: Path, budget: Budget) -> tuple[Mapping[str, bytes], list[str], bool]:
    """The files that `path` refers to.

    Returns:
        ``(files, names of possible models, whether they come from a zip or a folder)``.
    """
    with refusing(path, "file or folder"):
        mains = [reader.main_file(path) for reader in READERS if reader.main_file]
        main = next(filter(None, mains), path)
        is_folder, is_file = main.is_dir(), main.is_file()
    if is_folder:
        files = Folder(main, budget)
        with refusing(path, "file or folder"):
            # Large files next to a model, for example snapshots and videos, are not models.
            members = [name for name in files if (main / name).stat().st_size <= MAX_TEXT_BYTES]
        budget.take(path, len(members), 0)
        return files, members, True
    if not is_file:
        raise ValueError(
            f"path must be a file, a folder or a checkpoint's prefix. Received: path={str(path)!r}"
        )
    files = Folder(main.parent, budget)
    data = files[main.name]
    if is_zip(data) and not _reader(main.name, data):
        unzipped = unzip(path, data, budget)
        return unzipped, list(unzipped), True
    return files, [main.name], False


def _reader(member: str, data: bytes) -> Reader | None:
    """The reader for a file, or None if it is not a model."""
    if PurePosixPath(member).name.startswith(".") or member.startswith("__MACOSX/"):
        return None
    return next((reader for reader in READERS if reader.recognises(member, data)), None)


def _names(member: str) -> tuple[str, ...]:
    """The names of a file; the last is its short name."""
    file = PurePosixPath(member)
    short = file.stem.removesuffix(".weights").removesuffix("_sym_t")
    return member, file.name, file.stem, short


def _same(model: Model, other: Model) -> bool:
    """Whether two models have the same class and the same weights."""
    if type(model) is not type(other):
        return False
    numbers = [
        [each.to_array()] if isinstance(each, StatePerturbation) else each.get_weights()
        for each in (model, other)
    ]
    return all(map(np.array_equal, *numbers))
