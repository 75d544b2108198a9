"""Things that had been at rest and are taken away."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .absence import flickers, hidden
from .plane import gap, overlap, size
from .stay import Stay

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Track

    from .rules import RuleSpec
    from .sighting import Sighting

_SAME_PLACE_IOU = 0.3  # a thing that overlaps its place less is not in it
_AWAY = 1.0  # sizes between a thing and its place: what is nearer has been pushed, not taken away
_LEAST_NS = 2 * NS_PER_S  # what is out of sight for less may only be missed,
_MOST_NS = 5 * NS_PER_S  # and for more is not, however seldom it was seen
# Sightings, and their share of the frames of its rest: of what the detector is less sure of, nobody can say that it was
# there and is gone.
_SURE_HITS, _SURE_SHARE = 6, 1 / 3


class Removed:
    """The things at rest that one rule looks after. Pure; owned by one thread."""

    def __init__(self, rule: RuleSpec) -> None:
        self._rule = rule
        self._watched: dict[int, Stay] = {}  # track id -> its rest; never an event itself
        self._frames = 0

    def observe(
        self, info: FrameInfo, tracks: Sequence[Track], found: Mapping[int, Sighting], step_ns: int
    ) -> list[Stay]:
        """Take in the next frame; return those that were taken away: as they were in their places.

        Args:
            info: of the frame.
            tracks: the objects in it.
            found: those that the rule asks for, by track.
            step_ns: capture time since the frame before.
        """
        self._frames += 1
        seen = {track.id: track for track in tracks}
        for track_id, sighting in found.items():
            self._see(track_id, sighting, seen)
        taken = []
        for key, stay in list(self._watched.items()):
            if stay.last.info is info:
                continue
            now = self._elsewhere(stay, seen[key], info) if key in seen else hidden(stay, tracks, step_ns)
            self._watched[key] = now
            if self._is_gone(now, info.captured_ns):
                del self._watched[key]
                if _was_there(now):
                    taken.append(now)
        return taken

    def clear(self) -> None:
        """Forget everything."""
        self._watched = {}

    def _see(self, track_id: int, sighting: Sighting, seen: Collection[int]) -> None:
        """Take in a thing of the rule: it is in the place that is watched, or has come to rest in another."""
        stay = self._watched.get(track_id)
        if stay is None:  # the tracker may have given it a new id
            other = next((k for k, s in self._watched.items() if k not in seen and _is_there(s, sighting)), None)
            stay = None if other is None else self._watched.pop(other)
        if stay is not None and _is_there(stay, sighting):
            there = replace(
                sighting, stationary=True, box=stay.last.box
            )  # a thing that is pushed slowly takes none along
            self._watched[track_id] = stay.seen(there, self._frames)
        elif sighting.stationary:
            self._watched[track_id] = Stay(
                rule=self._rule,
                first=sighting.info,
                first_frame=self._frames,
                there_ns=sighting.info.captured_ns,
                last=sighting,
                last_frame=self._frames,
                top_score=sighting.score,
            )

    def _elsewhere(self, stay: Stay, track: Track, info: FrameInfo) -> Stay:
        """Return the rest of a thing that is seen, and not in its place."""
        box = stay.last.box
        if box is not None and gap(box, track.box) > _AWAY * size(box):
            return replace(stay, outside=True)
        there = replace(stay.last, info=info)  # it was pushed
        return replace(stay, last=there, last_frame=self._frames, outside=False)

    def _is_gone(self, stay: Stay, now_ns: int) -> bool:
        """Tell whether a thing that is not in its place has been gone from it for `after`."""
        away_ns, after_ns = now_ns - stay.last.info.captured_ns - stay.hidden_ns, self._rule.after_s * NS_PER_S
        if stay.outside:
            return away_ns >= after_ns
        if away_ns < max(after_ns, _LEAST_NS):
            return False
        return away_ns >= _MOST_NS or not flickers(stay, self._frames - stay.last_frame)


def _was_there(stay: Stay) -> bool:
    """Tell whether a thing was seen often enough to be taken away."""
    return stay.hits >= max(_SURE_HITS, _SURE_SHARE * (stay.last_frame - stay.first_frame + 1))


def _is_there(stay: Stay, sighting: Sighting) -> bool:
    """Tell whether a thing is in the place of one that is watched."""
    place, box = stay.last.box, sighting.box
    if place is None or box is None or stay.last.class_id != sighting.class_id:
        return False
    return overlap(place, box) >= _SAME_PLACE_IOU
