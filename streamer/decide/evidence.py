"""What is known of the items that wait for more."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamer.core.decision import Doubt
    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, Classification, Detections

_MOST_DOUBTS = 256  # frames: more than ever wait between their capture and their result

FrameKey = tuple[int, int]  # a frame of one camera: its connection and its number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FrameEvidence:
    """What is known of an item that a whole frame, or a zone of it, shows."""

    number: int  # of the item
    info: FrameInfo
    detections: Detections | None = None
    classes: Mapping[str, Classification] = field(default_factory=dict)  # by classification


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ObjectEvidence:
    """What is known of an item that is a tracked object, but for its labels."""

    number: int  # of the item
    track: int
    info: FrameInfo  # of the frame in which it had crossed the line
    box: Box  # px, where it was
    detections: Detections | None


class Evidence:
    """The items of one camera that wait to be judged. Thread-safe; its lock is held for a few lines only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all below
        self._frames: dict[FrameKey, FrameEvidence] = {}
        self._keys: dict[int, FrameKey] = {}  # by item
        self._objects: dict[int, ObjectEvidence] = {}  # by item
        self._handed_out = 0  # the number of the last item that was
        self._doubts: OrderedDict[FrameKey, Doubt] = OrderedDict()  # about the latest frames that are no items

    def __len__(self) -> int:
        """Return how many items wait."""
        with self._lock:
            return len(self._frames) + len(self._objects)

    def expect(self, item: FrameEvidence | ObjectEvidence) -> None:
        """Have a place for what comes to be known of an item."""
        with self._lock:
            if item.number <= self._handed_out:  # it is decided already: nobody would clear the place
                return
            if isinstance(item, ObjectEvidence):
                self._objects[item.number] = item
            else:
                self._keys[item.number] = key = frame_key(item.info)
                self._frames[key] = item

    def learn(
        self,
        info: FrameInfo,
        *,
        detections: Detections | None = None,
        classes: Mapping[str, Classification] | None = None,
    ) -> FrameEvidence | None:
        """Add what is known of a frame; return all that is, or None if no item waits for that."""
        with self._lock:
            known = self._frames.get(frame_key(info))
            if known is None:
                return None
            known = replace(
                known,
                detections=known.detections if detections is None else detections,
                classes={**known.classes, **(classes or {})},
            )
            self._frames[frame_key(info)] = known
            return known

    def number_of(self, info: FrameInfo) -> int | None:
        """Return the item that a frame shows; None if none waits."""
        with self._lock:
            known = self._frames.get(frame_key(info))
            return None if known is None else known.number

    def objects(self, track: int | None = None) -> list[ObjectEvidence]:
        """Return the items that wait for the labels of an object, or with None of any."""
        with self._lock:
            return [item for item in self._objects.values() if track in (None, item.track)]

    def doubt(self, info: FrameInfo, doubt: Doubt) -> None:
        """Keep the doubt about a frame that is no item itself, but may show one."""
        with self._lock:
            self._doubts[frame_key(info)] = doubt
            if len(self._doubts) > _MOST_DOUBTS:
                self._doubts.popitem(last=False)

    def doubt_about(self, info: FrameInfo) -> Doubt | None:
        """Return the doubt about such a frame."""
        with self._lock:
            return self._doubts.get(frame_key(info))

    def forget(self, number: int) -> None:
        """Give up the place of an item that is judged."""
        with self._lock:
            self._forget_locked(number)

    def handed_out(self, numbers: Iterable[int]) -> None:
        """Give up the places of the next items, in order: they are decided."""
        with self._lock:
            for number in numbers:
                self._handed_out = number
                self._forget_locked(number)

    def _forget_locked(self, number: int) -> None:
        self._objects.pop(number, None)
        key = self._keys.pop(number, None)
        if key is not None:
            self._frames.pop(key, None)


def frame_key(info: FrameInfo) -> FrameKey:
    """Return what tells a frame from the others of its camera."""
    return info.connection, info.seq
