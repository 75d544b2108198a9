"""What a desk makes of several models: classes that hold, labels, items, and the ends of several lanes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from made_cameras import made_frame

from streamer.core.clock import FakeClock
from streamer.core.decision import Verdict
from streamer.core.errors import LostReason
from streamer.core.event import EndReason
from streamer.core.frame import Frame, FrameInfo, Picture, PixelFormat
from streamer.core.look import Classified
from streamer.core.results import Classification, Detections, ModelRef, Result, Timing
from streamer.decide.items import Items, ItemsPlan
from streamer.decide.judge import JudgeSpec, LabelTest
from streamer.events.classes import ClassSpec, ClassStates
from streamer.events.counts import ObjectCounts
from streamer.events.ids import EventIds
from streamer.events.labels import LabelSpec, LabelVotes
from streamer.events.life import CameraEvents
from streamer.events.rules import RuleSpec
from streamer.pipeline.crossing_items import CrossingItems, ItemCrossing
from streamer.pipeline.desk import CameraDesk, DeskPlan
from streamer.pipeline.frames import Lost
from streamer.pipeline.messages import CameraChange, CameraState
from streamer.pipeline.objects import Objects, ObjectsPlan
from streamer.pipeline.tandem import Crop, Tandem
from streamer.track.tracker import ObjectTracker

if TYPE_CHECKING:
    from streamer.core.look import Look

S = 1_000_000_000
NAMES = ("bottle", "scratch")
MODEL = ModelRef(name="fake", digest="sha256:0", backend="fake", precision="f32")
VIEW = ClassSpec(name="view", labels=("day", "night"), agree=2)
KIND = LabelSpec(name="kind", class_ids=frozenset({0}), labels=("full", "empty"), agree=1)
FULL = LabelTest(names=("full", "empty"), reject=frozenset({"empty"}))


def info(at_s: float, *, connection: int = 0, live: bool = True) -> FrameInfo:
    at_ns = round(at_s * S)
    return FrameInfo(
        camera="belt", connection=connection, seq=round(at_s * 10), captured_ns=at_ns, utc_ns=at_ns, width=640,
        height=360, live=live,
    )  # fmt: skip


def seen(where: FrameInfo, *boxes: tuple[int, float, float]) -> Result:
    """Return a result with (class, left, top) of boxes of 40 by 80 px."""
    output = Detections(
        boxes=np.array([[x, y, x + 40, y + 80] for _, x, y in boxes], np.float32).reshape(-1, 4),
        scores=np.full(len(boxes), 0.9, np.float32),
        class_ids=np.array([class_id for class_id, _, _ in boxes], np.int32),
    )
    timing = Timing(captured_ns=where.captured_ns, taken_ns=0, inferred_ns=0)
    return Result(info=where, output=output, timing=timing, model=MODEL)


def said(where: FrameInfo, class_id: int, *, name: str = "view", track: int | None = None) -> Classified:
    output = Classification(
        class_ids=np.array([class_id, 1 - class_id], np.int32), scores=np.array([0.9, 0.1], np.float32)
    )
    timing = Timing(captured_ns=where.captured_ns, taken_ns=0, inferred_ns=0)
    return Classified(info=where, name=name, track=track, output=output, timing=timing, model=MODEL)


def objects(*rules: RuleSpec) -> Objects:
    return Objects(
        ObjectsPlan(
            camera="belt",
            tracker=ObjectTracker(least={0: 0.5, 1: 0.5}),
            events=CameraEvents("belt", rules, NAMES, EventIds(), lines={"gate": ((0.0, 0.5), (1.0, 0.5))}),
            counts=ObjectCounts([0, 1]),
            labels=NAMES,
            levels=NAMES,
            publish_detections=None,
            max_age_ns=None,
        )
    )


def desk(**parts: Any) -> CameraDesk:  # noqa: ANN401  any field of a plan
    return CameraDesk(DeskPlan(camera="belt", **({"max_age_ns": None} | parts)))


def items(clock: FakeClock, judge: JudgeSpec, **changes: Any) -> Items:  # noqa: ANN401  any field of a plan
    plan: dict[str, Any] = {"deadline_s": 5.0, "otherwise": Verdict.REJECT, "each_frame": True, "live": True}
    return Items(ItemsPlan(camera="belt", judge=judge, **(plan | changes)), clock=clock)


def offline(connection: int = 0, *, trailing: bool = False) -> CameraChange:
    return CameraChange(
        camera="belt", state=CameraState.OFFLINE, reason=LostReason.FROZEN, since_utc_ns=0, connection=connection,
        trailing=trailing,
    )  # fmt: skip


class TestClasses:
    def test_a_state_is_told_when_it_has_held_and_is_null_when_the_camera_is_away(self) -> None:
        it = desk(classes=ClassStates([VIEW]))
        assert it.classified(said(info(100), 1), 100 * S).states == {}
        told = it.classified(said(info(101), 1), round(101.5 * S))
        assert json.loads(told.states["belt/class/view"])["class"] == "night"
        assert told.age_ns == S // 2  # nothing else tells how old this camera's answers are
        assert it.classified(said(info(102), 1), 102 * S).states == {}
        lost = it.change(offline())
        assert lost.states["belt/class/view"] == b"null"
        late = it.classified(said(info(102.5), 0), 103 * S)
        assert (late.dropped, late.states) == ("look_camera_lost", {})
        assert it.classified(said(info(110, connection=1), 1), 110 * S).states == {}  # it begins anew
        assert it.stop(0).states.keys() == set()  # nothing was known any more, and it is offline already

    def test_a_stop_makes_what_is_known_null(self) -> None:
        it = desk(classes=ClassStates([VIEW]))
        for at in (100, 101):
            it.classified(said(info(at), 0), 0)
        assert it.stop(0).states["belt/class/view"] == b"null"

    def test_beside_a_detector_the_age_is_that_of_its_results(self) -> None:
        it = desk(classes=ClassStates([VIEW]), objects=objects())
        assert it.classified(said(info(100), 1), 101 * S).age_ns is None

    def test_of_a_recording_there_is_no_age(self) -> None:
        it = desk(classes=ClassStates([VIEW]))
        assert it.classified(said(info(100, live=False), 1), 101 * S).age_ns is None


class TestEnds:
    def test_a_source_is_over_when_its_last_lane_is_and_only_then_is_what_was_known_forgotten(self) -> None:
        it = desk(classes=ClassStates([VIEW]), lanes=3)
        for at in (100, 101):
            it.classified(said(info(at), 0), 0)
        first, second = it.source_end(), it.source_end()
        assert [(first.over, first.states), (second.over, second.states)] == [(False, {})] * 2
        last = it.source_end()
        assert (last.over, last.states) == (True, {"belt/class/view": b"null"})

    def test_a_connection_is_lost_when_the_detector_has_given_its_last_answer(self) -> None:
        it = desk(
            classes=ClassStates([VIEW]), objects=objects(RuleSpec(name="there", class_ids=frozenset({0}))), lanes=2
        )
        for step in range(5):
            it.result(seen(info(100 + step / 5), (0, 100, 20)), 0)
        it.change(offline(trailing=True))
        assert it.lost(Lost("belt/view", 0)).events == []
        assert it.result(seen(info(101), (0, 100, 20)), 0).dropped is None
        ended = it.lost(Lost("belt", 0))
        assert [event.end_reason for event in ended.events] == [EndReason.CAMERA_LOST]
        assert it.result(seen(info(101.2)), 0).dropped == "camera_lost"

    def test_without_a_detector_it_is_lost_with_the_last_of_its_lanes_and_not_with_those_of_the_next(self) -> None:
        it = desk(classes=ClassStates([VIEW]), lanes=2)
        it.lost(Lost("belt/view", 0))
        it.lost(Lost("belt/view", 1))
        assert it.classified(said(info(100), 0), 0).dropped is None
        it.lost(Lost("belt/door", 0))
        assert it.classified(said(info(100), 0), 0).dropped == "look_camera_lost"
        assert it.classified(said(info(101, connection=1), 0), 0).dropped is None


class Second:
    """A tandem whose classifier answers when told to."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        picture = frame_picture()
        self.tandem = Tandem(
            LabelVotes([KIND]),
            {"kind": Crop(margin=0.0, square=True, offer=self._offer)},
            picture_of=lambda _: picture,
            refused=lambda: None,
        )

    def _offer(self, look: Look) -> bool:
        self.looks.append(look)
        return True


