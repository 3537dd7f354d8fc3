"""Fixed 3×3 filters, by name, through which a cell perceives its neighbourhood.

A filter is a correlation, as in Keras: entry ``[row, column]`` weighs the neighbour in that
direction, row 0 above and column 0 to the left. The filters are scaled as in the literature,
Sobel filters and the Laplacian by 1/8; suffixes select the variants that other projects use.
"""

from collections.abc import Sequence

import numpy as np

from tfnca.types import Array

_SMOOTH, _SLOPE = np.array([1.0, 2.0, 1.0]), np.array([-1.0, 0.0, 1.0])
_MIDDLE = np.outer([0.0, 1.0, 0.0], [0.0, 1.0, 0.0])
_GAUSS = np.outer(_SMOOTH, _SMOOTH)
_SOBEL = np.outer(_SMOOTH, _SLOPE)
_SCHARR = np.outer([3.0, 10.0, 3.0], _SLOPE)

FILTERS: dict[str, tuple[np.ndarray, float]] = {
    "identity": (_MIDDLE, 1),
    "sobel_x": (_SOBEL, 8),
    "sobel_y": (_SOBEL.T, 8),
    "scharr_x": (_SCHARR, 32),
    "scharr_y": (_SCHARR.T, 32),
    "laplacian": (_GAUSS - 16 * _MIDDLE, 8),
    "gauss": (_GAUSS, 16),
    "mean": (np.ones((3, 3)), 9),
}
"""Filters of whole numbers, and the number that each is divided by."""

VARIANTS = {
    "transposed": lambda values: values.T,
    "flipped": lambda values: values[::-1],
    "mirrored": lambda values: values[:, ::-1],
}
"""Suffixes: rows and columns exchanged, upside down, left and right exchanged."""

_UNSCALED = "unscaled"


def filter_array(given: str | Array | Sequence) -> np.ndarray:
    """A filter as a float32 array ``(3, 3)``: row, column.

    It is given as nine numbers, 3×3, or as a name in `FILTERS`, optionally with suffixes, for
    example ``"sobel_y_flipped"`` or ``"laplacian_unscaled"`` (whole numbers, not divided).

    Raises:
        ValueError: If there is no such filter, or the numbers are not finite or not 3×3.

    Example:

    >>> filter_array("sobel_y_unscaled").tolist()
    [[-1.0, -2.0, -1.0], [0.0, 0.0, 0.0], [1.0, 2.0, 1.0]]
    """
    if isinstance(given, str):
        return _named(given)
    try:
        values = np.asarray(given, np.float32)
    except (TypeError, ValueError):  # not numbers, or rows of different lengths
        values = np.zeros(0, np.float32)
    if values.shape != (3, 3) or not np.isfinite(values).all():
        raise ValueError(
            "A filter must be a name or 3 by 3 finite numbers. "
            f"Received: {given!r} of shape {values.shape}"
        )
    return values


def _named(name: str) -> np.ndarray:
    base, suffixes = name, list[str]()
    while base not in FILTERS:
        base, _, suffix = base.rpartition("_")
        if suffix not in (*VARIANTS, _UNSCALED):
            raise ValueError(
                f"A filter must be one of {sorted(FILTERS)}, with suffixes of "
                f"{[*VARIANTS, _UNSCALED]}, or a 3 by 3 array. Received: {name!r}"
            )
        suffixes.insert(0, suffix)
    values, divisor = FILTERS[base]
    for suffix in suffixes:
        values = VARIANTS.get(suffix, lambda values: values)(values)
    return (values / (1 if _UNSCALED in suffixes else divisor)).astype(np.float32)
