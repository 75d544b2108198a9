"""Where on a board a defect may lie: edges, traces, free substrate and broad copper, read off the finished copper."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .boards_artwork import BARE, COPPER

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

    from .boards_artwork import Layout

BORDER_PX = 20  # no defect comes closer to the picture's border

_LOOK_PX = 70  # how far is looked for the next edge
_BESIDE_PX = 12  # an edge is straight so far to both sides
_STRAIGHT_PX = 2.5  # by which it may differ from a line there
_WINDOW_PX = 6  # half the side of the square from which an edge's direction is read
_RUN_END_PX = 16  # a trace is not cut nearer to its bends and pads


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Edge:
    """A place on an edge of copper, or in the middle of a trace, px."""

    point: NDArray[np.float64]  # (2,) x y
    normal: NDArray[np.float64]  # (2,) of length 1, away from the copper
    depth: float  # of the copper behind it, along the normal
    free: float  # from it to the next copper


class Sites:
    """The copper of one board, measured. What it gives is drawn at random; None if the place drawn is not good."""

    def __init__(self, layout: Layout) -> None:
        self._copper = layout.copper
        self._runs = layout.runs

    @cached_property
    def _within(self) -> NDArray[np.float32]:
        """How far it is from each pixel of copper to the next bare one, px."""
        return np.asarray(cv2.distanceTransform(self._copper, cv2.DIST_L2, 3), np.float32)

    @cached_property
    def _outside(self) -> NDArray[np.float32]:
        """How far it is from each bare pixel to the next copper, px."""
        return np.asarray(cv2.distanceTransform(cv2.bitwise_not(self._copper), cv2.DIST_L2, 3), np.float32)

    @cached_property
    def _labels(self) -> NDArray[np.int32]:
        """Which conductor each pixel belongs to, from 1; 0 is bare."""
        return np.asarray(cv2.connectedComponents(self._copper, connectivity=8)[1])

    @cached_property
    def _edges(self) -> NDArray[np.intp]:
        """Every outermost pixel of copper, as places in the flat picture."""
        return np.flatnonzero(cv2.subtract(self._copper, cv2.erode(self._copper, np.ones((3, 3), np.uint8))))

    def bare(self, rng: Generator, *, least: float) -> tuple[NDArray[np.float64], float] | None:
        """Return a point on bare substrate with at least so many px around it without copper, and how many."""
        return self._deep(rng, self._outside, least)

    def copper(self, rng: Generator, *, least: float) -> tuple[NDArray[np.float64], float] | None:
        """Return a point in copper with at least so many px of copper around it, and how many."""
        return self._deep(rng, self._within, least)

    def edge(self, rng: Generator) -> Edge | None:
        """Return a place on a straight edge; depth and free room are the least within some px along it."""
        if len(self._edges) == 0:
            return None
        y, x = divmod(int(self._edges[int(rng.integers(len(self._edges)))]), self._copper.shape[1])
        point = np.array((x, y), np.float64)
        normal = self._direction(x, y)
        if normal is None:
            return None
        along, into = _across(normal) * _BESIDE_PX, normal * _STRAIGHT_PX
        depth = free = float(_LOOK_PX)
        for beside in (point - along, point, point + along):
            if self._at(beside - into) != COPPER or self._at(beside + into) != BARE:
                return None
            depth = min(depth, self._until(BARE, beside - into, -normal) + _STRAIGHT_PX)
            free = min(free, self._until(COPPER, beside + into, normal) + _STRAIGHT_PX)
        return Edge(point=point, normal=normal, depth=depth, free=free)

    def trace(self, rng: Generator) -> Edge | None:
        """Return a place in the middle of a straight trace that has bare substrate on both sides."""
        if not self._runs:
            return None
        run = self._runs[int(rng.integers(len(self._runs)))]
        start, end = np.array(run.start), np.array(run.end)
        length = float(np.hypot(*(end - start)))
        if length <= 2 * _RUN_END_PX:
            return None
        along = (end - start) / length
        point, normal = start + along * rng.uniform(_RUN_END_PX, length - _RUN_END_PX), _across(along)
        aside = normal * (run.width / 2 + _STRAIGHT_PX)
        for step in (-_BESIDE_PX, 0, _BESIDE_PX):
            beside = point + along * step
            if self._at(beside) != COPPER or self._at(beside - aside) != BARE or self._at(beside + aside) != BARE:
                return None
        return Edge(point=point, normal=normal, depth=run.width, free=0.0)

    def conductors(self, points: NDArray[np.float64], thickness: int) -> frozenset[int]:
        """Return which conductors a stroke (K, 2) x y, px, would touch."""
        low = np.maximum(0, np.floor(points.min(axis=0)).astype(int) - thickness)
        high = np.ceil(points.max(axis=0)).astype(int) + thickness
        labels = self._labels[low[1] : high[1], low[0] : high[0]]
        under = np.zeros(labels.shape, np.uint8)
        corners = np.rint(points - low).astype(np.int32)
        cv2.polylines(under, [corners], False, 1, thickness)
        return frozenset(np.unique(labels[(under > 0) & (labels > 0)]).tolist())

    def _deep(
        self, rng: Generator, distances: NDArray[np.float32], least: float
    ) -> tuple[NDArray[np.float64], float] | None:
        places = np.flatnonzero(distances >= least)
        if len(places) == 0:
            return None
        y, x = divmod(int(places[int(rng.integers(len(places)))]), distances.shape[1])
        return np.array((x, y), np.float64), float(distances[y, x])

    def _direction(self, x: int, y: int) -> NDArray[np.float64] | None:
        """Return the unit vector away from the copper at an edge, or None where it is no straight edge."""
        height, width = self._copper.shape
        if not (_WINDOW_PX <= x < width - _WINDOW_PX and _WINDOW_PX <= y < height - _WINDOW_PX):
            return None
        window = self._copper[y - _WINDOW_PX : y + _WINDOW_PX + 1, x - _WINDOW_PX : x + _WINDOW_PX + 1]
        rows, columns = np.nonzero(window == BARE)
        if not len(rows):
            return None
        away = np.array((columns.mean() - _WINDOW_PX, rows.mean() - _WINDOW_PX))
        length = float(np.hypot(*away))
        return None if length < 1 else away / length

    def _at(self, point: NDArray[np.float64]) -> int | None:
        """Return COPPER or BARE, or None outside the picture."""
        x, y = round(float(point[0])), round(float(point[1]))
        height, width = self._copper.shape
        return int(self._copper[y, x]) if 0 <= x < width and 0 <= y < height else None

    def _until(self, value: int, point: NDArray[np.float64], way: NDArray[np.float64]) -> float:
        """Return how far it is from a point to the first pixel of `value`, at most as far as is looked, px."""
        height, width = self._copper.shape
        x, y = np.rint(point[:, None] + way[:, None] * np.arange(_LOOK_PX)).astype(np.int64)
        seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        found = np.flatnonzero(self._copper[y[seen], x[seen]] == value)
        return float(found[0]) if len(found) else float(_LOOK_PX)


def _across(way: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a vector turned by a quarter."""
    return np.array((-way[1], way[0]))
