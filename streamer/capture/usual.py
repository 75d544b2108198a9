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

_RENEWED_EVERY = 16  # numbers: after so many the limit is worked out anew
_SPREADS = 2.0  # standard deviations above the second largest
_TO_DEVIATION = 1.4826  # from the median absolute deviation, of what is normally distributed

_PACKETS = 512  # remembered
_LEAST_PACKETS = 25  # known before one is unusual
_KEYS = 32
_LEAST_KEYS = 4
_BYTES = 256  # added to each size: without noise a packet has 20 bytes, and 200 now and then
_SUMMED = 8  # packets: what is small, or moves slowly, shows in their sum
_LEARNED = 0.25  # of each size goes into what is usual at its place
_MOST_LEARNED = 0.5  # log2: no packet is taken for farther from it than this
_QUIET = 16  # times smaller than key frames packets are at least where there is little noise
_MOST_IN_SUM = 0.5  # log2: one odd packet does not make eight of them odd
_FAR = 0.7  # log2: a packet that is unusual by so much more is so at once,
_OF_LAST = 3  # else two of so many must be
_MOST_PLACES = 1024  # behind a key frame
# How much larger than ever before a number is at least that is unusual, log2; a sum of packets varies less than one.
_PACKET_RISE = math.log2(1.10)
_SUM_RISE = math.log2(1.03)
_KEY_RISE = math.log2(1.10)

_CELLS = 160  # along the longer side of a key frame
_LEAST_CONTRAST = 4.0  # levels of 255 by which a cell must differ,
_OF_NOISE = 6.0  # and so many times the middle cell's difference,
_MOST_NOISE = 20.0  # levels, if that is no more: else all of the picture differs
_OF_REACH = 1.5  # and so many times as far as it strays by itself: leaves that sway
_REACH_LEARNED = 0.5  # of how much farther it has strayed this time goes into that,
_REACH_KEPT = 0.98  # and so much is kept of it from one comparison to the next
_TOGETHER = 3 / 9  # of a cell and its neighbours
_CELLS_RISE = math.log2(1.5)
_FEW = 8  # cells, added to each number of them: four where there are usually none are unusual


