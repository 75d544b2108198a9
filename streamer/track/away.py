"""Objects that had come to rest and are out of sight for longer than others are remembered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .rest import iou

if TYPE_CHECKING:
    from collections.abc import Collection

    from streamer.core.results import Box, Track

_SAME_PLACE_IOU = 0.3  # of the first box after its absence: what hid it may still hide a part
_LONGEST_NS = 60 * NS_PER_S  # a lorry stops in front of the parked car; after that it is another car
_UNSURE_NS = 3 * NS_PER_S  # for so long it may be that the detector only misses it


class Away:
    """The stationary objects that the tracker has lost, and finds again only where they were. Owned by the tracker.

    An object that moves may be anywhere after two seconds. One that had been at rest is in its place or nowhere, so it
    can be remembered for longer without its id going to a neighbour.
    """

    def __init__(self) -> None:
        self._lost: dict[int, tuple[Track, int]] = {}  # track id -> as it was last, capture time of its loss

    def put(self, track: Track, now_ns: int) -> None:
        """Take in a stationary object that the tracker forgets now (capture time of the frame)."""
        self._lost[track.id] = (track, now_ns)

    def again(self, class_id: int, box: Box) -> Track | None:
        """Return the object that is found again with a detection, as it was last, and have it back no more."""
        near = [
            (overlap, track)
            for track, _ in self._lost.values()
            if track.class_id == class_id and (overlap := iou(track.box, box)) >= _SAME_PLACE_IOU
        ]
        if not near:
            return None
        _, track = max(near, key=lambda found: found[0])
        del self._lost[track.id]
        return track

    def pass_time(self, now_ns: int) -> None:
        """Forget what has been out of sight for too long at a frame's capture time."""
        self._lost = {key: lost for key, lost in self._lost.items() if now_ns - lost[1] <= _LONGEST_NS}

    def unsure(self, now_ns: int) -> bool:
        """Tell whether one is missing that the detector may find again in its next look."""
        return any(now_ns - lost_ns < _UNSURE_NS for _, lost_ns in self._lost.values())

    def ids(self) -> Collection[int]:
        """Return the objects' ids."""
        return self._lost.keys()

    def clear(self) -> None:
        """Forget everything."""
        self._lost = {}
