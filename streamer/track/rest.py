"""Which objects have come to rest, and whether what a frame shows may be taken to last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Collection, Container

    from streamer.core.results import Box, Track

_CERTAIN_HITS = 3  # sightings: a ghost has one, seldom two
_REST_NS = NS_PER_S  # an object rests that has not left its place for so long,
_STATIONARY_NS = 10 * NS_PER_S  # and is stationary after so long: a parked car, not one that waits for its turn
_SAME_PLACE_IOU = 0.6  # boxes of an object at rest overlap at least this much: a detector's boxes jump
_STRAY_IOU = 0.3  # one box in a row may overlap as little: legs that somebody hides for a moment
_AVERAGED = 5  # sightings whose mean is the place: the first box may be the worst


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """Where an object has been since a moment."""

    box: Box
    since_ns: int  # capture time of the first sighting in it
    sightings: int = 1  # in it, so far
    strayed: bool = False  # the last sighting was not quite in it
    stationary: bool = False


class Rests:
    """Where each object of a camera has come to rest. Owned by its tracker."""

    def __init__(self) -> None:
        self._places: dict[int, _Place] = {}  # track id -> where it is

    def see(self, track_id: int, box: Box, now_ns: int) -> bool:
        """Take in an object's next sighting, at a capture time; return whether it is stationary."""
        place = _seen(self._places.get(track_id), box, now_ns)
        self._places[track_id] = place
        return place.stationary

    def settled(self, tracks: Collection[Track], frame_ns: int) -> bool:
        """Tell whether each object known after a frame is in it, certain and at rest."""
        return all(
            track.last_ns == frame_ns and track.hits >= _CERTAIN_HITS and self._rests(track.id, frame_ns)
            for track in tracks
        )

    def keep(self, track_ids: Container[int]) -> None:
        """Forget all objects but these."""
        self._places = {track_id: place for track_id, place in self._places.items() if track_id in track_ids}

    def _rests(self, track_id: int, frame_ns: int) -> bool:
        place = self._places[track_id]
        return not place.strayed and frame_ns - place.since_ns >= _REST_NS


def _seen(place: _Place | None, box: Box, now_ns: int) -> _Place:
    """Return an object's place after its next sighting."""
    overlap = 0.0 if place is None else iou(place.box, box)
    if place is None or overlap < (_STRAY_IOU if not place.strayed else _SAME_PLACE_IOU):
        return _Place(box=box, since_ns=now_ns)
    if overlap < _SAME_PLACE_IOU:
        return replace(place, strayed=True)
    sightings = place.sightings + 1
    return replace(
        place,
        box=_mean(place.box, box, sightings) if sightings <= _AVERAGED else place.box,
        sightings=sightings,
        strayed=False,
        stationary=place.stationary or now_ns - place.since_ns >= _STATIONARY_NS,
    )


def _mean(mean: Box, box: Box, count: int) -> Box:
    """Return the mean of `count` boxes, from that of all but the last."""
    x1, y1, x2, y2 = (old + (new - old) / count for old, new in zip(mean, box, strict=True))
    return x1, y1, x2, y2


def iou(a: Box, b: Box) -> float:
    """Return the overlap of two boxes as a share of what they cover together, 0..1."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / both if both > 0 else 1.0
