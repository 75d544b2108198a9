"""The six defects, drawn into a board's copper so that each is what its name says.

A defect is a short crooked stroke, of copper or of bare substrate. Where it may lie is read off the finished copper:
how thick it is there, and how far the next conductor is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .boards_artwork import BARE, COPPER
from .boards_sites import BORDER_PX, Sites

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.random import Generator
    from numpy.typing import NDArray

    from .boards_artwork import Layout

    Box = tuple[float, float, float, float]  # x1 y1 x2 y2, px
    _StrokeAt = Callable[[Generator, "Sites"], "_Stroke | None"]  # None: the place drawn is not good

KINDS = ("open", "short", "mousebite", "spur", "copper", "pin-hole")  # the order is the class id

_MARGIN_PX = 9  # between a defect and its box, as in the labelled pictures the network was trained on
_APART_PX = 6  # between two boxes
_TRIES = 60  # places looked at for one kind before another is drawn instead
_LEAN_PX = 7.0  # by which the tip of a bite or a spur may lie aside, within what is known to be a straight edge
_PAST_PX = 3.0  # how far a cut goes past the edges of a trace, and a bridge into the copper at its ends
_SHORTEST_PX, _LONGEST_PX = 8.0, 50.0  # of a bridge
_LEAST_TOOTH_PX = 5.0  # less is a ragged edge, no defect
_LEFT_PX = 4.0  # the least copper, or bare substrate, that a bite, a hole, a spur or an island leaves beside it


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """What was drawn, and where."""

    kind: str  # one of KINDS
    box: Box  # the changed pixels and a margin


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Stroke:
    """A crooked line with round ends, px."""

    points: NDArray[np.float64]  # (K, 2) x y
    thickness: int
    value: int  # COPPER or BARE


def spoilt(rng: Generator, layout: Layout, count: int) -> tuple[NDArray[np.uint8], tuple[Defect, ...]]:
    """Draw defects into a copy of a board's copper.

    Args:
        rng: chooses kinds and places.
        layout: the board without a defect.
        count: how many are wanted; one that finds no place becomes another kind, or is left out.

    Returns:
        The copper (H, W), COPPER or BARE, and what was drawn, which does not touch each other.
    """
    sites, copper = Sites(layout), layout.copper.copy()
    defects: list[Defect] = []
    for _ in range(count):
        for kind in rng.permutation(KINDS):
            box = _drawn(rng, sites, copper, _DRAWN_BY[kind], defects)
            if box is not None:
                defects.append(Defect(kind=str(kind), box=box))
                break
    return copper, tuple(defects)


def _drawn(
    rng: Generator, sites: Sites, copper: NDArray[np.uint8], stroke_at: _StrokeAt, others: list[Defect]
) -> Box | None:
    """Draw a defect of one kind in place, where it is apart from the others and the border; return its box."""
    for _ in range(_TRIES):
        stroke = stroke_at(rng, sites)
        changed = None if stroke is None else _changed(copper, stroke)
        if changed is None:
            continue
        where, patch, box = changed
        if not any(_near(box, other.box) for other in others):
            copper[where] = patch
            return box
    return None


def _changed(copper: NDArray[np.uint8], stroke: _Stroke) -> tuple[tuple[slice, slice], NDArray[np.uint8], Box] | None:
    """Return a part of the copper, how it would be with a stroke, and the defect's box; None too near to the border."""
    reach = stroke.thickness // 2 + 2
    x1, y1 = (int(side) - reach for side in np.floor(stroke.points.min(axis=0)))
    x2, y2 = (int(side) + reach + 1 for side in np.ceil(stroke.points.max(axis=0)))
    if min(x1, y1) < BORDER_PX or x2 > copper.shape[1] - BORDER_PX or y2 > copper.shape[0] - BORDER_PX:
        return None
    where = np.s_[y1:y2, x1:x2]
    patch = copper[where].copy()
    corners = np.rint(stroke.points - (x1, y1)).astype(np.int32)
    cv2.polylines(patch, [corners], False, stroke.value, stroke.thickness)
    rows, columns = np.nonzero(patch != copper[where])
    if not len(rows):
        return None
    left, top = x1 + int(columns.min()) - _MARGIN_PX, y1 + int(rows.min()) - _MARGIN_PX
    right, bottom = x1 + int(columns.max()) + 1 + _MARGIN_PX, y1 + int(rows.max()) + 1 + _MARGIN_PX
    return where, patch, (float(left), float(top), float(right), float(bottom))


def _near(a: Box, b: Box) -> bool:
    return a[0] < b[2] + _APART_PX and b[0] < a[2] + _APART_PX and a[1] < b[3] + _APART_PX and b[1] < a[3] + _APART_PX


