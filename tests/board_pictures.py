"""What tests read off pictures of boards: where copper is, and into how many pieces it falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Box = tuple[float, float, float, float]


_SPECK_PX = 3


def copper_of(bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return 1 where the picture shows copper, else 0, (H, W)."""
    return (bgr[..., 1] < 128).astype(np.uint8)


def conductors(copper: NDArray[np.uint8]) -> int:
    """Return how many pieces of copper there are; a corner joins."""
    return _pieces(copper, connectivity=8)


def gaps(copper: NDArray[np.uint8]) -> int:
    """Return how many pieces of bare substrate there are; a corner does not join."""
    return _pieces(1 - copper, connectivity=4)


def _pieces(mask: NDArray[np.uint8], *, connectivity: int) -> int:
    """Count the pieces of a mask; a single pixel beside a ragged edge is none."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=connectivity)
    return int(np.count_nonzero(stats[1:, cv2.CC_STAT_AREA] > _SPECK_PX))


def smallest(mask: NDArray[np.uint8]) -> int:
    """Return the size of the smallest piece of a mask that does not touch the border, px."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    height, width = mask.shape
    x, y, across, down, area = stats[1:].T
    return int(area[(x > 0) & (y > 0) & (x + across < width) & (y + down < height)].min(initial=height * width))


def within(box: Box) -> tuple[slice, slice]:
    """Return the part of a picture that a box with whole sides covers."""
    x1, y1, x2, y2 = (int(side) for side in box)
    return np.s_[y1:y2, x1:x2]
