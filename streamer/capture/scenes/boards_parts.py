"""The parts of a board other than bundles: chips, rows of drilled pads, planes with pads in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .boards_artwork import cut_corners

if TYPE_CHECKING:
    from numpy.random import Generator

    from .boards_artwork import Artwork, Point

MARGIN_PX = 13.0  # to the edge of a cell: two parts are never closer than twice that

_CHIP_PITCH_PX = (26.0, 34.0)
_CHIP_PAD_PX = (5.5, 7.5)  # half the width of a chip's pad
_VIA_RADIUS_PX = 13.0
_PAD_HALF_PX = (23.0, 30.0)
_LINK_PX = (20.0, 26.0)  # width of the trace from a large pad to the next: a thin one would look like a short
_LEAST_HALF = 0.8  # the shorter half side of an oval pad, of its longer one
_RING_PX = 8.0  # the least copper around a drill hole
_CLEARANCE_PX = (14.0, 20.0)  # between a pad and the plane around it


@dataclass(frozen=True, slots=True)
class Cell:
    """The place of one part, px."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def width(self) -> float:
        """From left to right, px."""
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        """From top to bottom, px."""
        return self.y2 - self.y1


def chip(artwork: Artwork, rng: Generator, cell: Cell) -> None:
    """Draw the two rows of pads of a chip; from some a trace goes to the pad across, or to a via in the middle."""
    pitch, half_width = rng.uniform(*_CHIP_PITCH_PX), rng.uniform(*_CHIP_PAD_PX)
    room = cell.width - 2 * MARGIN_PX - 2 * half_width
    half_height = min(rng.uniform(17, 24), cell.height * 0.14)
    if room < 0 or half_height < half_width:
        return
    count = min(1 + int(room // pitch), int(rng.integers(6, 18)))
    left = cell.x1 + MARGIN_PX + half_width + rng.uniform(0, 1) * (room - (count - 1) * pitch)
    upper, lower = cell.y1 + MARGIN_PX + half_height, cell.y2 - MARGIN_PX - half_height
    across = lower - upper - 2 * half_height
    width = round(rng.uniform(6, 2 * half_width - 3))
    ways = rng.random(count)
    for i in range(count):
        x = left + i * pitch
        for y in (upper, lower):
            artwork.oval_pad((x, y), (half_width, half_height))
        if ways[i] < 0.45:
            artwork.trace(((x, upper), (x, lower)), width)
        elif across > 8 * _VIA_RADIUS_PX and i % 3 == 1 and min(ways[i - 1], ways[min(i + 1, count - 1)]) >= 0.45:
            via = (x, upper + half_height + across * rng.uniform(0.35, 0.65))  # both neighbours leave it room
            artwork.trace(((x, upper), via), width)
            artwork.round_pad(via, _VIA_RADIUS_PX)


def pads(artwork: Artwork, rng: Generator, cell: Cell) -> None:
    """Draw rows of large pads, most of them drilled, some joined by short traces."""
    half = rng.uniform(*_PAD_HALF_PX)
    pitch = 2 * half + rng.uniform(22, 44)
    rows, columns = _fitting(cell.height, half, pitch), _fitting(cell.width, half, pitch)
    if rows == 0 or columns == 0:
        return
    shape, drilled = int(rng.integers(4)), rng.random() < 0.7
    width, hole = round(rng.uniform(*_LINK_PX)), rng.uniform(0.85, 1.0) * (_LEAST_HALF * half - _RING_PX)
    x1 = cell.x1 + (cell.width - (columns - 1) * pitch) / 2
    y1 = cell.y1 + (cell.height - (rows - 1) * pitch) / 2
    joined = rng.random((2, rows, columns)) < 0.5
    centres = [
        (row, column, (x1 + column * pitch, y1 + row * pitch)) for row in range(rows) for column in range(columns)
    ]
    for row, column, (x, y) in centres:
        # Only the first row has traces along it: a ring of traces could be cut without falling apart.
        if row == 0 and column + 1 < columns and joined[0, row, column]:
            artwork.trace(((x, y), (x + pitch, y)), width)
        if row + 1 < rows and joined[1, row, column]:
            artwork.trace(((x, y), (x, y + pitch)), width)
    for _, _, centre in centres:
        _draw_pad(artwork, shape, centre, half)
        if drilled:
            artwork.hole(centre, hole)


def plane(artwork: Artwork, rng: Generator, cell: Cell) -> None:
    """Fill a cell with copper, its corners cut, and leave room in it for drilled pads of other nets."""
    centre = ((cell.x1 + cell.x2) / 2, (cell.y1 + cell.y2) / 2)
    half = (cell.width / 2 - MARGIN_PX, cell.height / 2 - MARGIN_PX)
    if min(half) < 2 * MARGIN_PX:
        return
    cuts = [float(cut) for cut in rng.uniform(0.1, 0.7, 4) * min(half)]
    artwork.plane(cut_corners(centre, half, (cuts[0], cuts[1], cuts[2], cuts[3])))
    radius, clearance = rng.uniform(17, 23), rng.uniform(*_CLEARANCE_PX)
    pitch = 2 * (radius + clearance) + rng.uniform(40, 90)
    reach = max(cuts) * 0.5 + radius + clearance + 22  # a pad keeps clear of the cut corners
    count = int(max(0.0, 2 * (half[0] - reach)) // pitch) if half[1] > radius + clearance + 22 else 0
    x1 = centre[0] - (count - 1) * pitch / 2
    for i in range(count):
        if rng.random() < 0.7:
            place = (x1 + i * pitch, centre[1])
            artwork.hole(place, radius + clearance)
            artwork.round_pad(place, radius)
            artwork.hole(place, radius * 0.5)


def _fitting(room: float, half: float, pitch: float) -> int:
    """Return how many pads fit beside each other."""
    return max(0, 1 + int((room - 2 * MARGIN_PX - 2 * half) // pitch))


def _draw_pad(artwork: Artwork, shape: int, centre: Point, half: float) -> None:
    match shape:
        case 0:
            artwork.round_pad(centre, half)
        case 1:
            artwork.square_pad(centre, (half, half * 0.9))
        case 2:
            artwork.eight_sided_pad(centre, (half, half))
        case _:
            artwork.oval_pad(centre, (half, half * _LEAST_HALF))
