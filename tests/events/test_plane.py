from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from streamer.events.plane import covered, distance, foot, gap, margin_px, meets, overlap, side_px, size, within

XY = st.tuples(st.integers(0, 60), st.integers(0, 60))
POLYGONS = st.lists(XY, min_size=3, max_size=9, unique=True)


@given(polygon=POLYGONS, point=XY)
def test_within_and_distance_are_those_of_opencv(polygon: list[tuple[int, int]], point: tuple[int, int]) -> None:
    contour = np.array(polygon, np.float32)
    assert within(point, polygon) == (cv2.pointPolygonTest(contour, point, measureDist=False) >= 0)
    measured = abs(cv2.pointPolygonTest(contour, point, measureDist=True))
    assert distance(point, polygon) == pytest.approx(measured, abs=1e-4)


def test_an_object_stands_at_the_centre_of_its_bottom_edge_also_where_the_frame_cuts_it_off() -> None:
    assert foot((10.0, 20.0, 30.0, 80.0)) == (20.0, 80.0)
    assert margin_px((10.0, 20.0, 30.0, 80.0)) == pytest.approx(6.0)
    to_the_edge = [(0.0, 50.0), (100.0, 50.0), (100.0, 100.0), (0.0, 100.0)]
    assert within(foot((40.0, 60.0, 60.0, 100.0)), to_the_edge)


def test_right_is_right_as_seen_looking_along_the_line() -> None:
    assert side_px((5.0, 3.0), (0.0, 0.0), (10.0, 0.0)) == pytest.approx(3.0)  # to the right in the picture: below
    assert side_px((3.0, 5.0), (0.0, 10.0), (0.0, 0.0)) == pytest.approx(3.0)  # up: right
    assert side_px((3.0, 5.0), (0.0, 0.0), (0.0, 10.0)) == pytest.approx(-3.0)


@given(start=XY, end=XY, a=XY, b=XY)
def test_ways_go_through_a_line_where_a_linear_equation_says_so(
    start: tuple[int, int], end: tuple[int, int], a: tuple[int, int], b: tuple[int, int]
) -> None:
    assume(start != end)
    assume(side_px(a, start, end) * side_px(b, start, end) < 0)
    matrix = np.array([np.subtract(b, a), np.subtract(start, end)], float).T
    _, along = np.linalg.solve(matrix, np.subtract(start, a).astype(float))
    assume(min(abs(along), abs(along - 1)) > 1e-9)
    assert meets(a, b, start, end) == (0 < along < 1)


def test_boxes_lie_over_each_other() -> None:
    assert overlap((0, 0, 10, 10), (0, 0, 10, 10)) == 1.0
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 10, 10), (20, 0, 30, 10)) == overlap((0, 0, 0, 0), (0, 0, 0, 0)) == 0.0


def test_what_covers_a_box_is_measured_by_that_box() -> None:
    parcel, person = (10.0, 10.0, 30.0, 20.0), (20.0, 0.0, 60.0, 100.0)
    assert covered(parcel, person) == 0.5
    assert covered(person, parcel) == pytest.approx(0.025)
    assert covered(parcel, (30.0, 10.0, 50.0, 20.0)) == 0.0
    assert covered((5.0, 5.0, 5.0, 5.0), person) == 0.0


def test_the_gap_between_two_boxes_is_that_of_their_nearest_points() -> None:
    box = (0.0, 0.0, 10.0, 10.0)
    assert gap(box, (5.0, 5.0, 20.0, 20.0)) == gap(box, (10.0, 0.0, 20.0, 10.0)) == 0.0
    assert gap(box, (14.0, 0.0, 20.0, 10.0)) == gap((14.0, 0.0, 20.0, 10.0), box) == 4.0
    assert gap(box, (13.0, 14.0, 20.0, 20.0)) == 5.0
    assert size((0.0, 0.0, 9.0, 4.0)) == 6.0
