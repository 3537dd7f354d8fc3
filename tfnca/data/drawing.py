"""Draws the lizard: plain, without a part, or in another colour."""

from typing import Any, NamedTuple

import numpy as np


class Drawn(NamedTuple):
    """A target that the package draws, and its description."""

    parts: dict[str, Any]
    """Arguments of `lizard`."""
    change: str
    """The change from the plain lizard, as a verb: ``"lose its tail"``."""
    colour: str
    """A CSS colour, for its curve."""


DRAWN = {
    "lizard": Drawn({}, "stay as it is", "#3a9d3a"),
    "no_tail": Drawn({"without": "tail"}, "lose its tail", "#e69f00"),
    "no_leg": Drawn({"without": "leg"}, "lose a leg", "#8c5fd0"),
    "no_head": Drawn({"without": "head"}, "lose its head", "#00a3a3"),
    "no_arm": Drawn({"without": "arm"}, "lose an arm", "#9a7b4f"),
    "red": Drawn({"color": "red"}, "turn red", "#e0364a"),
    "blue": Drawn({"color": "blue"}, "turn blue", "#3568e8"),
}
"""An entry here adds a target everywhere: to `--target` of the scripts, cards, and the page."""

# The lizard in the unit square, y downwards. A stroke is a smooth curve through points
# (x, y, radius). A limb is a stroke and the direction of its fingers, in degrees clockwise from up.
_SPINE = [(0.612, 0.107, 0.062), (0.562, 0.228, 0.120), (0.532, 0.315, 0.078),
          (0.498, 0.390, 0.074), (0.455, 0.460, 0.088), (0.428, 0.545, 0.100),
          (0.440, 0.640, 0.098), (0.490, 0.735, 0.076), (0.565, 0.818, 0.051),
          (0.665, 0.878, 0.035), (0.770, 0.878, 0.026), (0.826, 0.812, 0.021),
          (0.790, 0.752, 0.018), (0.737, 0.778, 0.015), (0.757, 0.815, 0.012)]  # fmt: skip
_CUTS = {"head": ((0.518, 0.345), 19), "tail": ((0.486, 0.728), 150)}
"""The cut that removes a part of the trunk: a point of the spine, and the direction to the part."""
_LIMBS = {
    "left arm": ([(0.440, 0.430, 0.034), (0.285, 0.430, 0.027), (0.215, 0.320, 0.020)], -15),
    "right arm": ([(0.510, 0.430, 0.034), (0.705, 0.420, 0.027), (0.830, 0.335, 0.020)], 48),
    "left leg": ([(0.420, 0.600, 0.044), (0.275, 0.615, 0.030), (0.225, 0.755, 0.020)], 196),
    "right leg": ([(0.460, 0.600, 0.044), (0.640, 0.535, 0.031), (0.795, 0.565, 0.021)], 84),
}
_LEFT_OUT = {"tail": "tail", "leg": "left leg", "head": "head", "arm": "left arm"}
_FINGERS = (-66, -22, 22, 66)
_FINGER_LENGTH, _FINGER_RADIUS, _FINGERTIP_RADIUS = 0.085, 0.011, 0.016

_WEB = 0.015
"""The distance at which finger and hand begin to merge."""

_STRIPE = [(0.490, 0.405, 0.010), (0.445, 0.480, 0.023), (0.426, 0.565, 0.023),
           (0.462, 0.665, 0.018), (0.540, 0.778, 0.012), (0.625, 0.854, 0.004)]  # fmt: skip
_CROWN = [(0.566, 0.214, 0.052), (0.606, 0.108, 0.036)]
_NOSTRILS = [(0.598, 0.069, 0.006), (0.640, 0.084, 0.006)]
_EYES = [(0.456, 0.175), (0.675, 0.252)]
_EYE = {  # from the eye's centre: (x, y, radius), colour; None is the colour of the outline
    "rim": ((0.000, 0.000, 0.058), None),
    "white": ((0.000, 0.000, 0.046), (1.0, 1.0, 1.0)),
    "pupil": ((0.010, -0.014, 0.024), (0.05, 0.05, 0.08)),
    "glint": ((0.018, -0.022, 0.008), (1.0, 1.0, 1.0)),
}
_OUTLINE = 0.0155

