"""Models from files: every published format, our own, and what others save, told apart by content.

Files from elsewhere are not trusted: everything is checked before a weight is assigned, and
whatever is wrong with a file ends in a ValueError that names it. The formats are in
`tfnca.formats.readers`; here a reader is chosen for each file, and a model among what they read.
"""

import logging
import os
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
from tfnca.formats.build import ROW_ORDERS
from tfnca.formats.conventions import CONVENTIONS
from tfnca.formats.names import find, hidden_model
from tfnca.formats.readers import READERS, Model, Reader, Source

_log = logging.getLogger(__name__)

Entry = tuple[list[str], bool, Model]
"""What a model may be called, whether it is what its file stands for, and the model."""


def load(
    path: str | os.PathLike[str],
    name: str | None = None,
    convention: str | None = None,
    rule: CellularAutomaton | None = None,
    row_order: str | None = None,
) -> Step | StatePerturbation:
    """Loads a model in any of these formats, also from inside a zip or a folder.

    - Ours: ``.keras``, the ``model.json`` of `tfnca.export` with its ``.bin``, and ``.npy`` of a
      perturbation (a matrix ``(channels, channels)`` or a vector ``(channels,)``).
    - The article's: TF2 checkpoints (``X.index``, ``X.data-…``; also of TensorFlow 2.0), graph
      models as JSON, the demo data ``data.js`` and ``gca_data.js``, 8-bit WebGL JSON, ``.npy``.
    - Any graph model of TensorFlow.js: ``model.json`` and ``.bin`` shards, quantized or not.
    - Other people's: PyTorch state dicts (``.pt``, ``.pth``, ``.ckpt``), ``.safetensors``,
      ``.npz``, ``.h5``, ``.keras``, ``tf.train.Checkpoint``, flax ``.msgpack``, ``.onnx``, and the
      JSON of Self-Organising Textures. Of these the weights alone are read, whatever they are
      called, and told apart by their shapes.

    Shapes do not say which filters, which padding and which alive rule a file was trained with,
    nor in which order its rows come. Where several rules fit, `load` lists them and asks for
    `convention` or `rule`. Fire rate and noise are not part of others' files: they get the layers'
    defaults. Nothing that a file says is run: only classes of steps and perturbations that are
    registered with Keras are made, yours too, and a pickle is read without unpickling it.

    Args:
        path: A file, a checkpoint's prefix, a zip, or a folder (its own files, no subfolders); or,
            where nothing of that name is there, the name of a model that ships (`tfnca.models`).
        name: Which model to take where there are several: a file's name with or without its
            ending, a matrix (``"tail"``), or ``"host"`` and ``"adversary"`` of an injection.
        convention: By which rule the weights of another project's file were trained:
            ``"growing"`` (the article's, rows channel by channel), ``"filter-major"``,
            ``"transposed"``, ``"takeover"``, ``"texture"``, ``"med-nca"``, ``"goal"`` …; all are
            in `tfnca.formats.conventions.CONVENTIONS`. Files that say it themselves (our own, the
            article's) do not ask.
        rule: A CA of that rule in place of a name, such as ``tfnca.NeuralCA(channels=12, …)``: the
            file's weights go into a copy of it.
        row_order: Deprecated: ``"channel"`` is ``convention="growing"``, ``"kernel"`` is
            ``convention="filter-major"``.

    Returns:
        A step or a perturbation. A `data.js` gives an `Injected`, a `gca_data.js` its host.

    Raises:
        ValueError: If there is no such file, nothing or more than one model in it, or anything
            in it is missing, left over, of the wrong shape, not finite, or not safe to read. A
            file that cannot be read beside one that can is passed over, and named in the log.

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
                f"row_order must be one of {tuple(by_order)}, and is given alone; convention says "
                f"the same and more. Received: row_order={row_order!r}, convention={convention!r}"
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
            "rule must be a CA, such as a tfnca.NeuralCA, and is given in place of a convention. "
            f"Received: rule={rule!r}, convention={convention!r}"
        )
    return _pick(find(path), name, None, convention, rule)


def candidates(
    path: str | os.PathLike[str], name: str | None = None
) -> dict[str, CellularAutomaton]:
    """A file of another project under each convention that fits it.

    Args:
        path: See `load`.
        name: See `load`.

    Returns:
        CAs by the names of their conventions.

    Raises:
        ValueError: If no convention fits.
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
    """The arrays in another project's file by their names, whether they make a CA or not.

    Args:
        path: A file of weights; see `load`.

    Returns:
        ``{name: array}``, for example the goals that stand beside a GoalNCA's weights.

    Raises:
        ValueError: If no such file is there, or it cannot be read.

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
        except ValueError as error:  # its arrays may make no CA
            refusals.append(str(error))
        if source.arrays:
            return source.arrays
    raise ValueError(
        "; also ".join(refusals[:4])
        or f"{path} holds no arrays in a format that tfnca knows. Received: {some(members)}"
    )


def load_perturbation(path: str | os.PathLike[str], name: str | None = None) -> StatePerturbation:
    """Loads a perturbation: a matrix, or a vector.

    Args:
        path: A `.npy`, our `.keras`, the article's `gca_data.js`, or a zip or folder of them; or a
            name, as `load`.
        name: Which one to take where there are several, such as ``"tail"``.

    Returns:
        A `StatePerturbation`: a `MatrixPerturbation` for a matrix, a `ShiftPerturbation` for a
        vector.

    Raises:
        ValueError: As `load`.

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
    for member in members:
        try:
            if reader := _reader(member, files[member]):
                readers[member] = reader
        except Exception as error:  # it may be no one's to read, or gone
            unreadable.append(_complaint(f"{path}/{member}", error))
    ordered = sorted(readers, key=lambda member: (-readers[member].priority, member))
    for member in [member for member in ordered if name in _names(member)] or ordered:
        where = f"{path}/{member}" if is_container else str(path)
        try:
            models = readers[member].read(Source(where, member, files, budget, convention, rule))
        except Exception as error:
            unreadable.append(_complaint(where, error))
            continue
        # Of several models of one kind none is what the file stands for.
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
    model = _choose(path, name, kind, entries, f"{some(found)}{passed_over}")
    if passed_over:
        _log.warning("%s: loaded a %s%s", path, type(model).__name__, passed_over)
    return model


