"""Frames for a calibration or a proof: bounded, and spread over all that there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from engine_values import input_of

from streamer.infer.engine.frames import Calibration, spread_canvases
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.core.frame import Picture

SPEC = input_of(hw=(8, 8))


def pictures(count: int) -> Iterator[Picture]:
    """Yield pictures of one level each: that of their number."""
    return (picture_of_bgr(np.full((16, 16, 3), number, np.uint8)) for number in range(count))


def numbers(canvases: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> list[int]:
    return [int(canvas[4, 4, 0]) for canvas in canvases]


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (3, [0, 1, 2]),
        (4, [0, 1, 2, 3]),
        (5, [0, 2, 4]),
        (7, [0, 2, 4, 6]),
        (9, [0, 4, 8]),
        (100, [0, 32, 64, 96]),
    ],
)
def test_frames_are_spread_over_all(count: int, expected: list[int]) -> None:
    assert numbers(spread_canvases(pictures(count), SPEC, most=4)) == expected


@pytest.mark.parametrize("most", [2, 5, 96])
@pytest.mark.parametrize("count", [1, 2, 17, 96, 97, 200, 255])
def test_there_are_never_more_than_asked_for_and_never_half_as_many(count: int, most: int) -> None:
    kept = numbers(spread_canvases(pictures(count), SPEC, most=most))
    assert min(count, most / 2) <= len(kept) <= most
    assert len(set(np.diff(kept))) <= 1


def test_they_are_drawn_as_the_network_sees_them() -> None:
    wide = picture_of_bgr(np.full((8, 16, 3), (10, 20, 30), np.uint8))
    (canvas,) = spread_canvases([wide], SPEC)
    assert canvas[4, 4].tolist() == [30, 20, 10]
    assert canvas[0, 0].tolist() == [114] * 3


def test_no_pictures_give_no_canvases() -> None:
    assert spread_canvases([], SPEC).shape == (0, 8, 8, 3)


def test_a_calibration_is_told_by_its_pixels() -> None:
    one = spread_canvases(pictures(4), SPEC)
    other = one.copy()
    assert Calibration(one).sha256 == Calibration(other).sha256
    other[0, 0, 0, 0] ^= 1
    assert Calibration(one).sha256 != Calibration(other).sha256
    assert Calibration(one).sha256 != Calibration(one.reshape(8, 4, 8, 3)).sha256
