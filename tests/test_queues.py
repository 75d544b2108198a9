"""Where frames and looks wait: which lane each camera has at each model."""

from __future__ import annotations

import pytest
from made_cameras import made_camera, made_cameras, made_frame

from streamer.core.errors import ChannelClosed
from streamer.core.look import Look
from streamer.pipeline.frames import Lane, SourceEnd
from streamer.queues import Queues, lane_of, objects_lanes

DETECT = "detect: {model: net, classes: {car: 0.5}}"
BAD = "events: [{name: bad, class: car, decide: {deadline: 200ms}}]"
VIEW = "classify: [{name: view, model: kind}, {name: weather, model: flaws}]"
BAD_VIEW = "events: [{name: bad, labels: {view: box}, decide: {deadline: 200ms}}]"
CROSSED = (
    "lines: {gate: {from: [0, 0], to: [1, 1]}}, classify: [{name: parcel, model: kind, of: {class: car}}], events:"
    " [{name: bad, labels: {parcel: box}, decide: {deadline: 1s, trigger: {line: gate, class: car}}}]"
)
CLIP = "source: clip.mp4"
LIVE = "source: 'rtsp://192.0.2.1/x'"


def look(camera: str, name: str, seq: int = 0, track: int | None = None) -> Look:
    frame = made_frame(seq, camera=camera)
    return Look(info=frame.info, name=name, picture=frame.picture, track=track)


@pytest.mark.parametrize(
    ("source", "keys", "lane"),
    [
        ("rtsp://192.0.2.1/x", DETECT, Lane.NEWEST),
        ("rtsp://192.0.2.1/x", f"{DETECT}, frames: every", Lane.BUFFER),
        ("rtsp://192.0.2.1/x", f"{DETECT}, {BAD}", Lane.BUFFER),  # an item's frame is never superseded
        ("rtsp://192.0.2.1/x", f"{DETECT}, {VIEW}, {BAD_VIEW}", Lane.NEWEST),  # its items need no detector
        ("rtsp://192.0.2.1/x", f"{DETECT}, {CROSSED}", Lane.BUFFER),  # its items are what is detected
        ("clip.mp4", DETECT, Lane.WAIT),
        ("clip.mp4", f"{DETECT}, frames: newest", Lane.NEWEST),
        ("clip.mp4", f"{DETECT}, frames: newest, {BAD}", Lane.WAIT),
    ],
)
def test_what_happens_to_a_frame_when_the_model_is_behind(source: str, keys: str, lane: Lane) -> None:
    assert lane_of(made_camera(keys, source=source)) is lane


def test_only_looks_that_judge_items_are_kept_in_order_by_a_camera_whose_newest_frame_counts() -> None:
    camera = made_camera(f"{DETECT}, {VIEW}, {BAD_VIEW}")
    assert [lane_of(camera, name) for name in ("view", "weather")] == [Lane.BUFFER, Lane.NEWEST]
    it = Queues(
        {"cam": camera},
        detectors=["net"],
        classifiers=["kind", "flaws"],
        frame_lost=lambda *_: None,
        look_lost=lambda *_: None,
    )
    assert it.bounded == {"cam/view"}


def queues(lost: list[tuple[str, str]]) -> Queues:
    """Two cameras: one detects and classifies its frames and objects, the other only classifies its frames."""
    cameras = made_cameras(
        porch=f"{{{LIVE}, {DETECT}, classify: [{{name: view, model: kind}},"
        " {name: parcel, model: flaws, of: {class: car}}]}",
        film=f"{{{CLIP}, classify: [{{name: view, model: kind}}]}}",
    )
    return Queues(
        cameras,
        detectors=["net"],
        classifiers=["kind", "flaws"],
        frame_lost=lambda frame, cause: lost.append((frame.lane, cause)),
        look_lost=lambda look, cause: lost.append((look.lane, cause)),
    )


def test_each_model_takes_from_the_lanes_of_those_who_ask_it() -> None:
    it = queues([])
    assert (set(it.frames), set(it.looks)) == ({"net"}, {"kind", "flaws"})
    assert it.frames["net"].offer(made_frame(1, camera="porch"))
    assert it.looks["kind"].offer(look("porch", "view"))
    assert it.looks["kind"].offer(look("film", "view"))
    assert it.looks["flaws"].offer(look("porch", "parcel", track=3))
    assert [item.lane for item in it.of("net").take(8, 0)] == ["porch"]
    assert sorted(item.lane for item in it.of("kind").take(8, 0)) == ["film/view", "porch/view"]
    assert [item.lane for item in it.of("flaws").take(8, 0)] == ["porch/parcel"]
    with pytest.raises(KeyError):
        it.looks["kind"].offer(look("porch", "parcel"))


def test_a_lane_of_objects_refuses_and_one_of_frames_keeps_the_newest() -> None:
    lost: list[tuple[str, str]] = []
    it = queues(lost)
    assert [it.looks["flaws"].offer(look("porch", "parcel", n, n)) for n in range(10)] == [True] * 8 + [False] * 2
    assert lost == []
    assert [it.looks["kind"].offer(look("porch", "view", n)) for n in range(3)] == [True] * 3
    assert lost == [("porch/view", "superseded")] * 2
    assert [it.is_of_objects(lane) for lane in ("porch", "porch/view", "porch/parcel")] == [False, False, True]
    assert list(objects_lanes("cam", made_camera(DETECT))) == []


def test_a_lane_of_a_recordings_objects_holds_all_of_them() -> None:
    cameras = made_cameras(film=f"{{{CLIP}, {DETECT}, classify: [{{name: parcel, model: flaws, of: {{class: car}}}}]}}")
    it = Queues(
        cameras, detectors=["net"], classifiers=["flaws"], frame_lost=lambda *_: None, look_lost=lambda *_: None
    )
    assert all(it.looks["flaws"].offer(look("film", "parcel", n, n)) for n in range(50))


def test_what_is_released_makes_room_in_its_own_lane() -> None:
    it = queues([])
    taken = 0
    for n in range(9):
        assert it.looks["flaws"].offer(look("porch", "parcel", n, n))
        taken += len(it.looks["flaws"].take(8, 0))
    assert taken == 8  # so many are outstanding at most
    it.release("porch/parcel")
    (ninth,) = it.looks["flaws"].take(8, 0)
    assert isinstance(ninth, Look)
    assert ninth.track == 8


def test_the_objects_of_a_camera_end_with_it_and_then_their_model() -> None:
    it = queues([])
    assert it.looks["flaws"].offer(look("porch", "parcel", track=1))
    it.finish_objects("film")  # it has none
    it.finish_objects("porch")
    last, end = it.looks["flaws"].take(8, 0)
    assert isinstance(last, Look)
    assert end == SourceEnd("porch/parcel")
    with pytest.raises(ChannelClosed):
        it.looks["flaws"].take(8, 0)


def test_closing_drops_what_waits_and_counts_it() -> None:
    lost: list[tuple[str, str]] = []
    it = queues(lost)
    assert it.frames["net"].offer(made_frame(1, camera="porch"))
    assert it.looks["kind"].offer(look("film", "view"))
    it.close()
    assert sorted(lost) == [("film/view", "stopped"), ("porch", "stopped")]
    with pytest.raises(ChannelClosed):
        it.frames["net"].offer(made_frame(2, camera="porch"))
