"""The life of events: from the objects in the frames of one camera to start, update and end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .at_once import AtOnce
from .crowd import Crowd
from .left import Left
from .lines import Lines
from .pauses import Pauses
from .rules import check_rules
from .sighting import area, of_track
from .stay import Teller
from .stays import Stays
from .zones import Zones

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from streamer.core.event import EndReason, Event
    from streamer.core.frame import FrameInfo
    from streamer.core.results import ModelRef, Track

    from .left import Thing
    from .lines import Crossing
    from .plane import Point
    from .rules import RuleSpec
    from .sighting import Labels, Sighting
    from .stays import Key

_GOES_ON_AT = 0.8  # a running event goes on down to this share of its least area, as it does of its least score
# Frames may be this late before their absence means anything. A camera that freezes is lost after 3 to 4 s, and what
# was open then ends for that reason: nobody saw it go.
_SLACK_NS = 5 * NS_PER_S
_IDLE_SLACK_NS = 13 * NS_PER_S  # while the camera idles: only its key frames come, 12 s apart at most
_ONLY = 0  # the number of the stay of a rule that has only one: a crowd's, a combination's


_NO_LABELS: Labels = {}


def no_labels(_track: int) -> Labels:
    """Return the labels of an object where no second model looks at any."""
    return _NO_LABELS


class CameraEvents:
    """Turns tracks into events. Pure: time comes with the frames and ticks. Owned by one thread.

    A stay is keyed by rule and number: the track's for an object, its own for a thing left behind, a negative one for
    what is over at once (a crossing of a line, a thing taken away), 0 for a crowd and for a combination of other rules.
    When the tracker has given an object a new id, the new track takes over the stay that it continues, so an object
    that flickers or jumps stays one event. What is over at once ends `end_after` later.

    An `end` shows the last sighting (box, score, `ended`); `captured` is the last frame, in which the object was missed
    or the camera was lost, so that the age of the message is that of what it says.
    """

    def __init__(
        self,
        camera: str,
        rules: Sequence[RuleSpec],
        labels: Sequence[str],
        new_id: Callable[[int], str],
        *,
        zones: Mapping[str, Sequence[Point]] | None = None,
        lines: Mapping[str, tuple[Point, Point]] | None = None,
        pictures: bool = False,
        clips: bool = False,
    ) -> None:
        """Store the rules.

        Args:
            camera: its id in the settings.
            rules: any number for a class.
            labels: the model's class names; the index is the class id.
            new_id: makes an event's id for a moment, ns since 1970.
            zones: name -> the points around it, fractions of width and height.
            lines: name -> from and to, fractions of width and height.
            pictures: each event has a picture.
            clips: each event has a clip.

        Raises:
            ValueError: a rule names a zone, a line or a rule that is not there.
        """
        check_rules(rules, zones or (), lines or ())
        teller = Teller(camera=camera, labels=labels, pictures=pictures, clips=clips)
        self._stays = Stays(rules, teller, Pauses(), new_id=new_id)
        self._zones, self._lines = Zones(zones or {}), Lines(lines or {})
        self._rules_of: dict[int, list[RuleSpec]] = {}
        for rule in rules:
            for class_id in rule.class_ids:
                self._rules_of.setdefault(class_id, []).append(rule)
        self._crowds = {rule: Crowd() for rule in rules if rule.more_than is not None}
        self._left = {rule: Left(rule) for rule in rules if rule.left_by}
        self._at_once = AtOnce(self._stays, rules)
        self._combined = [rule for rule in rules if rule.combines]
        self._last_crossings: Sequence[Crossing] = ()
        self._slack_ns = _SLACK_NS
        self._frame_ns: int | None = None  # capture time of the last one
        self._interval_ns = 0  # between the last two frames

    def observe(
        self,
        info: FrameInfo,
        tracks: Sequence[Track],
        model: ModelRef,
        labels: Callable[[int], Labels] = no_labels,
        *,
        still: bool = False,
    ) -> list[Event]:
        """Take in the tracks seen in the next frame; return what has happened, in order.

        Args:
            info: of the frame.
            tracks: the objects in it.
            model: which found them.
            labels: what second models say of a track by now, also of one that is out of sight.
            still: nobody has looked at the frame, as nothing has moved: the next one may be long in coming.
        """
        now_ns = info.captured_ns
        if self._frame_ns is not None:
            self._interval_ns = max(0, now_ns - self._frame_ns)
        self._frame_ns, self._slack_ns = now_ns, _IDLE_SLACK_NS if still else _SLACK_NS
        self._stays.begin(info)
        found, seen_ids = self._found(info, tracks, model, labels), {track.id for track in tracks}
        happened: list[Event | None] = []
        for track, sighting in zip(tracks, found, strict=True):
            for rule in self._rules_of.get(track.class_id, ()):
                if rule.line is not None:
                    happened += self._at_once.crossed(rule, track, sighting, self._last_crossings)
                elif rule.more_than is not None:
                    self._counted(rule, track, sighting)
                elif not rule.removed:
                    happened.append(self._seen(rule, track, sighting, seen_ids))
        self._stays.hide(tracks)
        happened += [self._crowded(rule, crowd, info, model) for rule, crowd in self._crowds.items()]
        happened += self._at_once.taken(info, tracks, found, self._interval_ns)
        known = [] if labels is no_labels else self._stays.relabel(labels)
        ended = self._stays.end_gone(now_ns, combined=False)
        happened += [self._together(rule, info) for rule in self._combined]
        ended += self._stays.end_gone(now_ns, combined=True)
        return known + ended + [event for event in happened if event is not None]

    def _found(
        self, info: FrameInfo, tracks: Sequence[Track], model: ModelRef, labels: Callable[[int], Labels]
    ) -> list[Sighting]:
        """Take in where the objects of the next frame are; return each as it is found."""
        zones = self._zones.observe(info, tracks)
        self._last_crossings = self._lines.observe(info, tracks)
        for left in self._left.values():
            left.observe(info, tracks)
        return [
            of_track(info, track, model, zones=zones.get(track.id, ()), labels=labels(track.id)) for track in tracks
        ]

    def tick(self, now_ns: int) -> list[Event]:
        """Let a live camera's time pass when no frame comes; return the ends that are due.

        Absence is shown by frames, not by their lateness: an end waits for as long as frames may still be on their way
        (5 s, or 13 s while nothing moves, and two intervals of a slow camera), so that this overtakes neither `observe`
        nor the loss of the camera.
        """
        return self._stays.end_gone(now_ns - self._slack_ns - 2 * self._interval_ns)

    def end_all(self, reason: EndReason, labels: Callable[[int], Labels] = no_labels) -> list[Event]:
        """End every open event for a reason that is not its own, and forget the objects.

        Args:
            reason: of the ends.
            labels: what second models say of a track by now: more, perhaps, than when the last frame came.
        """
        known = [] if labels is no_labels else self._stays.relabel(labels, noted=True)
        self._frame_ns = None
        self._zones.forget()
        self._lines.forget()
        self._at_once.clear()
        for crowd in self._crowds.values():
            crowd.clear()
        for left in self._left.values():
            left.clear()
        return known + self._stays.end_all(reason)

    def active(self) -> Mapping[str, int]:
        """Return how many events of each rule are open."""
        return self._stays.active()

    def crossings(self) -> Sequence[Crossing]:
        """Return who has crossed which line, as the last frame has shown."""
        return self._last_crossings

    def crossed(self) -> Mapping[tuple[str, str], int]:
        """Return how many objects have crossed each line in each direction (`in`, `out`) since the start."""
        return self._lines.counts()

    def open_events(self) -> Mapping[str, int]:
        """Return the last sighting, ns since 1970, of each open event."""
        return self._stays.open_events()

    def in_view(self) -> list[tuple[str, Sighting]]:
        """Return the open events that the last frame shows: ids and sightings, each with a box, for pictures."""
        return self._stays.in_view()

    def better_views(self, ids: Collection[str]) -> list[Event]:
        """Take in that a better picture of some open events was taken from the last frame; return the updates due now.

        There is one a second of each event at most; one that is not due yet comes when it is.
        """
        return self._stays.better_views(ids)

    def _seen(self, rule: RuleSpec, track: Track, sighting: Sighting, seen_ids: set[int]) -> Event | None:
        """Begin or continue an object's stay, if it is as the rule asks for; return the message that is due."""
        now_ns, thing = sighting.info.captured_ns, self._left[rule].thing(track.id) if rule.left_by else None
        key = rule.name, track.id if thing is None else thing.number
        if not rule.looks_at(sighting.zones):
            self._stays.outside(key, now_ns)
            return None
        if thing is None:
            self._stays.take_over(key, track, seen_ids)
        stay = self._stays.get(key)
        runs = stay is not None and stay.sent is not None
        if area(sighting.info, track.box) < (_GOES_ON_AT if runs else 1.0) * rule.min_area:
            return None
        if rule.labels and runs and not rule.fits(self._stays.labels(key, sighting)):
            self._stays.outside(key, now_ns)
            return None
        return self._stays.note(key, rule, sighting) if thing is None else self._lies(key, rule, sighting, thing)

    def _lies(self, key: Key, rule: RuleSpec, sighting: Sighting, thing: Thing) -> Event | None:
        """Begin or continue the stay of a thing, if it lies where it was left; return the message that is due."""
        now_ns, stay = sighting.info.captured_ns, self._stays.get(key)
        if stay is not None and stay.first is not thing.came:  # it was moved since
            self._stays.outside(key, now_ns)
            return None
        left_ns = self._left[rule].since_ns(thing, now_ns)
        runs = stay is not None and stay.sent is not None
        if runs or (left_ns is not None and now_ns - left_ns >= rule.after_s * NS_PER_S):
            return self._stays.note(key, rule, sighting, first=thing.came, there_ns=left_ns)
        return None

    def _counted(self, rule: RuleSpec, track: Track, sighting: Sighting) -> None:
        """Note an object of which a rule counts how many there are."""
        if not rule.looks_at(sighting.zones) or not rule.fits(sighting.labels):
            self._crowds[rule].go(track)
        elif area(sighting.info, track.box) >= rule.min_area:
            self._crowds[rule].come(track, sighting.info.captured_ns)

    def _crowded(self, rule: RuleSpec, crowd: Crowd, info: FrameInfo, model: ModelRef) -> Event | None:
        """Begin or continue a crowd's stay, if there are too many; return the message that is due."""
        key, more_than = (rule.name, _ONLY), rule.more_than or 0
        if crowd.count(info.captured_ns, self._interval_ns) <= more_than:
            self._stays.outside(key, info.captured_ns)
            return None
        return self._stays.note(key, rule, crowd.sighting(info, model, more_than=more_than, zone=rule.zone))

    def _together(self, rule: RuleSpec, info: FrameInfo) -> Event | None:
        """Begin or continue the stay of a combination, if the other rules' events are as it asks for."""
        key, open_of = (rule.name, _ONLY), self._stays.open_of
        every, some = [open_of(name) for name in rule.all_of], [open_of(name) for name in rule.any_of]
        there = [stay for stay in (*every, *some) if stay is not None]
        none = any(open_of(name) is not None for name in rule.none_of)
        if none or None in every or (rule.any_of and not any(some)):
            self._stays.outside(key, info.captured_ns)
            return None
        seen = max(there, key=lambda stay: stay.last.info.captured_ns).last
        return self._stays.note(key, rule, replace(seen, info=info, shown=seen.shown and seen.info is info))
