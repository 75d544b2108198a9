from __future__ import annotations

import cv2
import numpy as np
import pytest

from streamer.core.frame import Picture, PixelFormat
from streamer.pixels.luma import luma_hw, small_luma


def picture(form: PixelFormat, plane: np.ndarray) -> Picture:
    return Picture(format=form, planes=(plane,), width=plane.shape[1], height=plane.shape[0])


def test_each_cell_is_the_mean_of_what_it_covers() -> None:
    checks = np.kron(np.array([[10, 200], [90, 40]], np.uint8), np.ones((540, 960), np.uint8))
    noisy = np.clip(checks + np.random.default_rng(1).normal(0, 8, checks.shape), 0, 255).astype(np.uint8)

    small = small_luma(picture(PixelFormat.GRAY, noisy), 12).astype(int)

    assert small.shape == (90, 160)
    assert np.abs(small - np.kron([[10, 200], [90, 40]], np.ones((45, 80)))).max() <= 6


@pytest.mark.parametrize("cell_px", [1, 2, 5, 7, 16])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (160, 90), (319, 181), (90, 1000), (3000, 3)])
def test_any_size_has_its_whole_cells(width: int, height: int, cell_px: int) -> None:
    small = small_luma(picture(PixelFormat.GRAY, np.full((height, width), 77, np.uint8)), cell_px)

    assert small.shape == luma_hw(width, height, cell_px) == (max(1, height // cell_px), max(1, width // cell_px))
    assert (small == 77).all()


def test_colour_is_weighed_as_the_eye_does() -> None:
    bgr = np.zeros((90, 160, 3), np.uint8)
    bgr[..., 1], bgr[..., 2] = 100, 30
    expected = int(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)[0, 0])

    assert (small_luma(picture(PixelFormat.BGR, bgr), 10) == expected).all()
    rgb = np.ascontiguousarray(bgr[..., ::-1])
    assert (small_luma(picture(PixelFormat.RGB, rgb), 10) == expected).all()


def test_padded_rows_of_a_decoder_are_no_part_of_it() -> None:
    rows = np.full((90, 200), 255, np.uint8)
    rows[:, :160] = 50

    assert (small_luma(picture(PixelFormat.GRAY, rows[:, :160]), 10) == 50).all()