def frame_picture() -> Picture:
    luma = np.random.default_rng(1).integers(0, 255, (360, 640), dtype=np.uint8)
    return Picture(format=PixelFormat.GRAY, planes=(luma,), width=640, height=360)


class TestLabels:
    def test_a_label_joins_the_object_and_a_recording_waits_for_it(self) -> None:
        second = Second()
        rule = RuleSpec(name="empties", class_ids=frozenset({0}), labels={"kind": frozenset({"empty"})}, after_s=0.0)
        it = desk(objects=objects(rule), tandem=second.tandem, waits=True)
        frames = [info(100 + step / 5, live=False) for step in range(4)]
        assert it.result(seen(frames[0], (0, 100, 20)), 0).events == []
        assert not it.waiting()
        it.result(seen(frames[1], (0, 100, 20)), 0)  # the second sighting: it is looked at
        assert it.waiting()
        (look,) = second.looks
        it.classified(said(look.info, 1, name="kind", track=look.track), 0)
        assert not it.waiting()
        (start,) = it.result(seen(frames[2], (0, 100, 20)), 0).events
        assert start.labels["kind"] == pytest.approx(("empty", 0.9))

    def test_a_live_camera_waits_for_nothing(self) -> None:
        second = Second()
        it = desk(objects=objects(), tandem=second.tandem)
        for step in range(3):
            it.result(seen(info(100 + step / 5), (0, 100, 20)), 0)
        assert second.looks
        assert not it.waiting()

    def test_the_loss_of_the_camera_forgets_what_was_asked(self) -> None:
        second = Second()
        it = desk(objects=objects(), tandem=second.tandem)
        for step in range(2):
            it.result(seen(info(100 + step / 5), (0, 100, 20)), 0)
        it.change(offline())
        assert not second.tandem.waiting()


