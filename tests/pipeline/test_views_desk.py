"""Which pictures of a camera's events are made, and what is drawn on them."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

import cv2
import numpy as np
from device_pictures import freed, uploaded

from streamer.core.clock import NS_PER_S
from streamer.core.frame import FrameInfo, Picture, PixelFormat
from streamer.core.results import ModelRef
from streamer.events.sighting import Sighting
from streamer.evidence.stills import Marked, Shot, drawn
from streamer.evidence.views import BestViews
from streamer.pipeline.views_desk import Views, ViewsPlan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nvidia import FakeGpu

    from streamer.core.frame import AnyPicture
    from streamer.core.results import Box

WIDTH, HEIGHT = 320, 240
MODEL = ModelRef(name="fake", digest="sha256:0", backend="fake", precision="f32")
LABELS = ("person", "parcel")
FAR: Box = (100.0, 100.0, 120.0, 140.0)
NEAR: Box = (100.0, 40.0, 180.0, 200.0)
ALL: Box = (0.0, 0.0, 320.0, 240.0)
ELSEWHERE: Box = (200.0, 60.0, 260.0, 200.0)


def painted(seed: int = 1, *, blur: float = 0.0) -> Picture:
    rng = np.random.default_rng(seed)
    luma = np.kron(rng.integers(20, 230, (HEIGHT // 8, WIDTH // 8)), np.ones((8, 8))).astype(np.uint8)
    if blur:
        luma = np.asarray(cv2.GaussianBlur(luma, (0, 0), blur), np.uint8)
    colour = np.full((HEIGHT // 2, WIDTH // 2, 2), 128, np.uint8)
    return Picture(format=PixelFormat.NV12, planes=(luma, colour), width=WIDTH, height=HEIGHT)


class Rig:
    """A camera whose frames come two seconds apart."""

    def __init__(self) -> None:
        self.frames: dict[int, AnyPicture] = {}
        self.shots: list[Shot] = []
        self.seq = 0
        self.views = Views(
            ViewsPlan(
                camera="porch",
                labels=LABELS,
                picture_of=lambda info: self.frames.get(info.seq),
                best=BestViews(),
                offer=self.shots.append,
            )
        )

    def show(
        self,
        *seen: tuple[str, Box | None],
        picture: AnyPicture | None = None,
        gone: bool = False,
        counts: Mapping[str, int] = MappingProxyType({}),
    ) -> list[str]:
        """Show events' boxes in the next frame; `gone`: its picture is not there any more."""
        self.seq += 1
        info = FrameInfo(
            camera="porch", connection=0, seq=self.seq, captured_ns=self.seq * 2 * NS_PER_S, utc_ns=0, width=WIDTH,
            height=HEIGHT, live=True,
        )  # fmt: skip
        if not gone:
            self.frames[self.seq] = picture or painted()
        sightings = [
            (event, Sighting(info=info, model=MODEL, class_id=0, score=0.8, box=box, count=counts.get(event)))
            for event, box in seen
        ]
        return self.views.look(info, sightings)


def test_the_first_view_is_pictured_and_is_no_better_one() -> None:
    rig = Rig()
    assert rig.show(("a", FAR)) == []
    (shot,) = rig.shots
    assert (shot.camera, shot.event_id, shot.info.seq, shot.first) == ("porch", "a", 1, True)
    assert shot.picture is rig.frames[1]
    assert shot.boxes == (Marked(FAR, "person", 0, 0.8),)


def test_a_better_view_is_pictured_and_told() -> None:
    rig = Rig()
    rig.show(("a", FAR))
    assert rig.show(("a", FAR)) == []
    assert rig.show(("a", NEAR)) == ["a"]
    assert rig.show(("a", FAR)) == []
    assert [(shot.info.seq, shot.first) for shot in rig.shots] == [(1, True), (3, False)]


