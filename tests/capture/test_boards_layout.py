from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from board_pictures import conductors, smallest

from streamer.capture.scenes.boards_artwork import COPPER, Layout
from streamer.capture.scenes.boards_layout import laid_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = pytest.mark.timeout(60)  # 2 s on a quiet machine
BOARDS = 40


@pytest.fixture(scope="module")
def layouts() -> list[Layout]:
    return [laid_out(np.random.default_rng((5, number)), 640, 640) for number in range(BOARDS)]


def _mask(layout: Layout) -> NDArray[np.uint8]:
    return np.asarray(layout.copper == COPPER, np.uint8)


def test_no_two_conductors_are_nearer_than_real_ones(layouts: list[Layout]) -> None:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7))
    for layout in layouts:
        mask = cv2.copyMakeBorder(_mask(layout), 9, 9, 9, 9, cv2.BORDER_REPLICATE)
        assert conductors(cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel)) == conductors(mask)


def test_no_conductor_is_thinner_than_real_ones(layouts: list[Layout]) -> None:
    for layout in layouts:
        mask = cv2.copyMakeBorder(_mask(layout), 9, 9, 9, 9, cv2.BORDER_REPLICATE)
        assert conductors(cv2.erode(mask, np.ones((3, 3), np.uint8))) == conductors(mask)


def test_a_good_board_has_no_islands_smaller_than_pads_and_no_holes_smaller_than_drilled_ones(
    layouts: list[Layout],
) -> None:
    assert min(smallest(_mask(layout)) for layout in layouts) > 350  # px: the pad of a chip
    assert min(smallest(1 - _mask(layout)) for layout in layouts) > 170  # px: a drill of 15 px


def test_boards_differ_and_hold_a_fair_share_of_copper(layouts: list[Layout]) -> None:
    shares = [float((layout.copper == COPPER).mean()) for layout in layouts]
    assert min(shares) > 0.08
    assert max(shares) < 0.6
    assert len({layout.copper.tobytes() for layout in layouts}) == BOARDS


def test_runs_are_the_middle_of_traces(layouts: list[Layout]) -> None:
    for layout in layouts:
        assert layout.runs
        for run in layout.runs:
            x, y = ((a + b) / 2 for a, b in zip(run.start, run.end, strict=True))
            if 0 < x < 639 and 0 < y < 639:
                assert layout.copper[int(y), int(x)] == COPPER


@pytest.mark.parametrize("size", [(32, 32), (64, 36), (640, 360), (98, 400), (1280, 720)])
def test_any_size_can_be_laid_out(size: tuple[int, int]) -> None:
    for number in range(6):
        assert laid_out(np.random.default_rng(number), *size).copper.shape == size[::-1]
