from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from device_pictures import freed, uploaded
from host_picture import on_host
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.core.frame import DevicePicture, Picture, PixelFormat
from streamer.pixels.convert import Canvases, check_planes
from streamer.pixels.crop import Part, box_part, cropped, detached, zone_part
from streamer.pixels.device import downloaded
from streamer.pixels.fit import stretch

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from nvidia import FakeGpu

    from streamer.core.results import Box

ON_HOST = [kind for kind in PixelFormat if kind is not PixelFormat.P010]
FHD = (1080, 1920)


def blank(kind: PixelFormat, h: int, w: int) -> Picture:
    """A picture with padded rows, as decoders give them."""
    half = (h + 1) // 2, (w + 1) // 2
    shapes: dict[PixelFormat, list[tuple[int, ...]]] = {
        PixelFormat.I420: [(h, w), half, half],
        PixelFormat.I422: [(h, w), (h, half[1]), (h, half[1])],
        PixelFormat.I444: [(h, w)] * 3,
        PixelFormat.NV12: [(h, w), (*half, 2)],
        PixelFormat.GRAY: [(h, w)],
        PixelFormat.BGR: [(h, w, 3)],
        PixelFormat.RGB: [(h, w, 3)],
    }
    planes = tuple(np.zeros((rows, columns + 7, *rest), np.uint8)[:, :columns] for rows, columns, *rest in shapes[kind])
    return Picture(format=kind, planes=planes, width=w, height=h)


def drawn(seed: int, kind: PixelFormat, h: int, w: int) -> Picture:
    """Noise in each plane; where pixels share colours, these are the same everywhere, so that no filter blurs them."""
    rng, picture = np.random.default_rng(seed), blank(kind, h, w)
    for plane in picture.planes:
        plane[:] = rng.integers(0, 256, plane.shape if plane.shape[:2] == (h, w) else plane.shape[2:], np.uint8)
    return picture


def pixels_of(picture: Picture) -> NDArray[np.uint8]:
    """(H, W, 3) RGB."""
    hw = picture.height, picture.width
    canvases = Canvases(hw=hw, order=PixelFormat.RGB, place=stretch, pad=0, max_batch=1)
    filled, _ = canvases.fill([picture])
    pixels: NDArray[np.uint8] = filled[0].copy()
    return pixels


SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60))
SPANS = st.tuples(st.floats(-150, 250), st.floats(-150, 250)).map(sorted)
BOXES = st.tuples(SPANS, SPANS).map(lambda spans: (spans[0][0], spans[1][0], spans[0][1], spans[1][1]))


@settings(max_examples=200)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(ON_HOST), hw=SIZES, box=BOXES, square=st.booleans())
def test_a_part_has_the_pixels_that_the_whole_has_there(
    seed: int, kind: PixelFormat, hw: tuple[int, int], box: Box, *, square: bool
) -> None:
    picture = drawn(seed, kind, *hw)
    part = x1, y1, x2, y2 = box_part(box, hw, margin=0.1, square=square)

    view = on_host(cropped(picture, part))

    check_planes(view)
    assert (view.width, view.height, view.matrix, view.range) == (x2 - x1, y2 - y1, picture.matrix, picture.range)
    assert all(np.shares_memory(a, b) for a, b in zip(view.planes, picture.planes, strict=True))
    assert np.array_equal(pixels_of(view), pixels_of(picture)[y1:y2, x1:x2])


@pytest.mark.parametrize("kind", ON_HOST)
def test_colours_stay_with_their_pixels(kind: PixelFormat) -> None:
    """Four fields of one colour each; the part is the last one, of which each sample of colour is its own."""
    picture = blank(kind, 41, 63)
    for plane in picture.planes:
        rows, columns = (22 if plane.shape[0] == 41 else 11), (34 if plane.shape[1] == 63 else 17)
        plane[:rows, :columns], plane[:rows, columns:] = 60, 80
        plane[rows:, :columns], plane[rows:, columns:] = 100, 200
    view = on_host(cropped(picture, (34, 22, 63, 41)))
    assert {int(level) for plane in view.planes for level in np.unique(plane)} == {200}


@given(hw=SIZES, box=BOXES, margin=st.floats(0, 2), square=st.booleans())
def test_a_part_is_even_and_in_the_frame_and_covers_what_it_shows(
    hw: tuple[int, int], box: Box, margin: float, *, square: bool
) -> None:
    x1, y1, x2, y2 = box_part(box, hw, margin=margin, square=square)
    for (low, high), (start, end), size in (((x1, x2), box[0::2], hw[1]), ((y1, y2), box[1::2], hw[0])):
        assert 0 <= low < high <= size
        assert low % 2 == 0
        assert high % 2 == 0 or high == size
        assert low <= max(0, start) or low >= size - 2
        assert high >= min(size, end) or high <= 2


