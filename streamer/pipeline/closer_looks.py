"""Where one camera's pictures are looked at more closely: where something small moves, or has been found so."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

from streamer.infer.zoom import joined, only_close, zoom_parts
from streamer.pixels.crop import cropped

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.frame import AnyPicture, Frame, FrameInfo, Part
    from streamer.core.results import Detection, Detections
    from streamer.infer.zoom import Region

_MOST_PLACES = 8
_MISSES = 10  # so many closer looks at a place show nothing there: it is forgotten
_GOES_ON = 0.8  # of the least score that starts an event: so sure must one be that goes on


@dataclass(frozen=True, slots=True)
class _Place:
    """Where something was found that the whole frame does not show."""

    region: Region
    misses: int = 0  # closer looks since then that have not found it


class CloserLooks:
    """Which parts of a camera's frames a detector is shown besides the whole, and what it says of them all.

    Something small that has come to rest does not move any more, and yet it must be found at each look, or its event
    would end. So the places where only a closer look has found something are looked at as well, until it is gone.

    The capture thread asks for parts, the inference thread brings the answers.
    """

    def __init__(self, input_hw: tuple[int, int], wanted: Mapping[int, float] | None = None) -> None:
        """Begin without any place.

        Args:
            input_hw: of the network, px.
            wanted: class -> the least score that starts an event; of others no place is kept. None: every class.
        """
        self._input_hw = input_hw
        self._wanted = wanted
        self._lock = threading.Lock()  # guards all below
        self._connection = 0
        self._places: tuple[_Place, ...] = ()  # those looked at longest ago first

    def parts(self, info: FrameInfo, moving: Sequence[Region]) -> tuple[Part, ...]:
        """Return the parts of a frame that are to be looked at more closely.

        Args:
            info: of the frame.
            moving: where something moves, the largest first.
        """
        with self._lock:
            known = self._places if self._connection == info.connection else ()
        # By turns: neither does much motion keep what is known from being looked at, nor the other way round.
        turns = chain.from_iterable(zip_longest(moving, (place.region for place in known)))
        wanted = [region for region in turns if region is not None]
        return zoom_parts(wanted, (info.height, info.width), self._input_hw)

    def joined(self, frame: Frame, answers: Sequence[Detections]) -> Detections:
        """Return what a frame shows, and note what only its parts do.

        Args:
            frame: with its parts.
            answers: to the whole, and to each of the parts.
        """
        info, (whole, *close) = frame.info, answers
        found = joined(whole, list(zip(frame.zoom, close, strict=True)), frame_hw=(info.height, info.width))
        seen = [_fractions(one.box, info) for one in only_close(whole, found) if self._is_wanted(one)]
        seen = [region for region in seen if zoom_parts([region], (info.height, info.width), self._input_hw)]
        looked_at = [_fractions(part, info) for part in frame.zoom]
        with self._lock:
            known = self._places if self._connection == info.connection else ()
            self._connection = info.connection
            self._places = _noted(known, seen, looked_at)
        return found

    def _is_wanted(self, found: Detection) -> bool:
        """Whether an event may go on with it."""
        return self._wanted is None or found.score >= _GOES_ON * self._wanted.get(found.class_id, math.inf)


def pictures_of(frame: Frame) -> tuple[AnyPicture, ...]:
    """Return what a detector is shown of a frame: the whole, then its parts, views of the same memory."""
    return frame.picture, *(cropped(frame.picture, part) for part in frame.zoom)


def _fractions(box: Sequence[float], info: FrameInfo) -> Region:
    x1, y1, x2, y2 = box
    return x1 / info.width, y1 / info.height, x2 / info.width, y2 / info.height


def _noted(known: Sequence[_Place], seen: Sequence[Region], looked_at: Sequence[Region]) -> tuple[_Place, ...]:
    """Return the places after a look: those passed over, then those looked at, then new ones if there is room."""
    new, passed, looked = list(seen), [], []
    for place in known:
        again = next((region for region in new if _near(region, place.region)), None)
        if again is not None:
            new.remove(again)
            looked.append(_Place(again))
        elif not any(_shows(part, place.region) for part in looked_at):
            passed.append(place)
        elif place.misses + 1 < _MISSES:
            looked.append(replace(place, misses=place.misses + 1))
    return tuple([*passed, *looked, *map(_Place, new)][:_MOST_PLACES])


def _near(region: Region, other: Region) -> bool:
    """Whether something may have gone from one place to the other since the last look: about as far as it is long."""
    reach = max(other[2] - other[0], other[3] - other[1])
    return all(abs(region[i] + region[i + 2] - other[i] - other[i + 2]) <= 2 * reach for i in (0, 1))


def _shows(part: Region, region: Region) -> bool:
    return part[0] <= region[0] and part[1] <= region[1] and region[2] <= part[2] and region[3] <= part[3]
