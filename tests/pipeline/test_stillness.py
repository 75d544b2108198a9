"""The gate, the desk and what lies between: nothing that is there ends because nothing moves."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.event import EventType
from streamer.core.frame import Frame, FrameInfo, Picture, PixelFormat
from streamer.core.results import Detections, ModelRef, Result, Timing
from streamer.events.counts import ObjectCounts
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.events.rules import RuleSpec
from streamer.motion.gate import MotionGate, MotionPlan
from streamer.pipeline.desk import CameraDesk, DeskPlan
from streamer.pipeline.gated import Gated, GatePlan
from streamer.pipeline.messages import CameraChange, CameraState
from streamer.pipeline.objects import Objects, ObjectsPlan
from streamer.track.tracker import ObjectTracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.event import Event
    from streamer.pipeline.outcome import Outcome

S = 1_000_000_000
MODEL = ModelRef(name="fake", digest="sha256:0", backend="fake", precision="f32")


@dataclass
class Yard:
    """A camera, its gate and its desk, in the test's own thread; the model answers at once, `late` frames later."""

    after_s: float = 0.5
    detects: Callable[[float], bool] = lambda _: True
    late: int = 0
    plan: MotionPlan = field(default_factory=MotionPlan)
    events: list[Event] = field(default_factory=list)
    counts: list[tuple[float, bytes]] = field(default_factory=list)
    skipped: int = 0
    frames: int = 0
    connection: int = 0
    now_s: float = 0.0

    def __post_init__(self) -> None:
        rule = RuleSpec(name="person", class_ids=frozenset({0}), after_s=self.after_s)
        objects = Objects(
            ObjectsPlan(
                camera="yard",
                tracker=ObjectTracker(least=0.5),
                events=CameraEvents("yard", [rule], ("person",), EventIds()),
                counts=ObjectCounts([0]),
                labels=("person",),
                levels=("person",),
                publish_detections=None,
                max_age_ns=None,
            )
        )
        self.desk = CameraDesk(DeskPlan(camera="yard", max_age_ns=None, objects=objects))
        self.gate = Gated(
            GatePlan(
                gate=MotionGate(self.plan),
                settled_ns=self.desk.settled_ns,
                still=lambda still: self.say(self.desk.still(still.info)),
            )
        )
        self.under_way: list[Result] = []
        self.connect()

    def connect(self) -> None:
        self.seq = 0
        self.desk.change(
            CameraChange(
                camera="yard", state=CameraState.ONLINE, reason=None, since_utc_ns=0, connection=self.connection
            )
        )

    def say(self, outcome: Outcome) -> None:
        self.events += outcome.events
        if "yard/objects/person" in outcome.states:
            self.counts.append((self.now_s, outcome.states["yard/objects/person"]))

    def watch(self, until_s: float, where: Callable[[float], int | None]) -> None:
        """Watch at 5 frames a second; `where` gives the left edge of a person at a moment."""
        while self.now_s < until_s:
            left = where(self.now_s)
            plane = np.full((180, 320), 100, np.uint8)
            boxes = np.zeros((0, 4), np.float32)
            if left is not None:
                plane[60:160, left : left + 40] = 210
                if self.detects(self.now_s):
                    boxes = np.array([[left, 60, left + 40, 160]], np.float32)
            self.frame(plane, boxes)
            self.now_s = round(self.now_s + 0.2, 3)

    def frame(self, plane: np.ndarray, boxes: np.ndarray) -> None:
        now_ns = round((1000 + self.now_s) * S)
        info = FrameInfo(
            camera="yard", connection=self.connection, seq=self.seq, captured_ns=now_ns, utc_ns=now_ns, width=320,
            height=180, live=True,
        )  # fmt: skip
        self.seq += 1
        self.frames += 1
        shot = Frame(info=info, picture=Picture(format=PixelFormat.GRAY, planes=(plane,), width=320, height=180))
        self.gate.watch(shot)
        if self.gate.skips(shot):
            self.skipped += 1
        else:
            found = Detections(
                boxes=boxes, scores=np.full(len(boxes), 0.9, np.float32), class_ids=np.zeros(len(boxes), np.int32)
            )
            timing = Timing(captured_ns=now_ns, taken_ns=now_ns, inferred_ns=now_ns)
            self.under_way.append(Result(info=info, output=found, timing=timing, model=MODEL))
        while self.under_way and now_ns - self.under_way[0].info.captured_ns >= self.late * S // 5:
            self.say(self.desk.result(self.under_way.pop(0), now_ns))
        self.say(self.desk.tick(now_ns))

    def of(self, kind: EventType) -> list[float]:
        """Return when, since the beginning, the starts began or the ends ended."""
        moments = [
            event.started_utc_ns if kind is EventType.START else event.ended_utc_ns or 0
            for event in self.events
            if event.type is kind
        ]
        return [ns / S - 1000 for ns in moments]


