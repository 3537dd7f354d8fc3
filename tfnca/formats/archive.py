"""Reads untrusted files within limits; raises ValueError if one is broken, too large or unsafe."""

import base64
import contextlib
import io
import json
import math
import os
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

MAX_BYTES = 256 * 2**20
MAX_TEXT_BYTES = 16 * 2**20
MAX_FILES = 1000
MAX_NODES = 10_000
MAX_NAME = 1000
MAX_AXES = 32
"""Limits: bytes in total, bytes of text, files in a zip or folder, nodes of a graph, characters of
an array's name, axes of an array."""


class Budget:
    """How much one call may read in total, including zips inside zips."""

    def __init__(self) -> None:
        self.size = 0

    def take(self, where: str | Path, count: int, size: int) -> None:
        """Counts the parts and bytes of a file before it is read.

        Raises:
            ValueError: If there are too many parts, or more bytes than the budget allows. They
                are not counted then.
        """
        if count > MAX_FILES or self.size + size > MAX_BYTES:
            raise ValueError(
                f"{where} must hold at most {MAX_FILES} parts and {MAX_BYTES} bytes. "
                f"Received: {count} parts, {self.size + size} bytes"
            )
        self.size += size


class Folder(Mapping[str, bytes]):
    """The files of a folder by their names, each read on first use.

    A name may be in a subfolder, but only files outside subfolders are listed.
    """

    def __init__(self, path: Path, budget: Budget) -> None:
        self.path = path
        self._budget = budget
        self._read: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> bytes:
        if name not in self._read:
            path = self.path / name
            with refusing(path, "file"):
                is_file = path.is_file()
            if not is_file:
                raise KeyError(name)
            self._read[name] = _read_file(path, self._budget)
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(path.name for path in self.path.iterdir() if path.is_file()))

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _read_file(path: Path, budget: Budget) -> bytes:
    with refusing(path, "file"):
        size = path.stat().st_size
    budget.take(path, 1, size)
    with refusing(path, "file"), open(path, "rb") as file:
        before = os.fstat(file.fileno())
        data = file.read(size + 1)
        after = os.fstat(file.fileno())
    if len(data) != size or (before.st_size, before.st_mtime_ns) != (size, after.st_mtime_ns):
        raise ValueError(
            f"{path} must not change while it is read. Received: {len(data)} bytes where it had "
            f"{size}, changed {after.st_mtime_ns - before.st_mtime_ns} ns later"
        )
    return data


def unzip(where: str | Path, data: bytes, budget: Budget) -> dict[str, bytes]:
    """The files in a zip as ``{name: bytes}``, without folders, if it is safe to read.

    Raises:
        ValueError: If it is broken or too large, or if a member is outside its folder, a link, or
            in it twice.
    """
    files: dict[str, bytes] = {}
    with contextlib.ExitStack() as stack:
        with refusing(where, "zip"):
            archive = stack.enter_context(zipfile.ZipFile(io.BytesIO(data)))
        members = archive.infolist()
        budget.take(where, len(members), sum(member.file_size for member in members))
        for member in members:
            name = member.filename.replace("\\", "/")
            if not is_inside(name):
                raise ValueError(
                    f"{where} must hold files below its own folder. Received: {member.filename!r}"
                )
            if stat.S_ISLNK(member.external_attr >> 16):
                raise ValueError(f"{where} must hold no links. Received: the link {name!r}")
            if name in files:
                raise ValueError(f"{where} must hold each file once. Received: {name!r} twice")
            if not member.is_dir():
                # Unpacks at most the size in the zip's directory, which was counted above.
                with refusing(f"{where}/{name}", "member of a zip"), archive.open(member) as file:
                    files[name] = file.read(member.file_size + 1)
    return files


def is_inside(name: str) -> bool:
    """Whether a relative file name stays inside its folder."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    return bool(parts) and parts[0] != "/" and ":" not in parts[0] and ".." not in parts


def is_zip(data: bytes) -> bool:
    return data.startswith((b"PK\3\4", b"PK\5\6"))


def zip_names(data: bytes) -> list[str]:
    """The names in a zip; none if it is not a zip or cannot be read."""
    if is_zip(data):
        with contextlib.suppress(Exception):  # unpacking it will say what is wrong
            return zipfile.ZipFile(io.BytesIO(data)).namelist()
    return []


@contextlib.contextmanager
def refusing(where: str | Path, what: str, copy: str | None = None) -> Iterator[None]:
    """Turns any exception of a parser on a broken or hostile file into a ValueError.

    `copy` is a temporary path to hide from the message.
    """
    try:
        yield
    except Exception as error:
        message = " ".join((str(error).replace(copy, str(where)) if copy else str(error)).split())
        raise ValueError(
            f"{where} is not a readable {what}. Received: {type(error).__name__}: {message[:400]}"
        ) from error


def check_finite(where: str | Path, name: str, array: np.ndarray) -> None:
    """Raises ValueError if an array contains NaN or infinite values."""
    if not np.isfinite(array).all():
        raise ValueError(
            f"{where}: {name} must be finite. "
            f"Received: {np.size(array) - np.isfinite(array).sum()} values that are NaN or infinite"
        )


def check_array_name(name: str) -> None:
    """Raises ValueError if an array's name is so long that matching or copying it takes time."""
    if len(name) > MAX_NAME:
        raise ValueError(
            f"An array's name may have at most {MAX_NAME} characters. "
            f"Received: {len(name)} characters, {name[:40]!r} and so on"
        )


def count_values(shape: Sequence[int]) -> int:
    """The number of values in an array of this shape.

    Raises:
        ValueError: If it has more than `MAX_AXES` axes. The product of very many sizes has so many
            digits that computing it takes minutes.
    """
    if len(shape) > MAX_AXES:
        raise ValueError(f"an array of {len(shape)} axes, more than {MAX_AXES}")
    return math.prod(shape)


def decode(where: str | Path, data: bytes) -> str:
    """The text in a file."""
    if len(data) > MAX_TEXT_BYTES:
        raise ValueError(
            f"{where} must be text of at most {MAX_TEXT_BYTES} bytes. Received: {len(data)} bytes"
        )
    with refusing(where, "text file"):
        return data.decode("utf-8-sig")


def decode_base64(where: str | Path, name: str, text: str) -> bytes:
    """The bytes in a base64 string."""
    with refusing(f"{where}: {name}", "base64 string"):
        return base64.b64decode(text, validate=True)


def starts_text(data: bytes, opening: bytes) -> bool:
    """Whether a file is a text that starts like this, after any white space."""
    return data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().startswith(opening)


def parse_json(where: str | Path, text: str, to_the_end: bool = True, finite: bool = True) -> Any:
    """The value of a JSON text; an object must not repeat a name.

    With `to_the_end`, the text must end after the value. With `finite`, numbers must be finite, as
    in standard JSON; Python and Keras also write ``Infinity``.
    """

    def refuse(constant: str) -> float:
        if not finite and constant != "NaN":
            return float(constant)
        raise ValueError(f"{constant} is not a JSON number")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError(f"an object has a name twice, among {some(dict(pairs))}")
        return dict(pairs)

    with refusing(where, "JSON file"):
        decoder = json.JSONDecoder(parse_constant=refuse, object_pairs_hook=unique)
        return decoder.decode(text) if to_the_end else decoder.raw_decode(text)[0]


def some(names: Iterable[object], limit: int = 8) -> str:
    """A few names for a message."""
    names = list(names)
    listed = ", ".join(map(str, names[:limit])) or "nothing"
    return listed if len(names) <= limit else f"{listed} and {len(names) - limit} more"
