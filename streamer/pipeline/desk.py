"""What one camera's results mean: tracks, events, counts, and what is said of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from streamer.core.clock import NS_PER_MS
from streamer.core.event import EndReason
from streamer.events.feed import encode_feed
from streamer.events.payload import rfc3339
from streamer.publish.base import Message

from .messages import CameraChange, CameraState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.errors import LostReason
    from streamer.core.event import Event
    from streamer.core.frame import FrameInfo
    from streamer.core.results import ModelRef, Result, Track
    from streamer.events.counts import ObjectCounts
    from streamer.events.feed import FeedForm
    from streamer.events.life import CameraEvents
    from streamer.track.tracker import ObjectTracker

NULL = b"null"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskPlan:
    """The parts of one camera's desk."""

    camera: str
    tracker: ObjectTracker
    events: CameraEvents
    counts: ObjectCounts
    labels: Sequence[str]
    levels: Sequence[str]  # how each class stands in a topic
    publish_detections: FeedForm | None  # of the per-frame feed, if there is one
    max_age_ns: int | None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a step of a desk has to say. Topics are relative to the prefix."""

    events: list[Event] = field(default_factory=list)
    states: dict[str, bytes] = field(default_factory=dict)  # retained topic -> payload
    feed: list[Message] = field(default_factory=list)  # QoS 0
    feed_deadline_ns: int | None = None  # from when on (monotonic) the feed is older than `max_age`
    age_ns: int | None = None  # from capture to now, of a live camera's result
    dropped: str | None = None  # the cause, if the result was not used


class _Shown(NamedTuple):
    """What a result has shown."""

    info: FrameInfo
    tracks: tuple[Track, ...]
    model: ModelRef


class CameraDesk:
    """One camera behind inference. Pure: every time is an argument; used by the events thread alone."""

    def __init__(self, plan: DeskPlan) -> None:
        self._plan = plan
        self._lost_connection = -1
        self._live = False  # of the last frame: a file's time is its own
        self._shown: _Shown | None = None  # None: something in it was not certain
        self._active: dict[str, int] = {}
        self._crossed: dict[tuple[str, str], int] = {}  # (line, direction) -> what was told last
        self._change: CameraChange | None = None

    def result(self, result: Result, now_ns: int) -> Outcome:
        """Take in what the model said of one frame."""
        plan, info, outcome = self._plan, result.info, Outcome()
        age_ns = now_ns - info.captured_ns if info.live else None
        if info.connection <= self._lost_connection:
            outcome.dropped = "camera_lost"  # its events have ended with the connection already
            return outcome
        if age_ns is not None and plan.max_age_ns is not None and age_ns > plan.max_age_ns:
            outcome.dropped = "too_old"
            return outcome
        outcome.age_ns = age_ns
        self._live = info.live
        tracked = plan.tracker.update(result.output, info.captured_ns)
        self._shown = _Shown(info, tracked.tracks, result.model) if plan.tracker.settled() else None
        self._say_frame(outcome, info, tracked.tracks)
        outcome.events = plan.events.observe(info, tracked.tracks, result.model)
        self._say_counts(outcome, plan.counts.observe(info, tracked.tracks))
        self._say_active(outcome)
        return outcome

    def settled_ns(self) -> int:
        """Return the capture time of the last result, if all in it is certain, else -1. Any thread may ask.

        Certain: each object in it has been seen several times and has come to rest, and none is missing that was there
        a moment ago.
        """
        shown = self._shown
        return -1 if shown is None else shown.info.captured_ns

    def still(self, info: FrameInfo) -> Outcome:
        """Take in that nothing has moved up to a frame, which was not looked at: what was there still is.

        So events go on, and start when their time has come, and numbers hold. Where the last result left something
        open nothing is said, and frames are on their way that will.
        """
        plan, shown, outcome = self._plan, self._shown, Outcome()
        if shown is None or info.connection != shown.info.connection or info.captured_ns <= shown.info.captured_ns:
            return outcome
        plan.tracker.still(info.captured_ns)
        outcome.events = plan.events.observe(info, shown.tracks, shown.model)
        self._say_counts(outcome, plan.counts.observe(info, shown.tracks))
        self._say_active(outcome)
        return outcome

    def change(self, change: CameraChange) -> Outcome:
        """Take in a camera's change of state; a loss ends its open events, unless results are still on the way."""
        self._change = change
        outcome = Outcome(states={f"{change.camera}/status": _status(change)})
        if change.state is CameraState.OFFLINE and not (change.finite or change.trailing):
            self._lost_connection = change.connection
            self._end(outcome, EndReason.CAMERA_LOST)
        return outcome

    def lost(self, connection: int) -> Outcome:
        """Take in that a lost connection has given its last result."""
        outcome = Outcome()
        self._lost_connection = connection
        self._end(outcome, EndReason.CAMERA_LOST)
        return outcome

    def tick(self, now_ns: int) -> Outcome:
        """Let a live camera's time pass when no frame comes."""
        outcome = Outcome()
        if self._live and self._change is not None and self._change.state is CameraState.ONLINE:
            outcome.events = self._plan.events.tick(now_ns)
            self._say_counts(outcome, self._plan.counts.tick(now_ns))
            self._say_active(outcome)
        return outcome

    def source_end(self) -> Outcome:
        """Take in that a finite source has given its last result."""
        outcome = Outcome()
        self._end(outcome, EndReason.SOURCE_ENDED)
        return outcome

    def stop(self, utc_ns: int) -> Outcome:
        """End everything: the run is over."""
        outcome = Outcome()
        self._end(outcome, EndReason.STOPPED)
        if self._change is None or self._change.state is not CameraState.OFFLINE:
            status = _status_json(CameraState.OFFLINE, None, utc_ns)
            outcome.states[f"{self._plan.camera}/status"] = status
        return outcome

    def open_events(self) -> Mapping[str, int]:
        """Return the last sighting (UTC ns) of each open event, by id."""
        return self._plan.events.open_events()

    def active(self) -> int:
        """Return how many events are open."""
        return sum(self._plan.events.active().values())

    def _end(self, outcome: Outcome, reason: EndReason) -> None:
        outcome.events += self._plan.events.end_all(reason)
        self._plan.tracker.reset()
        self._shown = None
        self._say_counts(outcome, self._plan.counts.offline())
        self._say_active(outcome)

    def _say_frame(self, outcome: Outcome, info: FrameInfo, tracks: Sequence[Track]) -> None:
        plan, form = self._plan, self._plan.publish_detections
        if form is None:
            return
        age_ms = None if outcome.age_ns is None else outcome.age_ns / NS_PER_MS
        payload = encode_feed(form, info, tracks, labels=plan.labels, age_ms=age_ms)
        topic = f"{plan.camera}/detections"
        outcome.feed.append(Message(topic=topic, payload=payload, qos=0, retain=False, content_type=form.content_type))
        if info.live and plan.max_age_ns is not None:
            outcome.feed_deadline_ns = info.captured_ns + plan.max_age_ns

    def _say_counts(self, outcome: Outcome, counts: Mapping[int, int | None]) -> None:
        for class_id, count in counts.items():
            topic = f"{self._plan.camera}/objects/{self._plan.levels[class_id]}"
            outcome.states[topic] = NULL if count is None else b"%d" % count

    def _say_active(self, outcome: Outcome) -> None:
        """Say how many events of each rule are open, and how many objects have crossed each line."""
        for rule, count in self._plan.events.active().items():
            if self._active.get(rule) != count:
                self._active[rule] = count
                outcome.states[f"{self._plan.camera}/active/{rule}"] = b"%d" % count
        for (line, direction), count in self._plan.events.crossed().items():
            if self._crossed.get((line, direction)) != count:
                self._crossed[line, direction] = count
                outcome.states[f"{self._plan.camera}/lines/{line}/{direction}"] = b"%d" % count


def disabled_status(utc_ns: int) -> bytes:
    """Return the status of a camera that the configuration has switched off."""
    return _status_json(CameraState.DISABLED, None, utc_ns)


def _status(change: CameraChange) -> bytes:
    return _status_json(change.state, change.reason, change.since_utc_ns)


def _status_json(state: CameraState, reason: LostReason | None, since_utc_ns: int) -> bytes:
    return json.dumps(
        {"state": state.value, "reason": None if reason is None else reason.value, "since": rfc3339(since_utc_ns)},
        separators=(",", ":"),
    ).encode()
