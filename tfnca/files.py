"""Files: written whole or not at all, and told apart by their checksums."""

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
    """Writes bytes or text, as UTF-8, to a temporary name beside `path`, then renames."""
    with writing(path) as temporary:
        try:
            with open(temporary, "wb") as file:
                file.write(data.encode() if isinstance(data, str) else data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:  # that the disk is full says no name
            raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Gives a temporary file name that takes the place of `path` once the body is through.

    It has the ending of `path`, since some writers take the format from that.

    Args:
        path: The file to write.

    Raises:
        OSError: If there is nowhere to write it.
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
    """Deletes the temporary files and folders that a killed run left in the folder of its run."""
    for path in Path(folder).glob(f".*{_MARK}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing(folder: str | Path, mark: str) -> Iterator[Path]:
    """Gives a temporary folder that takes the place of `folder` once the body is through.

    The older folder is moved aside, the new one takes its name, and only then is the older one
    deleted. Of two that write at once the later one stays, whole. Where `folder` is a link, what
    it leads to is replaced and the link stays.

    Args:
        folder: Where to write.
        mark: A file in it that each older export has.

    Raises:
        ValueError: If `folder` holds something else.
        OSError: If it cannot be written; what was there stays.
    """
    given, folder = folder, Path(os.path.realpath(folder))

    def check() -> None:
        # Listed once: another export may take its place at any moment.
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return
        except NotADirectoryError:
            names = ["a file"]
        if names and mark not in names:
            raise ValueError(
                f"The folder must be new or hold an older export ({mark}). Received: {given}"
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
"""In the name of all that is temporary, which starts with a dot."""


def _exchange(new: Path, folder: Path) -> None:
    """Renames `new` to `folder`; an older one is moved aside first and deleted last."""
    old = new.with_name(f"{new.name}.old")
    while True:
        with contextlib.suppress(FileNotFoundError):
            folder.rename(old)
        try:
            new.rename(folder)
            break
        except OSError as error:
            if error.errno in (errno.EEXIST, errno.ENOTEMPTY) and folder.is_dir():
                shutil.rmtree(old, ignore_errors=True)  # another export took its place just now
                continue
            with contextlib.suppress(OSError):
                old.rename(folder)
            raise
    shutil.rmtree(old, ignore_errors=True)


def arrays_sha256(*arrays: np.ndarray) -> str:
    """The SHA-256 of arrays as float32, in hexadecimal, whatever file they came from."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array, "<f4").data)
    return digest.hexdigest()


def weights_sha256(step: Any) -> str:
    """The SHA-256 of a layer's weights."""
    return arrays_sha256(*step.get_weights())
