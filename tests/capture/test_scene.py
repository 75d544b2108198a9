from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from streamer.capture.scenes.outlines import KINDS, bounds_within, outline
from streamer.capture.scenes.shapes import Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.capture.scenes.shapes import SceneFrame, SceneObject

FPS = 15


@pytest.fixture(scope="module")
def minute() -> list[SceneFrame]:
    """One minute at a small size, 15 fps."""
    scene = Scene(5, 320, 180)
    return [scene.at(i / FPS) for i in range(60 * FPS)]


def _by_id(frame: SceneFrame) -> dict[int, SceneObject]:
    return {o.id: o for o in frame.objects}


@pytest.mark.parametrize(("width", "height"), [(640, 360), (320, 240), (360, 640), (1280, 720)])
def test_a_picture_has_the_asked_size(width: int, height: int) -> None:
    bgr = Scene(1, width, height).at(4.0).bgr
    assert bgr.shape == (height, width, 3)
    assert bgr.dtype == np.uint8


def test_equal_moments_are_equal_whatever_was_asked_before() -> None:
    first, second = Scene(3, 320, 180), Scene(3, 320, 180)
    for t_s in (50.0, 2.0, 9.9):
        second.at(t_s)
    wanted, got = first.at(7.3), second.at(7.3)
    assert got.objects == wanted.objects
    assert np.array_equal(got.bgr, wanted.bgr)


def test_seeds_differ() -> None:
    assert not np.array_equal(Scene(1, 320, 180).at(0.0).bgr, Scene(2, 320, 180).at(0.0).bgr)


def test_noise_changes_from_picture_to_picture_and_stays_small() -> None:
    scene = Scene(1, 320, 180)
    a, b = (scene.at(t_s).bgr.astype(np.int16) for t_s in (0.0, 1 / FPS))  # nobody has come yet
    difference = np.abs(a - b)
    assert 2.0 < difference.mean() < 8.0
    assert difference.max() < 50


def _within(shape: SceneObject) -> bool:
    x1, y1, x2, y2 = shape.box
    return min(x1, y1, 320 - x2, 180 - y2) > 1


def test_boxes_lie_in_the_frame_and_have_an_area(minute: list[SceneFrame]) -> None:
    for shape in (o for frame in minute for o in frame.objects):
        x1, y1, x2, y2 = shape.box
        assert 0 <= x1 < x2 <= 320
        assert 0 <= y1 < y2 <= 180
        assert 0 <= shape.visible <= 1
        assert shape.kind in KINDS


def test_shapes_move_without_jumps(minute: list[SceneFrame]) -> None:
    for before, after in pairwise(minute):
        old, new = _by_id(before), _by_id(after)
        for shared in old.keys() & new.keys():
            if not (_within(old[shared]) and _within(new[shared])):
                continue  # the part within the frame grows fast where a flat side comes in
            moved = np.abs(np.subtract(old[shared].box, new[shared].box)).max()
            assert moved < 0.06 * 320, f"shape {shared} jumped {moved:.0f} px"


def test_shapes_come_and_go_over_the_edge(minute: list[SceneFrame]) -> None:
    for before, after in pairwise(minute):
        old, new = _by_id(before), _by_id(after)
        for shape in [old[i] for i in old.keys() - new.keys()] + [new[i] for i in new.keys() - old.keys()]:
            x1, y1, x2, y2 = shape.box
            assert min(x1, y1, 320 - x2, 180 - y2) == pytest.approx(0, abs=0.5)


def test_a_shape_stays_some_seconds_and_stands_still_within(minute: list[SceneFrame]) -> None:
    lives: dict[int, list[SceneObject]] = {}
    for frame in minute:
        for shape in frame.objects:
            lives.setdefault(shape.id, []).append(shape)
    whole = [life for i, life in lives.items() if i not in _by_id(minute[-1])]
    assert 15 <= len(lives) <= 21  # one arrival every 2 to 4 s
    for life in whole:
        assert 2.5 <= len(life) / FPS <= 8.0
        still = sum(a.box == b.box for a, b in pairwise(life))
        assert still / FPS >= 1.3
    assert {life[0].kind for life in whole} == set(KINDS)


def test_some_shapes_are_covered_and_some_are_cut(minute: list[SceneFrame]) -> None:
    inside = [o for frame in minute for o in frame.objects if _within(o)]
    assert any(o.visible < 0.9 for o in inside)  # only another shape can hide these
    alone = [frame.objects[0] for frame in minute if len(frame.objects) == 1 and frame.objects[0] in inside]
    assert alone
    assert all(o.visible == 1.0 for o in alone)


def test_boxes_are_tight_to_what_is_drawn() -> None:
    scene = Scene(5, 640, 360)
    empty = scene.at(0.0).bgr.astype(np.int16)
    errors: list[tuple[float, float]] = []
    for t_s in np.arange(1.0, 40.0, 0.7):
        frame = scene.at(float(t_s))
        if len(frame.objects) != 1 or frame.objects[0].visible < 1:
            continue
        difference = np.abs(frame.bgr.astype(np.int16) - empty).max(axis=2)
        x1, y1, *_ = frame.objects[0].box
        # The shadow falls down and right, so only left and top tell where the drawing begins.
        errors.append((_first(difference.max(axis=0)) - x1, _first(difference.max(axis=1)) - y1))
    assert len(errors) >= 10
    assert np.median(np.abs(errors)) < 1.5
    assert np.min(errors) > -2  # nothing is drawn outside; a dark rim on a dark patch may look smaller


def _first(profile: NDArray[np.int16]) -> int:
    return int(np.argmax(profile > 30))  # noise stays below


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("centre", [(0.0, 40.0), (50.0, 79.0), (-8.0, -8.0), (100.0, 20.0)])
def test_bounds_are_those_of_the_pixels_within(kind: str, centre: tuple[float, float]) -> None:
    corners = outline(kind, centre=centre, radius=20.0, angle=0.6)
    mask = np.zeros((8 * 140, 8 * 160), np.uint8)  # eight times as fine, and with room on all sides
    cv2.fillPoly(mask, [np.rint((corners + 30) * 8).astype(np.int32)], 255)
    rows, columns = np.nonzero(mask[8 * 30 : 8 * 110, 8 * 30 : 8 * 130])  # the picture is 100 x 80
    bounds = bounds_within(corners, 100, 80)
    if len(rows) == 0:
        assert bounds is None
        return
    drawn = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / 8
    assert bounds == pytest.approx(drawn, abs=0.3)


def test_nothing_within_has_no_bounds() -> None:
    assert bounds_within(outline("star", centre=(200.0, 40.0), radius=20.0, angle=0.0), 100, 80) is None