def _open(rng: Generator, sites: Sites) -> _Stroke | None:
    """Cut a trace through, from bare substrate to bare substrate."""
    cut = sites.trace(rng)
    if cut is None:
        return None
    thickness = int(rng.integers(6, 13))
    half = cut.normal * max(0.5, cut.depth / 2 + _PAST_PX - thickness / 2)  # its round ends reach past the edges
    points = _crooked(rng, cut.point - half, cut.point + half, wander=4.0)
    return _Stroke(points=points, thickness=thickness, value=BARE)


def _short(rng: Generator, sites: Sites) -> _Stroke | None:
    """Bridge the gap between two conductors that are not joined, and touch no third."""
    edge = sites.edge(rng)
    if edge is None or not _SHORTEST_PX <= edge.free <= _LONGEST_PX:
        return None
    thickness = int(rng.integers(5, 10))
    into = _PAST_PX - thickness / 2
    start, end = edge.point - edge.normal * into, edge.point + edge.normal * (edge.free + into)
    points = _crooked(rng, start, end, wander=2.0)
    joined, near = sites.conductors(points, thickness), sites.conductors(points, thickness + 2 * round(_LEFT_PX))
    return _Stroke(points=points, thickness=thickness, value=COPPER) if len(joined) == len(near) == 2 else None


def _mousebite(rng: Generator, sites: Sites) -> _Stroke | None:
    """Bite into an edge; more than a third of the copper stays."""
    edge = sites.edge(rng)
    if edge is None:
        return None
    depth = min(edge.depth * rng.uniform(0.35, 0.6), edge.depth - _LEFT_PX - 1, rng.uniform(8, 18))
    return _tooth(rng, edge.point, -edge.normal * depth, value=BARE)


def _spur(rng: Generator, sites: Sites) -> _Stroke | None:
    """Let a thorn grow from an edge; it ends well before the next conductor."""
    edge = sites.edge(rng)
    if edge is None:
        return None
    length = max(0.0, min(edge.free - _LEFT_PX - 3, rng.uniform(9, 20)))
    return _tooth(rng, edge.point, edge.normal * length, value=COPPER)


def _tooth(rng: Generator, point: NDArray[np.float64], reach: NDArray[np.float64], *, value: int) -> _Stroke | None:
    """Return a stroke from an edge that ends `reach` away, its round end included; None if that is too short."""
    length = float(np.hypot(*reach))
    if length < _LEAST_TOOTH_PX:
        return None
    thickness = min(int(rng.integers(5, 10)), int(length))
    lean = np.array((-reach[1], reach[0])) / length * rng.uniform(-_LEAN_PX, _LEAN_PX)
    tip = point + reach * (1 - thickness / 2 / length) + lean
    return _Stroke(points=np.array((point - reach / length, tip)), thickness=thickness, value=value)


def _copper(rng: Generator, sites: Sites) -> _Stroke | None:
    """Leave an island on bare substrate."""
    return _blob(rng, sites.bare(rng, least=15 + _LEFT_PX), value=COPPER)


def _pin_hole(rng: Generator, sites: Sites) -> _Stroke | None:
    """Leave a hole within copper."""
    return _blob(rng, sites.copper(rng, least=6 + _LEFT_PX), value=BARE)


def _blob(rng: Generator, site: tuple[NDArray[np.float64], float] | None, *, value: int) -> _Stroke | None:
    """Return a short bent stroke around a point that stays within its free radius, less a margin."""
    if site is None:
        return None
    point, free = site
    radius = min(free - _LEFT_PX, rng.uniform(6, 15))
    thickness = round(min(rng.uniform(4, 9), 1.6 * radius))
    reach = max(1.5, radius - thickness / 2)
    angle = rng.uniform(0, 2 * math.pi) + math.pi * np.array((0.0, rng.uniform(0.2, 0.8), 1.0))
    spokes = np.array((1.0, rng.uniform(0.0, 0.8), 1.0)) * reach
    points = point + spokes[:, None] * np.stack((np.cos(angle), np.sin(angle)), axis=1)
    return _Stroke(points=points, thickness=thickness, value=value)


def _crooked(
    rng: Generator, start: NDArray[np.float64], end: NDArray[np.float64], *, wander: float
) -> NDArray[np.float64]:
    """Return points from one to another, (K, 2) x y, that lie up to `wander` px aside."""
    way = end - start
    length = float(np.hypot(*way))
    parts = max(2, int(length // 7))
    points = start + way * np.linspace(0, 1, parts + 1)[:, None]
    points[1:-1] += np.array((-way[1], way[0])) / length * rng.uniform(-wander, wander, (parts - 1, 1))
    return np.asarray(points)


_DRAWN_BY: dict[str, _StrokeAt] = {
    "open": _open,
    "short": _short,
    "mousebite": _mousebite,
    "spur": _spur,
    "copper": _copper,
    "pin-hole": _pin_hole,
}