class TestItems:
    @pytest.mark.parametrize(("direction", "expected"), [(None, 1), ("in", 1), ("out", 0)])
    def test_an_object_that_crosses_the_line_is_an_item(self, direction: str | None, expected: int) -> None:
        clock, second = FakeClock(), Second()
        book = items(clock, JudgeSpec(labels={"kind": FULL}), each_frame=False, crossings=True)
        it = desk(objects=objects(), tandem=second.tandem, items=book, crossing=crossing(book, second, direction))
        cross(it, clock, second, answer=True)
        decided = book.take_decided(clock.monotonic_ns())
        assert [(d.number, d.verdict, d.reason) for d in decided] == [(1, Verdict.REJECT, "empty")] * expected

    def test_one_whose_label_is_not_decided_yet_waits_for_it(self) -> None:
        clock, second = FakeClock(), Second()
        book = items(clock, JudgeSpec(labels={"kind": FULL}), each_frame=False, crossings=True)
        it = desk(objects=objects(), tandem=second.tandem, items=book, crossing=crossing(book, second, None))
        cross(it, clock, second, answer=False)
        assert book.take_decided(clock.monotonic_ns()) == []
        look = second.looks[0]
        it.classified(said(look.info, 0, name="kind", track=look.track), clock.monotonic_ns())
        (decision,) = book.take_decided(clock.monotonic_ns())
        assert (decision.verdict, decision.reason, decision.late) == (Verdict.ACCEPT, None, False)

    def test_one_that_crosses_a_line_of_a_camera_that_is_lost_is_decided(self) -> None:
        clock, second = FakeClock(), Second()
        book = items(clock, JudgeSpec(labels={"kind": FULL}), each_frame=False, crossings=True)
        it = desk(objects=objects(), tandem=second.tandem, items=book, crossing=crossing(book, second, None))
        cross(it, clock, second, answer=False)
        it.change(offline())
        (decision,) = book.take_decided(clock.monotonic_ns())
        assert decision.verdict is Verdict.REJECT
        assert decision.reason in ("failed", "unsure")


def crossing(book: Items, second: Second, direction: str | None) -> CrossingItems:
    which = ItemCrossing(line="gate", direction=direction, class_ids=frozenset({0}), deadline_ns=5 * S)
    return CrossingItems(book, which, second.tandem.labels_of)


def made(clock: FakeClock, seq: int) -> Frame:
    return made_frame(seq, camera="belt", at_ns=clock.monotonic_ns())


def cross(it: CameraDesk, clock: FakeClock, second: Second, *, answer: bool) -> None:
    """Let a bottle fall through the line in the middle of the picture, and have it looked at on its way, or not."""
    for step in range(8):
        at_s = clock.monotonic_ns() / S
        it.result(seen(info(at_s), (0, 300, 20 + 30 * step)), clock.monotonic_ns())
        if answer and step == 1:
            (look,) = second.looks
            it.classified(said(look.info, 1, name="kind", track=look.track), clock.monotonic_ns())
        clock.advance(0.1)
