"""What numbers of a stream usually are while nothing moves: the sizes of its packets, and how its key frames differ."""

from __future__ import annotations

import math
from collections import deque
from statistics import median
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streamer.pixels.luma import small_luma

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.frame import AnyPicture

    from .packets import Coded

_RENEWED_EVERY = 16  # numbers: after so many the limit is worked out anew
_SPREADS = 2.0  # standard deviations above what was nearly the largest
_TO_DEVIATION = 1.4826  # from the median absolute deviation, of what is normally distributed

_PACKETS = 512  # remembered: two groups of pictures at least, for the first packet after a key frame stands out in each
_KEYS = 32
_LEAST_PACKETS = 25
_LEAST_KEYS = 4
_BYTES = 128  # added to each size: a stream without noise sends packets of 20 bytes, and of 40 now and then
_SUMMED = 8  # packets: what moves and is small shows in their sum
# How much larger than ever a packet must be at least; a sum of packets varies less.
_PACKET_RISE = math.log2(1.10)
_SUM_RISE = math.log2(1.03)
_KEY_RISE = math.log2(1.10)

_CELLS = 160  # along the longer side of a key frame
_LEAST_CONTRAST = 4.0  # levels of 255 by which a cell must differ,
_OF_NOISE = 6.0  # and so many times the middle cell's difference
_TOGETHER = 3 / 9  # of a cell and its neighbours
_CELLS_RISE = math.log2(1.5)
_FEW = 8  # cells, added to each number of them: four where there are usually none stand out


class Usual:
    """Numbers above zero, of which those far above what is usual are told. Robust: a few odd ones change nothing.

    What is compared are logarithms. The limit lies above the second largest remembered, because what is regular stands
    out regularly, and above that by as much as the numbers vary.
    """

    def __init__(self, *, most: int, least: int, rise: float) -> None:
        """Begin without any.

        Args:
            most: how many are remembered.
            least: how many must be known before one is far above.
            rise: log2 of how many times the second largest a number is at least that is far above.
        """
        self._logs: deque[float] = deque(maxlen=most)
        self._least = least
        self._rise = rise
        self._limit = math.inf
        self._learned = 0

    @property
    def known(self) -> bool:
        """Whether enough have been learned."""
        return len(self._logs) >= self._least

    def exceeds(self, number: float) -> bool:
        """Tell whether a number is far above what is usual."""
        return math.log2(number) > self._limit

    def learn(self, number: float) -> None:
        """Take in a number that came while nothing moved."""
        self._logs.append(math.log2(number))
        self._learned += 1
        if len(self._logs) == self._least or (self.known and self._learned % min(_RENEWED_EVERY, self._least) == 0):
            self._renew()

    def _renew(self) -> None:
        ordered = sorted(self._logs)
        middle = ordered[len(ordered) // 2]
        deviation = _TO_DEVIATION * median(abs(log - middle) for log in ordered)
        self._limit = ordered[-2] + max(self._rise, _SPREADS * deviation)


class PacketSizes:
    """How large the packets of a stream usually are: key frames, the others, and some of the others together."""

    def __init__(self) -> None:
        self._keys = Usual(most=_KEYS, least=_LEAST_KEYS, rise=_KEY_RISE)
        self._others = Usual(most=_PACKETS, least=_LEAST_PACKETS, rise=_PACKET_RISE)
        self._sums = Usual(most=_PACKETS, least=_LEAST_PACKETS, rise=_SUM_RISE)
        self._last: deque[int] = deque(maxlen=_SUMMED)
        self._sum = 0
        self._untold: deque[tuple[Usual, int]] = deque(maxlen=4 * _PACKETS)  # of packets that may show motion yet

    @property
    def known(self) -> bool:
        """Whether it can tell what is unusual."""
        return self._sums.known or (self._keys.known and not self._last)

    def look(self, coded: Coded) -> bool:
        """Take in the next packet; tell whether it, or the last few together, are far larger than usual."""
        size = coded.packet.size + _BYTES
        if coded.key:
            numbers = [(self._keys, size)]
        else:
            numbers = [(self._others, size)]
            if len(self._last) == _SUMMED:
                self._sum -= self._last[0]
            self._last.append(size)
            self._sum += size
            if len(self._last) == _SUMMED:
                numbers.append((self._sums, self._sum))
        self._untold.extend(numbers)
        return any(usual.exceeds(number) for usual, number in numbers)

    def learn(self) -> None:
        """Nothing has moved up to the last packet: take those for usual that came since it was said last."""
        for usual, number in self._untold:
            usual.learn(number)
        self._untold.clear()

    def forget(self) -> None:
        """Something moves: the packets since `learn` say nothing of what is usual."""
        self._untold.clear()


class KeyFrames:
    """How much key frames usually differ from one another."""

    def __init__(self) -> None:
        self._usual = Usual(most=_KEYS, least=_LEAST_KEYS, rise=_CELLS_RISE)
        for _ in range(_LEAST_KEYS):
            self._usual.learn(_FEW)
        self._last: NDArray[np.uint8] | None = None
        self._differing = 0

    def look(self, picture: AnyPicture) -> bool:
        """Compare a key frame with the one before; tell whether they differ far more than usual.

        Raises:
            BackendError: the picture is in the memory of a GPU that failed.
        """
        cell_px = math.ceil(max(picture.width, picture.height) / _CELLS)
        luma, last = small_luma(picture, cell_px), self._last
        self._last = luma
        if last is None:
            return False
        if last.shape != luma.shape:
            return True
        self._differing = differing_cells(last, luma)
        return self._usual.exceeds(self._differing + _FEW)

    def learn(self) -> None:
        """Nothing moved between the last two: that is how much they usually differ."""
        self._usual.learn(self._differing + _FEW)


def differing_cells(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> int:
    """Return how many cells differ together with two of their neighbours; another light over all of them is none.

    Args:
        before: (H, W) luma.
        now: (H, W) luma.
    """
    old, new = before.astype(np.float32), now.astype(np.float32)
    old *= np.float32(np.median((new[::4, ::4] + 1) / (old[::4, ::4] + 1)))
    away = cv2.absdiff(old, new)
    least = max(_LEAST_CONTRAST, _OF_NOISE * float(np.median(away[::4, ::4])))
    differs = (away > least).astype(np.float32)
    together = cv2.boxFilter(differs, -1, (3, 3)) * differs
    return int(np.count_nonzero(together >= _TOGETHER - 1e-3))
