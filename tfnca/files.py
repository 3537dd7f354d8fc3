"""Writes files completely or not at all, and computes checksums."""

import contextlib
import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def write_atomically(path: str | Path, data: bytes | str) -> None:
    """Writes bytes, or text as UTF-8, to a temporary file in the same folder, then renames it."""
    with writing(path) as temporary:
        try:
            with open(temporary, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # the error for a full disk names no file
            raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Yields a temporary file name, and renames that file to `path` when the body ends.

    The name has the ending of `path`, because some writers choose the format by it.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_MARK}{path.suffix}")
    try:
        yield temporary
        try:
            os.replace(temporary, path)
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: str | Path) -> None:
    """Deletes the temporary files and folders that a killed run left in its folder."""
    for path in Path(folder).glob(f".*{_MARK}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(folder: str | Path, mark: str) -> Iterator[Path]:
    """Yields a temporary folder, and replaces `folder` with it when the body ends.

    The older folder is moved aside, the new one takes its name, and only then is the older one
    deleted. If two processes write at once, the later export remains, complete. If `folder` is a
    link, its target is replaced and the link is kept.

    Args:
        folder: The folder to write.
        mark: The name of a file that every older export contains.

    Raises:
        ValueError: If `folder` contains something else.
        OSError: If it cannot be written; its old contents are kept.
    """
    given, folder = folder, Path(os.path.realpath(folder))

    def check() -> None:
        # Listed once, because another export may replace the folder at any moment.
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            names = ["a file"]
        if names and mark not in names:
            raise ValueError(
                f"The folder must be new or contain an older export ({mark}). Received: {given}"
            )

    check()
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}{_MARK}")
    temporary.mkdir()
    try:
        yield temporary
        check()
        _exchange(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


_MARK = ".tmp"
"""Part of the name of every temporary file and folder; the name starts with a dot."""


def _exchange(new: Path, folder: Path) -> None:
    """Renames `new` to `folder`; an older folder is moved aside first and deleted last."""
    old = new.with_name(f"{new.name}.old")
    while True:
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        try:
            new.rename(folder)
            break
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY) and folder.is_dir():
                shutil.rmtree(old, ignore_errors=True)  # another export has just replaced it
                continue
            with contextlib.suppress(OSError):
                old.rename(folder)
            raise
    shutil.rmtree(old, ignore_errors=True)


def arrays_sha256(*arrays: np.ndarray) -> str:
    """The SHA-256 of arrays as float32, in hexadecimal; it does not depend on the file format."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, "<f4").data)
    return digest.hexdigest()


def weights_sha256(step: Any) -> str:
    """The SHA-256 of a layer's weights."""
    return arrays_sha256(*step.get_weights())