def _complaint(where: str, error: Exception) -> str:
    """What a reader says of a file, or what it ran into there."""
    message = " ".join(str(error).split())
    if isinstance(error, ValueError) and where in message and "Received" in message:
        return message
    return f"{where} cannot be read. Received: {type(error).__name__}: {message[:400]}"


def _choose(
    path: Path, name: str | None, kind: type[Model] | None, entries: list[Entry], found: str
) -> Model:
    """The one model among `entries`, or the one called `name`."""
    if name is None:
        chosen = [entry for entry in entries if entry[1]] or entries
    else:
        chosen = [entry for entry in entries if name in entry[0]]
    distinct: list[Entry] = []
    for entry in chosen:
        if not any(_same(entry[2], other[2]) for other in distinct):
            distinct.append(entry)
    if len(distinct) == 1:
        return distinct[0][2]
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
    raise ValueError(f"{path} holds no {what} {which}{hidden_model(path)}. Received: {found}")


def _gather(path: Path, budget: Budget) -> tuple[Mapping[str, bytes], list[str], bool]:
    """The files that `path` stands for.

    Returns:
        ``(files, names of those that may be models, whether they come from a zip or a folder)``.
    """
    with refusing(path, "file or folder"):
        mains = [reader.main_file(path) for reader in READERS if reader.main_file]
        main = next(filter(None, mains), path)
        is_folder, is_file = main.is_dir(), main.is_file()
    if is_folder:
        files = Folder(main, budget)
        with refusing(path, "file or folder"):
            # Snapshots and videos may stand beside a model, and no model is as large as they are.
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
    """The reader for a file, or None if it is no model."""
    if PurePosixPath(member).name.startswith(".") or member.startswith("__MACOSX/"):
        return None
    return next((reader for reader in READERS if reader.recognises(member, data)), None)


def _names(member: str) -> tuple[str, ...]:
    """What a file may be called; the last is its short name."""
    file = PurePosixPath(member)
    short = file.stem.removesuffix(".weights").removesuffix("_sym_t")
    return member, file.name, file.stem, short


def _same(model: Model, other: Model) -> bool:
    """Whether two models are of one kind and hold the same numbers."""
    if type(model) is not type(other):
        return False
    numbers = [
        [each.to_array()] if isinstance(each, StatePerturbation) else each.get_weights()
        for each in (model, other)
    ]
    return all(map(np.array_equal, *numbers))
