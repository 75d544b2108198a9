"""What one camera's answers mean, and what is said of them."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streamer.core.event import EndReason, EventType
from streamer.events.classes import encode_class
from streamer.events.life import no_labels
from streamer.events.payload import rfc3339

from .messages import CameraChange, CameraState
from .outcome import NULL, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.core.errors import LostReason
    from streamer.core.frame import FrameInfo
    from streamer.core.look import Classified
    from streamer.core.results import Result
    from streamer.decide.items import Items
    from streamer.events.classes import ClassStates

    from .crossing_items import CrossingItems
    from .frames import Lost
    from .objects import Objects
    from .tandem import Tandem
    from .views_desk import Views


@dataclass(frozen=True, slots=True, kw_only=True)
class DeskPlan:
    """The parts of one camera's desk."""

    camera: str
    max_age_ns: int | None
    lanes: int = 1  # in which its frames wait for a model: each has a mark of its own at the end
    waits: bool = False  # a result of it may wait for answers: a recording, read as fast as it is dealt with
    objects: Objects | None = None  # None: nothing is detected
    tandem: Tandem | None = None  # None: objects have no labels
    classes: ClassStates | None = None  # of the frame and of zones
    items: Items | None = None  # None: no verdicts
    crossing: CrossingItems | None = None  # of those, the objects that cross a line
    views: Views | None = None  # None: no pictures of its events are kept


class CameraDesk:
    """One camera behind inference. Every time is an argument; used by the events thread alone."""

    def __init__(self, plan: DeskPlan) -> None:
        self._plan = plan
        self._labels_of = no_labels if plan.tandem is None else plan.tandem.labels_of
        self._lost_connection = -1
        self._live = False  # of the last frame: a file's time is its own
        self._marks: Counter[int | None] = Counter()  # connection, or None for the source's end -> lanes at their end
        self._change: CameraChange | None = None

    def result(self, result: Result, now_ns: int) -> Outcome:
        """Take in what the detector said of one frame."""
        plan, info, outcome = self._plan, result.info, Outcome()
        age_ns = now_ns - info.captured_ns if info.live and not info.recalled else None
        if info.connection <= self._lost_connection:
            outcome.dropped = "camera_lost"  # its events have ended with the connection already
            return outcome
        if age_ns is not None and plan.max_age_ns is not None and age_ns > plan.max_age_ns:
            outcome.dropped = "too_old"
            return outcome
        outcome.age_ns = age_ns
        self._live = info.live
        if plan.objects is not None:
            tracks = plan.objects.observe(outcome, result, self._labels_of)
            if plan.crossing is not None:
                plan.crossing.observe(result, plan.objects.crossings())
            if plan.tandem is not None:
                plan.tandem.look(info, tracks)
            if plan.views is not None:
                began = [event.id for event in outcome.events if event.type is EventType.START]
                better = plan.views.look(info, plan.objects.in_view(), began)
                plan.objects.better_views(outcome, better)
        return outcome

    def classified(self, classified: Classified, now_ns: int) -> Outcome:
        """Take in what a classifier said of a frame, a zone or an object."""
        plan, info, outcome = self._plan, classified.info, Outcome()
        if info.connection <= self._lost_connection:
            outcome.dropped = "look_camera_lost"
            return outcome
        if classified.track is not None:
            if plan.tandem is not None:
                plan.tandem.classified(classified)
            if plan.crossing is not None:
                plan.crossing.labelled(classified.track)
            return outcome
        age_ns = now_ns - info.captured_ns if info.live else None
        if age_ns is not None and plan.max_age_ns is not None and age_ns > plan.max_age_ns:
            outcome.dropped = "look_too_old"
            return outcome
        if plan.objects is None:
            self._live = info.live
            outcome.age_ns = age_ns
        if plan.classes is not None:
            for name, state in plan.classes.observe(classified).items():
                outcome.states[f"{plan.camera}/class/{name}"] = encode_class(state)
        return outcome

    def waiting(self) -> bool:
        """Whether the next result of a recording has to wait: for what the classifier says of the last one's objects.

        A recording may run a hundred times as fast as it was taken: its labels would come when the objects are gone.
        """
        return self._plan.waits and self._plan.tandem is not None and self._plan.tandem.waiting()

    def settled_ns(self) -> int:
        """Return the capture time of the last result, if all in it is certain, else -1. Any thread may ask."""
        return -1 if self._plan.objects is None else self._plan.objects.settled_ns()

    def still(self, info: FrameInfo) -> Outcome:
        """Take in that nothing has moved up to a frame, which was not looked at: what was there still is."""
        outcome = Outcome()
        if self._plan.objects is not None:
            self._plan.objects.still(outcome, info, self._labels_of)
        return outcome

    def change(self, change: CameraChange) -> Outcome:
        """Take in a camera's change of state; a loss ends its open events, unless results are still on the way."""
        self._change = change
        outcome = Outcome(states={f"{change.camera}/status": _status(change)})
        switched_off = change.state is CameraState.DISABLED
        if switched_off or (change.state is CameraState.OFFLINE and not change.finite):
            if self._plan.items is not None:  # at once: what is triggered from now on waits for the next connection
                self._plan.items.camera_lost()
            if not change.trailing:
                self._lose(outcome, change.connection, EndReason.STOPPED if switched_off else EndReason.CAMERA_LOST)
        return outcome

    def lost(self, mark: Lost) -> Outcome:
        """Take in that one lane of a lost connection has given its last answer.

        With the detector's lane the connection is over, else with the last of them: a slow classifier must not end what
        objects of the next connection have begun.
        """
        outcome, plan = Outcome(), self._plan
        over = self._last_of(mark.connection) if plan.objects is None else mark.lane == plan.camera
        if over:
            self._lose(outcome, mark.connection, EndReason.CAMERA_LOST)
        return outcome

    def tick(self, now_ns: int) -> Outcome:
        """Let a live camera's time pass when no frame comes."""
        outcome = Outcome()
        online = self._change is not None and self._change.state is CameraState.ONLINE
        if self._live and online and self._plan.objects is not None:
            self._plan.objects.tick(outcome, now_ns)
        return outcome

    def source_end(self) -> Outcome:
        """Take in that one lane of a finite source has given its last result."""
        outcome = Outcome()
        if self._last_of(None):
            outcome.over = True
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
        return {} if self._plan.objects is None else self._plan.objects.open_events()

    def active(self) -> int:
        """Return how many events are open."""
        return 0 if self._plan.objects is None else self._plan.objects.active()

    def _last_of(self, mark: int | None) -> bool:
        """Whether this was the last lane that had something on the way."""
        self._marks[mark] += 1
        if self._marks[mark] < self._plan.lanes:
            return False
        del self._marks[mark]
        return True

    def _lose(self, outcome: Outcome, connection: int, reason: EndReason) -> None:
        self._lost_connection = connection
        if self._plan.items is not None:
            self._plan.items.objects_lost()
        self._end(outcome, reason)

    def _end(self, outcome: Outcome, reason: EndReason) -> None:
        plan = self._plan
        if plan.crossing is not None:
            plan.crossing.end()
        if plan.objects is not None:
            plan.objects.end(outcome, reason, self._labels_of)
        if plan.tandem is not None:
            plan.tandem.reset()
        if plan.classes is not None:
            for name in plan.classes.offline():
                outcome.states[f"{plan.camera}/class/{name}"] = NULL


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
