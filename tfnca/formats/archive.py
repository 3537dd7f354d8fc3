"""Files from elsewhere, read within limits: what is broken, too large or unsafe is a ValueError."""

import base64
import contextlib
import io
import json
import stat
import zipfile
from pathlib import PurePosixPath

import numpy as np

MAX_BYTES = 256 * 2**20
MAX_TEXT_BYTES = 16 * 2**20
MAX_FILES = 1000
MAX_NODES = 10_000

MAX_SIDE = 4096
"""Bounds on what is read: in all, as text, files in a zip or folder, a graph, a layer's width."""


def unzip(where, data):
    """The files in a zip as ``{name: bytes}``, if it is safe to read."""
    files, total = {}, 0
    with contextlib.ExitStack() as stack:
        with refusing(where, "zip"):
            archive = stack.enter_context(zipfile.ZipFile(io.BytesIO(data)))
        members = archive.infolist()
        check_amount(where, len(members), sum(member.file_size for member in members))
        for member in members:
            name = member.filename.replace("\\", "/")
            parts = PurePosixPath(name).parts
            if not parts or parts[0] == "/" or ":" in parts[0] or ".." in parts:
                raise ValueError(
                    f"{where} must hold files below its own folder. Received: {member.filename!r}"
                )
            if stat.S_ISLNK(member.external_attr >> 16):
                raise ValueError(f"{where} must hold no links. Received: the link {name!r}")
            if name in files:
                raise ValueError(f"{where} must hold each file once. Received: {name!r} twice")
            if not member.is_dir():
                with refusing(f"{where}/{name}", "member of a zip"), archive.open(member) as file:
                    files[name] = file.read(member.file_size + 1)
                total += len(files[name])
                check_amount(where, len(files), total)
    return files


def is_zip(data):
    return data.startswith((b"PK\3\4", b"PK\5\6"))


@contextlib.contextmanager
def refusing(where, what, copy=None):
    """Turns whatever a parser raises on a broken or hostile file into one ValueError.

    `copy` is a temporary path that the message shall not show.
    """
    try:
        yield
    except Exception as error:
        message = " ".join((str(error).replace(copy, str(where)) if copy else str(error)).split())
        raise ValueError(
            f"{where} is not a readable {what}. Received: {type(error).__name__}: {message[:400]}"
        ) from error


def check_amount(where, count, size):
    if count > MAX_FILES or size > MAX_BYTES:
        raise ValueError(
            f"{where} must hold at most {MAX_FILES} parts and {MAX_BYTES} bytes. "
            f"Received: {count} parts, {size} bytes"
        )


def check_finite(where, name, array):
    if not np.isfinite(array).all():
        raise ValueError(
            f"{where}: {name} must be finite. "
            f"Received: {np.size(array) - np.isfinite(array).sum()} values that are NaN or infinite"
        )


def decode(where, data):
    if len(data) > MAX_TEXT_BYTES:
        raise ValueError(
            f"{where} must be text of at most {MAX_TEXT_BYTES} bytes. Received: {len(data)} bytes"
        )
    with refusing(where, "text file"):
        return data.decode("utf-8-sig")


def decode_base64(where, name, text):
    with refusing(f"{where}: {name}", "base64 string"):
        return base64.b64decode(text, validate=True)


def parse_json(where, text, to_the_end=True):
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON number")

    with refusing(where, "JSON file"):
        decoder = json.JSONDecoder(parse_constant=refuse)
        return decoder.decode(text) if to_the_end else decoder.raw_decode(text)[0]


def some(names, limit=8):
    """A few names for a message."""
    names = list(names)
    listed = ", ".join(map(str, names[:limit])) or "nothing"
    return listed if len(names) <= limit else f"{listed} and {len(names) - limit} more"
