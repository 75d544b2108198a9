"""Which parts lie where on a board: strips of trace bundles, connectors, chips, pads and planes.

A board is laid out as strips from top to bottom, then turned and mirrored. Parts keep a margin to the edge of their
strip, so no two of them touch or come closer than real copper does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .boards_artwork import Artwork, Layout, Run
from .boards_bundles import bundle
from .boards_parts import Cell, chip, pads, plane

if TYPE_CHECKING:
    from numpy.random import Generator

    from .boards_artwork import Point

_STRIP_PX = (150, 215)  # least and most height of a strip where the board is high enough
_PARTS = {"chip": chip, "pads": pads, "plane": plane}
_SPLIT_FROM_PX = 420  # a strip at least so wide may hold two parts beside each other


def laid_out(rng: Generator, width: int, height: int) -> Layout:
    """Draw a board without a defect, px."""
    turned, left_right, upside_down = (bool(rng.integers(2)) for _ in range(3))
    artwork = Artwork(height, width) if turned else Artwork(width, height)
    for kind, cell in _strips(rng, artwork.width, artwork.height):
        _fill(artwork, rng, kind, cell)
    layout = artwork.finished()
    return _placed(layout, turned=turned, left_right=left_right, upside_down=upside_down)


def _strips(rng: Generator, width: int, height: int) -> list[tuple[str, Cell]]:
    """Choose heights and kinds: always a bundle of thin traces, then wide ones or a plane, then what comes."""
    count = max(1, round(height / rng.uniform(*_STRIP_PX)))
    shares = rng.uniform(0.85, 1.15, count)
    edges = np.concatenate(([0.0], np.cumsum(shares / shares.sum()))) * height
    broad = ("wide", "plane")[int(rng.integers(2))]
    others = [kind for kind in ("thin", "wide", "chip", "pads", "plane") if kind != broad]
    kinds = ["thin", broad, *(others[int(i)] for i in rng.integers(len(others), size=max(0, count - 2)))][:count]
    order = rng.permutation(count)
    return [(kinds[order[i]], Cell(0.0, float(edges[i]), float(width), float(edges[i + 1]))) for i in range(count)]


def _fill(artwork: Artwork, rng: Generator, kind: str, cell: Cell) -> None:
    if kind in ("thin", "wide"):
        bundle(artwork, rng, cell, wide=kind == "wide")
        return
    if cell.x2 - cell.x1 < _SPLIT_FROM_PX or rng.random() < 0.4:
        _PARTS[kind](artwork, rng, cell)
        return
    middle = cell.x1 + (cell.x2 - cell.x1) * rng.uniform(0.4, 0.6)
    other = ("chip", "pads", "plane")[int(rng.integers(3))]
    _PARTS[kind](artwork, rng, Cell(cell.x1, cell.y1, middle, cell.y2))
    _PARTS[other](artwork, rng, Cell(middle, cell.y1, cell.x2, cell.y2))


def _placed(layout: Layout, *, turned: bool, left_right: bool, upside_down: bool) -> Layout:
    """Turn (x and y change places) and mirror a board, its runs with it."""
    copper = layout.copper.T if turned else layout.copper
    copper = copper[:: -1 if upside_down else 1, :: -1 if left_right else 1]
    height, width = copper.shape

    def moved(point: Point) -> Point:
        x, y = point[::-1] if turned else point
        return (width - x if left_right else x), (height - y if upside_down else y)

    runs = tuple(Run(start=moved(run.start), end=moved(run.end), width=run.width) for run in layout.runs)
    return Layout(copper=np.ascontiguousarray(copper), runs=runs)
