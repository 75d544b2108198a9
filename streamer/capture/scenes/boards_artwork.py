"""What a board is made of: traces, pads, drill holes and planes, drawn into a mask. Shared by the layouts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .layers import SHIFT, fixed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Point = tuple[float, float]  # x y, px

COPPER, BARE = 255, 0

_CHAMFER = 0.35  # of a pad's shorter half side
_SIZED = 1 << SHIFT


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A straight part of a trace, between two bends, px."""

    start: Point
    end: Point
    width: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """The copper of one board as it should be.

    Every net is a tree, so a trace that is cut falls into two parts; between two conductors lie at least 7 px.
    """

    copper: NDArray[np.uint8]  # (H, W), COPPER or BARE
    runs: tuple[Run, ...]


class Artwork:
    """A board while it is drawn, px; what is drawn later lies on top."""

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height
        self._copper = np.full((height, width), BARE, np.uint8)
        self._runs: list[Run] = []

    def trace(self, points: Sequence[Point], width: float) -> None:
        """Draw a trace with round ends through its bends."""
        corners = fixed(np.array(points, np.float64))
        cv2.polylines(self._copper, [corners], False, COPPER, round(width), cv2.LINE_8, SHIFT)
        self._runs += [Run(start=a, end=b, width=width) for a, b in pairwise(points)]

    def round_pad(self, centre: Point, radius: float) -> None:
        """Draw a round pad or a via."""
        self._disc(centre, radius, COPPER)

    def hole(self, centre: Point, radius: float) -> None:
        """Take the copper away around a point: a drill hole, or the clearance around a pad in a plane."""
        self._disc(centre, radius, BARE)

    def oval_pad(self, centre: Point, half: Point) -> None:
        """Draw a pad with round ends; `half` is its half width and half height."""
        radius = min(half)
        reach = (half[0] - radius, half[1] - radius)
        ends = np.array([(centre[0] - reach[0], centre[1] - reach[1]), (centre[0] + reach[0], centre[1] + reach[1])])
        cv2.polylines(self._copper, [fixed(ends)], False, COPPER, round(2 * radius), cv2.LINE_8, SHIFT)

    def square_pad(self, centre: Point, half: Point) -> None:
        """Draw a rectangular pad; `half` is its half width and half height."""
        (x, y), (across, down) = centre, half
        self.plane(((x - across, y - down), (x + across, y - down), (x + across, y + down), (x - across, y + down)))

    def eight_sided_pad(self, centre: Point, half: Point) -> None:
        """Draw a rectangular pad with cut corners; `half` is its half width and half height."""
        cut = 2 * _CHAMFER * min(half)
        self.plane(cut_corners(centre, half, (cut, cut, cut, cut)))

    def plane(self, corners: Sequence[Point]) -> None:
        """Fill a polygon with copper."""
        cv2.fillPoly(self._copper, [fixed(np.array(corners, np.float64))], COPPER, cv2.LINE_8, SHIFT)

    def finished(self) -> Layout:
        """Return what was drawn."""
        return Layout(copper=self._copper, runs=tuple(self._runs))

    def _disc(self, centre: Point, radius: float, value: int) -> None:
        x, y = (round((side - 0.5) * _SIZED) for side in centre)
        cv2.circle(self._copper, (x, y), round(radius * _SIZED), value, cv2.FILLED, cv2.LINE_8, SHIFT)


def cut_corners(centre: Point, half: Point, cuts: tuple[float, float, float, float]) -> tuple[Point, ...]:
    """Return the outline of a rectangle whose corners, clockwise from the top left, are cut at 45 degrees, px."""
    (x1, y1), (x2, y2) = (
        (centre[0] - half[0], centre[1] - half[1]),
        (centre[0] + half[0], centre[1] + half[1]),
    )
    a, b, c, d = cuts
    return (
        (x1 + a, y1), (x2 - b, y1), (x2, y1 + b), (x2, y2 - c),
        (x2 - c, y2), (x1 + d, y2), (x1, y2 - d), (x1, y1 + a),
    )  # fmt: skip
