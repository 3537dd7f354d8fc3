"""How different two textures are: the sliced Wasserstein distance of their small patches."""

import numpy as np

from tfnca.automata.checks import check_integer

PATCH = 3
"""Side of a patch in pixels."""

PROJECTIONS = 512
"""Number of random directions: the distances of two seeds then differ by a few per cent."""


def sliced_wasserstein(
    first: np.ndarray, second: np.ndarray, projections: int = PROJECTIONS, seed: int = 0
) -> float:
    """The sliced Wasserstein distance between the 3×3 patches of two pictures.

    Where the patches are in a picture does not matter, only which ones there are and how many of
    each. So two pictures of one texture are near each other although no pixel agrees.

    The unit is that of the pixels. Turn every patch of one picture into a patch of the other, so
    that all of them are used: each number of a patch must change by at least about this much (root
    mean square). A picture that is brighter by 0.1 everywhere is at a distance of about 0.1.

    Args:
        first: A picture ``(height, width, channels)``, for example RGB in [0, 1]; at least 3×3.
        second: A picture with the same channels. If it has another number of patches, those of the
            smaller picture are repeated, evenly in each direction.
        projections: Number of random directions. The error falls with its square root.
        seed: Seed of the directions. Compare only distances of one seed.

    Returns:
        The distance: 0 for a picture and itself.

    Raises:
        ValueError: If a picture is too small, is not finite, or the channels differ.

    Example:

    >>> import numpy as np
    >>> from tfnca.data.patches import sliced_wasserstein
    >>> black, white = np.zeros((8, 8, 3)), np.ones((8, 8, 3))
    >>> round(sliced_wasserstein(black, white), 1)
    1.0

    Reference:
        Bonneel et al., "Sliced and Radon Wasserstein Barycenters of Measures", 2015.
    """
    patches = [picture_patches(first, "first"), picture_patches(second, "second")]
    width = patches[0].shape[1]
    if patches[1].shape[1] != width:
        raise ValueError(
            "Both pictures must have the same channels. "
            f"Received: shapes {np.shape(first)} and {np.shape(second)}"
        )
    lines = directions(width, projections, seed)
    count = max(map(len, patches))
    a, b = (quantiles(np.sort(rows @ lines, axis=0), count) for rows in patches)
    return float(np.sqrt(np.mean(np.square(a - b))))


def picture_patches(picture: np.ndarray, name: str = "picture", spacing: int = 1) -> np.ndarray:
    """All 3×3 patches inside a picture, one per row ``(patches, 9 * channels)``.

    The spacing is the distance in pixels between neighbouring pixels of a patch.

    Raises:
        ValueError: If the picture is smaller than a patch or has numbers that are not finite.
    """
    picture, side = np.asarray(picture, np.float64), 1 + (PATCH - 1) * spacing
    if picture.ndim != 3 or min(picture.shape[:2]) < side or not np.isfinite(picture).all():
        raise ValueError(
            f"{name} must be finite numbers (height, width, channels), at least {side} by {side} "
            f"pixels. Received: shape={picture.shape}"
        )
    windows = np.lib.stride_tricks.sliding_window_view(picture, (side, side), (0, 1))
    patches = windows[..., ::spacing, ::spacing].transpose(0, 1, 3, 4, 2)
    return patches.reshape(-1, PATCH * PATCH * picture.shape[2])


def quantiles(ordered: np.ndarray, count: int) -> np.ndarray:
    """`count` evenly distributed rows of an array whose columns are sorted."""
    return ordered[(np.arange(count) * 2 + 1) * len(ordered) // (2 * count)]


def directions(width: int, count: int, seed: int) -> np.ndarray:
    """Random unit vectors, evenly distributed: the columns of an array ``(width, count)``."""
    check_integer("projections", count, 1)
    lines = np.random.default_rng(seed).normal(size=(width, count))
    return lines / np.linalg.norm(lines, axis=0)
