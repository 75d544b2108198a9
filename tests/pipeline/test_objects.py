"""What the objects of a camera become: labels in events, counts, and the ends of all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.event import EndReason, EventType
from streamer.core.frame import FrameInfo
from streamer.core.results import Detections, ModelRef, Result, Timing
from streamer.events.counts import ObjectCounts
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents, no_labels
from streamer.events.rules import RuleSpec
from streamer.pipeline.objects import Objects, ObjectsPlan
from streamer.pipeline.outcome import Outcome
from streamer.track.tracker import ObjectTracker

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streamer.core.event import Event
    from streamer.core.results import Track

S = 1_000_000_000
MODEL = ModelRef(name="fake", digest="sha256:0", backend="fake", precision="f32")
CARS = frozenset({0})
ANY = RuleSpec(name="car", class_ids=CARS, after_s=0.2)
RED = RuleSpec(name="red", class_ids=CARS, after_s=0.2, end_after_s=1.0, labels={"hue": frozenset({"red"})})


class Yard:
    """A camera that shows cars, five times a second, and what a second stage calls each by now."""

    def __init__(self, *rules: RuleSpec) -> None:
        self.objects = Objects(
            ObjectsPlan(
                camera="yard",
                tracker=ObjectTracker(least={0: 0.5}),
                events=CameraEvents("yard", rules, ("car",), EventIds()),
                counts=ObjectCounts([0]),
                labels=("car",),
                levels=("car",),
                publish_detections=None,
                max_age_ns=None,
            )
        )
        self.hues: dict[int, str] = {}
        self.at_s = 100.0
        self.states: dict[str, bytes] = {}

    def labels_of(self, track: int) -> Mapping[str, tuple[str, float]]:
        return {"hue": (self.hues[track], 0.9)} if track in self.hues else {}

    def info(self) -> FrameInfo:
        at_ns = round(self.at_s * S)
        return FrameInfo(
            camera="yard", connection=0, seq=round(self.at_s * 5), captured_ns=at_ns, utc_ns=at_ns, width=640,
            height=360, live=True,
        )  # fmt: skip

    def show(self, cars: int, frames: int = 1) -> tuple[list[Event], tuple[Track, ...]]:
        """Show so many cars for some frames; return what happened, and the tracks in the last one."""
        events: list[Event] = []
        tracks: tuple[Track, ...] = ()
        for _ in range(frames):
            boxes = np.array([[20 + 200 * n, 20, 120 + 200 * n, 90] for n in range(cars)], np.float32).reshape(-1, 4)
            output = Detections(boxes=boxes, scores=np.full(cars, 0.9, np.float32), class_ids=np.zeros(cars, np.int32))
            timing = Timing(captured_ns=self.info().captured_ns, taken_ns=0, inferred_ns=0)
            outcome = Outcome()
            result = Result(info=self.info(), output=output, timing=timing, model=MODEL)
            tracks = self.objects.observe(outcome, result, self.labels_of)
            events += outcome.events
            self.states |= outcome.states
            self.at_s += 0.2
        return events, tracks

    def still(self) -> Outcome:
        outcome = Outcome()
        self.objects.still(outcome, self.info(), self.labels_of)
        self.at_s += 0.2
        return outcome


def test_a_label_that_is_decided_later_comes_as_an_update_and_begins_the_rules_that_ask_for_it() -> None:
    yard = Yard(ANY, RED)
    (start,), (track,) = yard.show(1, 2)
    assert (start.rule, start.type, dict(start.labels)) == ("car", EventType.START, {})
    yard.hues[track.id] = "red"
    told, _ = yard.show(1, 6)
    by_rule = {event.rule: event for event in told}
    assert {rule: event.type for rule, event in by_rule.items()} == {"car": EventType.UPDATE, "red": EventType.START}
    assert all(event.labels["hue"] == ("red", 0.9) for event in told)
    assert by_rule["red"].started_utc_ns == start.started_utc_ns
    assert yard.states["yard/active/red"] == b"1"


def test_a_label_that_no_longer_fits_ends_the_rules_that_ask_for_it() -> None:
    yard = Yard(RED)
    _, (track,) = yard.show(1)
    yard.hues[track.id] = "red"
    assert [event.type for event in yard.show(1, 3)[0]] == [EventType.START]
    yard.hues[track.id] = "blue"
    told, _ = yard.show(1, 10)
    assert [(event.type, event.end_reason) for event in told] == [(EventType.END, EndReason.GONE)]
    assert yard.states["yard/active/red"] == b"0"
    assert yard.states["yard/objects/car"] == b"1"  # it is a car all the same


def test_a_label_that_comes_while_nothing_moves_is_told_too() -> None:
    yard = Yard(RED)
    _, (track,) = yard.show(1, 30)
    assert yard.objects.settled_ns() == round((yard.at_s - 0.2) * S)
    yard.hues[track.id] = "red"
    assert [(event.rule, event.type) for event in yard.still().events] == [("red", EventType.START)]


def test_where_something_is_open_stillness_says_nothing() -> None:
    yard = Yard(ANY)
    yard.show(1)
    assert yard.objects.settled_ns() == -1
    assert yard.still().events == []


def test_the_end_ends_everything_and_forgets_the_objects() -> None:
    yard = Yard(ANY)
    _, (before,) = yard.show(1, 4)
    assert yard.objects.active() == 1
    assert list(yard.objects.open_events().values()) == [round((yard.at_s - 0.2) * S)]
    outcome = Outcome()
    yard.objects.end(outcome, EndReason.CAMERA_LOST, no_labels)
    assert [event.end_reason for event in outcome.events] == [EndReason.CAMERA_LOST]
    assert outcome.states == {"yard/objects/car": b"null", "yard/active/car": b"0"}
    assert (yard.objects.active(), yard.objects.settled_ns()) == (0, -1)
    _, (after,) = yard.show(1)
    assert after.id != before.id


@pytest.mark.parametrize("cars", [0, 1, 3])
def test_as_many_as_there_are_are_counted(cars: int) -> None:
    yard = Yard(ANY)
    yard.show(cars, 6)
    assert yard.states["yard/objects/car"] == b"%d" % cars
