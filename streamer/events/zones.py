"""Which zones an object is in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .plane import distance, foot, in_px, margin_px, within
from .recent import Recent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, Track

    from .plane import Point


class Zones:
    """The zones of one camera, and who is in them. Pure; owned by one thread.

    An object enters a zone with its foot point, and has left it once that is beyond the border by a tenth of its box's
    height. So someone who stands on the border is in, and stays in; what never touches the zone never is.
    """

    def __init__(self, zones: Mapping[str, Sequence[Point]]) -> None:
        """Store the zones: name -> the points around it, fractions of width and height."""
        self._zones = dict(zones)
        self._in: Recent[tuple[str, ...]] = Recent()

    def observe(self, info: FrameInfo, tracks: Sequence[Track]) -> dict[int, tuple[str, ...]]:
        """Take in the tracks seen in the next frame; return the zones that each is in, in their order in the file."""
        if not self._zones:
            return {}
        polygons = {name: in_px(points, info) for name, points in self._zones.items()}
        found: dict[int, tuple[str, ...]] = {}
        for track in tracks:
            before = self._in.get(track.id) or ()
            found[track.id] = tuple(
                name for name, polygon in polygons.items() if _is_in(track.box, polygon, was_in=name in before)
            )
            self._in.put(track.id, found[track.id])
        return found

    def forget(self) -> None:
        """Forget who was where."""
        self._in.clear()


def _is_in(box: Box, polygon: Sequence[Point], *, was_in: bool) -> bool:
    point = foot(box)
    return within(point, polygon) or (was_in and distance(point, polygon) <= margin_px(box))