def test_each_event_is_for_itself_and_shows_its_own_object() -> None:
    rig = Rig()
    rig.show(("a", NEAR))
    assert rig.show(("a", NEAR), ("b", ELSEWHERE)) == []
    assert [(shot.event_id, [mark.box for mark in shot.boxes]) for shot in rig.shots] == [
        ("a", [NEAR]),
        ("b", [ELSEWHERE]),
    ]


def test_a_blurred_view_is_replaced_by_a_sharp_one() -> None:
    rig = Rig()
    rig.show(("a", NEAR), picture=painted(blur=6))
    assert rig.show(("a", NEAR)) == ["a"]
    assert rig.show(("a", NEAR), picture=painted(blur=6)) == []


def test_an_event_about_how_many_there_are_shows_what_is_known_of_each() -> None:
    rig = Rig()
    rig.show(("many", ALL), ("a", NEAR), ("also a", NEAR), ("b", ELSEWHERE), counts={"many": 3})
    assert [mark.box for mark in rig.shots[0].boxes] == [NEAR, ELSEWHERE]
    rig.show(("alone", None), counts={"alone": 3})
    assert rig.shots[-1].boxes == ()


def test_more_of_what_is_counted_is_better() -> None:
    rig = Rig()
    rig.show(("many", ALL), counts={"many": 3})
    assert rig.show(("many", ALL), counts={"many": 3}) == []
    assert rig.show(("many", ALL), counts={"many": 4}) == ["many"]


def test_what_began_out_of_sight_has_the_whole_picture() -> None:
    rig = Rig()
    rig.seq, rig.frames[1] = 1, painted()
    info = FrameInfo(
        camera="porch", connection=0, seq=1, captured_ns=0, utc_ns=0, width=WIDTH, height=HEIGHT, live=True
    )
    seen = Sighting(info=info, model=MODEL, class_id=0, score=0.9, box=NEAR)
    assert rig.views.look(info, [("seen", seen)], began=["seen", "unseen"]) == []
    unseen, shown = rig.shots
    assert (unseen.event_id, unseen.boxes, unseen.first) == ("unseen", (), True)
    assert (shown.event_id, len(shown.boxes)) == ("seen", 1)


def test_without_its_picture_a_frame_shows_nothing() -> None:
    rig = Rig()
    assert rig.show(("a", NEAR), gone=True) == []
    assert rig.shots == []
    assert rig.show(("a", FAR)) == []  # the first that was there
    assert len(rig.shots) == 1


def test_a_picture_is_taken_also_when_nothing_is_there_to_see() -> None:
    """So whoever keeps frames lets go of the older ones."""
    rig = Rig()
    asked: list[FrameInfo] = []
    rig.views = Views(
        ViewsPlan(camera="porch", labels=LABELS, picture_of=asked.append, best=BestViews(), offer=rig.shots.append)
    )
    rig.show()
    assert len(asked) == 1


def test_an_event_that_is_over_is_forgotten() -> None:
    rig = Rig()
    rig.show(("a", NEAR))
    rig.views.ended("a")
    rig.views.ended("never seen")
    rig.show(("a", FAR))
    assert [shot.first for shot in rig.shots] == [True, True]


def test_a_picture_on_a_gpu_is_judged_there_and_drawn_as_any_other(fake_gpu: FakeGpu) -> None:
    rig, here = Rig(), Rig()
    blurred, sharp = uploaded(painted(blur=6), fake_gpu), uploaded(painted(), fake_gpu)
    rig.show(("a", NEAR), picture=blurred)
    assert rig.show(("a", NEAR), picture=sharp) == ["a"]
    here.show(("a", NEAR))
    assert rig.shots[1].picture is sharp
    assert drawn(rig.shots[1]) == drawn(here.shots[0])
    freed(blurred, fake_gpu)
    freed(sharp, fake_gpu)


def test_boxes_at_and_beyond_the_edge_are_no_failure() -> None:
    rig = Rig()
    for number, box in enumerate([(-5.0, -5.0, 10.0, 10.0), (319.0, 239.0, 320.0, 240.0), (0.0, 0.0, 320.0, 240.0)]):
        rig.show((str(number), box))
    assert all(drawn(shot).thumb for shot in rig.shots)