def visit(comes_s: float, goes_s: float) -> Callable[[float], int | None]:
    """Return where someone is who walks in, stands still and walks on."""

    def where(t: float) -> int | None:
        if not comes_s <= t < goes_s + 3:
            return None
        return round(40 * (min(t - comes_s, 3) + max(0, t - goes_s)))

    return where


@pytest.mark.parametrize("late", [0, 1, 7])
def test_someone_who_stands_still_for_ten_minutes_is_one_event(late: int) -> None:
    yard = Yard(late=late)

    yard.watch(640, visit(20, 620))

    assert yard.of(EventType.START) == pytest.approx([20], abs=0.5)
    assert yard.of(EventType.END) == pytest.approx([623], abs=0.5)
    assert {event.track for event in yard.events} == {1}
    assert [count for _, count in yard.counts] == [b"0", b"1", b"0"]
    assert yard.skipped >= 0.9 * yard.frames
    updates = [event for event in yard.events if event.type is EventType.UPDATE]
    assert [event.stationary for event in updates] == [True] * 10 + [
        False
    ]  # he has come to rest; one a minute, as ever; he gets up


def test_a_detector_that_sees_it_in_half_of_the_frames_makes_one_event(seed: int) -> None:
    dice = random.Random(seed)
    yard = Yard(detects=lambda _: dice.random() < 0.5)

    yard.watch(240, visit(20, 220))

    assert len(yard.of(EventType.START)) == len(yard.of(EventType.END)) == 1
    assert yard.of(EventType.END)[0] >= 219
    assert yard.skipped > 0.5 * yard.frames


def test_a_dwell_is_over_in_time_though_no_frame_is_looked_at() -> None:
    yard = Yard(after_s=60)

    yard.watch(79, visit(20, 200))
    assert yard.events == []
    yard.watch(81.2, visit(20, 200))

    assert [event.type for event in yard.events] == [EventType.START]


def test_what_goes_unseen_is_found_gone_at_the_next_heartbeat() -> None:
    """The person fades into the background's own level: no motion, but nobody is there any more."""
    yard = Yard()
    gone = False
    yard.detects = lambda _: not gone
    yard.watch(40, visit(20, 600))
    gone = True

    yard.watch(60, visit(20, 600))

    (ended_s,) = yard.of(EventType.END)
    assert 40 <= ended_s <= 50


def test_what_the_heartbeat_finds_is_looked_at_until_it_is_certain() -> None:
    """What moves too little to be seen moving, or was not recognised when it did."""
    yard = Yard()
    yard.detects = lambda t: t >= 40

    yard.watch(60, visit(20, 600))

    (started_s,) = yard.of(EventType.START)
    assert 40 <= started_s <= 50
    assert [count for _, count in yard.counts] == [b"0", b"1"]


def test_traffic_that_the_gate_does_not_see_keeps_it_open() -> None:
    """What the first heartbeat shows is on its way, and cannot be taken to last."""
    yard = Yard(plan=MotionPlan(masks=(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),)))

    yard.watch(20, lambda _: None)
    yard.watch(120, lambda t: round(100 * t) % 280)

    assert len(yard.of(EventType.START)) >= 20
    assert yard.frames - yard.skipped >= 0.8 * 110 * 5


def test_a_ghost_of_one_frame_makes_nothing_though_all_is_still_after_it() -> None:
    yard = Yard()
    yard.detects = lambda t: t in ghosts
    ghosts: set[float] = set()
    yard.watch(30, lambda _: 100)
    ghosts.update(round(30 + i / 5, 3) for i in range(400) if i % 37 == 0)

    yard.watch(110, lambda _: 100)

    assert yard.events == []
    assert {count for _, count in yard.counts} == {b"0"}


def test_a_lost_connection_ends_what_was_there_and_the_next_begins_anew() -> None:
    yard = Yard()
    yard.watch(40, visit(20, 600))
    yard.say(
        yard.desk.change(
            CameraChange(
                camera="yard", state=CameraState.OFFLINE, reason=None, since_utc_ns=0, connection=yard.connection
            )
        )
    )
    assert [event.end_reason.value for event in yard.events if event.end_reason] == ["camera_lost"]
    assert yard.desk.settled_ns() == -1
    still = FrameInfo(
        camera="yard", connection=0, seq=999, captured_ns=round(1041 * S), utc_ns=0, width=320, height=180, live=True
    )
    assert yard.desk.still(still).events == []

    yard.connection += 1
    yard.now_s = 60.0
    yard.connect()
    yard.watch(80, visit(20, 600))

    assert len(yard.of(EventType.START)) == 2
    assert len(yard.of(EventType.END)) == 1
