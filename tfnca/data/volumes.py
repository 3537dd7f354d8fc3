"""Medical volumes in NIfTI-1 files, and their slices in other sizes."""

import gzip
import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from tfnca.automata.checks import check_integer

_GZIP = b"\x1f\x8b"
_HEADER = 348
"""The size of a header in bytes, which is also its first number."""

_MOST_BYTES = 1 << 30
"""The limit for unpacking a compressed file."""

_TYPES = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 256: "i1", 512: "u2", 768: "u4"}
"""Numbers of data types, as the format defines them, and their names in NumPy."""


def load_volume(path: str | Path) -> np.ndarray:
    """Reads a volume from a NIfTI-1 file (``.nii`` or ``.nii.gz``).

    Position and orientation in the patient are not read: the axes are those of the file.

    Args:
        path: The file.

    Returns:
        float32 array with the file's axes, for example ``(width, height, slices)``.

    Raises:
        ValueError: If the file cannot be read, is not NIfTI-1, ends early, or contains values that
            are not finite numbers.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        if data[:2] == _GZIP:
            with gzip.open(io.BytesIO(data)) as file:
                data = file.read(_MOST_BYTES)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be read. Received: {error}") from error
    orders = [order for order in "<>" if data[:4] == struct.pack(f"{order}i", _HEADER)]
    if not orders or len(data) < _HEADER or data[344:348] != b"n+1\0":
        raise ValueError(
            f"{path} must be a NIfTI-1 file that contains header and data. "
            f"Received: {len(data)} bytes that begin with {data[:4].hex()!r}"
        )
    (order,) = orders
    axes, *sizes = struct.unpack(f"{order}8h", data[40:56])
    (kind,) = struct.unpack(f"{order}h", data[70:72])
    offset, slope, intercept = struct.unpack(f"{order}3f", data[108:120])
    if kind not in _TYPES or not 1 <= axes <= 7 or min(sizes[:axes]) < 1:
        raise ValueError(
            f"{path} must contain a volume of numbers. Received: data type {kind}, {axes} axes of "
            f"sizes {sizes}"
        )
    dtype = np.dtype(f"{order}{_TYPES[kind]}")
    shape, count = sizes[:axes], 1
    for size in shape:
        count *= size
    # Written so that NaN and infinity are refused too.
    if not _HEADER <= offset <= len(data) - count * dtype.itemsize:
        raise ValueError(
            f"{path} ends before its last value. Received: {len(data)} bytes, for {count} values "
            f"from byte {offset}"
        )
    values = np.frombuffer(data, dtype, count, int(offset)).reshape(shape, order="F")
    with np.errstate(over="ignore", invalid="ignore"):
        values = values.astype(np.float32)
        if slope:  # 0 means that values are not scaled
            values = values * np.float32(slope) + np.float32(intercept)
    if not np.isfinite(values).all():
        raise ValueError(f"{path} contains values that are not finite. Received: NaN or infinity")
    return values


def resized(pictures: np.ndarray, size: int, nearest: bool = False) -> np.ndarray:
    """Pictures in another size.

    Args:
        pictures: Array ``(count, height, width)``.
        size: Height and width to return.
        nearest: Whether to take the nearest value, as labels need, instead of interpolating.

    Returns:
        float32 array ``(count, size, size)``.

    Raises:
        ValueError: If `pictures` has other axes or `size` is not positive.

    Example:

    >>> import numpy as np
    >>> from tfnca.data.volumes import resized
    >>> resized(np.ones((3, 38, 48)), 64).shape
    (3, 64, 64)
    """
    pictures, size = np.asarray(pictures, np.float32), check_integer("size", size, 1)
    if pictures.ndim != 3 or 0 in pictures.shape:
        raise ValueError(
            f"pictures must be of shape (count, height, width). Received: shape={pictures.shape}"
        )
    how = Image.Resampling.NEAREST if nearest else Image.Resampling.BILINEAR
    return np.stack(
        [np.asarray(Image.fromarray(each).resize((size, size), how)) for each in pictures]
    )
