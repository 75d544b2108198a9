"""The life of events: from the objects in the frames of one camera to start, update and end."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.event import EndReason, Event, EventType

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, ModelRef, Track

    from .rules import RuleSpec

_UPDATE_EVERY_NS = 60 * NS_PER_S
_GOES_ON_AT = 0.8  # a running event goes on down to this share of its least area, as it does of its least score
_LEAST_SHARE = 0.25  # of the frames: what is seen less often has not "been there" (two ghosts a second apart)
_NEAR = 0.5  # diagonals between the boxes of one object under two ids
# Frames may be this late before their absence means anything. A camera that freezes is lost after 3 to 4 s, and what
# was open then ends for that reason: nobody saw it go.
_SLACK_NS = 5 * NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sighting:
    """The frame in which an object was last seen, with all that a message says of it."""

    info: FrameInfo
    track: Track
    model: ModelRef


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stay:
    """An object that one rule watches: an event once it has been there for long enough."""

    rule: RuleSpec
    first: FrameInfo
    first_frame: int  # its number among the camera's frames
    last: _Sighting
    hits: int  # sightings
    top_score: float
    sent: Event | None = None  # the event's last message
    sent_ns: int = 0  # capture time of that message


class CameraEvents:
    """Turns tracks into events. Pure: time comes with the frames and ticks. Owned by one thread.

    A stay is keyed by rule and track. When the tracker has given an object a new id, the new track takes over the stay
    that it continues, so an object that flickers or jumps stays one event.

    An `end` shows the last sighting (box, score, `ended`); `captured` is the last frame, in which the object was missed
    or the camera was lost, so that the age of the message is that of what it says.
    """

    def __init__(
        self, camera: str, rules: Sequence[RuleSpec], labels: Sequence[str], new_id: Callable[[int], str]
    ) -> None:
        """Store the rules.

        Args:
            camera: its id in the settings.
            rules: any number for a class.
            labels: the model's class names; the index is the class id.
            new_id: makes an event's id for a moment, ns since 1970.
        """
        self._camera = camera
        self._labels = labels
        self._new_id = new_id
        self._rules_of: dict[int, list[RuleSpec]] = {}
        for rule in rules:
            for class_id in rule.class_ids:
                self._rules_of.setdefault(class_id, []).append(rule)
        self._open_by_rule = {rule.name: 0 for rule in rules if rule.listed}
        self._stays: dict[tuple[str, int], _Stay] = {}
        self._frames = 0  # observed so far
        self._frame: FrameInfo | None = None  # the last one
        self._interval_ns = 0  # between the last two frames

    def observe(self, info: FrameInfo, tracks: Sequence[Track], model: ModelRef) -> list[Event]:
        """Take in the tracks seen in the next frame; return what has happened, in order."""
        now_ns = info.captured_ns
        if self._frame is not None:
            self._interval_ns = max(0, now_ns - self._frame.captured_ns)
        self._frame = info
        self._frames += 1
        seen_ids = {track.id for track in tracks}
        happened = []
        for track in tracks:
            sighting = _Sighting(info=info, track=track, model=model)
            for rule in self._rules_of.get(track.class_id, ()):
                self._take_over(rule, track, seen_ids)
                event = self._seen(rule, sighting)
                if event is not None:
                    happened.append(event)
        return self._end_gone(now_ns) + happened

    def tick(self, now_ns: int) -> list[Event]:
        """Let a live camera's time pass when no frame comes; return the ends that are due.

        Absence is shown by frames, not by their lateness: an end waits for as long as frames may still be on their way
        (5 s, and two intervals of a slow camera), so that this overtakes neither `observe` nor the loss of the camera.
        """
        return self._end_gone(now_ns - _SLACK_NS - 2 * self._interval_ns)

    def end_all(self, reason: EndReason) -> list[Event]:
        """End every open event for a reason that is not its own, and forget the objects."""
        ended = [self._end(stay.sent, stay, reason) for stay in self._stays.values() if stay.sent]
        self._stays = {}
        self._frame = None
        return ended

    def active(self) -> Mapping[str, int]:
        """Return how many events of each rule are open."""
        return dict(self._open_by_rule)

    def open_events(self) -> Mapping[str, int]:
        """Return the last sighting, ns since 1970, of each open event."""
        return {stay.sent.id: stay.last.info.utc_ns for stay in self._stays.values() if stay.sent}

    def _seen(self, rule: RuleSpec, sighting: _Sighting) -> Event | None:
        """Begin or continue a stay, unless the object is too small for the rule; return the message that is due."""
        key, score = (rule.name, sighting.track.id), sighting.track.score
        stay = self._stays.get(key)
        share = _GOES_ON_AT if stay and stay.sent else 1.0
        if _area(sighting) < share * rule.min_area:
            return None
        if stay is None:
            first, number = sighting.info, self._frames
            stay = _Stay(rule=rule, first=first, first_frame=number, last=sighting, hits=1, top_score=score)
        else:
            stay = replace(stay, last=sighting, hits=stay.hits + 1, top_score=max(stay.top_score, score))
        event = self._due(stay)
        if event is not None:
            stay = replace(stay, sent=event, sent_ns=sighting.info.captured_ns)
        self._stays[key] = stay
        return event

    def _take_over(self, rule: RuleSpec, track: Track, seen_ids: set[int]) -> None:
        """Give a new track the stay that it continues, if there is one.

        It is of the same rule and class, its own track is out of sight, and it was last seen about here.
        """
        if (rule.name, track.id) in self._stays:
            return
        near = [
            (distance, key)
            for key, stay in self._stays.items()
            if key[0] == rule.name
            and key[1] not in seen_ids
            and stay.last.track.class_id == track.class_id
            and (distance := _distance(stay.last.track.box, track.box)) <= _NEAR
        ]
        if near:
            self._stays[rule.name, track.id] = self._stays.pop(min(near)[1])

    def _due(self, stay: _Stay) -> Event | None:
        """Return the message that the last sighting asks for, if any."""
        now_ns = stay.last.info.captured_ns
        if stay.sent is None:
            seldom = stay.hits < _LEAST_SHARE * (self._frames - stay.first_frame + 1)
            if seldom or now_ns - stay.first.captured_ns < stay.rule.after_s * NS_PER_S:
                return None
            self._open_by_rule[stay.rule.name] = self._open_by_rule.get(stay.rule.name, 0) + 1
            return self._message(stay, EventType.START, self._new_id(stay.last.info.utc_ns), seq=0)
        if now_ns - stay.sent_ns < _UPDATE_EVERY_NS:
            return None
        return self._message(stay, EventType.UPDATE, stay.sent.id, seq=stay.sent.seq + 1)

    def _end_gone(self, now_ns: int) -> list[Event]:
        """End the stays that nobody has seen for `end_after` at a moment."""
        ended = []
        for key, stay in list(self._stays.items()):
            if now_ns - stay.last.info.captured_ns >= stay.rule.end_after_s * NS_PER_S:
                del self._stays[key]
                if stay.sent:
                    ended.append(self._end(stay.sent, stay, EndReason.GONE))
        return ended

    def _end(self, sent: Event, stay: _Stay, reason: EndReason) -> Event:
        self._open_by_rule[stay.rule.name] -= 1
        message = self._message(stay, EventType.END, sent.id, seq=sent.seq + 1)
        last = self._frame or stay.last.info
        return replace(
            message,
            captured_utc_ns=last.utc_ns,
            captured_ns=last.captured_ns if last.live else None,
            ended_utc_ns=stay.last.info.utc_ns,
            end_reason=reason,
        )

    def _message(self, stay: _Stay, kind: EventType, event_id: str, *, seq: int) -> Event:
        """Say what the last sighting shows."""
        info, track = stay.last.info, stay.last.track
        x1, y1, x2, y2 = track.box
        return Event(
            id=event_id,
            seq=seq,
            type=kind,
            camera=self._camera,
            rule=stay.rule.name,
            class_name=self._labels[track.class_id],
            class_id=track.class_id,
            score=track.score,
            top_score=stay.top_score,
            box=(round(x1), round(y1), round(x2), round(y2)),
            box_norm=(x1 / info.width, y1 / info.height, x2 / info.width, y2 / info.height),
            frame_width=info.width,
            frame_height=info.height,
            track=track.id,
            captured_utc_ns=info.utc_ns,
            captured_ns=info.captured_ns if info.live else None,
            started_utc_ns=stay.first.utc_ns,
            ended_utc_ns=None,
            end_reason=None,
            model=stay.last.model,
        )


def _area(sighting: _Sighting) -> float:
    """Return the area of an object's box as a fraction of the frame."""
    x1, y1, x2, y2 = sighting.track.box
    return (x2 - x1) * (y2 - y1) / (sighting.info.width * sighting.info.height)


def _distance(a: Box, b: Box) -> float:
    """Return the distance of two boxes' centres in units of the larger one's diagonal."""
    diagonal = max(math.hypot(c[2] - c[0], c[3] - c[1]) for c in (a, b))
    return math.hypot(a[0] + a[2] - b[0] - b[2], a[1] + a[3] - b[1] - b[3]) / 2 / max(diagonal, 1.0)
