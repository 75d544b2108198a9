"""Boxes and labels on pictures: legible at every size, on every background, in every script."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.results import Detections
from streamer.pixels.draw import draw
from streamer.pixels.palette import BLACK, PALETTE, WHITE, color_of, contrast

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABELS = tuple(f"class {i}" for i in range(80))


def detections(*boxes: tuple[float, float, float, float], class_id: int = 0) -> Detections:
    n = len(boxes)
    return Detections(
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.linspace(0.9, 0.5, n).astype(np.float32),
        class_ids=np.full(n, class_id, np.int32),
    )


def crowd(count: int, height: int, width: int) -> Detections:
    dice = np.random.default_rng(count)
    corners = dice.uniform(0, 0.9, (count, 2)) * (width, height)
    boxes = np.concatenate([corners, corners + dice.uniform(0.02, 0.15, (count, 2)) * (width, height)], axis=1)
    return Detections(
        boxes=boxes.clip(0, (width, height, width, height)).astype(np.float32),
        scores=np.linspace(0.99, 0.2, count).astype(np.float32),
        class_ids=dice.integers(0, 80, count).astype(np.int32),
    )


def grey(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 90, np.uint8)


def changed(drawn: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((drawn != 90).any(axis=2))


def test_the_given_picture_is_left_alone() -> None:
    picture = grey(360, 640)
    drawn = draw(picture, detections((100, 100, 300, 300)), LABELS)
    assert (picture == 90).all()
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8


def test_nothing_found_changes_nothing() -> None:
    drawn = draw(grey(36, 64), Detections.empty(), LABELS)
    assert (drawn == 90).all()
    assert drawn.flags.writeable


@pytest.mark.parametrize("class_id", range(24))
def test_a_frame_lies_around_its_box_in_the_color_of_its_class(class_id: int) -> None:
    drawn = draw(grey(360, 640), detections((100, 100, 300, 300), class_id=class_id), LABELS)
    assert (drawn[100:300, 100:300] == 90).all()  # all of the object is left to see
    for inwards in (drawn[120:280, 96:100], drawn[120:280, 303:299:-1], drawn[303:299:-1, 120:280].swapaxes(0, 1)):
        lines = {tuple(tuple(map(int, pixel)) for pixel in line) for line in inwards}
        assert (BLACK, color_of(class_id), color_of(class_id), WHITE) in lines
    assert not changed(drawn)[304:].any()


def test_lines_of_one_color_differ() -> None:
    ways = [draw(grey(360, 640), detections((100, 100, 300, 300), class_id=i), LABELS) for i in (0, 8, 16)]
    right_sides = [way[100:300, 300:304].tobytes() for way in ways]
    assert len(set(right_sides)) == 3


@pytest.mark.parametrize("background", [BLACK, WHITE, (119, 119, 119), *PALETTE])
def test_a_frame_is_seen_on_any_background(background: tuple[int, int, int]) -> None:
    for class_id in range(24):
        picture = np.full((360, 640, 3), background, np.uint8)
        drawn = draw(picture, detections((100, 100, 300, 300), class_id=class_id), LABELS)
        for y in range(100, 300):
            seen = [contrast(background, (int(b), int(g), int(r))) for b, g, r in set(map(tuple, drawn[y, 96:100]))]
            assert max(seen) >= 4.5


@pytest.mark.parametrize(
    ("height", "width"),
    [
        (1, 1),
        (8, 8),
        (120, 160),
        (360, 640),
        (1080, 1920),
        (4320, 7680),
        (50, 2000),
        (2000, 50),
        (3, 4000),
        (1920, 1080),
    ],
)
def test_any_size_and_boxes_on_every_edge(height: int, width: int) -> None:
    found = detections(
        (0, 0, width, height),
        (0, 0, 5, 5),
        (width - 5, height - 5, width, height),
        (width / 2, 0, width, 4),
        (width / 2, height / 2, width / 2, height / 2),
    )
    drawn = draw(grey(height, width), found, LABELS)
    assert drawn.shape == (height, width, 3)
    assert (drawn != 90).any()


def test_a_frame_at_the_edge_of_a_picture_is_seen_whole() -> None:
    drawn = draw(grey(360, 640), detections((0, 0, 640, 360)), LABELS)
    for line in (drawn[200, :4], drawn[200, :-5:-1], drawn[:-5:-1, 200]):
        assert [tuple(pixel) for pixel in line] == [BLACK, color_of(0), color_of(0), WHITE]


@pytest.mark.parametrize(("height", "width"), [(120, 160), (480, 640), (1080, 1920), (2160, 3840), (4320, 7680)])
def test_text_is_legible(height: int, width: int) -> None:
    box = (0.1 * width, 0.5 * height, 0.9 * width, 0.9 * height)
    drawn = draw(grey(height, width), detections(box), LABELS)
    rows = changed(drawn)[: round(0.5 * height)].any(axis=1).sum()
    assert rows >= 16  # px, a plate for letters of 12 px
    assert rows >= 0.01 * width  # and on a screen that is smaller than the picture


def test_text_grows_with_the_picture() -> None:
    shares = []
    for height, width in [(1080, 1920), (2160, 3840), (4320, 7680)]:
        drawn = draw(grey(height, width), detections((0.2 * width, 0.5 * height, 0.9 * width, 0.9 * height)), LABELS)
        shares.append(changed(drawn)[: round(0.5 * height)].any(axis=1).sum() / height)
    assert shares == pytest.approx([shares[0]] * 3, rel=0.1)


@pytest.mark.parametrize("name", ["Fußgänger", "行人", "🚗", "สวัสดี", "", "lone \ud800", "x" * 500, "مشاة", "a\nb"])
def test_any_name_gets_a_label(name: str) -> None:
    drawn = draw(grey(360, 640), detections((100, 100, 300, 300)), [name])
    assert changed(drawn)[70:90].any()
    assert not changed(drawn)[:70].any()


def test_a_name_that_cannot_be_written_gives_way_to_its_number() -> None:
    found = detections((100, 100, 300, 300), class_id=1)
    assert (draw(grey(360, 640), found, ["", "สวัสดี"]) == draw(grey(360, 640), found, ["", "class 1"])).all()


def test_the_same_is_drawn_the_same() -> None:
    found = crowd(40, 360, 640)
    assert (draw(grey(360, 640), found, LABELS) == draw(grey(360, 640), found, LABELS)).all()


def test_threads_draw_without_disturbing_each_other() -> None:
    jobs = [
        (grey(height, 640), crowd(15, height, 640), ["行人", "Fußgänger", *LABELS]) for height in (300, 400, 500, 600)
    ]
    alone = [draw(*job) for job in jobs]
    with ThreadPoolExecutor(len(jobs)) as pool:
        for _ in range(5):
            together = list(pool.map(lambda job: draw(*job), jobs))
            assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_a_picture_that_is_a_view_can_be_drawn_on() -> None:
    strided = grey(360, 1280)[:, ::2]
    assert (draw(strided, detections((10, 40, 90, 90)), LABELS) != 90).any()
    frozen = grey(360, 640)
    frozen.flags.writeable = False
    assert (draw(frozen, detections((10, 40, 90, 90)), LABELS) != 90).any()


def test_twenty_boxes_are_drawn_before_the_next_picture() -> None:
    picture, found = grey(1080, 1920), crowd(20, 1080, 1920)
    spent_s = []
    for _ in range(5):
        begun = time.thread_time()
        draw(picture, found, LABELS)
        spent_s.append(time.thread_time() - begun)
    assert min(spent_s) < 0.03
