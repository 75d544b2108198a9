"""Labels on random and on wicked scenes: inside, apart, and off other boxes where that can be."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.pixels.placement import Placed, Rect, Size, place_labels

HW = (480, 640)
FORMS: list[Size] = [(90, 16), (55, 16), (24, 16)]


def overlap(a: Rect, b: Rect) -> int:
    return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))


def gap(a: Rect, b: Rect) -> float:
    return float(np.hypot(max(a[0] - b[2], b[0] - a[2], 0), max(a[1] - b[3], b[1] - a[3], 0)))


def place(boxes: list[Rect], picture_hw: tuple[int, int] = HW) -> list[Placed | None]:
    return place_labels(boxes, [FORMS] * len(boxes), picture_hw)


def rects(labels: list[Placed | None]) -> list[Rect]:
    return [label.rect for label in labels if label is not None]


def random_boxes(seed: int, count: int, picture_hw: tuple[int, int] = HW, most: float = 0.25) -> list[Rect]:
    height, width = picture_hw
    dice = np.random.default_rng(seed)
    boxes: list[Rect] = []
    for _ in range(count):
        w, h = (int(side) for side in dice.uniform(0.03, most, 2) * (width, height))
        x, y = int(dice.integers(0, width - w)), int(dice.integers(0, height - h))
        boxes.append((x, y, x + w, y + h))
    return boxes


def test_a_label_stands_above_its_box_when_there_is_room() -> None:
    assert place([(100, 100, 200, 200)]) == [Placed(form=0, rect=(100, 84, 190, 100), leader=None)]


def test_and_below_it_when_another_box_is_above() -> None:
    first, second = place([(100, 40, 400, 100), (100, 100, 400, 200)])
    assert first is not None
    assert second is not None
    assert first.rect == (100, 24, 190, 40)
    assert second.rect == (100, 200, 190, 216)


def test_a_label_of_a_box_that_fills_the_picture_stands_inside() -> None:
    (label,) = place([(0, 0, 640, 480)])
    assert label == Placed(form=0, rect=(0, 0, 90, 16), leader=None)


def test_a_leader_joins_a_label_to_its_box_when_all_around_is_taken() -> None:
    wall = [(x, y, x + 40, y + 40) for x in range(200, 360, 40) for y in range(200, 320, 40)]
    labels = place(wall)
    led = [(box, label) for box, label in zip(wall, labels, strict=True) if label is not None and label.leader]
    assert led
    for box, label in led:
        assert label.leader is not None
        start, end = label.leader
        assert gap((*start, *start), box) == 0
        assert gap((*end, *end), label.rect) == 0
        assert np.hypot(start[0] - end[0], start[1] - end[1]) <= 7 * FORMS[0][1]


@pytest.mark.parametrize("count", [1, 5, 20, 60])
@pytest.mark.parametrize("seed", range(5))
def test_labels_are_inside_and_apart(seed: int, count: int) -> None:
    labels = rects(place(random_boxes(seed, count)))
    assert all(overlap(label, (0, 0, 640, 480)) == (label[2] - label[0]) * 16 for label in labels)
    assert all(overlap(a, b) == 0 for a, b in combinations(labels, 2))


@pytest.mark.parametrize("seed", range(20))
def test_no_label_covers_another_box_where_boxes_are_apart(seed: int) -> None:
    boxes: list[Rect] = []
    for box in random_boxes(seed, 60, (720, 1280), 0.2):
        if all(overlap(box, other) == 0 for other in boxes):
            boxes.append(box)
    labels = place(boxes, (720, 1280))
    assert len(boxes) > 12
    for own, label in zip(boxes, labels, strict=True):
        assert label is not None
        assert label.form < 2  # all say their class
        assert all(overlap(label.rect, other) == 0 for other in boxes if other != own)


@pytest.mark.parametrize("seed", range(20))
def test_few_boxes_are_covered_where_they_overlap(seed: int) -> None:
    boxes = random_boxes(seed, 20, (720, 1280), 0.3)
    labels = place(boxes, (720, 1280))
    assert None not in labels
    covered = [
        (own, other)
        for own, label in zip(boxes, labels, strict=True)
        for other in boxes
        if label is not None and other != own and overlap(label.rect, other) and not _is_around(other, own)
    ]
    assert len(covered) <= 3


def _is_around(other: Rect, box: Rect) -> bool:
    return overlap(other, box) > 0.8 * (box[2] - box[0]) * (box[3] - box[1])


def test_the_best_choose_first() -> None:
    boxes = random_boxes(3, 200, most=0.1)
    labels = place(boxes)
    assert labels[0] is not None
    assert labels[0].form == 0
    full = [label is not None and label.form == 0 for label in labels]
    assert sum(full[:50]) > sum(full[-50:])


def test_a_crowd_gets_numbers_so_that_the_picture_is_still_seen() -> None:
    boxes = random_boxes(4, 300, most=0.1)
    labels = rects(place(boxes))
    assert sum((right - left) * (bottom - top) for left, top, right, bottom in labels) < 0.31 * 640 * 480
    assert len(labels) > 150
    assert all(overlap(a, b) == 0 for a, b in combinations(labels, 2))


def test_many_boxes_in_one_place_leave_the_last_without_a_label() -> None:
    labels = place([(300, 200, 340, 240)] * 150)
    assert labels[0] is not None
    assert labels[-1] is None
    assert all(overlap(a, b) == 0 for a, b in combinations(rects(labels), 2))


def test_what_does_not_fit_into_the_picture_is_shortened() -> None:
    assert [label and label.form for label in place([(2, 2, 30, 30)], (60, 80))] == [1]
    assert [label and label.form for label in place([(2, 2, 30, 30)], (40, 30))] == [2]
    assert place([(2, 2, 8, 8)], (10, 10)) == [None]


def test_a_small_object_is_not_hidden_by_its_own_label() -> None:
    for box in [(0, 0, 8, 8), (632, 472, 640, 480), (0, 472, 8, 480), (300, 0, 308, 8)]:
        (label,) = place([box])
        assert label is not None
        assert overlap(label.rect, box) == 0


corner = st.tuples(st.integers(-20, 120), st.integers(-20, 120))


@given(
    boxes=st.lists(st.tuples(corner, corner), max_size=12),
    forms=st.lists(st.tuples(st.integers(1, 90), st.integers(1, 40)), min_size=1, max_size=4),
    picture_hw=st.tuples(st.integers(1, 120), st.integers(1, 120)),
)
def test_whatever_comes_labels_are_inside_and_apart(
    boxes: list[tuple[tuple[int, int], tuple[int, int]]], forms: list[Size], picture_hw: tuple[int, int]
) -> None:
    tidy: list[Rect] = [(min(a, c), min(b, d), max(a, c), max(b, d)) for (a, b), (c, d) in boxes]
    labels = place_labels(tidy, [forms] * len(tidy), picture_hw)
    assert len(labels) == len(tidy)
    for label in labels:
        if label is not None:
            left, top, right, bottom = label.rect
            assert (right - left, bottom - top) == forms[label.form]
            assert min(left, top) >= 0
            assert right <= picture_hw[1]
            assert bottom <= picture_hw[0]
    assert all(overlap(a, b) == 0 for a, b in combinations(rects(labels), 2))
