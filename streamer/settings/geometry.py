"""Points, zones and lines, in fractions of a picture's width and height."""

from __future__ import annotations

from itertools import combinations
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

from .values import as_number, refuse

XY = tuple[float, float]


def _point(value: object, which: str = "") -> tuple[float, float]:
    numbers = [as_number(item) for item in value] if isinstance(value, (list, tuple)) else []
    if len(numbers) != 2 or any(number is None or not 0 <= number <= 1 for number in numbers):
        refuse(f"{which}must be [x, y], two fractions of width and height, 0 to 1")
    return float(numbers[0] or 0.0), float(numbers[1] or 0.0)


def _lone_point(value: object) -> tuple[float, float]:
    return _point(value)


def _polygon(value: object) -> tuple[tuple[float, float], ...]:
    if not isinstance(value, (list, tuple)) or len(value) < 3:
        refuse("must be a list of at least 3 points [x, y], fractions of width and height, 0 to 1")
    points = [_point(item, f"point {number} ") for number, item in enumerate(value, 1)]
    edges = list(zip(points, (*points[1:], points[0]), strict=True))
    for (i, one), (j, other) in combinations(enumerate(edges, 1), 2):
        if _cross(*one, *other):
            pair = f"from point {i} to {i + 1} and from point {j} to {j % len(points) + 1}"
            refuse(f"crosses itself ({pair}); give the points around the zone in order")
    # Doubled points, and a last one that is the first again, do no harm.
    corners = [point for point, before in zip(points, (points[-1], *points), strict=False) if point != before]
    if len(set(corners)) < len(corners):
        refuse("comes to the same point twice; give the points around the zone in order, each once")
    if abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in edges)) < 1e-6:
        refuse("encloses no area; give points around the zone in order")
    return tuple(points)


def _cross(a: XY, b: XY, c: XY, d: XY) -> bool:
    """Tell whether the segments a-b and c-d go through each other; those that only touch do not."""
    return _turn(a, b, c) * _turn(a, b, d) < 0 and _turn(c, d, a) * _turn(c, d, b) < 0


def _turn(a: XY, b: XY, c: XY) -> int:
    """Return on which side of the way from a to b a point c is: -1, 0, 1."""
    area = (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
    return (area > 1e-12) - (area < -1e-12)


_pair = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}, "minItems": 2, "maxItems": 2}
Point = Annotated[tuple[float, float], BeforeValidator(_lone_point), WithJsonSchema(_pair)]
Polygon = Annotated[
    tuple[tuple[float, float], ...],
    BeforeValidator(_polygon),
    WithJsonSchema({"type": "array", "items": _pair, "minItems": 3}),
]
