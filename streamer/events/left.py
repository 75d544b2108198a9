"""Things that somebody has put down and left."""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .plane import gap, overlap, size

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, Track

    from .rules import RuleSpec

# In units of the larger one's size (the square root of its box's area): a person's is about a metre.
_BESIDE = 0.5  # whoever puts a thing down is no farther from it
_GONE = 1.5  # whoever is farther from it has left it
_SAME_PLACE_IOU = 0.3  # a thing that overlaps its place less has been moved
_REST_NS = NS_PER_S  # a thing that has kept its place for so long has been put there
_BROUGHT_NS = 2 * NS_PER_S  # whoever is beside it so long after it was put there may have brought it,
_BEFORE_NS = 10 * NS_PER_S  # or so long before: it is seen when nobody stands in front of it any more
_UNSEEN_NS = 2 * NS_PER_S  # who is missed for less may still be there
_STEP_NS = NS_PER_S // 5  # between two places that are remembered of somebody
_LOST_NS = 60 * NS_PER_S  # a thing that is hidden for less is the same
_MOST = 256  # things and people remembered


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """A thing in its place, and who has brought it there."""

    number: int  # the same in each of its places, and under each of its track ids
    class_id: int
    place: Box
    came: FrameInfo  # the first frame in which it was there
    seen_ns: int  # capture time of the last one
    owners: frozenset[int] = frozenset()  # track ids
    beside_ns: int = 0  # capture time at which one of them was last near it


class _Somebody:
    """Where one who brings things was in the last seconds."""

    def __init__(self) -> None:
        self.places: deque[tuple[int, Box]] = deque()  # capture times and boxes, the last sighting at the end

    def see(self, box: Box, now_ns: int) -> None:
        if len(self.places) > 1 and now_ns - self.places[-2][0] < _STEP_NS:
            self.places.pop()
        self.places.append((now_ns, box))

    def forget(self, now_ns: int) -> None:
        while self.places and now_ns - self.places[0][0] > _BEFORE_NS:
            self.places.popleft()

    def near_ns(self, place: Box, within: float, *, since_ns: int = 0) -> int | None:
        """Return when it was last near a place, at a capture time or later."""
        near = (ns for ns, box in reversed(self.places) if ns >= since_ns and _near(place, box, within))
        return next(near, None)


class Left:
    """What one rule on left things has seen of things and of who brings them. Pure; owned by one thread.

    Whoever is beside a thing when it is put down, in the seconds before it is first seen there, or comes into view
    beside it later, has brought it. A thing that nobody has brought is never left: it was there already.
    """

    def __init__(self, rule: RuleSpec) -> None:
        self._rule = rule
        self._people: dict[int, _Somebody] = {}
        self._things: dict[int, Thing] = {}
        self._numbers = itertools.count(1)

    def observe(self, info: FrameInfo, tracks: Sequence[Track]) -> None:
        """Take in the tracks seen in the next frame."""
        now_ns = info.captured_ns
        people = [track for track in tracks if track.class_id in self._rule.left_by]
        newcomers = [track for track in people if track.id not in self._people]
        for track in people:
            self._people.setdefault(track.id, _Somebody()).see(track.box, now_ns)
        self._forget(now_ns)
        seen_ids = {track.id for track in tracks}
        for track in tracks:
            if track.class_id in self._rule.class_ids:
                thing = self._known(track, info, seen_ids)
                if now_ns - thing.came.captured_ns <= _BROUGHT_NS:
                    thing = _with(thing, people, but=track.id)
                self._things[track.id] = replace(thing, seen_ns=now_ns)
        for key, thing in self._things.items():
            if thing.owners:
                self._things[key] = self._kept(_with(thing, newcomers, but=key))

    def thing(self, track_id: int) -> Thing:
        """Return what is known of a thing that the last frame shows."""
        return self._things[track_id]

    def since_ns(self, thing: Thing, now_ns: int) -> int | None:
        """Return the capture time at which whoever brought a thing was last near it; None: it has not been left."""
        if not thing.owners or now_ns - thing.came.captured_ns < _REST_NS:
            return None
        if any(_may_be_near(self._people.get(owner), thing, now_ns) for owner in thing.owners):
            return None
        return thing.beside_ns

    def clear(self) -> None:
        """Forget everything."""
        self._people, self._things = {}, {}

    def _known(self, track: Track, info: FrameInfo, seen_ids: set[int]) -> Thing:
        """Return what is known of a thing, which begins anew in a new place."""
        thing = self._things.get(track.id)
        if thing is None:
            thing = self._taken_over(track, seen_ids)
        if thing is not None and overlap(thing.place, track.box) >= _SAME_PLACE_IOU:
            rested = thing.seen_ns - thing.came.captured_ns >= _REST_NS
            if rested or info.captured_ns - thing.seen_ns < _REST_NS:  # else it only passed there
                return thing
        number = next(self._numbers) if thing is None else thing.number
        brought = Thing(number=number, class_id=track.class_id, place=track.box, came=info, seen_ns=info.captured_ns)
        for owner, somebody in self._people.items():
            near_ns = somebody.near_ns(track.box, _BESIDE)
            if near_ns is not None and owner != track.id:
                owners = brought.owners | {owner}
                brought = replace(brought, owners=owners, beside_ns=max(brought.beside_ns, near_ns))
        return brought

    def _taken_over(self, track: Track, seen_ids: set[int]) -> Thing | None:
        """Return the thing that was in the place of a new track, and is out of sight."""
        for key, thing in self._things.items():
            same = thing.class_id == track.class_id and overlap(thing.place, track.box) >= _SAME_PLACE_IOU
            if same and key not in seen_ids:
                return self._things.pop(key)
        return None

    def _kept(self, thing: Thing) -> Thing:
        """Return a thing with the moment at which one of its owners was last near it."""
        people = [self._people[owner] for owner in thing.owners if owner in self._people]
        near = [somebody.near_ns(thing.place, _GONE, since_ns=thing.beside_ns) for somebody in people]
        return replace(thing, beside_ns=max([thing.beside_ns, *(ns for ns in near if ns is not None)]))

    def _forget(self, now_ns: int) -> None:
        """Forget who and what has been out of sight for long."""
        for somebody in self._people.values():
            somebody.forget(now_ns)
        people = [(key, somebody) for key, somebody in self._people.items() if somebody.places]
        things = [(key, thing) for key, thing in self._things.items() if now_ns - thing.seen_ns <= _LOST_NS]
        self._people, self._things = dict(people[-_MOST:]), dict(things[-_MOST:])


def _with(thing: Thing, people: Iterable[Track], *, but: int) -> Thing:
    """Return a thing with those who are beside it among those who brought it, but not the thing itself."""
    beside = {track.id for track in people if track.id != but and _near(thing.place, track.box, _BESIDE)}
    return replace(thing, owners=thing.owners | beside) if beside else thing


def _may_be_near(somebody: _Somebody | None, thing: Thing, now_ns: int) -> bool:
    """Tell whether somebody is near a thing, or was a moment ago and has not been seen since."""
    if somebody is None:
        return False
    seen_ns, box = somebody.places[-1]
    return now_ns - seen_ns < _UNSEEN_NS and _near(thing.place, box, _GONE)


def _near(place: Box, box: Box, within: float) -> bool:
    return gap(place, box) <= within * max(size(place), size(box))
