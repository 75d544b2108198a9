"""Pictures in a GPU's memory: what the CPU gets of them, and what the GPU is told."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from device_pictures import freed, uploaded
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.core.errors import BackendError
from streamer.core.frame import ColorMatrix, ColorRange, DevicePicture, Picture, PixelFormat
from streamer.pixels.color import yuv_weights
from streamer.pixels.device import downloaded, drawing_of, drawing_of_canvas, luma_rows
from streamer.pixels.fit import crop, letterbox
from streamer.pixels.luma import small_luma

if TYPE_CHECKING:
    from nvidia import FakeGpu


def host_picture(rng: np.random.Generator, h: int, w: int, span: ColorRange = ColorRange.LIMITED) -> Picture:
    half = (h + 1) // 2, (w + 1) // 2
    planes = rng.integers(0, 256, (h, w), np.uint8), rng.integers(0, 256, (*half, 2), np.uint8)
    return Picture(format=PixelFormat.NV12, planes=planes, width=w, height=h, matrix=ColorMatrix.BT709, range=span)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), hw=st.tuples(st.integers(1, 70), st.integers(1, 70)), padding=st.integers(0, 70))
def test_what_comes_down_is_what_was_decoded(fake_gpu: FakeGpu, seed: int, hw: tuple[int, int], padding: int) -> None:
    before = host_picture(np.random.default_rng(seed), *hw)
    there = uploaded(before, fake_gpu, padding=padding)

    after, luma = downloaded(there), luma_rows(there, hw, 3)

    assert (after.format, after.width, after.height) == (PixelFormat.NV12, hw[1], hw[0])
    assert (after.matrix, after.range) == (before.matrix, before.range)
    assert all(np.array_equal(a, b) for a, b in zip(before.planes, after.planes, strict=True))
    assert np.array_equal(luma, before.planes[0][::3])
    freed(there, fake_gpu)


def test_ten_bits_come_down_as_the_nearest_eight(fake_gpu: FakeGpu) -> None:
    rng = np.random.default_rng(3)
    shallow = host_picture(rng, 41, 63)
    deep = rng.integers(0, 4, (64, 64))
    there = uploaded(shallow, fake_gpu, deep=deep)

    for before, after in zip(shallow.planes, downloaded(there).planes, strict=True):
        exact = before.reshape(before.shape[0], -1) + deep[: before.shape[0], : before.size // before.shape[0]] / 4
        off = np.abs(after.reshape(exact.shape) - exact)
        assert off.max() <= 0.75  # at 255.75, which eight bits do not reach
        assert off[exact <= 255].max() <= 0.5
    assert np.abs(luma_rows(there, (41, 63), 1).astype(int) - shallow.planes[0]).max() <= 1
    freed(there, fake_gpu)


@pytest.mark.parametrize("cell_px", [1, 4, 12, 200])
def test_the_motion_gate_sees_the_same_in_either_memory(fake_gpu: FakeGpu, cell_px: int) -> None:
    before = host_picture(np.random.default_rng(4), 90, 161)
    there = uploaded(before, fake_gpu)

    assert np.array_equal(small_luma(there, cell_px), small_luma(before, cell_px))
    freed(there, fake_gpu)


def test_a_gpu_that_is_lost_is_one_sentence(fake_gpu: FakeGpu) -> None:
    there = uploaded(host_picture(np.random.default_rng(6), 8, 8), fake_gpu)
    assert downloaded(there).planes
    freed(there, fake_gpu)
    fake_gpu.machine.lose_device()
    with pytest.raises(BackendError, match="GPU"):
        downloaded(there)


def picture_at(pointers: tuple[int, int] = (4096, 8192), **facts: object) -> DevicePicture:
    picture = DevicePicture(
        format=PixelFormat.NV12,
        pointers=pointers,
        pitches=(2048, 2048),
        width=1920,
        height=1080,
        matrix=ColorMatrix.BT709,
        range=ColorRange.LIMITED,
        device=0,
        owner=None,
    )
    return replace(picture, **facts)  # type: ignore[arg-type]


def test_its_bytes_are_those_of_its_memory() -> None:
    assert picture_at(width=7, height=5, pitches=(15, 16)).nbytes == 5 * 15 + 3 * 16


@pytest.mark.parametrize("place", [letterbox, crop])
@pytest.mark.parametrize("order", [PixelFormat.RGB, PixelFormat.BGR])
def test_the_gpu_is_told_the_place_and_the_colours(place: type, order: PixelFormat) -> None:
    placement = place((1080, 1920), (640, 640))
    drawing = drawing_of(picture_at(), placement, order)
    assert (drawing.pixels, drawing.pointers, drawing.pitches) == ("nv12", (4096, 8192), (2048, 2048))
    assert drawing.frame_hw == (1080, 1920)
    assert (drawing.size_hw, drawing.top, drawing.left) == (placement.size_hw, placement.top, placement.left)
    assert drawing.weights == tuple(yuv_weights(ColorMatrix.BT709, ColorRange.LIMITED, order).ravel())


@pytest.mark.parametrize("span", ColorRange)
def test_white_is_white_in_ten_bits_too(span: ColorRange) -> None:
    drawing = drawing_of(picture_at(format=PixelFormat.P010, range=span), letterbox((9, 16), (9, 16)), PixelFormat.RGB)
    white = 1023 if span is ColorRange.FULL else 940
    yuv = np.array([white / 4, 128, 128, 1])  # the kernel takes a quarter of each sample
    assert drawing.pixels == "p010"
    assert np.array(drawing.weights).reshape(3, 4) @ yuv == pytest.approx([255, 255, 255], abs=0.01)


def test_what_is_no_format_of_a_decoder_is_refused() -> None:
    placement = letterbox((1080, 1920), (640, 640))
    with pytest.raises(ValueError, match="nv12 or p010, got i420"):
        drawing_of(picture_at(format=PixelFormat.I420), placement, PixelFormat.RGB)
    with pytest.raises(ValueError, match="rgb or bgr, got gray"):
        drawing_of(picture_at(), placement, PixelFormat.GRAY)


def test_a_canvas_is_drawn_where_it_lies() -> None:
    drawing = drawing_of_canvas(512, (48, 64))
    assert (drawing.pixels, drawing.pointers, drawing.pitches) == ("packed", (512,), (192,))
    assert (drawing.frame_hw, drawing.size_hw, drawing.top, drawing.left) == ((48, 64), (48, 64), 0, 0)
