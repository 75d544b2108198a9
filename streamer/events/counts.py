"""How many objects of each class there are now: `objects/<class>`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Track

_WINDOW_NS = NS_PER_S  # an object counts for this long after its last sighting
_HOLD_NS = NS_PER_S // 2  # a new number is told after it has held for this long
_LEAST_HITS = 2  # sightings that confirm a track: a ghost of one frame never counts
_SLACK_NS = NS_PER_S // 2  # frames may be this late before a tick may speak for them
# Frames may be this late before their absence means anything, as for events. A camera that freezes is lost after 3 to
# 4 s, and its counts are null then: nobody saw the objects go.
_LATE_NS = 5 * NS_PER_S
_IDLE_LATE_NS = 13 * NS_PER_S  # while the camera idles: only its key frames come, 12 s apart at most


@dataclass(frozen=True, slots=True)
class _Number:
    """A number that holds since a moment of capture time."""

    value: int
    since_ns: int


class ObjectCounts:
    """Numbers of confirmed tracks seen within the last second. Pure; owned by one thread.

    A number that has changed is told after it has held for 0.5 s, and so is the first one after a start or an outage:
    until then a class has none, as a made-up 0 would make an arrival of what was there. Only a class of which the first
    frame shows nothing is told as 0 at once. For a camera slower than two frames in three seconds the second becomes
    one and a half frame intervals, so that what every frame shows never flaps.
    """

    def __init__(self, class_ids: Iterable[int] | None) -> None:
        """Store the classes that are told from the first frame on; others are from their first object on.

        None lists no class: a model's 80 classes, of which a camera sees five, would be 75 numbers that stay 0.
        """
        self._listed = frozenset(class_ids or ())
        self._told: dict[int, int] = {}
        self._pending: dict[int, _Number] = {}
        self._last_seen: dict[int, tuple[int, int]] = {}  # track id -> class id, capture time of its last sighting
        self._unsure: frozenset[int] = frozenset()  # classes of tracks in the last frame that are not confirmed yet
        self._frame_ns: int | None = None
        self._window_ns = _WINDOW_NS
        self._late_ns = _LATE_NS

    def observe(self, info: FrameInfo, tracks: Sequence[Track], *, still: bool = False) -> dict[int, int | None]:
        """Take in the tracks seen in the next frame; return the classes whose number is to be told.

        Args:
            info: of the frame.
            tracks: the objects in it.
            still: nobody has looked at it, as nothing has moved: the next one may be long in coming.
        """
        now_ns = info.captured_ns
        self._late_ns = _IDLE_LATE_NS if still else _LATE_NS
        first = self._frame_ns is None
        interval_ns = 0 if self._frame_ns is None else now_ns - self._frame_ns
        self._frame_ns, self._window_ns = now_ns, max(_WINDOW_NS, interval_ns * 3 // 2)
        confirmed = [track for track in tracks if track.hits >= _LEAST_HITS]
        self._last_seen |= {track.id: (track.class_id, now_ns) for track in confirmed}
        self._unsure = frozenset(track.class_id for track in tracks if track.hits < _LEAST_HITS)
        if first:
            in_view = {track.class_id for track in tracks}
            self._told = dict.fromkeys(self._listed - in_view, 0)
            return dict(self._told)
        self._look(now_ns, now_ns)
        return self._held(now_ns)

    def tick(self, now_ns: int) -> dict[int, int | None]:
        """Let a live camera's time pass when no frame comes; return the classes whose number is to be told.

        What was in view is forgotten 5 s later than the frames would have it (13 s, while nothing moves): absence is
        shown by frames, not by their lateness. So this overtakes neither `observe` nor the loss of the camera.
        """
        if self._frame_ns is not None:
            self._look(now_ns - self._late_ns, now_ns)
        return self._held(now_ns - _SLACK_NS)

    def offline(self) -> dict[int, int | None]:
        """Forget everything, as the camera is not online; return None for each class that was told.

        What was told is listed from now on, so that it does not stay unknown once the camera is back.
        """
        self._listed = self._listed.union(self._told)
        self._told, self._pending, self._last_seen = {}, {}, {}
        self._unsure, self._frame_ns = frozenset(), None
        return dict.fromkeys(self._listed)

    def _look(self, until_ns: int, now_ns: int) -> None:
        """Forget what was last seen a window before a moment, and note the numbers as they are now."""
        changed_ns = self._forget(until_ns)
        numbers = self._numbers()
        for class_id in numbers.keys() | self._told.keys():
            number = numbers.get(class_id, 0)
            if number == 0 and class_id not in self._told and class_id in self._unsure:
                self._pending.pop(class_id, None)  # something is in view: whether it counts the next frame tells
            else:
                self._note(class_id, number, changed_ns.get(class_id, now_ns))

    def _forget(self, until_ns: int) -> dict[int, int]:
        """Drop the tracks unseen for a window at a moment; return when each class last lost one.

        That is when the window ended, not when the next frame came, so that slow cameras tell no later.
        """
        changed_ns: dict[int, int] = {}
        for track_id, (class_id, seen_ns) in list(self._last_seen.items()):
            if until_ns - seen_ns > self._window_ns:
                del self._last_seen[track_id]
                changed_ns[class_id] = max(seen_ns + self._window_ns, changed_ns.get(class_id, 0))
        return changed_ns

    def _numbers(self) -> dict[int, int]:
        numbers = dict.fromkeys(self._listed, 0)
        for class_id, _ in self._last_seen.values():
            numbers[class_id] = numbers.get(class_id, 0) + 1
        return numbers

    def _note(self, class_id: int, value: int, since_ns: int) -> None:
        """Note a class's number as it is now; a new one holds since a moment."""
        if value == self._told.get(class_id):
            self._pending.pop(class_id, None)
        elif class_id not in self._pending or self._pending[class_id].value != value:
            self._pending[class_id] = _Number(value, since_ns)

    def _held(self, now_ns: int) -> dict[int, int | None]:
        """Tell the numbers that have held for long enough."""
        told: dict[int, int | None] = {
            class_id: number.value for class_id, number in self._pending.items() if now_ns - number.since_ns >= _HOLD_NS
        }
        for class_id in told:
            self._told[class_id] = self._pending.pop(class_id).value
        return told
