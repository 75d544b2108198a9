from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from device_pictures import freed, uploaded

from streamer.core.frame import Picture, PixelFormat
from streamer.pixels.convert import picture_of_bgr
from streamer.pixels.sharpness import sharpness

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from nvidia import FakeGpu


def painted(seed: int, h: int = 720, w: int = 1280) -> NDArray[np.uint8]:
    """Rectangles of many sizes, (H, W)."""
    rng, luma = np.random.default_rng(seed), np.full((h, w), 90, np.uint8)
    for _ in range(300):
        x, y, size = int(rng.integers(0, w)), int(rng.integers(0, h)), int(rng.integers(10, 80))
        cv2.rectangle(luma, (x, y), (x + size, y + size), int(rng.integers(20, 235)), -1)
    return luma


def gray(luma: NDArray[np.uint8]) -> Picture:
    return Picture(format=PixelFormat.GRAY, planes=(luma,), width=luma.shape[1], height=luma.shape[0])


def test_it_falls_the_more_a_part_is_blurred(seed: int) -> None:
    for draw in range(10):
        luma = painted(seed + draw)
        views = [luma, *(cv2.GaussianBlur(luma, (0, 0), sigma) for sigma in (4, 8, 16))]
        measured = [sharpness(gray(np.asarray(view, np.uint8)), (200, 100, 600, 500)) for view in views]
        assert measured == sorted(measured, reverse=True), draw
        assert measured[0] > 1.5 * measured[1] > 1.5 * 1.5 * measured[2]


def test_motion_counts_as_blur_too(seed: int) -> None:
    luma = painted(seed)
    moved = np.asarray(cv2.blur(luma, (40, 1)), np.uint8)
    assert sharpness(gray(luma), (200, 100, 600, 500)) > 1.5 * sharpness(gray(moved), (200, 100, 600, 500))


def test_more_pixels_of_the_same_show_more(seed: int) -> None:
    """A small view holds less detail than a big one, so the same object gets sharper as it comes nearer."""
    luma = painted(seed)
    small = np.asarray(cv2.resize(luma[100:500, 200:600], (24, 24), interpolation=cv2.INTER_AREA), np.uint8)
    assert sharpness(gray(luma), (200, 100, 600, 500)) > 1.5 * sharpness(gray(small), (0, 0, 24, 24))


@pytest.mark.parametrize("part", [(0, 0, 1280, 720), (2, 2, 3, 3), (0, 0, 2, 700), (10, 10, 1200, 14)])
def test_what_is_even_has_none(part: tuple[int, int, int, int]) -> None:
    assert sharpness(gray(np.full((720, 1280), 140, np.uint8)), part) == 0.0


def test_every_format_of_the_same_picture_is_as_sharp(seed: int) -> None:
    luma, part = painted(seed), (200, 100, 601, 501)
    expected = sharpness(gray(luma), part)
    grey = np.full((360, 640), 128, np.uint8)
    i420 = Picture(format=PixelFormat.I420, planes=(luma, grey, grey), width=1280, height=720)
    assert sharpness(i420, part) == expected
    assert sharpness(picture_of_bgr(np.repeat(luma[..., None], 3, axis=2)), part) == pytest.approx(expected, rel=0.02)


def test_it_is_the_same_in_a_gpus_memory(fake_gpu: FakeGpu, seed: int) -> None:
    luma, chroma = painted(seed, 180, 320), np.full((90, 160, 2), 128, np.uint8)
    here = Picture(format=PixelFormat.NV12, planes=(luma, chroma), width=320, height=180)
    there = uploaded(here, fake_gpu)
    part = 40, 20, 240, 171
    assert sharpness(there, part) == sharpness(here, part) > 0
    freed(there, fake_gpu)


def test_a_part_of_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="part: expected one of 1280x720"):
        sharpness(gray(painted(1)), (0, 0, 1282, 20))
