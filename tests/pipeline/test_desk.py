from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from streamer.core.errors import LostReason
from streamer.core.event import EndReason, EventType
from streamer.core.frame import FrameInfo
from streamer.core.results import Detections, ModelRef, Result, Timing
from streamer.events.counts import ObjectCounts
from streamer.events.feed import decode_feed, open_feed_form
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.events.rules import default_rules
from streamer.pipeline.desk import CameraDesk, DeskPlan
from streamer.pipeline.frames import Lost
from streamer.pipeline.messages import CameraChange, CameraState
from streamer.pipeline.objects import Objects, ObjectsPlan
from streamer.pipeline.outcome import Outcome
from streamer.track.tracker import ObjectTracker

LABELS = ("person", "traffic light")
MODEL = ModelRef(name="fake", digest="sha256:0", backend="fake", precision="f32")
S = 1_000_000_000


def desk(
    *,
    max_age_ns: int | None = None,
    lines: dict[str, tuple[tuple[float, float], tuple[float, float]]] | None = None,
    form: str | None = "json",
) -> CameraDesk:
    objects = Objects(
        ObjectsPlan(
            camera="yard",
            tracker=ObjectTracker(least={0: 0.5, 1: 0.5}),
            events=CameraEvents("yard", default_rules(LABELS, [0, 1]), LABELS, EventIds(), lines=lines),
            counts=ObjectCounts([0, 1]),
            labels=LABELS,
            levels=("person", "traffic_light"),
            publish_detections=None if form is None else open_feed_form(form),
            max_age_ns=max_age_ns,
        )
    )
    return CameraDesk(DeskPlan(camera="yard", max_age_ns=max_age_ns, objects=objects))


def seen(at_s: float, *, people: int = 1, connection: int = 0, top: float = 20) -> Result:
    boxes = np.array([[10 + 200 * i, top, 60 + 200 * i, top + 200] for i in range(people)], np.float32).reshape(-1, 4)
    output = Detections(boxes=boxes, scores=np.full(people, 0.9, np.float32), class_ids=np.zeros(people, np.int32))
    info = FrameInfo(
        camera="yard", connection=connection, seq=0, captured_ns=round(at_s * S), utc_ns=round(at_s * S), width=640,
        height=360, live=True,
    )  # fmt: skip
    timing = Timing(captured_ns=info.captured_ns, taken_ns=info.captured_ns, inferred_ns=info.captured_ns)
    return Result(info=info, output=output, timing=timing, model=MODEL)


def watch(desk: CameraDesk, until_s: float, *, connection: int = 0, begin_s: float = 100.0) -> Outcome:
    """Show one person at 5 frames a second; return everything that was said."""
    said = Outcome()
    for step in range(round((until_s - begin_s) * 5) + 1):
        at_s = begin_s + step / 5
        outcome = desk.result(seen(at_s, connection=connection), now_ns=round((at_s + 0.05) * S))
        said.events += outcome.events
        said.states |= outcome.states
        said.feed += outcome.feed
    return said


def change(state: CameraState, reason: LostReason | None, *, connection: int = 0, finite: bool = False) -> CameraChange:
    return CameraChange(
        camera="yard", state=state, reason=reason, since_utc_ns=105 * S, connection=connection, finite=finite
    )


def test_a_person_makes_an_event_a_count_and_a_feed() -> None:
    said = watch(desk(), 101)
    assert [event.type for event in said.events] == [EventType.START]
    assert said.states["yard/active/person"] == b"1"
    assert said.states["yard/objects/person"] == b"1"
    assert said.states["yard/objects/traffic_light"] == b"0"
    message = said.feed[-1]
    assert (message.topic, message.qos, message.retain) == ("yard/detections", 0, False)
    assert message.content_type == "application/json"
    feed = json.loads(message.payload)
    assert feed["detections"][0]["class"] == "person"
    assert feed["detections"][0]["track"] == 1
    assert feed["detections"][0]["velocity"] == [0.0, 0.0]
    assert feed["age_ms"] == 50.0


def test_the_feed_of_a_camera_may_be_cbor() -> None:
    pytest.importorskip("cbor2")
    (cbor,), (text,) = (desk(form=form).result(seen(100), now_ns=101 * S).feed for form in ("cbor", "json"))
    assert (cbor.topic, cbor.content_type) == ("yard/detections", "application/cbor")
    assert decode_feed(cbor.payload) == json.loads(text.payload)
    assert len(cbor.payload) < len(text.payload)


def test_without_a_feed_nothing_is_written() -> None:
    it = desk(form=None)
    assert watch(it, 101).feed == []


def velocities(said: Outcome) -> list[list[float] | None]:
    return [found["velocity"] for message in said.feed for found in json.loads(message.payload)["detections"]]


def fall(desk: CameraDesk, begin_s: float, *, connection: int = 0, top: float = 0) -> list[list[float] | None]:
    """Show somebody who moves down at 50 px/s, at 5 frames a second; return the velocities that were told."""
    said = Outcome()
    for step in range(5):
        at_s = begin_s + step / 5
        result = seen(at_s, connection=connection, top=top + 10 * step)
        said.feed += desk.result(result, now_ns=round((at_s + 0.05) * S)).feed
    return velocities(said)


def test_velocity_is_told_from_the_second_sighting_on() -> None:
    first, *others = fall(desk(), 100)
    assert first is None
    for velocity in others:
        assert velocity == [0.0, pytest.approx(50, abs=3)]


