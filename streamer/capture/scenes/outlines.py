"""Outlines of the shapes, and what of an outline lies within a picture. Pure geometry."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = ("circle", "square", "triangle", "star", "cross")  # the order is the class id

_CIRCLE_CORNERS = 48  # rounder than a pixel at any usual size


def _ring(corners: int, radius: float, *, start: float = -math.pi / 2) -> NDArray[np.float64]:
    angles = start + np.arange(corners) * (2 * math.pi / corners)
    return np.stack((np.cos(angles), np.sin(angles)), axis=1) * radius


def _star() -> NDArray[np.float64]:
    points = _ring(10, 1.12)
    points[1::2] *= 0.44
    return points


def _cross() -> NDArray[np.float64]:
    a, b = 0.36, 1.04  # half the width of an arm, and its length
    return np.array(
        [(a, -b), (a, -a), (b, -a), (b, a), (a, a), (a, b), (-a, b), (-a, a), (-b, a), (-b, -a), (-a, -a), (-a, -b)]
    )


_OUTLINES = {
    "circle": _ring(_CIRCLE_CORNERS, 0.94),
    "square": _ring(4, 1.12, start=-math.pi / 4),
    "triangle": _ring(3, 1.18),
    "star": _star(),
    "cross": _cross(),
}
REACH = 1.2  # no corner of any kind is farther from the centre, in radii


def outline(kind: str, *, centre: tuple[float, float], radius: float, angle: float) -> NDArray[np.float64]:
    """Return the corners (K, 2) x y of a shape, px, sub-pixel; `angle` in radians."""
    sin, cos = math.sin(angle), math.cos(angle)
    turn = np.array(((cos, sin), (-sin, cos)))
    return np.asarray(_OUTLINES[kind] @ turn * radius + centre)


def bounds_within(corners: NDArray[np.float64], width: int, height: int) -> tuple[float, float, float, float] | None:
    """Return x1 y1 x2 y2 of the part of a polygon that lies within the picture, px; None if nothing does."""
    if not _inside(corners, width, height):
        for axis, limit, keep_less in (
            (0, 0.0, False),
            (0, float(width), True),
            (1, 0.0, False),
            (1, float(height), True),
        ):
            corners = _cut(corners, axis, limit, keep_less=keep_less)
            if len(corners) == 0:
                return None
    (x1, y1), (x2, y2) = corners.min(axis=0), corners.max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def _inside(corners: NDArray[np.float64], width: int, height: int) -> bool:
    return bool(corners.min() >= 0 and corners[:, 0].max() <= width and corners[:, 1].max() <= height)


def _cut(corners: NDArray[np.float64], axis: int, limit: float, *, keep_less: bool) -> NDArray[np.float64]:
    """Cut a polygon by one axis-parallel line (Sutherland and Hodgman); concave ones keep their right bounds."""
    sign = 1.0 if keep_less else -1.0
    beyond = (corners[:, axis] - limit) * sign  # > 0 is cut away
    kept: list[NDArray[np.float64]] = []
    for i in range(len(corners)):
        here, there = beyond[i - 1], beyond[i]
        if (here > 0) != (there > 0):
            crossing = corners[i - 1] + (corners[i] - corners[i - 1]) * (here / (here - there))
            crossing[axis] = limit  # not a rounding error beyond it
            kept.append(crossing)
        if there <= 0:
            kept.append(corners[i])
    return np.array(kept).reshape(-1, 2)
