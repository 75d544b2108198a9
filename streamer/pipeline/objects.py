"""What a camera's detections mean: tracks, events, counts, and the per-frame feed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from streamer.core.clock import NS_PER_MS
from streamer.events.feed import encode_feed
from streamer.publish.base import Message

from .outcome import NULL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from streamer.core.event import EndReason
    from streamer.core.frame import FrameInfo
    from streamer.core.results import ModelRef, Result, Track
    from streamer.events.counts import ObjectCounts
    from streamer.events.feed import FeedForm
    from streamer.events.life import CameraEvents
    from streamer.events.lines import Crossing
    from streamer.events.sighting import Sighting
    from streamer.track.tracker import ObjectTracker

    from .outcome import Outcome


LabelsOf: TypeAlias = "Callable[[int], Mapping[str, tuple[str, float]]]"  # track -> classification -> (class, score)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsPlan:
    """The parts of one camera's objects."""

    camera: str
    tracker: ObjectTracker
    events: CameraEvents
    counts: ObjectCounts
    labels: Sequence[str]
    levels: Sequence[str]  # how each class stands in a topic
    publish_detections: FeedForm | None  # of the per-frame feed, if there is one
    max_age_ns: int | None


class _Shown(NamedTuple):
    """What a result has shown."""

    info: FrameInfo
    tracks: tuple[Track, ...]
    model: ModelRef


class Objects:
    """The objects of one camera, and what happens to them. Pure: every time is an argument."""

    def __init__(self, plan: ObjectsPlan) -> None:
        self._plan = plan
        self._shown: _Shown | None = None  # None: something in it was not certain
        self._active: dict[str, int] = {}
        self._crossed: dict[tuple[str, str], int] = {}  # (line, direction) -> what was told last

    def observe(self, outcome: Outcome, result: Result, labels_of: LabelsOf) -> tuple[Track, ...]:
        """Take in what the detector said of the next frame; return the objects in it."""
        plan, info = self._plan, result.info
        tracks = plan.tracker.update(result.output, info.captured_ns).tracks
        self._shown = _Shown(info, tracks, result.model) if plan.tracker.settled() else None
        self._say_frame(outcome, info, tracks)
        outcome.events += plan.events.observe(info, tracks, result.model, labels_of)
        self._say_counts(outcome, plan.counts.observe(info, tracks))
        self._say_active(outcome)
        return tracks

    def in_view(self) -> Sequence[tuple[str, Sighting]]:
        """Return the open events that the last result shows, and what was seen of each."""
        return self._plan.events.in_view()

    def better_views(self, outcome: Outcome, events: Collection[str]) -> None:
        """Take in that there are better pictures of some events now."""
        outcome.events += self._plan.events.better_views(events)

    def crossings(self) -> Sequence[Crossing]:
        """Return who has crossed which line, as the last result has shown."""
        return self._plan.events.crossings()

    def settled_ns(self) -> int:
        """Return the capture time of the last result, if all in it is certain, else -1. Any thread may ask.

        Certain: each object in it has been seen several times and has come to rest, and none is missing that was there
        a moment ago.
        """
        shown = self._shown
        return -1 if shown is None else shown.info.captured_ns

    def still(self, outcome: Outcome, info: FrameInfo, labels_of: LabelsOf) -> None:
        """Take in that nothing has moved up to a frame, which was not looked at: what was there still is.

        So events go on, and start when their time has come, and numbers hold. Where the last result left something
        open nothing is said, and frames are on their way that will.
        """
        plan, shown = self._plan, self._shown
        if shown is None or info.connection != shown.info.connection or info.captured_ns <= shown.info.captured_ns:
            return
        plan.tracker.still(info.captured_ns)
        outcome.events += plan.events.observe(info, shown.tracks, shown.model, labels_of, still=True)
        self._say_counts(outcome, plan.counts.observe(info, shown.tracks, still=True))
        self._say_active(outcome)

    def tick(self, outcome: Outcome, now_ns: int) -> None:
        """Let a live camera's time pass when no frame comes."""
        outcome.events += self._plan.events.tick(now_ns)
        self._say_counts(outcome, self._plan.counts.tick(now_ns))
        self._say_active(outcome)

    def end(self, outcome: Outcome, reason: EndReason, labels_of: LabelsOf) -> None:
        """End every open event, and forget the objects."""
        outcome.events += self._plan.events.end_all(reason, labels_of)
        self._plan.tracker.reset()
        self._shown = None
        self._say_counts(outcome, self._plan.counts.offline())
        self._say_active(outcome)

    def open_events(self) -> Mapping[str, int]:
        """Return the last sighting (UTC ns) of each open event, by id."""
        return self._plan.events.open_events()

    def active(self) -> int:
        """Return how many events are open."""
        return sum(self._plan.events.active().values())

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
