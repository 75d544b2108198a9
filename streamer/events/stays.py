"""What rules watch, from its first sighting to the end of its event."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.event import EndReason, Event, EventType

from .sighting import apart, renamed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box

    from .rules import RuleSpec
    from .sighting import Labels, Sighting

Key = tuple[str, int]  # of a stay: its rule's name, and its number within that

_UPDATE_EVERY_NS = 60 * NS_PER_S
_CHANGED_EVERY_NS = NS_PER_S  # updates because something has changed come at most so often
_LEAST_SHARE = 0.25  # of the frames: what is seen less often has not "been there" (two ghosts a second apart)
_NEAR = 0.5  # diagonals between the boxes of one object under two ids
# What has not started yet begins anew after so long outside its zone: dwelling is not the sum of two visits. One wrong
# box, of legs hidden behind a table, is no visit to elsewhere.
_OUTSIDE_NS = NS_PER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """What one rule watches: an object, a crossing or a crowd. It is an event once it has been for long enough."""

    rule: RuleSpec
    first: FrameInfo
    first_frame: int  # its number among the camera's frames
    there_ns: int  # capture time from which `after` counts
    last: Sighting
    hits: int  # sightings
    top_score: float
    labels: Labels = field(default_factory=dict)  # of the object; under a new id its old ones, until that has its own
    outside: bool = False  # seen since, and not as the rule asks for
    sent: Event | None = None  # the event's last message
    sent_ns: int = 0  # capture time of that message


class Stays:
    """The stays of one camera, and the messages that they are due. Pure; owned by one thread."""

    def __init__(
        self, camera: str, rules: Sequence[RuleSpec], labels: Sequence[str], new_id: Callable[[int], str]
    ) -> None:
        self._camera = camera
        self._labels = labels
        self._new_id = new_id
        self._open_by_rule = {rule.name: 0 for rule in rules if rule.listed}
        self._stays: dict[Key, Stay] = {}
        self._frames = 0  # observed so far
        self._frame: FrameInfo | None = None  # the last one

    def begin(self, info: FrameInfo) -> None:
        """Begin the next frame."""
        self._frame = info
        self._frames += 1

    def get(self, key: Key) -> Stay | None:
        """Return a stay."""
        return self._stays.get(key)

    def waiting(self, rule: str, track: int) -> list[tuple[Key, Stay]]:
        """Return the stays of a rule and an object that are no events yet."""
        return [
            (key, stay)
            for key, stay in self._stays.items()
            if key[0] == rule and stay.sent is None and stay.last.track == track
        ]

    def active(self) -> Mapping[str, int]:
        """Return how many events of each rule are open."""
        return dict(self._open_by_rule)

    def open_events(self) -> Mapping[str, int]:
        """Return the last sighting, ns since 1970, of each open event."""
        return {stay.sent.id: stay.last.info.utc_ns for stay in self._stays.values() if stay.sent}

    def note(
        self,
        key: Key,
        rule: RuleSpec,
        sighting: Sighting,
        *,
        first: FrameInfo | None = None,
        there_ns: int | None = None,
    ) -> Event | None:
        """Begin or continue a stay; return the message that is due.

        Args:
            key: of the stay.
            rule: that watches it.
            sighting: this frame's.
            first: the frame in which it began; None: this one.
            there_ns: capture time from which `after` counts; None: from the first sighting.
        """
        stay, score = self._stays.get(key), sighting.score
        if stay is None:
            first = first or sighting.info
            stay = Stay(
                rule=rule,
                first=first,
                first_frame=self._frames,
                there_ns=first.captured_ns if there_ns is None else there_ns,
                last=sighting,
                hits=1,
                top_score=score,
                labels=sighting.labels,
            )
        else:
            stay = replace(
                stay,
                last=sighting,
                hits=stay.hits + 1,
                top_score=max(stay.top_score, score),
                labels=self.labels(key, sighting) if stay.labels else sighting.labels,
                outside=False,
            )
        return self._told(key, stay, sighting.info.captured_ns)

    def labels(self, key: Key, sighting: Sighting) -> Labels:
        """Return what an object is called at a sighting; under a new id as under its last, until that is known."""
        stay, labels = self._stays.get(key), sighting.labels
        if stay is None:
            return labels
        same = stay.last.track == sighting.track
        former = {name: label for name, label in stay.labels.items() if not (same and name in stay.last.labels)}
        return {**former, **labels}

    def relabel(self, labels_of: Callable[[int], Labels], *, noted: bool = False) -> list[Event]:
        """Take in what has become known of objects since they were noted; return the messages that are due.

        An object may be out of sight when its label is decided, and a crossing is over. Their last sightings stay.

        Args:
            labels_of: what is known of a track by now.
            noted: also of those that the last frame shows, as no other comes.
        """
        told = []
        for key, stay in list(self._stays.items()):
            track, sent = stay.last.track, stay.sent
            if self._frame is None or track is None or (stay.last.info is self._frame and not noted):
                continue
            seen = replace(stay.last, labels=labels_of(track))
            labels = self.labels(key, seen)
            goes_on = sent is None or stay.rule.fits(labels)  # else it is as if it had not been seen any more
            if goes_on and renamed(stay.labels if sent is None else sent.labels, labels):
                told.append(self._told(key, replace(stay, last=seen, labels=labels), self._frame.captured_ns))
        return [event for event in told if event is not None]

    def outside(self, key: Key, now_ns: int) -> None:
        """Note that something was seen, and not as its rule asks for."""
        stay = self._stays.get(key)
        if stay is None:
            return
        if stay.sent is None and now_ns - stay.last.info.captured_ns >= _OUTSIDE_NS:
            del self._stays[key]
        else:
            self._stays[key] = replace(stay, outside=True)

    def take_over(self, key: Key, box: Box, class_id: int, seen_ids: set[int]) -> None:
        """Give a new track the stay that it continues, if there is one.

        It is of the same rule and class, its own track is out of sight, and it was last seen about here.
        """
        if key in self._stays:
            return
        near = [
            (distance, other)
            for other, stay in self._stays.items()
            if other[0] == key[0]
            and other[1] not in seen_ids
            and not stay.outside
            and stay.last.class_id == class_id
            and stay.last.box is not None
            and (distance := apart(stay.last.box, box)) <= _NEAR
        ]
        if near:
            self._stays[key] = self._stays.pop(min(near)[1])

    def end_gone(self, now_ns: int) -> list[Event]:
        """End the stays that nobody has seen for `end_after` at a moment."""
        ended = []
        for key, stay in list(self._stays.items()):
            if now_ns - stay.last.info.captured_ns >= stay.rule.end_after_s * NS_PER_S:
                del self._stays[key]
                if stay.sent:
                    ended.append(self._end(stay.sent, stay, EndReason.GONE))
        return ended

    def end_all(self, reason: EndReason) -> list[Event]:
        """End every open event for a reason that is not its own, and forget everything."""
        ended = [self._end(stay.sent, stay, reason) for stay in self._stays.values() if stay.sent]
        self._stays = {}
        self._frame = None
        return ended

    def _told(self, key: Key, stay: Stay, now_ns: int) -> Event | None:
        """Keep a stay as it is now; return the message that is due."""
        event = self._due(stay, now_ns)
        self._stays[key] = stay if event is None else replace(stay, sent=event, sent_ns=now_ns)
        return event

    def _due(self, stay: Stay, now_ns: int) -> Event | None:
        """Return the message that the last sighting asks for at a moment, if any."""
        if stay.sent is None:
            there_ns = stay.last.info.captured_ns - stay.there_ns
            seldom = stay.hits < _LEAST_SHARE * (self._frames - stay.first_frame + 1)
            if seldom or there_ns < stay.rule.after_s * NS_PER_S:
                return None
            if stay.last.track is not None and not stay.rule.fits(stay.labels):  # of a crowd each object was asked
                return None
            self._open_by_rule[stay.rule.name] = self._open_by_rule.get(stay.rule.name, 0) + 1
            return self._message(stay, EventType.START, self._new_id(stay.last.info.utc_ns), seq=0)
        changed = stay.last.zones != stay.sent.zones or renamed(stay.sent.labels, stay.labels)
        if now_ns - stay.sent_ns < (_CHANGED_EVERY_NS if changed else _UPDATE_EVERY_NS):
            return None
        return self._message(stay, EventType.UPDATE, stay.sent.id, seq=stay.sent.seq + 1)

    def _end(self, sent: Event, stay: Stay, reason: EndReason) -> Event:
        self._open_by_rule[stay.rule.name] -= 1
        last = self._frame or stay.last.info
        return replace(
            self._message(stay, EventType.END, sent.id, seq=sent.seq + 1),
            captured_utc_ns=last.utc_ns,
            captured_ns=last.captured_ns if last.live else None,
            ended_utc_ns=stay.last.info.utc_ns,
            end_reason=reason,
        )

    def _message(self, stay: Stay, kind: EventType, event_id: str, *, seq: int) -> Event:
        """Say what the last sighting shows."""
        seen, info, box = stay.last, stay.last.info, stay.last.box
        return Event(
            id=event_id,
            seq=seq,
            type=kind,
            camera=self._camera,
            rule=stay.rule.name,
            class_name=self._labels[seen.class_id],
            class_id=seen.class_id,
            score=seen.score,
            top_score=stay.top_score,
            box=None if box is None else (round(box[0]), round(box[1]), round(box[2]), round(box[3])),
            box_norm=None if box is None else _norm(box, info),
            frame_width=info.width,
            frame_height=info.height,
            track=seen.track,
            zones=seen.zones,
            line=seen.line,
            direction=seen.direction,
            count=seen.count,
            labels=stay.labels,
            captured_utc_ns=info.utc_ns,
            captured_ns=info.captured_ns if info.live else None,
            started_utc_ns=stay.first.utc_ns,
            ended_utc_ns=None,
            end_reason=None,
            model=seen.model,
        )


def _norm(box: Box, info: FrameInfo) -> tuple[float, float, float, float]:
    return box[0] / info.width, box[1] / info.height, box[2] / info.width, box[3] / info.height
