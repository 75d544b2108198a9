"""What rules watch, from its first sighting to the end of its event."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_S
from streamer.core.event import EndReason, EventType

from .absence import gone, hidden
from .sighting import astray, renamed
from .stay import Stay

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from streamer.core.event import Event
    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, Track

    from .pauses import Pauses
    from .rules import RuleSpec
    from .sighting import Labels, Sighting
    from .stay import Teller

Key = tuple[str, int]  # of a stay: its rule's name, and its number within that

_UPDATE_EVERY_NS = 60 * NS_PER_S
_CHANGED_EVERY_NS = NS_PER_S  # updates because something has changed come at most so often
_LEAST_SHARE = 0.25  # of the frames: what is seen less often has not "been there" (two ghosts a second apart)
_NEAR = 0.5  # diagonals between the boxes of one object under two ids
# What has not started yet begins anew after so long outside its zone: dwelling is not the sum of two visits. One wrong
# box, of legs hidden behind a table, is no visit to elsewhere.
_OUTSIDE_NS = NS_PER_S


class Stays:
    """The stays of one camera, and the messages that they are due. Pure; owned by one thread."""

    def __init__(
        self, rules: Sequence[RuleSpec], teller: Teller, pauses: Pauses, *, new_id: Callable[[int], str]
    ) -> None:
        self._teller = teller
        self._pauses = pauses
        self._new_id = new_id
        self._open_by_rule = {rule.name: 0 for rule in rules if rule.listed}
        self._stays: dict[Key, Stay] = {}
        self._frames = 0  # observed so far
        self._frame: FrameInfo | None = None  # the last one
        self._step_ns = 0  # between the last two

    def begin(self, info: FrameInfo) -> None:
        """Begin the next frame."""
        if self._frame is not None:
            self._step_ns = max(0, info.captured_ns - self._frame.captured_ns)
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

    def open_of(self, rule: str) -> Stay | None:
        """Return the stay of a rule's open event, of several the one that was seen last, if there is one."""
        stays = [stay for key, stay in self._stays.items() if key[0] == rule and stay.sent]
        return max(stays, key=lambda stay: stay.last.info.captured_ns, default=None)

    def in_view(self) -> list[tuple[str, Sighting]]:
        """Return the open events that the last frame shows: ids, and what it shows; of a crowd it is all of it."""
        return [
            (stay.sent.id, stay.last if stay.last.box else replace(stay.last, box=_all_of(stay.last.info)))
            for stay in self._stays.values()
            if stay.sent and stay.last.shown and stay.last.info is self._frame
        ]

    def better_views(self, ids: Collection[str]) -> list[Event]:
        """Note that a better picture of some events was taken; return the updates that are due now."""
        told = []
        for key, stay in list(self._stays.items()):
            if stay.sent is None or self._frame is None or stay.sent.id not in ids:
                continue
            if stay.sent.type is not EventType.START or stay.sent_ns != self._frame.captured_ns:  # that tells of it
                told.append(self._told(key, replace(stay, better=True), self._frame.captured_ns))
        return [event for event in told if event is not None]

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
        stay = self._stays.get(key)
        if stay is None:
            first = first or sighting.info
            stay = Stay(
                rule=rule,
                first=first,
                first_frame=self._frames,
                there_ns=first.captured_ns if there_ns is None else there_ns,
                last=sighting,
                last_frame=self._frames,
                top_score=sighting.score,
                labels=sighting.labels,
            )
        else:
            labels = self.labels(key, sighting) if stay.labels else sighting.labels
            stay = replace(stay.seen(sighting, self._frames), labels=labels)
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

    def take_over(self, key: Key, track: Track, seen_ids: set[int]) -> None:
        """Give a new track the stay that it continues, if there is one.

        It is of the same rule and class, its own track is out of sight, and it was last seen about here, or on its way
        here. One that had been at rest goes on with no track that was there before it was lost: that is what passes in
        front of it.
        """
        if key in self._stays:
            return
        near = [
            (distance, other)
            for other, stay in self._stays.items()
            if other[0] == key[0]
            and other[1] not in seen_ids
            and not stay.outside
            and stay.last.class_id == track.class_id
            and not (stay.last.stationary and track.first_ns < stay.last.info.captured_ns)
            and (distance := astray(stay.last, track)) <= _NEAR
        ]
        if near:
            self._stays[key] = self._stays.pop(min(near)[1])

    def hide(self, tracks: Sequence[Track]) -> None:
        """Note which objects at rest are hidden by what the last frame shows."""
        for key, stay in self._stays.items():
            if key[1] > 0 and stay.last.info is not self._frame:
                self._stays[key] = hidden(stay, tracks, self._step_ns)

    def end_gone(self, now_ns: int, *, combined: bool | None = None) -> list[Event]:
        """End the stays that nobody has seen for `end_after` at a moment.

        Args:
            now_ns: capture time.
            combined: only those of rules that stand on others' events, or only the others; None: all.
        """
        ended = []
        for key, stay in list(self._stays.items()):
            if combined in (None, stay.rule.combines) and self._is_gone(key, stay, now_ns):
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

    def _is_gone(self, key: Key, stay: Stay, now_ns: int) -> bool:
        if key[1] > 0:  # an object
            return gone(stay, stay.rule.end_after_s, now_ns=now_ns, missed=self._frames - stay.last_frame)
        return now_ns - stay.last.info.captured_ns >= stay.rule.end_after_s * NS_PER_S

    def _told(self, key: Key, stay: Stay, now_ns: int) -> Event | None:
        """Keep a stay as it is now; return the message that is due."""
        if stay.sent is None and self._is_ripe(stay) and self._pauses.now(stay.rule, stay.last.info):
            if key[1] < 0:  # what is over at once is not told later
                self._stays.pop(key, None)
            else:
                self._stays[key] = stay
            return None
        event = self._due(stay, now_ns)
        self._stays[key] = stay if event is None else replace(stay, sent=event, sent_ns=now_ns, better=False)
        return event

    def _is_ripe(self, stay: Stay) -> bool:
        """Tell whether a stay is an event by what has been seen of it."""
        there_ns = stay.last.info.captured_ns - stay.there_ns
        seldom = stay.hits < _LEAST_SHARE * (self._frames - stay.first_frame + 1)
        if seldom or there_ns < stay.rule.after_s * NS_PER_S:
            return False
        return stay.last.track is None or stay.rule.fits(stay.labels)  # of a crowd each object was asked

    def _due(self, stay: Stay, now_ns: int) -> Event | None:
        """Return the message that the last sighting asks for at a moment, if any."""
        sent = stay.sent
        if sent is None:
            if not self._is_ripe(stay):
                return None
            self._open_by_rule[stay.rule.name] = self._open_by_rule.get(stay.rule.name, 0) + 1
            self._pauses.note(stay.rule, now_ns)
            return self._teller.message(stay, EventType.START, self._new_id(stay.last.info.utc_ns), seq=0)
        if now_ns - stay.sent_ns < (_CHANGED_EVERY_NS if _has_changed(stay, sent) else _UPDATE_EVERY_NS):
            return None
        return self._teller.message(stay, EventType.UPDATE, sent.id, seq=sent.seq + 1)

    def _end(self, sent: Event, stay: Stay, reason: EndReason) -> Event:
        self._open_by_rule[stay.rule.name] -= 1
        last = self._frame or stay.last.info
        self._pauses.note(stay.rule, last.captured_ns)
        return replace(
            self._teller.message(stay, EventType.END, sent.id, seq=sent.seq + 1),
            captured_utc_ns=last.utc_ns,
            captured_ns=last.captured_ns if last.live else None,
            ended_utc_ns=stay.last.info.utc_ns,
            end_reason=reason,
        )


def _has_changed(stay: Stay, sent: Event) -> bool:
    """Tell whether what a stay's last message says is not so any more."""
    if stay.better or stay.rule.combines:  # of a combination now this object is told, now that one
        return stay.better
    now = stay.last
    return now.zones != sent.zones or now.stationary != sent.stationary or renamed(sent.labels, stay.labels)


def _all_of(info: FrameInfo) -> Box:
    return 0.0, 0.0, float(info.width), float(info.height)
