"""What one camera's results mean: tracks, events, counts, and what is said of them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from streamer.core.clock import NS_PER_MS, NS_PER_S
from streamer.core.event import EndReason
from streamer.core.names import topic_level
from streamer.events.payload import encode_detections

from .messages import CameraChange, CameraState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.event import Event
    from streamer.core.results import Result
    from streamer.events.counts import ObjectCounts
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
    publish_detections: bool
    max_age_ns: int | None


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a step of a desk has to say. Topics are relative to the prefix."""

    events: list[Event] = field(default_factory=list)
    states: dict[str, bytes] = field(default_factory=dict)  # retained topic -> payload
    feed: list[tuple[str, bytes]] = field(default_factory=list)  # (topic, payload), QoS 0
    dropped: str | None = None  # the cause, if the result was not used


class CameraDesk:
    """One camera behind inference. Pure: every time is an argument; used by the events thread alone."""

    def __init__(self, plan: DeskPlan) -> None:
        self._plan = plan
        self._lost_connection = -1
        self._active: dict[str, int] = {}
        self._change: CameraChange | None = None

    def begin(self) -> Outcome:
        """Return the states before anything has been seen."""
        outcome = Outcome()
        self._say_counts(outcome, self._plan.counts.offline())
        self._say_active(outcome)
        return outcome

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
        tracked = plan.tracker.update(result.output, info.captured_ns)
        if plan.publish_detections:
            age_ms = None if age_ns is None else age_ns / NS_PER_MS
            payload = encode_detections(info, tracked.detections, tracked.track_ids, plan.labels, age_ms)
            outcome.feed.append((f"{plan.camera}/detections", payload))
        outcome.events = plan.events.observe(info, tracked.tracks, result.model)
        self._say_counts(outcome, plan.counts.observe(info, tracked.tracks))
        self._say_active(outcome)
        return outcome

    def change(self, change: CameraChange) -> Outcome:
        """Take in a camera's change of state; a loss ends its open events."""
        self._change = change
        outcome = Outcome(states={f"{change.camera}/status": _status(change)})
        if change.state is CameraState.OFFLINE and not change.finite:
            self._lost_connection = change.connection
            self._end(outcome, EndReason.CAMERA_LOST, change.since_utc_ns)
        return outcome

    def source_end(self, utc_ns: int) -> Outcome:
        """Take in that a finite source has given its last result."""
        outcome = Outcome()
        self._end(outcome, EndReason.SOURCE_ENDED, utc_ns)
        return outcome

    def stop(self, utc_ns: int) -> Outcome:
        """End everything: the run is over."""
        outcome = Outcome()
        self._end(outcome, EndReason.STOPPED, utc_ns)
        if self._change is None or self._change.state is not CameraState.OFFLINE:
            outcome.states[f"{self._plan.camera}/status"] = _status(
                CameraChange(
                    camera=self._plan.camera,
                    state=CameraState.OFFLINE,
                    reason=None,
                    since_utc_ns=utc_ns,
                    connection=0,
                )
            )
        return outcome

    def open_events(self) -> Mapping[str, int]:
        """Return the last sighting (UTC ns) of each open event, by id."""
        return self._plan.events.open_events()

    def active(self) -> int:
        """Return how many events are open."""
        return sum(self._plan.events.active().values())

    def _end(self, outcome: Outcome, reason: EndReason, utc_ns: int) -> None:
        outcome.events += self._plan.events.end_all(reason, utc_ns)
        self._plan.tracker.reset()
        self._say_counts(outcome, self._plan.counts.offline())
        self._say_active(outcome)

    def _say_counts(self, outcome: Outcome, counts: Mapping[int, int | None]) -> None:
        for class_id, count in counts.items():
            topic = f"{self._plan.camera}/objects/{topic_level(self._plan.labels[class_id])}"
            outcome.states[topic] = NULL if count is None else b"%d" % count

    def _say_active(self, outcome: Outcome) -> None:
        for rule, count in self._plan.events.active().items():
            if self._active.get(rule) != count:
                self._active[rule] = count
                outcome.states[f"{self._plan.camera}/active/{rule}"] = b"%d" % count


def _status(change: CameraChange) -> bytes:
    since = datetime.fromtimestamp(change.since_utc_ns / NS_PER_S, tz=timezone.utc)
    return json.dumps(
        {
            "state": change.state.value,
            "reason": None if change.reason is None else change.reason.value,
            "since": since.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        },
        separators=(",", ":"),
    ).encode()
