"""What of a camera is classified, as its settings say: at which pace, of which frames, with which votes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from made_cameras import SPECS, made_camera, made_frame

from streamer.camera_looks import classes_of, frames_are_items, labels_of, outlets_of, tandem_of, thresholds_of
from streamer.core.look import Classified, Look
from streamer.core.results import Classification, ModelRef, Timing, Track
from streamer.queues import Queues

if TYPE_CHECKING:
    from streamer.core.frame import AnyPicture, FrameInfo
    from streamer.settings import Camera

DETECT = "detect: {model: net, fps: 5}"
OBJECTS = "classify: [{name: parcel, model: kind, of: {class: car}}]"
MODEL = ModelRef(name="kind", digest="sha256:0", backend="fake", precision="f32")


def queues(camera: Camera) -> Queues:
    return Queues(
        {"cam": camera},
        detectors=["net"],
        classifiers=["kind", "flaws"],
        frame_lost=lambda *_: None,
        look_lost=lambda *_: None,
    )


def chosen(keys: str, items: set[int] | None = None, frames: int = 41) -> list[list[int]]:
    """Return, for each outlet of a camera of 20 frames a second, which frames it takes."""
    camera = made_camera(keys)
    outlets = outlets_of("cam", camera, queues(camera), gate=None, skipped=lambda: None, closer=None)
    taken: list[list[int]] = [[] for _ in outlets]
    for seq in range(frames):
        frame = made_frame(seq, at_ns=seq * 50_000_000)
        for place, outlet in enumerate(outlets):
            if outlet.choose(frame, item=seq in (items or set())):
                taken[place].append(seq)
    return taken


def answer(class_id: int, *, name: str = "parcel", seq: int = 0, track: int | None = None) -> Classified:
    output = Classification(
        class_ids=np.array([class_id, 1 - class_id], np.int32), scores=np.array([0.9, 0.1], np.float32)
    )
    info = made_frame(seq, at_ns=seq * 200_000_000).info
    timing = Timing(captured_ns=0, taken_ns=0, inferred_ns=0)
    return Classified(info=info, name=name, track=track, output=output, timing=timing, model=MODEL)


def test_the_detector_and_each_classification_of_frames_take_frames_at_their_own_pace() -> None:
    classify = "classify: [{name: a, model: kind}, {name: b, model: flaws, fps: 10}, {name: c, model: kind, every: 2s}]"
    detected, a, b, c = chosen(f"{DETECT}, {classify}")
    assert (detected, a, b, c) == (list(range(0, 41, 4)), [0, 20, 40], list(range(0, 41, 2)), [0, 40])
    assert chosen("classify: [{name: a, model: kind, fps: 0}]") == [list(range(41))]


def test_objects_are_no_part_of_where_frames_go() -> None:
    assert len(chosen(f"{DETECT}, {OBJECTS}")) == 1


@pytest.mark.parametrize("trigger", ["command", "{gpio: {chip: gpiochip0, line: 3}}"])
def test_where_only_triggered_items_count_nothing_else_is_looked_at(trigger: str) -> None:
    decide = f"decide: {{deadline: 1s, trigger: {trigger}}}"
    bad = f"events: [{{name: bad, class: car, labels: {{view: [box]}}, {decide}}}]"
    view = "classify: [{name: view, model: kind, fps: 0}]"
    assert chosen(f"{DETECT}, {view}, {bad}", {3, 9}) == [[3, 9], [3, 9]]


@pytest.mark.parametrize(
    "more",
    [
        "publish_detections: true",
        "events: [{name: bad, class: car, decide: {deadline: 1s, trigger: command}}, {name: there, class: person}]",
        "frames: every",
        "classify: [{name: parcel, model: kind, of: {class: car}}]",
        "lines: {gate: {from: [0, 0], to: [1, 1]}}",
    ],
)
def test_where_more_is_wanted_of_the_frames_they_are_detected_in_too(more: str) -> None:
    bad = "" if "events" in more else "events: [{name: bad, class: car, decide: {deadline: 1s, trigger: command}}], "
    detect = DETECT if "every" not in more else "detect: {model: net}"
    (detected, *_) = chosen(f"{detect}, {bad}{more}", {3, 9})
    expected = range(41) if "every" in more else {*range(0, 41, 4), 3, 9}
    assert detected == sorted(expected)


def test_what_judges_no_items_keeps_its_pace_whatever_the_line_does() -> None:
    """A verdict by labels needs no detector, one by defects no classification, and the weather neither."""
    items = set(range(41))
    weather, view = "{name: weather, model: flaws}", "{name: view, model: kind, every: 2s}"
    by_label = "events: [{name: bad, labels: {view: [box]}, decide: {deadline: 1s, trigger: command}}]"
    detected, at_weather, at_view = chosen(f"{DETECT}, classify: [{weather}, {view}], {by_label}", items)
    assert (detected, at_weather, at_view) == (list(range(0, 41, 4)), [0, 20, 40], sorted(items))
    by_class = "events: [{name: bad, class: car, decide: {deadline: 1s, trigger: command}}]"
    detected, at_weather = chosen(f"{DETECT}, classify: [{weather}], {by_class}", items)
    assert (detected, at_weather) == (sorted(items), [0, 20, 40])


def test_frames_and_zones_have_a_state_that_holds_as_asked() -> None:
    camera = made_camera(f"{DETECT}, {OBJECTS[:-1]}, {{name: view, model: kind, agree: 2, score: 0.5}}]")
    states = classes_of(camera, SPECS)
    assert states is not None
    assert states.names() == ("view",)
    assert states.observe(answer(1, name="view", seq=0)) == {}
    assert states.observe(answer(1, name="view", seq=1))["view"].class_name == "Paper bag"
    assert classes_of(made_camera(f"{DETECT}, {OBJECTS}"), SPECS) is None


def seen(seq: int, *classes: int) -> tuple[FrameInfo, list[Track]]:
    info = made_frame(seq, at_ns=seq * 200_000_000).info
    tracks = [
        Track(
            id=number, class_id=class_id, box=(4.0, 4.0, 20.0, 40.0), score=0.9, first_ns=0, last_ns=info.captured_ns,
            hits=seq + 2,
        )
        for number, class_id in enumerate(classes, start=1)
    ]  # fmt: skip
    return info, tracks


def test_the_objects_of_the_classes_that_are_asked_for_are_looked_at_until_three_answers_agree() -> None:
    camera = made_camera(f"{DETECT}, {OBJECTS}")
    waiting = queues(camera)
    pictures: dict[int, AnyPicture] = {}
    refusals: list[None] = []
    tandem = tandem_of(
        camera,
        SPECS,
        queues=waiting,
        picture_of=lambda info: pictures.get(info.seq),
        refused=lambda: refusals.append(None),
    )
    assert tandem is not None
    for seq in range(4):
        pictures[seq] = made_frame(seq).picture
        info, tracks = seen(seq, 0, 1)  # a person and a car
        assert [said for said, _ in tandem.labels_of(2).values()] == (["Paper bag"] if seq == 3 else [])
        tandem.look(info, tracks)
        for look in waiting.looks["kind"].take(8, 0):
            assert isinstance(look, Look)
            assert look.track == 2
            waiting.release(look.lane)
            tandem.classified(answer(1, seq=seq, track=look.track))
    assert tandem.labels_of(1) == {}
    assert not refusals


def test_without_objects_there_is_no_second_stage() -> None:
    camera = made_camera(f"{DETECT}, classify: [{{name: view, model: kind}}]")
    found = tandem_of(camera, SPECS, queues=queues(camera), picture_of=lambda _: None, refused=lambda: None)
    assert found is None


def test_labels_of_a_rule_are_spelt_as_the_model_spells_them() -> None:
    camera = made_camera(
        f"{DETECT}, {OBJECTS}, events: [{{name: a, class: car, labels: {{parcel: [BOX, paper_bag]}}}}]"
    )
    assert camera.events is not None
    assert labels_of(camera.events[0], camera, SPECS) == {"parcel": frozenset({"Box", "Paper bag"})}
    assert (thresholds_of(SPECS["flaws"]), thresholds_of(SPECS["kind"])) == ((0.5, 0.6, 0.7), ())


BAD_CAR = "events: [{name: bad, class: car, decide: {deadline: 1s}}]"
BAD_VIEW = "classify: [{name: v, model: kind}], events: [{name: b, labels: {v: box}, decide: {deadline: 1s}}]"
TRIGGERED_CAR = "events: [{name: bad, class: car, decide: {deadline: 1s, trigger: command}}]"
EVERY = "detect: {model: net}, frames: every"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (f"{DETECT}, {BAD_CAR}", True),
        (f"{DETECT}, {TRIGGERED_CAR}", True),
        (BAD_VIEW, True),
        (f"frames: every, {BAD_VIEW}", True),
        (f"{EVERY}, {BAD_CAR}", True),
        (f"{EVERY}, {TRIGGERED_CAR}", False),  # those between the items are asked for too
        (f"{DETECT}, {BAD_VIEW}", False),  # its detector counts objects
        (f"{DETECT}, events: [{{name: there, class: car}}]", False),
    ],
)
def test_frames_are_there_for_their_items_alone_where_nothing_else_is_asked(keys: str, *, expected: bool) -> None:
    assert frames_are_items(made_camera(keys)) is expected
