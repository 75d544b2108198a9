from __future__ import annotations

import gc
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import av.filter
import numpy as np
import pytest

from streamer.capture.pictures import picture_of
from streamer.core.frame import ColorMatrix, ColorRange, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WIDTH, HEIGHT = 321, 241


def a_frame(pix_fmt: str, *, width: int = WIDTH, height: int = HEIGHT) -> av.VideoFrame:
    luma = np.random.default_rng(1).integers(16, 235, (height, width), np.uint8)
    return av.VideoFrame.from_ndarray(luma, format="gray").reformat(format=pix_fmt)


@pytest.mark.parametrize(
    ("pix_fmt", "pixel_format", "shapes"),
    [
        ("yuv420p", PixelFormat.I420, [(241, 321), (121, 161), (121, 161)]),
        ("yuvj420p", PixelFormat.I420, [(241, 321), (121, 161), (121, 161)]),
        ("yuv422p", PixelFormat.I422, [(241, 321), (241, 161), (241, 161)]),
        ("yuvj444p", PixelFormat.I444, [(241, 321), (241, 321), (241, 321)]),
        ("nv12", PixelFormat.NV12, [(241, 321), (121, 161, 2)]),
        ("gray", PixelFormat.GRAY, [(241, 321)]),
        ("bgr24", PixelFormat.BGR, [(241, 321, 3)]),
        ("rgb24", PixelFormat.RGB, [(241, 321, 3)]),
    ],
)
def test_known_formats_are_seen_where_they_lie(
    pix_fmt: str, pixel_format: PixelFormat, shapes: list[tuple[int, ...]]
) -> None:
    frame = a_frame(pix_fmt)
    picture = picture_of(frame)
    assert picture.format is pixel_format
    assert [p.shape for p in picture.planes] == shapes
    assert (picture.width, picture.height) == (WIDTH, HEIGHT)
    for plane, view in zip(frame.planes, picture.planes, strict=True):
        assert plane.buffer_ptr == view.__array_interface__["data"][0]  # no copy
        assert not view.flags.writeable
    assert picture.range is (ColorRange.FULL if pix_fmt.startswith("yuvj") else ColorRange.LIMITED)


@pytest.mark.parametrize(
    ("pix_fmt", "pixel_format"),
    [
        ("yuv420p10le", PixelFormat.I420),
        ("p010le", PixelFormat.I420),
        ("gray10le", PixelFormat.I420),
        ("yuyv422", PixelFormat.I422),
        ("bgra", PixelFormat.BGR),
        ("gbrp", PixelFormat.BGR),
        ("rgb8", PixelFormat.BGR),
    ],
)
def test_other_formats_are_converted(pix_fmt: str, pixel_format: PixelFormat) -> None:
    frame = a_frame(pix_fmt, width=320, height=240)
    picture = picture_of(frame)
    assert picture.format is pixel_format
    expected = frame.reformat(format="gray").to_ndarray()
    mean = float(picture.planes[0].mean())
    assert abs(mean - float(expected.mean())) < (20 if pix_fmt == "rgb8" else 10)


@pytest.mark.parametrize("full", [True, False])
def test_ten_bits_keep_their_range(*, full: bool) -> None:
    shallow = np.full((48, 32), 250 if full else 225, np.uint8)
    color_range = 2 if full else 1
    frame = av.VideoFrame.from_ndarray(shallow, format="yuv420p")
    frame = frame.reformat(format="yuv420p10le", src_color_range=color_range, dst_color_range=color_range)
    frame.color_range = color_range
    picture = picture_of(frame)
    assert picture.range is (ColorRange.FULL if full else ColorRange.LIMITED)
    assert abs(float(picture.planes[0].mean()) - (250 if full else 225)) <= 1


@pytest.mark.parametrize(
    ("said", "height", "matrix"),
    [
        (1, 240, ColorMatrix.BT709),
        (5, 1080, ColorMatrix.BT601),
        (6, 1080, ColorMatrix.BT601),
        (9, 1080, ColorMatrix.BT2020),
        (2, 1080, ColorMatrix.BT709),
        (2, 720, ColorMatrix.BT709),
        (2, 576, ColorMatrix.BT601),
    ],
)
def test_the_matrix_is_the_one_named_or_the_usual_one_for_the_size(said: int, height: int, matrix: ColorMatrix) -> None:
    frame = a_frame("yuv420p", width=64, height=height)
    frame.colorspace = said
    assert picture_of(frame).matrix is matrix


def test_the_views_keep_the_memory_alive() -> None:
    picture = picture_of(a_frame("yuv420p"))
    before = picture.planes[0].copy()
    gc.collect()
    others = [a_frame("yuv420p") for _ in range(20)]
    assert np.array_equal(picture.planes[0], before)
    del others


def bottom_up_of_avi(path: Path, still: av.VideoFrame) -> av.VideoFrame:
    with av.open(str(path), "w", options={"flipped_raw_rgb": "1"}) as container:
        stream = container.add_stream("rawvideo", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = still.width, still.height, still.format.name
        container.mux(stream.encode(still))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        frame: av.VideoFrame = next(container.decode(video=0))
        return frame


def bottom_up_by_filter(_: Path, still: av.VideoFrame) -> av.VideoFrame:
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(width=still.width, height=still.height, format=still.format, time_base=Fraction(1, 25)),
        graph.add("vflip"),
        graph.add("buffersink"),
    ).configure()
    graph.push(still)
    turned = graph.pull()
    assert isinstance(turned, av.VideoFrame)
    return turned


@pytest.mark.parametrize(
    ("pix_fmt", "bottom_up"),
    [
        ("bgr24", bottom_up_of_avi),
        ("bgra", bottom_up_of_avi),
        ("rgb24", bottom_up_by_filter),
        ("yuv420p", bottom_up_by_filter),
        ("yuv444p", bottom_up_by_filter),
        ("nv12", bottom_up_by_filter),
        ("gray", bottom_up_by_filter),
    ],
)
def test_a_picture_whose_rows_run_upwards_is_seen_upright(
    tmp_path: Path, pix_fmt: str, bottom_up: Callable[[Path, av.VideoFrame], av.VideoFrame]
) -> None:
    frame = bottom_up(tmp_path / "raw.avi", a_frame(pix_fmt, width=90, height=48))
    assert frame.planes[0].line_size < 0
    upright = frame.reformat(format="yuv422p").planes[0]  # by swscale, which knows of such rows
    luma = np.frombuffer(memoryview(upright), np.uint8).reshape(48, upright.line_size)[:, :90].astype(float)
    picture = picture_of(frame)
    assert all(stride > 0 for plane in picture.planes for stride in plane.strides)
    seen = picture.planes[0] if picture.planes[0].ndim == 2 else picture.planes[0][..., 1]
    assert picture.planes[0].shape[:2] == (48, 90)
    assert np.corrcoef(seen.ravel(), luma.ravel())[0, 1] > 0.99
