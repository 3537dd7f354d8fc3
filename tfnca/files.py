"""Files: written whole or not at all, and told apart by their checksums."""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Writes bytes or text to a temporary name beside `path`, then renames."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:  # that the disk is full says no name
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | Path) -> None:
    """Deletes the temporary files that a killed run left; a folder has one run at a time."""
    for path in Path(folder).glob(".*.tmp"):
        path.unlink()


@contextlib.contextmanager
def replacing(folder: str | Path, mark: str) -> Iterator[Path]:
    """Gives a temporary folder that takes the place of `folder` once the body is through.

    Args:
        folder: Where to write.
        mark: A file that each older export has.

    Raises:
        ValueError: If `folder` holds something else.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()) and not (folder / mark).exists():
        raise ValueError(
            f"The folder must be new or hold an older export ({mark}). Received: {folder}"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def arrays_sha256(*arrays: np.ndarray) -> str:
    """The SHA-256 of arrays as float32, in hexadecimal, whatever file they came from."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, "<f4").data)
    return digest.hexdigest()


def weights_sha256(step: Any) -> str:
    """The SHA-256 of a step's weights: it says against which host something was trained."""
    return arrays_sha256(*step.get_weights())
