"""How many objects one rule counts now."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .plane import twins
from .sighting import Sighting

if TYPE_CHECKING:
    from streamer.core.frame import FrameInfo
    from streamer.core.results import ModelRef, Track

_WINDOW_NS = NS_PER_S  # an object counts for this long after its last sighting, as in `objects/<class>`
_LEAST_HITS = 2  # sightings that confirm a track: a ghost of one frame never counts


class Crowd:
    """The objects that a count rule counts. Pure; owned by one thread.

    What is out of sight counts for 1 s more (one and a half frame intervals, where that is more), so that detections
    that flicker are counted; what is seen to have left does not.
    """

    def __init__(self) -> None:
        self._there: dict[int, tuple[Track, int]] = {}  # track id -> as it was last, capture time of that frame

    def come(self, track: Track, now_ns: int) -> None:
        """Note an object seen in the frame of a moment (capture time) where the rule looks."""
        if track.hits >= _LEAST_HITS:
            self._there[track.id] = (track, now_ns)

    def go(self, track: Track) -> None:
        """Note an object seen in this frame elsewhere."""
        self._there.pop(track.id, None)

    def count(self, now_ns: int, interval_ns: int) -> int:
        """Forget what is gone; return how many there are.

        Args:
            now_ns: capture time of the frame.
            interval_ns: between it and the one before.
        """
        window_ns = max(_WINDOW_NS, interval_ns * 3 // 2)
        self._there = {key: (track, at) for key, (track, at) in self._there.items() if now_ns - at <= window_ns}
        return len(self._objects())

    def sighting(self, info: FrameInfo, model: ModelRef, *, more_than: int, zone: str | None) -> Sighting:
        """Say what is there: the class that most of them are, and the score on which it rests that they are so many."""
        objects = self._objects()
        classes = Counter(track.class_id for track in objects)
        return Sighting(
            info=info,
            model=model,
            class_id=max(classes, key=lambda class_id: (classes[class_id], -class_id)),
            score=objects[more_than].score,
            zones=() if zone is None else (zone,),
            count=len(objects),
        )

    def _objects(self) -> list[Track]:
        """Return those that are there, best first; each once, also if it is found under two classes."""
        objects: list[Track] = []
        for track, _ in sorted(self._there.values(), key=lambda there: -there[0].score):
            if not any(twins(track, other) for other in objects):
                objects.append(track)
        return objects

    def clear(self) -> None:
        """Forget everything."""
        self._there = {}
