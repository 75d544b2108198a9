"""The pictures of an event: with boxes, without, and small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from device_pictures import freed, uploaded

from streamer.core.frame import ColorMatrix, ColorRange, FrameInfo, Picture, PixelFormat
from streamer.evidence.stills import Marked, Shot, StillError, drawn, encoded, thumb_part
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from nvidia import FakeGpu

    from streamer.core.frame import AnyPicture
    from streamer.core.results import Box

PERSON = Marked(box=(200.0, 80.0, 280.0, 300.0), name="person", class_id=0, score=0.87)
DOG = Marked(box=(400.0, 220.0, 500.0, 300.0), name="dog", class_id=16, score=0.61)


def scene(height: int = 360, width: int = 640) -> NDArray[np.uint8]:
    """A smooth picture, so that JPEG changes little: blue grows to the right, green downwards; red is 60."""
    rows, columns = np.mgrid[0:height, 0:width]
    planes = [columns * 255 // width, rows * 255 // height, np.full((height, width), 60)]
    return np.dstack(planes).astype(np.uint8)


def nv12(bgr: NDArray[np.uint8]) -> Picture:
    """Return the same as a decoder gives it: BT.601, limited."""
    height, width = bgr.shape[:2]
    i420 = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    luma, rest = i420[: height * width].reshape(height, width), i420[height * width :]
    u, v = rest.reshape(2, height // 2, width // 2)
    return Picture(
        format=PixelFormat.NV12,
        planes=(np.ascontiguousarray(luma), np.ascontiguousarray(np.dstack([u, v]))),
        width=width,
        height=height,
        matrix=ColorMatrix.BT601,
        range=ColorRange.LIMITED,
    )


def shot(picture: AnyPicture, *boxes: Marked) -> Shot:
    info = FrameInfo(
        camera="porch", connection=0, seq=7, captured_ns=1, utc_ns=1, width=picture.width, height=picture.height,
        live=True,
    )  # fmt: skip
    return Shot(camera="porch", event_id="0199", picture=picture, boxes=boxes, info=info)


def decoded(jpeg: bytes) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def off(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


def test_the_clean_picture_is_the_frame_in_its_own_size_and_colours() -> None:
    bgr = scene()
    for picture in (nv12(bgr), picture_of_bgr(bgr)):
        clean = decoded(drawn(shot(picture, PERSON)).clean)
        assert clean.shape == bgr.shape
        assert off(clean, bgr) < 3


def test_boxes_are_drawn_around_the_objects_and_nowhere_else() -> None:
    bgr = scene()
    stills = drawn(shot(nv12(bgr), PERSON, DOG))
    clean, boxed = decoded(stills.clean), decoded(stills.boxed)
    changed = np.abs(clean.astype(int) - boxed.astype(int)).max(axis=2) > 40
    assert boxed.shape == clean.shape
    for mark in (PERSON, DOG):
        left, top, right, bottom = (round(side) for side in mark.box)
        assert changed[(top + bottom) // 2, left - 8 : left].any()  # the frame lies around its box
        assert changed[(top + bottom) // 2, right : right + 8].any()
        assert not changed[top + 16 : bottom - 16, left + 8 : right - 8].any()  # the object is left to see
    assert not changed[:, :180].any()
    assert not changed[320:].any()


def test_without_an_object_all_is_one_picture() -> None:
    stills = drawn(shot(nv12(scene())))
    assert stills.boxed == stills.clean
    assert decoded(stills.thumb).shape == (240, 320, 3)


def test_the_small_picture_shows_the_object_and_what_is_around_it() -> None:
    thumb = decoded(drawn(shot(picture_of_bgr(scene(1080, 1920)), PERSON)).thumb)
    height, width = thumb.shape[:2]
    assert (width, height) == (320, 240)
    x1, y1, x2, y2 = thumb_part([PERSON.box], (1080, 1920))
    blue, green = (thumb[height // 2, width // 2, channel] for channel in (0, 1))
    assert abs(int(blue) - (x1 + x2) / 2 * 255 / 1920) < 6
    assert abs(int(green) - (y1 + y2) / 2 * 255 / 1080) < 6


def test_a_small_picture_is_never_enlarged() -> None:
    assert decoded(drawn(shot(picture_of_bgr(scene(90, 160)), PERSON)).thumb).shape == (90, 120, 3)


@pytest.mark.parametrize(
    ("box", "frame_hw"),
    [
        ((200, 80, 280, 300), (360, 640)),
        ((0, 0, 30, 60), (360, 640)),
        ((620, 300, 640, 360), (360, 640)),
        ((300, 200, 301, 202), (360, 640)),
        ((0, 0, 640, 360), (360, 640)),
        ((10, 10, 100, 1900), (1920, 1080)),
        ((-20, -20, 700, 500), (360, 640)),
        ((900, 900, 950, 990), (360, 640)),
    ],
)
def test_the_part_is_four_by_three_within_the_frame_and_around_the_object(box: Box, frame_hw: tuple[int, int]) -> None:
    height, width = frame_hw
    x1, y1, x2, y2 = thumb_part([box], frame_hw)
    assert 0 <= x1 < x2 <= width
    assert 0 <= y1 < y2 <= height
    assert (x2 - x1) / (y2 - y1) == pytest.approx(4 / 3, rel=0.02)
    assert x2 - x1 >= width / 6 - 1
    inside = (max(0, box[0]), max(0, box[1]), min(width, box[2]), min(height, box[3]))
    if (inside[2] - inside[0]) * 1.2 < x2 - x1 and inside[2] > inside[0]:
        assert x1 <= inside[0]
        assert inside[2] <= x2
        assert y1 <= inside[1]


def test_of_somebody_too_tall_for_it_the_head_is_shown() -> None:
    x1, y1, x2, y2 = thumb_part([(400, 100, 700, 1900)], (1920, 1080))
    assert (x1, y1, x2, y2) == (0, 100, 1080, 910)


def test_a_picture_on_a_gpu_is_drawn_as_one_in_memory(fake_gpu: FakeGpu) -> None:
    here = nv12(scene())
    there = uploaded(here, fake_gpu)
    assert drawn(shot(there, PERSON)) == drawn(shot(here, PERSON))
    freed(there, fake_gpu)


def test_a_gpu_that_is_lost_is_one_sentence(fake_gpu: FakeGpu) -> None:
    there = uploaded(nv12(scene()), fake_gpu)
    freed(there, fake_gpu)
    fake_gpu.machine.lose_device()
    with pytest.raises(StillError, match="can't be copied from the GPU"):
        drawn(shot(there, PERSON))


def test_what_is_too_large_for_a_jpeg_is_one_sentence() -> None:
    with pytest.raises(StillError, match="picture"):
        encoded(np.zeros((1, 70_000, 3), np.uint8))


def test_the_given_picture_is_left_alone() -> None:
    bgr = scene()
    before = bgr.copy()
    drawn(shot(picture_of_bgr(bgr), PERSON))
    assert np.array_equal(bgr, before)


def test_names_may_be_of_any_class_and_any_script() -> None:
    marks = PERSON._replace(class_id=79, name="зонт"), DOG._replace(class_id=999, name="犬")
    assert drawn(shot(nv12(scene()), *marks)).boxed != drawn(shot(nv12(scene()), PERSON, DOG)).boxed
