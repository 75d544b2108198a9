"""Tracks, events and counts on real detections of real clips, against what their README says is in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
import onnxruntime
import pytest
from event_scenes import MODEL, NS_PER_S

from streamer.core.event import EndReason, EventType
from streamer.core.frame import FrameInfo
from streamer.core.results import Detections, Track
from streamer.events.counts import ObjectCounts
from streamer.events.ids import EventIds
from streamer.events.life import CameraEvents
from streamer.events.rules import RuleSpec, default_rules
from streamer.track.tracker import ObjectTracker

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.core.event import Event

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
SIDE = 416  # px, the network's input
PERSON, CAR, BUS, TRUCK, BOTTLE = 0, 2, 5, 7, 39


class Yolox:
    """A bare loop around `yolox_nano_v8layout.onnx`, so that this test stands on nothing but its own rooms."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # it takes a core from other tests
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    def detect(self, bgr: NDArray[np.uint8], least: float) -> Detections:
        height, width = bgr.shape[:2]
        scale = min(SIDE / width, SIDE / height)
        w, h = round(width * scale), round(height * scale)
        left, top = (SIDE - w) // 2, (SIDE - h) // 2
        canvas = np.full((SIDE, SIDE, 3), 114, np.uint8)
        canvas[top : top + h, left : left + w] = cv2.resize(bgr, (w, h))
        batch = canvas[None, :, :, ::-1].transpose(0, 3, 1, 2).astype(np.float32) / 255
        rows = self._session.run(None, {"images": batch})[0][0].T
        scores, class_ids = rows[:, 4:].max(1), rows[:, 4:].argmax(1)
        good = scores >= least
        rows, scores, class_ids = rows[good, :4], scores[good], class_ids[good]
        if not len(rows):
            return Detections.empty()
        boxes = np.concatenate([rows[:, :2] - rows[:, 2:] / 2, rows[:, :2] + rows[:, 2:] / 2], 1)
        boxes = ((boxes - [left, top, left, top]) / scale).clip(0, [width, height, width, height])
        xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
        kept = np.asarray(cv2.dnn.NMSBoxesBatched(xywh.tolist(), scores.tolist(), class_ids.tolist(), least, 0.5))
        kept = kept[np.argsort(-scores[kept])]
        return Detections(
            boxes=boxes[kept].astype(np.float32), scores=scores[kept], class_ids=class_ids[kept].astype(np.int32)
        )


@dataclass(frozen=True)
class Shot:
    """What the network sees in one frame."""

    t_s: float
    width: int
    height: int
    detections: Detections


@dataclass
class Watched:
    """What a run over a clip said; times in seconds of the clip."""

    events: list[Event]
    numbers: list[tuple[float, int | None]]


def shots(shared_data: Path, clip: str, *, fps: float) -> list[Shot]:
    """Run the network over a clip at a lower frame rate."""
    network = Yolox(shared_data / "models/yolox_nano_v8layout.onnx")
    seen: list[Shot] = []
    with av.open(str(shared_data / "videos" / clip)) as container:
        for frame in container.decode(video=0):
            if not seen or frame.time >= seen[-1].t_s + 0.99 / fps:
                bgr = frame.to_ndarray(format="bgr24")
                seen.append(Shot(frame.time, frame.width, frame.height, network.detect(bgr, 0.25)))
    return seen


@pytest.fixture(scope="module")
def people() -> list[Shot]:
    return shots(_data(), "one-by-one-person-detection.mp4", fps=5)


@pytest.fixture(scope="module")
def bottles() -> list[Shot]:
    return shots(_data(), "bottle-detection.mp4", fps=10)


@pytest.fixture(scope="module")
def traffic() -> list[Shot]:
    return shots(_data(), "highway-cctv.avi", fps=6.25)


def _data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("needs ../shared/data (real clips, models and pictures)")
    return SHARED_DATA


def frame(seq: int, shot: Shot) -> FrameInfo:
    return FrameInfo(
        camera="clip",
        connection=0,
        seq=seq,
        captured_ns=round((1_000 + shot.t_s) * NS_PER_S),
        utc_ns=round(shot.t_s * NS_PER_S),
        width=shot.width,
        height=shot.height,
        live=False,
    )


