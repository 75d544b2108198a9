"""What only a closer look has shown is looked at until it is gone."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.frame import Frame, FrameInfo, Picture, PixelFormat
from streamer.core.results import Detections
from streamer.pipeline.closer_looks import CloserLooks, pictures_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.frame import Part
    from streamer.core.results import Box
    from streamer.infer.zoom import Region

W, H = 1920, 1080
INPUT = (416, 416)
PLANE = np.broadcast_to(np.uint8(90), (H, W))


def frame(zoom: tuple[Part, ...] = (), *, connection: int = 0) -> Frame:
    info = FrameInfo(camera="cam", connection=connection, seq=0, captured_ns=0, utc_ns=0, width=W, height=H, live=True)
    return Frame(info=info, picture=Picture(format=PixelFormat.GRAY, planes=(PLANE,), width=W, height=H), zoom=zoom)


def found(boxes: Sequence[Box], score: float = 0.8) -> Detections:
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.full(len(boxes), score, np.float32),
        class_ids=np.zeros(len(boxes), np.int32),
    )


def inside(box: Box, part: Part) -> bool:
    return part[0] <= box[0] and part[1] <= box[1] and box[2] <= part[2] and box[3] <= part[3]


class Camera:
    """A camera whose objects are found only in closer looks, or also in the whole frame."""

    def __init__(self, wanted: Mapping[int, float] | None = None) -> None:
        self.closer = CloserLooks(INPUT, wanted)

    def look(
        self, objects: Sequence[Box], *, moving: Sequence[Box] = (), whole: Sequence[Box] = (), connection: int = 0
    ) -> tuple[tuple[Part, ...], list[Box]]:
        """Look once; return the parts that were looked at, and what was found."""
        regions: list[Region] = [(x1 / W, y1 / H, x2 / W, y2 / H) for x1, y1, x2, y2 in moving]
        parts = self.closer.parts(frame(connection=connection).info, regions)
        shown = [
            found([(b[0] - p[0], b[1] - p[1], b[2] - p[0], b[3] - p[1]) for b in objects if inside(b, p)])
            for p in parts
        ]
        if not parts:
            return parts, list(whole)
        said = self.closer.joined(frame(parts, connection=connection), [found(whole), *shown])
        return parts, [one.box for one in said]


def test_without_motion_nothing_is_looked_at_more_closely() -> None:
    assert Camera().look([(100, 100, 120, 140)]) == ((), [])


def test_what_was_found_in_a_closer_look_is_found_again_though_it_does_not_move_any_more() -> None:
    camera, walker = Camera(), (900.0, 500.0, 920.0, 550.0)
    assert camera.look([walker], moving=[walker])[1] == [walker]
    for _ in range(50):
        assert camera.look([walker])[1] == [walker]


def test_it_is_followed_where_it_goes() -> None:
    camera = Camera()
    camera.look([(900, 500, 920, 550)], moving=[(900, 500, 920, 550)])
    for step in range(100):
        box = (900.0 - 8 * step, 500.0, 920.0 - 8 * step, 550.0)
        assert camera.look([box])[1] == [box]


def test_what_is_gone_is_looked_for_a_while_and_forgotten() -> None:
    camera, walker = Camera(), (900.0, 500.0, 920.0, 550.0)
    camera.look([walker], moving=[walker])
    looked = [bool(camera.look([])[0]) for _ in range(20)]
    assert looked == [True] * 10 + [False] * 10


def test_what_flickers_is_not_forgotten() -> None:
    camera, walker = Camera(), (900.0, 500.0, 920.0, 550.0)
    camera.look([walker], moving=[walker])
    for step in range(60):
        assert camera.look([walker] if step % 5 == 4 else [])[0]


def test_what_the_whole_frame_shows_is_no_place_of_its_own() -> None:
    camera, walker = Camera(), (900.0, 500.0, 930.0, 570.0)
    assert camera.look([walker], moving=[walker], whole=[walker])[1] == [walker]
    assert camera.look([walker], whole=[walker])[0] == ()


@pytest.mark.parametrize(("wanted", "kept"), [({0: 0.9}, True), ({0: 1.0}, True), ({0: 1.1}, False), ({1: 0.5}, False)])
def test_a_place_is_kept_for_what_an_event_may_go_on_with(wanted: dict[int, float], kept: bool) -> None:  # noqa: FBT001  of a table
    camera, walker = Camera(wanted), (900.0, 500.0, 920.0, 550.0)
    assert camera.look([walker], moving=[walker])[1] == [walker]  # of class 0, with a score of 0.8
    assert bool(camera.look([walker])[0]) == kept


def test_what_has_grown_too_large_for_a_closer_look_takes_no_place() -> None:
    """It would never be looked at, and so never be forgotten."""
    camera = Camera()
    hand, person = (880.0, 540.0, 940.0, 600.0), (850.0, 420.0, 970.0, 730.0)
    assert camera.look([person], moving=[hand])[1] == [person]
    assert camera.closer._places == ()


def test_a_new_connection_knows_no_place() -> None:
    camera, walker = Camera(), (900.0, 500.0, 920.0, 550.0)
    camera.look([walker], moving=[walker])
    assert camera.look([walker])[0]
    assert camera.look([walker], connection=1)[0] == ()
    camera.look([walker], moving=[walker], connection=1)
    assert camera.look([walker], connection=1)[0]


def test_more_places_than_parts_take_turns_and_motion_is_looked_at_as_well() -> None:
    camera = Camera()
    places = [(100.0 + 450 * n, 100.0, 120.0 + 450 * n, 140.0) for n in range(4)]
    places += [(100.0 + 450 * n, 900.0, 120.0 + 450 * n, 940.0) for n in range(4)]
    for place in places:
        assert place in camera.look(places, moving=[place])[1]
    runner = (1000.0, 500.0, 1020.0, 540.0)
    seen: set[Box] = set()
    for _ in range(6):
        parts, said = camera.look([*places, runner], moving=[runner])
        assert len(parts) == 3
        assert runner in said
        seen.update(said)
    assert seen == {*places, runner}


def test_much_motion_does_not_keep_what_is_known_from_being_found() -> None:
    camera, walker = Camera(), (900.0, 500.0, 920.0, 550.0)
    leaves = [(50.0 + 500 * n, 50.0, 80.0 + 500 * n, 80.0) for n in range(4)]
    camera.look([walker], moving=[walker])
    for _ in range(30):
        assert walker in camera.look([walker], moving=leaves)[1]


def test_a_model_is_shown_the_whole_and_views_of_its_parts() -> None:
    whole, part = pictures_of(frame(((100, 200, 516, 616),)))
    assert (whole.width, whole.height) == (W, H)
    assert isinstance(part, Picture)
    assert (part.width, part.height) == (416, 416)
    assert np.shares_memory(part.planes[0], PLANE)
    assert len(pictures_of(frame())) == 1


@pytest.mark.timeout(20)
def test_a_capture_and_an_inference_thread_share_it(seed: int) -> None:
    camera, walker = Camera(), (900.0, 500.0, 920.0, 550.0)
    camera.look([walker], moving=[walker])
    dice, done, wrong = np.random.default_rng(seed), threading.Event(), list[object]()

    def capture() -> None:
        while not done.is_set():
            wrong.extend(part for part in camera.closer.parts(frame().info, ()) if not inside(walker, part))

    thread = threading.Thread(target=capture)
    thread.start()
    for _ in range(500):
        camera.look([walker] if dice.random() < 0.8 else [])
    done.set()
    thread.join(5)
    assert not thread.is_alive()
    assert not wrong
