"""What happens at a moment: an object crosses a line, or is taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .removed import Removed
from .sighting import area

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.event import Event
    from streamer.core.frame import FrameInfo
    from streamer.core.results import Track

    from .lines import Crossing
    from .rules import RuleSpec
    from .sighting import Sighting
    from .stays import Stays


class AtOnce:
    """The events of one camera that are over at once: each ends `end_after` later. Pure; owned by one thread."""

    def __init__(self, stays: Stays, rules: Sequence[RuleSpec]) -> None:
        self._stays = stays
        self._removed = [(rule, Removed(rule)) for rule in rules if rule.removed]
        self._count = 0  # of such so far

    def crossed(
        self, rule: RuleSpec, track: Track, sighting: Sighting, crossings: Sequence[Crossing]
    ) -> list[Event | None]:
        """Begin a stay for each crossing of an object that the rule asks for; go on with those that wait for `after`.

        An object must have been in view for `after`, before and behind the line together: a ghost crosses nothing, and
        one that vanishes just behind the line has crossed it all the same. Where the rule asks for labels, it waits for
        them.
        """
        told: list[Event | None] = []
        another = rule.labels.keys() <= sighting.labels.keys() and not rule.fits(sighting.labels)
        for key, stay in self._stays.waiting(rule.name, track.id):
            if another:
                self._stays.outside(key, sighting.info.captured_ns)
            else:
                found = replace(sighting, line=rule.line, direction=stay.last.direction)
                told.append(self._stays.note(key, rule, found))
        if not rule.looks_at(sighting.zones) or area(sighting.info, track.box) < rule.min_area:
            return told
        for crossing in crossings:
            if crossing.track.id == track.id and crossing.line == rule.line:
                if rule.direction not in (None, crossing.direction) or crossing.twin in rule.class_ids:
                    continue
                found = replace(sighting, line=crossing.line, direction=crossing.direction)
                told.append(self._begin(rule, found, first=crossing.crossed, there_ns=track.first_ns))
        return told

    def taken(
        self, info: FrameInfo, tracks: Sequence[Track], found: Sequence[Sighting], step_ns: int
    ) -> list[Event | None]:
        """Begin a stay for each thing that was taken away, where it had been.

        Args:
            info: of the frame.
            tracks: the objects in it.
            found: the same, each as it is found.
            step_ns: capture time since the frame before.
        """
        told: list[Event | None] = []
        for rule, removed in self._removed:
            wanted = {
                track.id: sighting
                for track, sighting in zip(tracks, found, strict=True)
                if track.class_id in rule.class_ids
                and rule.looks_at(sighting.zones)
                and area(info, track.box) >= rule.min_area
            }
            for stay in removed.observe(info, tracks, wanted, step_ns):
                there = stay.last.info
                seen = replace(stay.last, info=info)
                told.append(self._begin(rule, seen, first=there, there_ns=there.captured_ns))
        return told

    def clear(self) -> None:
        """Forget everything."""
        for _, removed in self._removed:
            removed.clear()

    def _begin(self, rule: RuleSpec, sighting: Sighting, *, first: FrameInfo, there_ns: int) -> Event | None:
        self._count += 1
        return self._stays.note((rule.name, -self._count), rule, sighting, first=first, there_ns=there_ns)
