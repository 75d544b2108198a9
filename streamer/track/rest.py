"""Whether what a frame shows may be taken to last: each object is there for sure, and has come to rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Collection

    from streamer.core.results import Box, Track

_CERTAIN_HITS = 3  # sightings: a ghost has one, seldom two
_REST_NS = NS_PER_S  # an object rests that has not left its place for so long
_SAME_PLACE_IOU = 0.6  # boxes of an object at rest overlap at least this much: a detector's boxes jump


class Rests:
    """Where each object of a camera has come to rest. Owned by its tracker."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[Box, int]] = {}  # track id -> where, and since when (capture time, ns)

    def look(self, tracks: Collection[Track], frame_ns: int) -> bool:
        """Take in all objects known after a frame; return whether each is in it, certain and at rest."""
        places = {}
        for track in tracks:
            place = self._places.get(track.id)
            if place is None or _iou(place[0], track.box) < _SAME_PLACE_IOU:
                place = track.box, track.last_ns
            places[track.id] = place
        self._places = places
        return all(
            track.last_ns == frame_ns and track.hits >= _CERTAIN_HITS and frame_ns - places[track.id][1] >= _REST_NS
            for track in tracks
        )


def _iou(a: Box, b: Box) -> float:
    """Return the overlap of two boxes as a share of what they cover together, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / both if both > 0 else 1.0
