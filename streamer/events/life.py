"""The life of events: from the objects in the frames of one camera to start, update and end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S

from .crowd import Crowd
from .lines import Lines
from .sighting import area, of_track
from .stays import Stays
from .zones import Zones

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streamer.core.event import EndReason, Event
    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, ModelRef, Track

    from .lines import Crossing
    from .plane import Point
    from .rules import RuleSpec
    from .sighting import Labels, Sighting

_GOES_ON_AT = 0.8  # a running event goes on down to this share of its least area, as it does of its least score
# Frames may be this late before their absence means anything. A camera that freezes is lost after 3 to 4 s, and what
# was open then ends for that reason: nobody saw it go.
_SLACK_NS = 5 * NS_PER_S
_CROWD = 0  # the number of a crowd's stay


_NO_LABELS: Labels = {}


def no_labels(_track: int) -> Labels:
    """Return the labels of an object where no second model looks at any."""
    return _NO_LABELS


class CameraEvents:
    """Turns tracks into events. Pure: time comes with the frames and ticks. Owned by one thread.

    A stay is keyed by rule and number: the track's for an object, a negative one for each crossing of a line, 0 for a
    crowd. When the tracker has given an object a new id, the new track takes over the stay that it continues, so an
    object that flickers or jumps stays one event. A crossing is over at once: its event ends `end_after` later.

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
    ) -> None:
        """Store the rules.

        Args:
            camera: its id in the settings.
            rules: any number for a class.
            labels: the model's class names; the index is the class id.
            new_id: makes an event's id for a moment, ns since 1970.
            zones: name -> the points around it, fractions of width and height.
            lines: name -> from and to, fractions of width and height.

        Raises:
            ValueError: a rule names a zone or a line that is not there.
        """
        self._stays = Stays(camera, rules, labels, new_id)
        self._zones, self._lines = Zones(zones or {}), Lines(lines or {})
        self._rules_of: dict[int, list[RuleSpec]] = {}
        for rule in rules:
            if rule.zone not in (None, *(zones or ())) or rule.line not in (None, *(lines or ())):
                raise ValueError(f"{rule.name}: no such zone or line: {rule.zone or rule.line}")
            for class_id in rule.class_ids:
                self._rules_of.setdefault(class_id, []).append(rule)
        self._crowds = {rule: Crowd() for rule in rules if rule.more_than is not None}
        self._crossings = 0  # events of lines so far
        self._last_crossings: Sequence[Crossing] = ()
        self._frame_ns: int | None = None  # capture time of the last one
        self._interval_ns = 0  # between the last two frames

    def observe(
        self,
        info: FrameInfo,
        tracks: Sequence[Track],
        model: ModelRef,
        labels: Callable[[int], Labels] = no_labels,
    ) -> list[Event]:
        """Take in the tracks seen in the next frame; return what has happened, in order.

        Args:
            info: of the frame.
            tracks: the objects in it.
            model: which found them.
            labels: what second models say of a track by now, also of one that is out of sight.
        """
        now_ns = info.captured_ns
        if self._frame_ns is not None:
            self._interval_ns = max(0, now_ns - self._frame_ns)
        self._frame_ns = now_ns
        self._stays.begin(info)
        zones = self._zones.observe(info, tracks)
        crossings = self._last_crossings = self._lines.observe(info, tracks)
        seen_ids = {track.id for track in tracks}
        happened: list[Event | None] = []
        for track in tracks:
            sighting = of_track(info, track, model, zones=zones.get(track.id, ()), labels=labels(track.id))
            for rule in self._rules_of.get(track.class_id, ()):
                if rule.line is not None:
                    happened += self._crossed(rule, track, sighting, crossings)
                elif rule.more_than is not None:
                    self._counted(rule, track, sighting)
                else:
                    happened.append(self._seen(rule, track.box, sighting, seen_ids))
        happened += [self._crowded(rule, crowd, info, model) for rule, crowd in self._crowds.items()]
        known = [] if labels is no_labels else self._stays.relabel(labels)
        return known + self._stays.end_gone(now_ns) + [event for event in happened if event is not None]

    def tick(self, now_ns: int) -> list[Event]:
        """Let a live camera's time pass when no frame comes; return the ends that are due.

        Absence is shown by frames, not by their lateness: an end waits for as long as frames may still be on their way
        (5 s, and two intervals of a slow camera), so that this overtakes neither `observe` nor the loss of the camera.
        """
        return self._stays.end_gone(now_ns - _SLACK_NS - 2 * self._interval_ns)

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
        for crowd in self._crowds.values():
            crowd.clear()
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

    def _seen(self, rule: RuleSpec, box: Box, sighting: Sighting, seen_ids: set[int]) -> Event | None:
        """Begin or continue an object's stay, if it is as the rule asks for; return the message that is due."""
        key = (rule.name, sighting.track or 0)
        if not _in_zone(rule, sighting):
            self._stays.outside(key, sighting.info.captured_ns)
            return None
        self._stays.take_over(key, box, sighting.class_id, seen_ids)
        stay = self._stays.get(key)
        if area(sighting.info, box) < (_GOES_ON_AT if stay and stay.sent else 1.0) * rule.min_area:
            return None
        if rule.labels and stay and stay.sent and not rule.fits(self._stays.labels(key, sighting)):
            self._stays.outside(key, sighting.info.captured_ns)
            return None
        return self._stays.note(key, rule, sighting)

    def _crossed(
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
        if not _in_zone(rule, sighting) or area(sighting.info, track.box) < rule.min_area:
            return told
        for crossing in crossings:
            if crossing.track.id == track.id and crossing.line == rule.line:
                if rule.direction not in (None, crossing.direction) or crossing.twin in rule.class_ids:
                    continue
                self._crossings += 1
                found = replace(sighting, line=crossing.line, direction=crossing.direction)
                key = (rule.name, -self._crossings)
                told.append(self._stays.note(key, rule, found, first=crossing.crossed, there_ns=track.first_ns))
        return told

    def _counted(self, rule: RuleSpec, track: Track, sighting: Sighting) -> None:
        """Note an object of which a rule counts how many there are."""
        if not _in_zone(rule, sighting) or not rule.fits(sighting.labels):
            self._crowds[rule].go(track)
        elif area(sighting.info, track.box) >= rule.min_area:
            self._crowds[rule].come(track, sighting.info.captured_ns)

    def _crowded(self, rule: RuleSpec, crowd: Crowd, info: FrameInfo, model: ModelRef) -> Event | None:
        """Begin or continue a crowd's stay, if there are too many; return the message that is due."""
        key, more_than = (rule.name, _CROWD), rule.more_than or 0
        if crowd.count(info.captured_ns, self._interval_ns) <= more_than:
            self._stays.outside(key, info.captured_ns)
            return None
        return self._stays.note(key, rule, crowd.sighting(info, model, more_than=more_than, zone=rule.zone))


def _in_zone(rule: RuleSpec, sighting: Sighting) -> bool:
    return rule.zone is None or rule.zone in sighting.zones