def watch(seen: list[Shot], *, class_id: int, least: float) -> Watched:
    """Run what the network saw through tracker, rules and counts."""
    labels = (_data() / "models/coco80.txt").read_text().splitlines()
    tracker = ObjectTracker(least={class_id: least})
    events = CameraEvents("clip", default_rules(labels, [class_id]), labels, EventIds())
    counts = ObjectCounts([class_id])
    said = Watched([], [])
    for seq, shot in enumerate(seen):
        info = frame(seq, shot)
        tracks = tracker.update(shot.detections, info.captured_ns).tracks
        said.events += events.observe(info, tracks, MODEL)
        said.numbers += [(shot.t_s, number) for number in counts.observe(info, tracks).values()]
    said.events += events.end_all(EndReason.SOURCE_ENDED)
    return said


@pytest.mark.parametrize("least", [0.4, 0.5])
@pytest.mark.parametrize("every", [1, 2])  # 5 and 2.5 frames a second
def test_six_people_come_and_go_one_by_one(people: list[Shot], every: int, least: float) -> None:
    said = watch(people[::every], class_id=PERSON, least=least)
    stays = [(6.5, 19), (23, 44.5), (51, 69), (74.5, 86.5), (92.5, 119), (123.5, 135.5)]
    starts = [e.started_utc_ns / NS_PER_S for e in said.events if e.type is EventType.START]
    ends = [(e.ended_utc_ns or 0) / NS_PER_S for e in said.events if e.type is EventType.END]
    assert starts == pytest.approx([begin for begin, _ in stays], abs=1.0)
    assert ends == pytest.approx([end for _, end in stays], abs=1.0)


@pytest.mark.parametrize("least", [0.4, 0.45, 0.5])
@pytest.mark.parametrize("every", [1, 2])  # 10 and 5 frames a second
def test_bottles_are_counted_as_a_hand_takes_them_and_puts_them_back(
    bottles: list[Shot], every: int, least: float
) -> None:
    said = watch(bottles[::every], class_id=BOTTLE, least=least)
    truth = [(0, 3), (7.5, 2), (11.5, 3), (18, 1), (22.5, 2), (27.5, 3), (32, 2), (35.5, 3)]
    assert [number for _, number in said.numbers] == [number for _, number in truth]
    assert [t for t, _ in said.numbers] == pytest.approx([t for t, _ in truth], abs=1.5)


def places(seen: list[Shot], events: CameraEvents, class_ids: list[int], *, least: float) -> list[Event]:
    """Run what the network saw through tracker and rules."""
    tracker = ObjectTracker(least=dict.fromkeys(class_ids, least))
    said: list[Event] = []
    for seq, shot in enumerate(seen):
        info = frame(seq, shot)
        said += events.observe(info, tracker.update(shot.detections, info.captured_ns).tracks, MODEL)
    return said + events.end_all(EndReason.SOURCE_ENDED)


@pytest.mark.parametrize("least", [0.4, 0.5])
@pytest.mark.parametrize("every", [1, 2])
def test_bottles_that_had_stood_there_for_long_are_told_of_when_they_are_taken(
    bottles: list[Shot], every: int, least: float
) -> None:
    """Of the four that the hand takes two had been at rest for ten seconds: at 18 s, when it takes two, and at 32 s."""
    rule = RuleSpec(name="taken", class_ids=frozenset({BOTTLE}), removed=True, after_s=2.0)
    events = CameraEvents("clip", [rule], (_data() / "models/coco80.txt").read_text().splitlines(), EventIds())
    said = places(bottles[::every], events, [BOTTLE], least=least)
    starts = [e for e in said if e.type is EventType.START]
    assert [e.started_utc_ns / NS_PER_S for e in starts] == pytest.approx([17.7, 31.9], abs=0.3)
    assert [e.captured_utc_ns / NS_PER_S for e in starts] == pytest.approx([19.7, 33.9], abs=0.5)
    assert [0 if e.box is None else e.box[0] for e in starts] == pytest.approx([287, 509], abs=8)


@pytest.mark.parametrize("least", [0.3, 0.4])
@pytest.mark.parametrize("every", [1, 2])
def test_bottles_that_a_hand_puts_there_are_left_and_those_that_stood_there_are_not(
    bottles: list[Shot], every: int, least: float
) -> None:
    """The network takes the arm for a person; the four that it puts down are left when it has gone."""
    rule = RuleSpec(
        name="left", class_ids=frozenset({BOTTLE}), left_by=frozenset({PERSON}), after_s=1.0, end_after_s=3.0
    )
    events = CameraEvents("clip", [rule], (_data() / "models/coco80.txt").read_text().splitlines(), EventIds())
    said = places(bottles[::every], events, [BOTTLE, PERSON], least=least)
    starts = [e for e in said if e.type is EventType.START]
    assert [e.captured_utc_ns / NS_PER_S for e in starts] == pytest.approx([15.5, 26.4, 30.9, 37.5], abs=1.2)
    assert [0 if e.box is None else e.box[0] for e in starts] == pytest.approx([67, 290, 51, 513], abs=10)


