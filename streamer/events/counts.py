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


@dataclass(frozen=True, slots=True)
class _Number:
    """A number that holds since a moment of capture time."""

    value: int
    since_ns: int


class ObjectCounts:
    """Numbers of confirmed tracks seen within the last second. Pure; owned by one thread.

    A number that has changed is told after it has held for 0.5 s. The first frame after a start or an outage is told at
    once and counts what it shows: there is no older number to hold, and a made-up 0 would look like an arrival
    afterwards. For a camera slower than two frames in three seconds the second becomes one and a half frame intervals,
    so that what every frame shows never flaps.
    """

    def __init__(self, class_ids: Iterable[int] | None) -> None:
        """Store the classes that are told from the first frame on; others are from their first object on.

        None lists no class: a model's 80 classes, of which a camera sees five, would be 75 numbers that stay 0.
        """
        self._listed = frozenset(class_ids or ())
        self._told: dict[int, int] = {}
        self._pending: dict[int, _Number] = {}
        self._last_seen: dict[int, tuple[int, int]] = {}  # track id -> class id, capture time of its last sighting
        self._frame_ns: int | None = None

    def observe(self, info: FrameInfo, tracks: Sequence[Track]) -> dict[int, int | None]:
        """Take in the tracks seen in the next frame; return the classes whose number is to be told."""
        now_ns = info.captured_ns
        first = self._frame_ns is None
        interval_ns = 0 if self._frame_ns is None else now_ns - self._frame_ns
        self._frame_ns = now_ns
        for track in tracks:
            if first or track.hits >= _LEAST_HITS:
                self._last_seen[track.id] = (track.class_id, now_ns)
        changed_ns = self._forget(now_ns, max(_WINDOW_NS, interval_ns * 3 // 2))
        numbers = self._numbers()
        if first:
            self._told = numbers
            return dict(numbers)
        for class_id in numbers.keys() | self._told.keys():
            self._note(class_id, numbers.get(class_id, 0), changed_ns.get(class_id, now_ns))
        return self._held(now_ns)

    def tick(self, now_ns: int) -> dict[int, int | None]:
        """Let a live camera's time pass when no frame comes; return the classes whose number is to be told."""
        return self._held(now_ns - _SLACK_NS)

    def offline(self) -> dict[int, int | None]:
        """Forget everything, as the camera is not online; return None for each class that was told."""
        gone: dict[int, int | None] = dict.fromkeys(self._told.keys() | self._listed)
        self._told, self._pending, self._last_seen, self._frame_ns = {}, {}, {}, None
        return gone

    def _forget(self, now_ns: int, window_ns: int) -> dict[int, int]:
        """Drop the tracks unseen for a window; return the moment at which each class last lost one.

        The moment is when the window ended, not when the next frame came, so that slow cameras tell no later.
        """
        changed_ns: dict[int, int] = {}
        for track_id, (class_id, seen_ns) in list(self._last_seen.items()):
            if now_ns - seen_ns > window_ns:
                del self._last_seen[track_id]
                changed_ns[class_id] = max(seen_ns + window_ns, changed_ns.get(class_id, 0))
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