_SUBDIVISION = 8
"""Number of straight pieces between two points of a curve."""

_COLORS = {
    None: {"outline": (0.08, 0.36, 0.16), "front": (0.38, 0.82, 0.10), "rear": (0.16, 0.60, 0.18),
           "limb": (0.50, 0.80, 0.18), "shade": (0.16, 0.60, 0.18), "crown": (0.80, 0.93, 0.55),
           "stripe": (0.80, 0.93, 0.55)},
    "red": {"front": (1.00, 0.12, 0.06), "rear": (0.90, 0.06, 0.08), "crown": (1.00, 0.62, 0.50),
            "limb": (0.96, 0.34, 0.14), "shade": (0.64, 0.26, 0.12)},
    "blue": {"front": (0.05, 0.16, 1.00), "rear": (0.04, 0.06, 0.94), "crown": (0.56, 0.68, 1.00),
             "limb": (0.12, 0.42, 0.95), "shade": (0.08, 0.28, 0.68)},
}  # fmt: skip


def lizard(without=None, color=None, size=40):
    """Draws the lizard from above, or one of its mutations: the same drawing with one change.

    Args:
        without: The part to leave out: `"tail"`, `"leg"` (one), `"head"` or `"arm"` (one).
        color: `"red"` or `"blue"`; green when None.
        size: Side of the picture in pixels. The drawing is the same at every size.

    Returns:
        Array ``(size, size, 4)``: premultiplied RGBA in [0, 1].

    Raises:
        ValueError: If the part or the colour is unknown, or the size is not a positive integer.

    Example:

    >>> lizard(without="tail", color="red").shape
    (40, 40, 4)
    """
    if without not in (None, *_LEFT_OUT):
        raise ValueError(
            f"without must be one of {tuple(_LEFT_OUT)}. Received: without={without!r}"
        )
    if color not in _COLORS:
        raise ValueError(f"color must be one of {tuple(_COLORS)}. Received: color={color!r}")
    from tfnca.automata.checks import check_integer  # with TensorFlow: not for `DRAWN` alone

    size = check_integer("size", size, 1)
    finer = max(2, -(-320 // size))
    picture = _draw(size * finer, without, _COLORS[None] | _COLORS[color])
    return picture.reshape(size, finer, size, finer, 4).mean(axis=(1, 3))


def _draw(side, missing, colors):
    """The lizard without the part `missing`, on ``side`` x ``side`` pixels."""
    picture = np.zeros((side, side, 4), np.float32)

    def paint(color, distance, opacity=1.0):
        """Paints `color` over every pixel inside; pixels on the edge are partly covered."""
        cover = np.clip(0.5 - distance * side, 0, 1)[..., None] * opacity
        picture[...] *= 1 - cover
        picture[..., :3] += cover * np.asarray(color, np.float32)
        picture[..., 3:] += cover

    trunk = _distance(_curve(_SPINE), side)
    # A cut changes nothing else, so the remaining cells need not learn a new look.
    beyond = _beyond(*_CUTS[missing], side) if missing in _CUTS else -1.0

    for limb, (bones, towards) in _LIMBS.items():
        if limb != _LEFT_OUT.get(missing):
            shape = _limb(bones, towards, side)
            paint(colors["outline"], shape - _OUTLINE)
            in_the_open = np.clip(trunk / 0.07, 0, 1)  # limbs are darker in the trunk's shadow
            paint(_mix(colors["shade"], colors["limb"], in_the_open), shape)

    backwards = np.clip((_centres(0, side, side)[:, None] - 0.2) / 0.6, 0, 1)
    flank = np.clip(0.65 + trunk / 0.05, 0, 1)  # the back is round: darker towards its edge
    skin = _mix(_mix(colors["front"], colors["rear"], backwards), colors["rear"], flank)
    kept = np.maximum(trunk, beyond)
    paint(colors["outline"], np.maximum(trunk - _OUTLINE, beyond))
    paint(skin, kept)
    paint(colors["stripe"], np.maximum(_distance(_curve(_STRIPE), side), kept))

    if missing != "head":
        paint(colors["crown"], np.maximum(_distance(_curve(_CROWN), side), trunk), opacity=0.8)
        for nostril in _NOSTRILS:
            paint(colors["outline"], _distance([nostril], side))
        for x, y in _EYES:
            for (dx, dy, radius), color in _EYE.values():
                paint(color or colors["outline"], _distance([(x + dx, y + dy, radius)], side))
    return picture


def _limb(bones, towards, side):
    """Signed distance to an arm or a leg with its fingers."""
    shape = _distance(_curve(bones), side)
    x, y, _ = bones[-1]
    for angle in np.radians(np.add(towards, _FINGERS)):
        tip = x + _FINGER_LENGTH * np.sin(angle), y - _FINGER_LENGTH * np.cos(angle)
        finger = _distance([(x, y, _FINGER_RADIUS), (*tip, _FINGER_RADIUS)], side)
        shape = _join(shape, finger, _WEB)
        shape = np.minimum(shape, _distance([(*tip, _FINGERTIP_RADIUS)], side))
    return shape


def _curve(points):
    """A polyline close to the smooth curve through `points`."""
    from scipy.interpolate import CubicSpline  # here, because it takes a second to load

    points = np.asarray(points)
    lengths = np.linalg.norm(np.diff(points[:, :2], axis=0), axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    intervals = len(points) - 1
    at = np.interp(
        np.linspace(0, intervals, intervals * _SUBDIVISION + 1), range(len(points)), along
    )
    return CubicSpline(along, points, bc_type="natural" if intervals > 1 else "not-a-knot")(at)


def _distance(stroke, side, reach=0.1):
    """Signed distance of every pixel to a stroke, negative inside; 1 if farther than `reach`."""
    distance = np.ones((side, side), np.float32)
    for (ax, ay, ar), (bx, by, br) in zip(stroke, [*stroke[1:], stroke[-1]], strict=True):
        far = max(ar, br) + reach
        left, top = (max(0, int((min(ends) - far) * side)) for ends in ((ax, bx), (ay, by)))
        right, bottom = (min(side, int((max(ends) + far) * side)) for ends in ((ax, bx), (ay, by)))
        x = _centres(left, right, side) - ax
        y = _centres(top, bottom, side)[:, None] - ay
        dx, dy = bx - ax, by - ay
        along = np.clip((x * dx + y * dy) / max(dx * dx + dy * dy, 1e-12), 0, 1)
        window = distance[top:bottom, left:right]
        to_line = np.hypot(x - along * dx, y - along * dy)
        np.minimum(window, to_line - ar - along * (br - ar), out=window)
    return distance


def _beyond(point, towards, side):
    """Signed distance of every pixel to a line: positive on the side that the angle points to."""
    (x, y), angle = point, np.radians(towards)
    centres = _centres(0, side, side)
    return (centres - x) * np.sin(angle) - (centres[:, None] - y) * np.cos(angle)


def _centres(start, stop, side):
    return (np.arange(start, stop, dtype=np.float32) + 0.5) / side


def _join(a, b, blend):
    """The union of two shapes, with a rounded seam where both are nearer than `blend`."""
    return np.minimum(a, b) - np.clip(blend - np.abs(a - b), 0, None) ** 2 / (4 * blend)


def _mix(a, b, share_of_b):
    share = share_of_b[..., None]
    return np.asarray(a, np.float32) * (1 - share) + np.asarray(b, np.float32) * share
