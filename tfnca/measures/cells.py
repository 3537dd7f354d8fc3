"""Runs the independent cells of a sweep one by one, in parallel or on a cluster, with joblib."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

from tfnca.automata.identity import identity
from tfnca.automata.step import Step, copy_from_config
from tfnca.files import arrays_sha256, write_atomically
from tfnca.tasks.task import Task


def run_cells(
    work: Callable[..., Any],
    cells: Sequence[dict[str, Any]],
    about: Sequence[Any] = (),
    folder: str | Path | None = None,
    jobs: int = 1,
    unit: str = "cell",
) -> list[Any]:
    """Calls ``work(**cell)`` for every cell of a sweep and returns the results in that order.

    With a folder, each result is written as soon as it is computed, and existing results are not
    computed again, so a sweep that was killed continues. Inside
    ``joblib.parallel_config(backend="dask")``, or any other joblib backend, its workers run the
    cells.

    Args:
        work: A function that can be pickled. Its arguments are numbers and strings; its result
            can be written as JSON.
        cells: The arguments of each call.
        about: Everything else that the results depend on: steps, arrays, numbers and strings.
        folder: Folder for the results.
        jobs: Number of processes; -1 for one per core. The engine already uses all cores, so more
            than one process helps only on several machines.
        unit: The unit that the progress bar counts.
    """
    paths = [Path(folder) / f"{_key(work, about, cell)}.json" if folder else None for cell in cells]
    found = {
        n: json.loads(p.read_text(encoding="utf-8"))
        for n, p in enumerate(paths)
        if p and p.exists()
    }
    calls = (delayed(_numbered)(work, n, cells[n]) for n in range(len(cells)) if n not in found)
    with tqdm(total=len(cells), initial=len(found), unit=unit) as bar:
        for number, result in Parallel(jobs, return_as="generator_unordered")(calls):
            if path := paths[number]:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(path, json.dumps(result))
            found[number] = result
            bar.update(1)
    return [found[number] for number in range(len(cells))]


def _numbered(work: Callable[..., Any], number: int, cell: dict[str, Any]) -> tuple[int, Any]:
    return number, work(**cell)


def _key(work: Callable[..., Any], about: Sequence[Any], cell: dict[str, Any]) -> str:
    """The key of a cell's result: equal for the same work on the same inputs."""
    done = getattr(work, "func", work)
    text = json.dumps(
        [f"{done.__module__}.{done.__qualname__}", [_identity(thing) for thing in about], cell],
        sort_keys=True,
    )
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _identity(thing: Any) -> Any:
    if isinstance(thing, keras.layers.Layer):
        if isinstance(thing, Step):
            copy_from_config(thing)  # raises if the identity would not tell it from another
        return identity(thing)
    if isinstance(thing, Task):
        return [keras.saving.get_registered_name(type(thing)), thing.get_config()]
    if isinstance(thing, np.ndarray):
        return [thing.shape, arrays_sha256(thing)]
    return thing
