"""A conveyor of printed circuit boards under a camera that a machine triggers; the defects on each board are known.

A picture looks as a line-scan camera gives it: two tones, edges ragged by a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from .boards_defects import KINDS, spoilt
from .boards_layout import laid_out
from .shapes import SceneFrame, SceneObject

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray

__all__ = ["KINDS", "Boards"]

_AT_REST = 0.7  # share of its period in which a board lies still
_GAP_PX = 48  # belt between two boards
_MOST_DEFECTS = 4
_KEPT = 6  # boards kept, drawn: the one that lies there and the next, for a few scenes at once
_ROUNDING = 1e-6  # boards: picture i at i / fps shows board i when fps is the rate, whatever i / fps * rate rounds to

_SUBSTRATE = (214, 232, 218)  # B G R: pale green
_COPPER_TONE = (34, 30, 22)
_BELT = (92, 96, 98)

_RAGGED_SIGMA = 1.1  # px of blur before the tones are parted
_RAGGED = 0.25  # share of noise: an edge wanders by a pixel, and nothing appears away from edges


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Board:
    """One board as it lies under the camera. Shared between callers, so nobody writes into it."""

    bgr: NDArray[np.uint8]  # (H, W, 3)
    defects: tuple[SceneObject, ...]


class Boards:
    """The conveyor at one size. `at` is a pure function of time, `truth` of the board's number.

    Board `floor(t_s * rate)` lies still during the first 70 % of its period; then it slides out to the left and the
    next one in. All is drawn at the same scale at every size, so that a defect keeps its px: a larger picture shows a
    larger board. In one below about 100 px a defect may find no place.

    Args:
        seed: chooses the boards; equal seeds show the same at the same size.
        width: px, even.
        height: px, even.
        rate: boards a second.
        defective: share of the boards that have one to four defects, 0..1.
    """

    def __init__(self, seed: int, width: int, height: int, *, rate: float = 2.0, defective: float = 0.5) -> None:
        self._seed = seed
        self._size = (width, height)
        self._rate = rate
        self._defective = defective

    def at(self, t_s: float) -> SceneFrame:
        """Return picture and truth at a time, s >= 0."""
        index = math.floor(t_s * self._rate + _ROUNDING)
        moved = (max(0.0, t_s * self._rate - index) - _AT_REST) / (1 - _AT_REST)
        here = self._board(index)
        if moved <= 0:
            return SceneFrame(bgr=here.bgr.copy(), objects=here.defects)
        width, height = self._size
        shift = round((width + _GAP_PX) * moved * moved * (3 - 2 * moved))  # gathers speed, and brakes
        bgr = np.full((height, width, 3), _BELT, np.uint8)
        objects: list[SceneObject] = []
        for board, left in ((here, -shift), (self._board(index + 1), width + _GAP_PX - shift)):
            x1, x2 = max(0, left), min(width, left + width)
            if x1 < x2:
                bgr[:, x1:x2] = board.bgr[:, x1 - left : x2 - left]
            objects += (seen for defect in board.defects if (seen := _moved(defect, left, width)) is not None)
        return SceneFrame(bgr=bgr, objects=tuple(objects))

    def truth(self, index: int) -> tuple[SceneObject, ...]:
        """Return the defects on a board, counted from 0, where they are when it lies still."""
        return self._board(index).defects

    def _board(self, index: int) -> _Board:
        return _board(self._seed, index, self._size, self._defective)


def _moved(defect: SceneObject, by: int, width: int) -> SceneObject | None:
    """Return what is in view of a defect on a board that has been moved to the right, px; None if nothing is."""
    x1, y1, x2, y2 = defect.box
    left, right = max(0.0, x1 + by), min(float(width), x2 + by)
    if left >= right:
        return None
    return SceneObject(kind=defect.kind, id=defect.id, box=(left, y1, right, y2), visible=(right - left) / (x2 - x1))


@lru_cache(maxsize=_KEPT)
def _board(seed: int, index: int, size: tuple[int, int], defective: float) -> _Board:
    """Draw a board. Layout and ragged edges are the same whether it has defects or not."""
    wanted, drawn, edges = (np.random.default_rng((seed, index, part)) for part in (0xB0A2, 0xB0A3, 0xB0A4))
    layout = laid_out(drawn, *size)
    count = int(wanted.integers(1, _MOST_DEFECTS + 1)) if wanted.random() < defective else 0
    copper, defects = spoilt(wanted, layout, count)
    bgr = _scanned(edges, copper)
    bgr.flags.writeable = False
    truth = (
        SceneObject(kind=defect.kind, id=index * _MOST_DEFECTS + i, box=defect.box, visible=1.0)
        for i, defect in enumerate(defects)
    )
    return _Board(bgr=bgr, defects=tuple(truth))


def _scanned(rng: Generator, copper: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the picture of a board's copper, BGR (H, W, 3)."""
    soft = cv2.GaussianBlur(copper, (0, 0), _RAGGED_SIGMA)
    noise = np.frombuffer(rng.bytes(copper.size), np.uint8).reshape(copper.shape)
    level = cv2.addWeighted(soft, 1 - _RAGGED, noise, _RAGGED, 0)
    _, inked = cv2.threshold(level, 127, 255, cv2.THRESH_BINARY)
    tones = np.empty((256, 1, 3), np.uint8)
    tones[:], tones[255] = _SUBSTRATE, _COPPER_TONE
    return np.asarray(cv2.LUT(cv2.merge((inked, inked, inked)), tones))