@pytest.mark.parametrize(
    ("box", "margin", "square", "part"),
    [
        ((100.0, 200.0, 300.0, 600.0), 0.0, False, (100, 200, 300, 600)),
        ((100.0, 200.0, 300.0, 600.0), 0.1, False, (80, 160, 320, 640)),
        ((100.4, 200.0, 301.2, 600.9), 0.0, False, (100, 200, 302, 602)),
        ((101.0, 201.0, 300.0, 600.0), 0.0, False, (100, 200, 300, 600)),
        ((400.0, 200.0, 600.0, 600.0), 0.0, True, (300, 200, 700, 600)),  # grown to both sides
        ((0.0, 200.0, 200.0, 600.0), 0.0, True, (0, 200, 400, 600)),  # at the edge: to one side
        ((1800.0, 200.0, 1920.0, 600.0), 0.0, True, (1520, 200, 1920, 600)),
        ((0.0, 0.0, 1920.0, 300.0), 0.0, True, (0, 0, 1920, 1080)),  # no room for a square
        ((-90.0, -50.0, 100.0, 100.0), 0.0, False, (0, 0, 100, 100)),
        ((2000.0, 1200.0, 2100.0, 1300.0), 0.0, False, (1918, 1078, 1920, 1080)),  # nothing of it is there
        ((-20.0, 500.0, -10.0, 600.0), 0.5, False, (0, 450, 14, 650)),
        ((0.0, 500.0, 1600.0, 502.0), 0.0, False, (0, 450, 1600, 552)),  # 100 px, even outwards
        ((700.0, 0.0, 701.0, 1080.0), 0.0, False, (666, 0, 736, 1080)),
        ((500.0, 500.0, 500.0, 500.0), 0.3, True, (500, 500, 502, 502)),
    ],
)  # fmt: skip
def test_margins_squares_and_borders(box: Box, margin: float, *, square: bool, part: Part) -> None:
    assert box_part(box, FHD, margin=margin, square=square) == part


def test_a_frame_of_odd_size_is_used_to_its_edge() -> None:
    assert box_part((40.0, 20.0, 63.0, 41.0), (41, 63), margin=0.0, square=False) == (40, 20, 63, 41)
    assert box_part((80.0, 80.0, 90.0, 90.0), (41, 63), margin=0.0, square=False) == (62, 40, 63, 41)
    assert box_part((0.0, 0.0, 9.0, 9.0), (1, 1), margin=0.0, square=True) == (0, 0, 1, 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_box_without_numbers_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="four finite numbers"):
        box_part((0.0, value, 10.0, 10.0), FHD, margin=0.0, square=False)


def test_a_zone_is_seen_by_the_rectangle_around_it() -> None:
    assert zone_part(((0.25, 0.5), (0.75, 0.6), (0.5, 0.95)), FHD) == (480, 540, 1440, 1026)
    assert zone_part(((0.0, 0.9), (1.0, 0.9), (0.5, 0.91)), FHD) == (0, 916, 1920, 1038)
    assert zone_part(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)), (1079, 1919)) == (0, 0, 1919, 1079)


@pytest.mark.parametrize(
    "part", [(1, 0, 20, 20), (0, 1, 20, 20), (0, 0, 102, 20), (0, 0, 20, 52), (-2, 0, 20, 20), (20, 0, 20, 20)]
)
def test_what_is_no_part_of_a_picture_is_refused(part: Part) -> None:
    picture = blank(PixelFormat.NV12, 50, 100)
    with pytest.raises(ValueError, match=r"part: expected one of 100x50 px \(nv12\)"):
        cropped(picture, part)


def test_where_every_pixel_has_its_colour_a_part_may_begin_anywhere() -> None:
    assert on_host(cropped(blank(PixelFormat.BGR, 50, 100), (1, 3, 20, 20))).planes[0].shape == (17, 19, 3)
    assert on_host(cropped(blank(PixelFormat.I422, 50, 100), (2, 3, 20, 20))).planes[1].shape == (17, 9)


@pytest.mark.parametrize("kind", ON_HOST)
def test_a_detached_part_has_memory_of_its_own(kind: PixelFormat) -> None:
    picture = drawn(3, kind, 50, 101)
    view = on_host(cropped(picture, (10, 20, 60, 50)))

    own = on_host(detached(view))

    before = pixels_of(own).copy()
    assert np.array_equal(before, pixels_of(view))
    assert all(plane.base is None and plane.flags.c_contiguous for plane in own.planes)
    for plane in picture.planes:
        plane[:] = 17
    assert np.array_equal(pixels_of(own), before)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), hw=SIZES, box=BOXES, ten_bits=st.booleans())
def test_a_part_in_a_gpus_memory_is_what_it_is_on_the_cpu(
    fake_gpu: FakeGpu, seed: int, hw: tuple[int, int], box: Box, *, ten_bits: bool
) -> None:
    before = blank(PixelFormat.NV12, *hw)
    rng = np.random.default_rng(seed)
    for plane in before.planes:
        plane[:] = rng.integers(0, 256, plane.shape, np.uint8)
    there = uploaded(before, fake_gpu, deep=np.zeros((64, 64), np.int64) if ten_bits else None)
    part = box_part(box, hw, margin=0.0, square=False)

    view = cropped(there, part)

    assert isinstance(view, DevicePicture)
    assert (view.owner, view.device, view.pitches) == (there.owner, there.device, there.pitches)
    assert detached(view) is view
    for there_too, here in zip(downloaded(view).planes, on_host(cropped(before, part)).planes, strict=True):
        assert np.array_equal(there_too, here)
    freed(there, fake_gpu)
