"""Points, borders and sides in the picture: the geometry of zones and lines. Pure; all in px."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, Track

Point = tuple[float, float]  # x y; fractions of width and height where a zone or line is given, px in here

_ON_THE_BORDER_PX = 0.01
# How far from a border or line an object's foot point must be before it has left it, in heights of its box. Measured on
# real clips: 9 of 10 foot points of small, fast cars jump by less than 0.05 of their height, and 99 of 100 of people
# by less than 0.03. A person has to go 17 cm beyond.
MARGIN = 0.1

_TWIN_IOU = 0.7  # boxes of two classes over each other like this are one object: a van that is a car and a truck


def foot(box: Box) -> Point:
    """Return where an object stands: the centre of its box's bottom edge."""
    return (box[0] + box[2]) / 2, box[3]


def margin_px(box: Box) -> float:
    """Return how far from a border an object is surely beyond it."""
    return MARGIN * (box[3] - box[1])


def in_px(points: Sequence[Point], info: FrameInfo) -> tuple[Point, ...]:
    """Return points that were given as fractions of the frame."""
    return tuple((x * info.width, y * info.height) for x, y in points)


def within(point: Point, polygon: Sequence[Point]) -> bool:
    """Tell whether a point is in a polygon; one on the border is: boxes that the frame cuts off stand on its edge."""
    x, y = point
    inside = False
    for (x1, y1), (x2, y2) in edges(polygon):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            inside = not inside
    return inside or distance(point, polygon) <= _ON_THE_BORDER_PX


def distance(point: Point, polygon: Sequence[Point]) -> float:
    """Return how far a point is from the border of a polygon."""
    return min(_to_segment(point, start, end) for start, end in edges(polygon))


def edges(polygon: Sequence[Point]) -> list[tuple[Point, Point]]:
    """Return the edges of a polygon, the last one back to its first point."""
    return list(zip(polygon, (*polygon[1:], polygon[0]), strict=True))


def side_px(point: Point, start: Point, end: Point) -> float:
    """Return how far right of a line a point is, seen looking from `start` to `end`; negative: left of it."""
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    return (along_x * (point[1] - start[1]) - along_y * (point[0] - start[0])) / math.hypot(along_x, along_y)


def meets(before: Point, after: Point, start: Point, end: Point) -> bool:
    """Tell whether the way between two points on different sides of a line goes through its part from start to end."""
    one, other = side_px(before, start, end), side_px(after, start, end)
    share = one / (one - other)
    x, y = before[0] + share * (after[0] - before[0]), before[1] + share * (after[1] - before[1])
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    return 0 <= (x - start[0]) * along_x + (y - start[1]) * along_y <= along_x**2 + along_y**2


def twins(a: Track, b: Track) -> bool:
    """Tell whether two tracks are one object that is found under two classes."""
    return a.class_id != b.class_id and overlap(a.box, b.box) >= _TWIN_IOU


def overlap(a: Box, b: Box) -> float:
    """Return the intersection of two boxes over their union."""
    shared = max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return shared / max(areas - shared, 1e-6)


def covered(box: Box, by: Box) -> float:
    """Return the share of a box that another one covers, 0..1."""
    width, height = min(box[2], by[2]) - max(box[0], by[0]), min(box[3], by[3]) - max(box[1], by[1])
    return max(0.0, width) * max(0.0, height) / max((box[2] - box[0]) * (box[3] - box[1]), 1e-6)


def gap(a: Box, b: Box) -> float:
    """Return how far two boxes are from each other, px; 0 where they overlap or touch."""
    return math.hypot(max(a[0] - b[2], b[0] - a[2], 0.0), max(a[1] - b[3], b[1] - a[3], 0.0))


def size(box: Box) -> float:
    """Return the size of an object, px: the square root of its box's area."""
    return math.sqrt(max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1]))


def _to_segment(point: Point, start: Point, end: Point) -> float:
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    length2 = along_x**2 + along_y**2
    share = ((point[0] - start[0]) * along_x + (point[1] - start[1]) * along_y) / length2 if length2 else 0.0
    share = min(max(share, 0.0), 1.0)
    return math.hypot(point[0] - start[0] - share * along_x, point[1] - start[1] - share * along_y)
