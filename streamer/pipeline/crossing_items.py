"""Items that are tracked objects: begun by crossing a line, judged by what is known of the object by then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from streamer.core.results import Result
    from streamer.decide.items import Items
    from streamer.events.lines import Crossing


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemCrossing:
    """Which crossings begin an item."""

    line: str
    direction: str | None  # in | out; None: both
    class_ids: frozenset[int]
    deadline_ns: int  # until when an item of a recording waits for its labels: that has no clock but its pictures


class CrossingItems:
    """Begins a camera's items, and brings them the labels that come later. Events thread."""

    def __init__(
        self, items: Items, which: ItemCrossing, labels_of: Callable[[int], Mapping[str, tuple[str, float]]]
    ) -> None:
        """Store the parts.

        Args:
            items: of the camera.
            which: crossings begin one.
            labels_of: gives what is decided of a track: ("", 1.0) where that is no class.
        """
        self._items = items
        self._which = which
        self._labels_of = labels_of
        self._open: dict[int, int] = {}  # track -> capture time of its crossing, until its time is over

    def observe(self, result: Result, crossings: Iterable[Crossing]) -> None:
        """Take in who has crossed which line in the next frame."""
        now_ns = result.info.captured_ns
        for number, crossed_ns in list(self._open.items()):
            if now_ns - crossed_ns > self._which.deadline_ns:
                self._last(number)
        for crossing in crossings:
            if self._begins(crossing):
                track = crossing.track
                labels = self._labels_of(track.id)
                self._items.crossed(
                    None, result.info, track=track.id, box=track.box, detections=result.output, labels=labels
                )
                self._open[track.id] = now_ns

    def labelled(self, track: int) -> None:
        """Take in that a classifier has said something of an object."""
        if track in self._open:
            self._items.labelled(track, self._labels_of(track))

    def end(self) -> None:
        """Take in that no labels come any more."""
        for track in list(self._open):
            self._last(track)

    def _last(self, track: int) -> None:
        del self._open[track]
        self._items.labelled(track, self._labels_of(track), last=True)

    def _begins(self, crossing: Crossing) -> bool:
        which = self._which
        return (
            crossing.line == which.line
            and which.direction in (None, crossing.direction)
            and crossing.track.class_id in which.class_ids
            and crossing.twin not in which.class_ids  # else it has begun one under its other class already
        )