def test_a_lost_camera_leaves_no_velocity_behind() -> None:
    """What is where the object was when the camera comes back has moved in no time that is known."""
    it = desk()
    fall(it, 100)
    it.change(change(CameraState.OFFLINE, LostReason.FROZEN))
    first, second, *_ = fall(it, 101.2, connection=1, top=60)
    assert first is None
    assert second == [0.0, pytest.approx(50, abs=3)]


def test_a_frame_out_of_turn_tells_no_velocity_and_spoils_none() -> None:
    it = desk()
    fall(it, 100)  # the last at 100.8, 40 px down
    late = it.result(seen(100.7, top=35), now_ns=101 * S)
    assert velocities(late) == [None]
    after = it.result(seen(101, top=50), now_ns=102 * S)
    assert velocities(after) == [[0.0, pytest.approx(50, abs=10)]]


def test_crossings_of_a_line_are_told_as_numbers_that_outlive_a_loss() -> None:
    it = desk(lines={"gate": ((0.0, 0.5), (1.0, 0.5))})
    first = it.result(seen(100, top=-100), now_ns=100 * S)
    assert (first.states["yard/lines/gate/in"], first.states["yard/lines/gate/out"]) == (b"0", b"0")
    second = it.result(seen(100.2), now_ns=101 * S)
    assert second.states["yard/lines/gate/in"] == b"1"
    assert "yard/lines/gate/out" not in second.states
    assert not [topic for topic in it.stop(utc_ns=102 * S).states if "/lines/" in topic]


def test_a_lost_camera_ends_its_events_and_its_counts_are_null() -> None:
    it = desk()
    watch(it, 101)
    said = it.change(change(CameraState.OFFLINE, LostReason.FROZEN))
    assert [event.end_reason for event in said.events] == [EndReason.CAMERA_LOST]
    assert said.states["yard/objects/person"] == b"null"
    assert said.states["yard/active/person"] == b"0"
    assert json.loads(said.states["yard/status"]) == {
        "state": "offline", "reason": "frozen", "since": "1970-01-01T00:01:45.000Z",
    }  # fmt: skip


def test_a_camera_that_is_switched_off_ends_its_events_as_stopped() -> None:
    it = desk()
    watch(it, 101)
    said = it.change(change(CameraState.DISABLED, None))
    assert [event.end_reason for event in said.events] == [EndReason.STOPPED]
    assert json.loads(said.states["yard/status"])["state"] == "disabled"
    assert it.result(seen(102), now_ns=102 * S).dropped == "camera_lost"


def test_a_frame_that_is_looked_at_after_the_fact_tells_no_age() -> None:
    it, result = desk(max_age_ns=S), seen(100)
    late = replace(result, info=replace(result.info, recalled=True))
    said = it.result(late, now_ns=108 * S)
    assert (said.age_ns, said.dropped) == (None, None)
    assert it.result(result, now_ns=108 * S).dropped == "too_old"


def test_a_result_of_a_lost_connection_begins_nothing() -> None:
    it = desk()
    watch(it, 101)
    it.change(change(CameraState.OFFLINE, LostReason.FROZEN))
    assert it.result(seen(101.2), now_ns=102 * S).dropped == "camera_lost"
    again = watch(it, 111, connection=1, begin_s=110)
    assert [event.type for event in again.events] == [EventType.START]
    assert again.events[0].track == 2


def test_where_every_frame_counts_a_loss_is_told_at_once_and_ends_events_behind_the_last_result() -> None:
    it = desk()
    watch(it, 101)
    told = it.change(replace(change(CameraState.OFFLINE, LostReason.FROZEN), trailing=True))
    assert told.events == []
    assert json.loads(told.states["yard/status"])["state"] == "offline"
    assert it.result(seen(101.2), now_ns=102 * S).dropped is None
    said = it.lost(Lost("yard", 0))
    assert [event.end_reason for event in said.events] == [EndReason.CAMERA_LOST]
    assert said.states["yard/objects/person"] == b"null"
    assert it.result(seen(110, connection=1), now_ns=110 * S).dropped is None


def test_the_end_of_a_file_waits_for_its_last_results() -> None:
    it = desk()
    watch(it, 101)
    assert it.change(change(CameraState.OFFLINE, LostReason.ENDED, finite=True)).events == []
    assert it.result(seen(101.2), now_ns=102 * S).dropped is None
    assert [event.end_reason for event in it.source_end().events] == [EndReason.SOURCE_ENDED]


def test_a_stop_ends_what_is_open_and_says_that_the_camera_is_no_longer_watched() -> None:
    it = desk()
    it.change(change(CameraState.ONLINE, None))
    watch(it, 101)
    said = it.stop(utc_ns=110 * S)
    assert [event.end_reason for event in said.events] == [EndReason.STOPPED]
    assert json.loads(said.states["yard/status"])["state"] == "offline"
    assert said.states["yard/objects/person"] == b"null"


def test_a_stop_leaves_the_reason_of_a_camera_that_is_lost_already() -> None:
    it = desk()
    it.change(change(CameraState.OFFLINE, LostReason.LOGIN))
    assert "yard/status" not in it.stop(utc_ns=110 * S).states


def test_a_result_that_is_too_old_is_not_used() -> None:
    it = desk(max_age_ns=S // 10)
    assert it.result(seen(100), now_ns=round(100.2 * S)).dropped == "too_old"
    fresh = it.result(seen(100.3), now_ns=round(100.35 * S))
    assert fresh.dropped is None
    assert fresh.feed_deadline_ns == round(100.4 * S)