class Usual:
    """Numbers, of which those far above what is usual are told. Robust: a few odd ones change little."""

    def __init__(self, *, most: int, least: int, rise: float) -> None:
        """Begin without any.

        Args:
            most: how many are remembered.
            least: how many must be known before one is far above.
            rise: how far above the second largest a number is at least that is far above.
        """
        self._numbers: deque[float] = deque(maxlen=most)
        self._least = least
        self._rise = rise
        self._limit = math.inf
        self._learned = 0

    @property
    def middle(self) -> float:
        """The median of what was learned."""
        return median(self._numbers)

    @property
    def known(self) -> bool:
        """Whether enough have been learned."""
        return len(self._numbers) >= self._least

    def exceeds(self, number: float) -> bool:
        """Tell whether a number is far above what is usual."""
        return number > self._limit

    def learn(self, number: float) -> None:
        """Take in a number that came while nothing moved."""
        self._numbers.append(number)
        self._learned += 1
        if self.known and (self._learned % _RENEWED_EVERY == 0 or self._learned <= self._least + _RENEWED_EVERY):
            ordered = sorted(self._numbers)
            middle = ordered[len(ordered) // 2]
            deviation = _TO_DEVIATION * median(abs(number - middle) for number in ordered)
            self._limit = ordered[-2] + max(self._rise, _SPREADS * deviation)


class PacketSizes:
    """How large the packets of a stream usually are, by their place behind the last key frame.

    Rate control and the first picture's quality make waves that come back with each key frame; what moves does not.
    Sizes are logarithms here, so that all is about shares.
    """

    def __init__(self) -> None:
        self._keys = Usual(most=_KEYS, least=_LEAST_KEYS, rise=_KEY_RISE)
        self._others = Usual(most=_PACKETS, least=_LEAST_PACKETS, rise=_PACKET_RISE)
        self._sums = Usual(most=_PACKETS, least=_LEAST_PACKETS, rise=_SUM_RISE)
        self._at_place: list[float] = []  # usual size of the packets behind a key frame, in order
        self._place = 0
        self._last: deque[float] = deque(maxlen=_SUMMED)  # how far the last ones are from it
        self._odd: deque[bool] = deque(maxlen=_OF_LAST)  # which of the last ones were unusual
        self._untold: deque[tuple[Usual, float]] = deque(maxlen=4 * _PACKETS)  # since `learn`: they may show motion
        self._unplaced: deque[tuple[int, float]] = deque(maxlen=2 * _PACKETS)  # place and size of those

    @property
    def known(self) -> bool:
        """Whether it can tell what is unusual."""
        return self._sums.known if self._at_place or self._unplaced else self._keys.known

    def look(self, *, size: int, key: bool) -> bool:
        """Take in the next packet; tell whether it, or the last few together, are far larger than usual.

        Args:
            size: bytes.
            key: it is a key frame.
        """
        log = math.log2(size + _BYTES)
        if key:
            self._place = 0
            self._untold.append((self._keys, log))
            return self._keys.exceeds(log)
        place = min(self._place, _MOST_PLACES - 1)
        self._place += 1
        self._unplaced.append((place, log))
        if place >= len(self._at_place):
            self._last.clear()
            return False
        off = log - self._at_place[place]
        self._last.append(max(-_MOST_IN_SUM, min(_MOST_IN_SUM, off)))
        self._odd.append(self._others.exceeds(off))
        self._untold.append((self._others, off))
        unusual = self._others.exceeds(off - _FAR) or (self._odd[-1] and sum(self._odd) > 1)
        if len(self._last) == _SUMMED:
            mean = sum(self._last) / _SUMMED
            self._untold.append((self._sums, mean))
            unusual = unusual or self._sums.exceeds(mean)
        return unusual

    @property
    def doubtful(self) -> bool:
        """Whether one of the last packets was unusual, which alone tells nothing yet."""
        return any(self._odd)

    def learn(self) -> None:
        """Nothing has moved up to the last packet: take those for usual that came since it was said last."""
        for usual, number in self._untold:
            usual.learn(number)
        for place, log in self._unplaced:
            if place < len(self._at_place):
                off = log - self._at_place[place]
                self._at_place[place] += _LEARNED * max(-_MOST_LEARNED, min(_MOST_LEARNED, off))
            elif place == len(self._at_place):
                self._at_place.append(log)
        self.forget()

    def forget(self) -> None:
        """Something moves: the packets since `learn` say nothing of what is usual."""
        self._untold.clear()
        self._unplaced.clear()

    def noisy(self) -> bool:
        """Whether sizes may tell nothing of what moves: packets are large in quiet, or there are key frames alone."""
        if not self._at_place or not self._keys.known:
            return True
        return 2**self._keys.middle - _BYTES < _QUIET * (2 ** median(self._at_place) - _BYTES)


class KeyFrames:
    """How much key frames usually differ from one another, each cell and all together."""

    def __init__(self) -> None:
        self._usual = Usual(most=_KEYS, least=_LEAST_KEYS, rise=_CELLS_RISE)
        for _ in range(_LEAST_KEYS):
            self._usual.learn(math.log2(_FEW))
        self._last: NDArray[np.uint8] | None = None
        self._reach: NDArray[np.float32] | None = None  # how far each cell strays by itself, levels
        self._untold: NDArray[np.float32] | None = None  # the last difference: it may show motion

    def begin(self, picture: AnyPicture) -> None:
        """Take in a key frame without comparing it: much may have happened since the last one.

        Raises:
            BackendError: the picture is in the memory of a GPU that failed.
        """
        self._last = _cells(picture)

    def look(self, picture: AnyPicture) -> bool:
        """Compare a key frame with the one before; tell whether they differ far more than usual.

        Raises:
            BackendError: the picture is in the memory of a GPU that failed.
        """
        luma, last = _cells(picture), self._last
        self._last, self._untold = luma, None
        if last is None or last.shape != luma.shape:
            self._reach = None
            return True
        if self._reach is None or self._reach.shape != luma.shape:
            self._reach = np.zeros(luma.shape, np.float32)
        away = difference(last, luma)
        self._untold = away
        return self._usual.exceeds(_logarithm(away, self._reach))

    def learn(self) -> None:
        """Nothing moved between the last two that were compared: that is how much they usually differ."""
        if self._untold is not None and self._reach is not None:
            farther = self._reach + np.float32(_REACH_LEARNED) * (self._untold - self._reach)
            self._reach = np.maximum(self._reach * np.float32(_REACH_KEPT), farther)
            self._usual.learn(_logarithm(self._untold, self._reach))
        self._untold = None

    def forget(self) -> None:
        """Something moves: the last comparison says nothing of what is usual."""
        self._untold = None


def _logarithm(away: NDArray[np.float32], reach: NDArray[np.float32]) -> float:
    return math.log2(differing_cells(away, reach) + _FEW)


def _cells(picture: AnyPicture) -> NDArray[np.uint8]:
    return small_luma(picture, math.ceil(max(picture.width, picture.height) / _CELLS))


def difference(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return by how much each cell differs, (H, W) levels; another light over all of them is no difference.

    Args:
        before: (H, W) luma.
        now: (H, W) luma.
    """
    old, new = before.astype(np.float32), now.astype(np.float32)
    old *= np.float32(np.median((new[::4, ::4] + 1) / (old[::4, ::4] + 1)))
    away: NDArray[np.float32] = cv2.absdiff(old, new)
    return away


def differing_cells(away: NDArray[np.float32], reach: NDArray[np.float32]) -> int:
    """Return how many cells differ together with two of their neighbours.

    Args:
        away: (H, W) levels, of `difference`.
        reach: (H, W) levels, what that is by itself.
    """
    noise = min(_OF_NOISE * float(np.median(away[::4, ::4])), _MOST_NOISE)
    differs = (away > np.maximum(_OF_REACH * reach, max(_LEAST_CONTRAST, noise))).astype(np.float32)
    together = cv2.boxFilter(differs, -1, (3, 3)) * differs
    return int(np.count_nonzero(together >= _TOGETHER - 1e-3))
