from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.pixels.fit import HW, Place, crop, letterbox, letterbox_topleft, stretch, stretch_crop

sides = st.integers(1, 5000)
sizes = st.tuples(sides, sides)
canvases = st.tuples(st.integers(16, 1280), st.integers(16, 1280))
ALL = [letterbox, letterbox_topleft, stretch, crop]


@pytest.mark.parametrize(
    ("place", "frame_hw", "canvas_hw", "size_hw", "top", "left"),
    [
        (letterbox, (1080, 1920), (640, 640), (360, 640), 140, 0),
        (letterbox, (432, 768), (416, 416), (234, 416), 91, 0),
        (letterbox, (1080, 810), (640, 640), (640, 480), 0, 80),
        (letterbox, (1000, 1501), (640, 640), (426, 640), 107, 0),
        (letterbox, (333, 500), (416, 416), (277, 416), 69, 0),  # (416 - 277) / 2 - 0.1 = 69.4
        (letterbox_topleft, (1080, 810), (416, 416), (416, 312), 0, 0),
        (letterbox_topleft, (576, 768), (416, 416), (312, 416), 0, 0),
        (letterbox_topleft, (100, 301), (416, 416), (138, 416), 0, 0),  # 138.2: rounded down
        (stretch, (1080, 1920), (320, 352), (320, 352), 0, 0),
        (crop, (720, 1280), (224, 224), (224, 398), 0, -87),
        (crop, (480, 640), (227, 227), (227, 303), 0, -38),
    ],
)
def test_placements_known_by_hand(place: Place, frame_hw: HW, canvas_hw: HW, size_hw: HW, top: int, left: int) -> None:
    placement = place(frame_hw, canvas_hw)
    assert (placement.size_hw, placement.top, placement.left) == (size_hw, top, left)


@pytest.mark.parametrize(
    ("place", "frame_hw", "size_hw", "top", "left"),
    [
        (partial(crop, resize=256), (720, 1280), (256, 455), -16, -116),  # 115.5: to the even
        (partial(crop, resize=256), (1280, 720), (455, 256), -116, -16),
        (partial(crop, resize=200), (720, 1280), (224, 398), 0, -87),  # the canvas is covered in any case
        (partial(stretch_crop, resize=256), (720, 1280), (256, 256), -16, -16),
    ],
)
def test_the_centre_may_be_cut_out_of_more(place: Place, frame_hw: HW, size_hw: HW, top: int, left: int) -> None:
    placement = place(frame_hw, (224, 224))
    assert (placement.size_hw, placement.top, placement.left) == (size_hw, top, left)
    assert placement.on_canvas == (slice(0, 224), slice(0, 224))


@given(frame_hw=sizes, canvas_hw=canvases)
@pytest.mark.parametrize("place", ALL)
def test_what_is_drawn_fits_what_it_is_drawn_on(place: Place, frame_hw: HW, canvas_hw: HW) -> None:
    placement = place(frame_hw, canvas_hw)
    drawn = [(s.stop - s.start, s.start, s.stop) for s in placement.on_canvas]
    taken = [(s.stop - s.start, s.start, s.stop) for s in placement.of_frame]
    for (n, start, stop), (m, first, last), canvas, size in zip(
        drawn, taken, canvas_hw, placement.size_hw, strict=True
    ):
        assert n == m > 0
        assert 0 <= start < stop <= canvas
        assert 0 <= first < last <= size
    if place in (stretch, crop):
        assert tuple(n for n, _, _ in drawn) == canvas_hw


@given(frame_hw=st.tuples(st.integers(32, 5000), st.integers(32, 5000)), canvas_hw=canvases, data=st.data())
@pytest.mark.parametrize("place", ALL)
def test_boxes_come_back_to_where_they_were(place: Place, frame_hw: HW, canvas_hw: HW, data: st.DataObject) -> None:
    placement = place(frame_hw, canvas_hw)
    (h, w), (size_h, size_w) = frame_hw, placement.size_hw
    x = sorted(data.draw(st.tuples(st.integers(0, w), st.integers(0, w))))
    y = sorted(data.draw(st.tuples(st.integers(0, h), st.integers(0, h))))
    box = np.array([[x[0], y[0], x[1], y[1]]], np.float64)
    scale = np.array([size_w / w, size_h / h] * 2)
    shift = np.array([placement.left, placement.top] * 2)
    back = placement.to_frame((box * scale + shift).astype(np.float32))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, box, atol=max(w / size_w, h / size_h) * 1e-3 + 1e-3)


def test_boxes_are_clipped_to_the_frame() -> None:
    placement = letterbox((1080, 1920), (640, 640))
    boxes = np.array([[-5, 100, 700, 600], [10, 150, 20, 160]], np.float32)
    np.testing.assert_allclose(placement.to_frame(boxes), [[0, 0, 1920, 1080], [30, 30, 60, 60]], atol=1e-3)


def test_no_boxes_stay_no_boxes() -> None:
    assert letterbox((10, 20), (640, 640)).to_frame(np.zeros((0, 4), np.float32)).shape == (0, 4)
