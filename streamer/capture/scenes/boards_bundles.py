"""Bundles of parallel traces across a board, with bends of 45 degrees, from edge to edge or from connectors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .boards_parts import MARGIN_PX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.random import Generator

    from .boards_artwork import Artwork, Point
    from .boards_parts import Cell

_BEND = math.tan(math.pi / 8)  # how far a bend of 45 degrees wanders from trace to trace, per px of pitch
_BEYOND_PX = 40.0  # a trace that leaves the board is drawn so far past its edge
_LEAST_JOG_PX = 14.0
_PAD_RADIUS_PX = (17.0, 21.0)
_PAD_GAP_PX = 11.0  # between a connector's pad and the trace that passes it
_RING_PX = 7.5  # copper around a drill hole: the hole is then larger than a pin-hole usually is


@dataclass(frozen=True, slots=True, kw_only=True)
class _Style:
    """How the traces of a bundle look, px."""

    width: tuple[float, float]
    gap: tuple[float, float]
    most: int  # traces


_THIN = _Style(width=(6, 13), gap=(10, 17), most=8)
_WIDE = _Style(width=(18, 34), gap=(17, 28), most=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Connector:
    """Two staggered columns of round pads at one end of a bundle, px."""

    radius: float
    pitch: float  # from trace to trace
    drilled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _End:
    """One end of a bundle as seen from the left: the points of each trace, from outside inwards."""

    points: tuple[tuple[Point, ...], ...]
    reach: float  # px from the cell's edge to where the traces are parallel


def bundle(artwork: Artwork, rng: Generator, cell: Cell, *, wide: bool) -> None:
    """Draw a bundle across the whole width; at each end it leaves the board or fans out to a connector."""
    style = _WIDE if wide else _THIN
    width, gap = round(rng.uniform(*style.width)), rng.uniform(*style.gap)
    connectors = [None if wide or rng.random() < 0.5 else _connector(rng, width) for _ in range(2)]
    room, pitch = cell.height - 2 * MARGIN_PX - width, width + gap
    most = min(style.most, 1 + int(room // pitch), *(_fitting(cell, c) for c in connectors if c is not None))
    count = int(rng.integers(max(1, most - 3), max(1, most) + 1))
    spare = max(0.0, room - (count - 1) * pitch)
    jog = _jog(rng, min(spare, cell.width * 0.2))
    top = cell.y1 + MARGIN_PX + width / 2 + max(0.0, -jog) + rng.uniform(0, 1) * (spare - abs(jog))
    levels = [top + i * pitch for i in range(count)]
    after = [level + jog for level in levels]
    left, right = _end(cell, levels, connectors[0]), _end(cell, after, connectors[1])
    bend_px = abs(jog) + (count - 1) * pitch * _BEND + 20
    if left.reach + right.reach + bend_px > cell.width:
        connectors, left, right = [None, None], _end(cell, levels, None), _end(cell, after, None)
    slack = max(0.0, cell.width - left.reach - right.reach - bend_px)
    middle_x = cell.x1 + left.reach + bend_px / 2 + slack * rng.uniform(0.1, 0.9)
    for i in range(count):
        turn = middle_x - (i - (count - 1) / 2) * pitch * _BEND * math.copysign(1, jog)
        bends = () if jog == 0 else ((turn - abs(jog) / 2, levels[i]), (turn + abs(jog) / 2, after[i]))
        inwards = tuple((cell.x1 + cell.x2 - x, y) for x, y in reversed(right.points[i]))
        artwork.trace((*left.points[i], *bends, *inwards), width)
        for connector, pad in ((connectors[0], left.points[i][0]), (connectors[1], inwards[-1])):
            if connector is not None:
                _draw_pad(artwork, connector, pad)


def _connector(rng: Generator, width: float) -> _Connector:
    radius = rng.uniform(*_PAD_RADIUS_PX)
    return _Connector(radius=radius, pitch=radius + _PAD_GAP_PX + width / 2, drilled=bool(rng.random() < 0.5))


def _fitting(cell: Cell, connector: _Connector) -> int:
    """Return how many pads of a connector fit into the height."""
    return max(1, 1 + int((cell.height - 2 * MARGIN_PX - 2 * connector.radius) // connector.pitch))


def _jog(rng: Generator, most: float) -> float:
    """Choose how far a bundle steps down (up if negative), px."""
    if most < _LEAST_JOG_PX:
        return 0.0
    return float(rng.uniform(_LEAST_JOG_PX, most)) * (1, -1)[int(rng.integers(2))]


def _end(cell: Cell, levels: Sequence[float], connector: _Connector | None) -> _End:
    """Return how the traces come to their levels from the left edge; mirrored, it is the right end."""
    if connector is None:
        return _End(points=tuple(((cell.x1 - _BEYOND_PX, level),) for level in levels), reach=0.0)
    radius, half = connector.radius, connector.pitch * (len(levels) - 1) / 2
    reach = MARGIN_PX + radius + half
    middle = min(max((levels[0] + levels[-1]) / 2, cell.y1 + reach), cell.y2 - reach)
    columns = cell.x1 + MARGIN_PX + radius, cell.x1 + MARGIN_PX + 3 * radius + _PAD_GAP_PX
    fan_x = columns[1] + radius + _PAD_GAP_PX
    points, longest = [], 0.0
    for i, level in enumerate(levels):
        y = middle - half + i * connector.pitch
        way = abs(level - y)
        longest = max(longest, way)
        points.append(((columns[i % 2], y), (fan_x, y), (fan_x + way, level)))
    return _End(points=tuple(points), reach=fan_x + longest - cell.x1)


def _draw_pad(artwork: Artwork, connector: _Connector, centre: Point) -> None:
    artwork.round_pad(centre, connector.radius)
    if connector.drilled:
        artwork.hole(centre, connector.radius - _RING_PX)
