"""Boxes and labels on pictures: where they land, at every size."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.results import Detections
from streamer.pixels.draw import PALETTE, draw, place_label

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = tuple(f"class {i}" for i in range(9))


def detections(*boxes: tuple[float, float, float, float], class_id: int = 0) -> Detections:
    n = len(boxes)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.linspace(0.9, 0.5, n).astype(np.float32),
        class_ids=np.full(n, class_id, np.int32),
    )


def grey(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 90, np.uint8)


def test_the_given_picture_is_left_alone() -> None:
    picture = grey(360, 640)
    drawn = draw(picture, detections((100, 100, 300, 300)), LABELS)
    assert (picture == 90).all()
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8


def test_nothing_found_changes_nothing() -> None:
    assert (draw(grey(36, 64), Detections.empty(), LABELS) == 90).all()


def test_a_box_lies_where_it_was_found_in_the_color_of_its_class() -> None:
    for class_id in range(len(LABELS)):
        drawn = draw(grey(360, 640), detections((100, 100, 300, 300), class_id=class_id), LABELS)
        color = PALETTE[class_id % len(PALETTE)]
        assert tuple(drawn[200, 100]) == color
        assert tuple(drawn[300, 200]) == color
        assert (drawn[150:290, 110:290] == 90).all()  # the inside is left to see


@pytest.mark.parametrize(("height", "width"), [(8, 8), (120, 160), (360, 640), (1080, 1920), (2160, 3840), (50, 2000)])
def test_any_size_and_boxes_on_every_edge(height: int, width: int) -> None:
    found = detections(
        (0, 0, width, height), (0, 0, 5, 5), (width - 5, height - 5, width, height), (width / 2, 0, width, 4)
    )
    assert (draw(grey(height, width), found, LABELS) != 90).any()


def test_text_grows_with_the_picture() -> None:
    shares = []
    for height, width in [(720, 1280), (2160, 3840)]:
        drawn = draw(grey(height, width), detections((0.2 * width, 0.5 * height, 0.9 * width, 0.9 * height)), LABELS)
        above = (drawn[: round(0.5 * height)] != 90).any(axis=(1, 2))
        shares.append(above.sum() / height)
    assert shares[0] == pytest.approx(shares[1], rel=0.1)


def test_a_label_stands_above_its_box_when_there_is_room() -> None:
    assert place_label((100, 100, 200, 200), (60, 20), (480, 640), []) == (100, 80, 160, 100)


def test_a_label_stays_inside_the_picture() -> None:
    assert place_label((630, 5, 640, 60), (60, 20), (480, 640), []) == (580, 0, 640, 20)
    left, top, right, bottom = place_label((-50, -50, 700, 500), (60, 20), (480, 640), [])
    assert left >= 0
    assert top >= 0
    assert right <= 640
    assert bottom <= 480


def test_labels_of_one_box_do_not_cover_each_other() -> None:
    taken: list[tuple[int, int, int, int]] = []
    for _ in range(6):
        taken.append(place_label((100, 100, 300, 300), (60, 20), (480, 640), taken))
    for a, b in combinations(taken, 2):
        assert min(a[2], b[2]) <= max(a[0], b[0]) or min(a[3], b[3]) <= max(a[1], b[1])


def test_a_picture_that_is_a_view_can_be_drawn_on() -> None:
    strided = grey(360, 1280)[:, ::2]
    assert (draw(strided, detections((10, 40, 90, 90)), LABELS) != 90).any()