@pytest.mark.parametrize("least", [0.4, 0.5])
def test_six_people_stand_at_the_table_and_leave_over_the_line(people: list[Shot], least: float) -> None:
    """Times read off the frames: when their feet come into the zone, and when they pass the line."""
    table = ((0.45, 0.80), (0.68, 0.80), (0.68, 0.98), (0.45, 0.98))
    rules = [
        RuleSpec(name="table", class_ids=frozenset({PERSON}), zone="table", after_s=2.0),
        RuleSpec(name="line", class_ids=frozenset({PERSON}), line="way-out"),
    ]
    line = ((0.75, 0.5), (0.75, 1.0))  # down the picture: its left is the picture's right
    labels = (_data() / "models/coco80.txt").read_text().splitlines()
    events = CameraEvents("clip", rules, labels, EventIds(), zones={"table": table}, lines={"way-out": line})
    said = places(people, events, [PERSON], least=least)
    starts = [(e.rule, e.direction, e.started_utc_ns / NS_PER_S) for e in said if e.type is EventType.START]
    came, left = [7.3, 24.0, 51.6, 76.2, 93.6, 125.2], [19.0, 44.1, 69.1, 85.8, 118.9, 135.0]
    assert [t for rule, _, t in starts if rule == "table"] == pytest.approx(came, abs=0.8)
    assert [t for rule, _, t in starts if rule == "line"] == pytest.approx(left, abs=0.4)
    assert {direction for rule, direction, _ in starts if rule == "line"} == {"out"}
    assert events.crossed() == {("way-out", "in"): 0, ("way-out", "out"): 6}


@pytest.mark.parametrize("least", [0.25, 0.4, 0.5])
def test_vehicles_are_counted_once_each_in_the_direction_in_which_they_go(traffic: list[Shot], least: float) -> None:
    """Counted on the frames: 22 go away, none comes, on the carriageway on the right."""
    line = ((0.42, 0.55), (0.93, 0.55))
    labels = (_data() / "models/coco80.txt").read_text().splitlines()
    events = CameraEvents("clip", [], labels, EventIds(), lines={"away": line})
    places(traffic, events, [CAR, BUS, TRUCK], least=least)
    assert events.crossed()["away", "out"] == pytest.approx(22, abs=1)
    assert events.crossed()["away", "in"] <= 1


def test_cars_are_told_as_fast_as_the_line_through_their_boxes_says(traffic: list[Shot]) -> None:
    """Against the slope of each car's places half a second before and after, in sizes a second."""
    tracker, ways = ObjectTracker(least={CAR: 0.5}), dict[int, list[tuple[float, Track]]]()
    for shot in traffic:
        for track in tracker.update(shot.detections, round((1_000 + shot.t_s) * NS_PER_S)).tracks:
            ways.setdefault(track.id, []).append((shot.t_s, track))
    off, fast, certain = [], [], []
    for way in ways.values():
        times, boxes = np.array([t for t, _ in way]), np.array([track.box for _, track in way])
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2
        edges = np.array([traffic[0].width - 3, traffic[0].height - 3])
        inside = np.logical_and((boxes[:, :2] > 3).all(axis=1), (boxes[:, 2:] < edges).all(axis=1))
        for t, track in way:
            near: NDArray[np.bool_] = np.abs(times - t) < 0.55
            if track.velocity is None or near.sum() < 6 or not inside[near].all():
                continue
            slope = np.polyfit(times[near] - t, centres[near], 1)[0]
            size = float(np.sqrt(np.prod(np.subtract(track.box[2:], track.box[:2]))))
            wrong = np.abs(np.subtract(track.velocity[:2], slope))
            off.append(float(np.hypot(*wrong)) / size)
            fast.append(float(np.hypot(*slope)) / size)
            certain.append((wrong < 2 * track.velocity.deviation).mean())
    assert len(off) > 100
    assert np.median(fast) > 1.0
    assert np.median(off) < 0.15 * np.median(fast)
    assert np.mean(certain) > 0.95
