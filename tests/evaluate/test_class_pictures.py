"""The matrix of confusions, and the sheet of wrong names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from judged_pictures import classified

from streamer.core.errors import ConfigError
from streamer.evaluate.class_pictures import _CELL_PX, _shown, _tile, draw_confusion, draw_worst_named
from streamer.evaluate.class_scores import NamedClass, WrongName, score_classes
from streamer.stills import PictureError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.evaluate.class_scores import ClassificationScores


def scored(said: list[tuple[int, int]], labels: tuple[str, ...]) -> ClassificationScores:
    """Return scores of pictures: what each is, and what was said."""
    named = []
    for truth, answer in said:
        scores = np.zeros(len(labels), np.float32)
        scores[answer] = 1.0
        named.append(NamedClass(picture=classified(truth), scores=scores))
    return score_classes(named, labels)


def drawn(scores: ClassificationScores, path: Path) -> NDArray[np.uint8]:
    draw_confusion(scores, path)
    picture = cv2.imread(str(path))
    assert picture is not None
    return np.asarray(picture, np.uint8)


def cell(picture: NDArray[np.uint8], row: int, column: int, *, classes: int) -> tuple[int, ...]:
    """Return a colour in the corner of a cell, beside its number; the matrix is what ends in the lower right."""
    bottom = picture.shape[0] - 16  # a gap below
    top = bottom - classes * _CELL_PX
    lines = np.nonzero((picture[top + 3] == (215, 215, 215)).all(axis=1))[0]  # of the grid
    return tuple(map(int, picture[top + row * _CELL_PX + 3, lines[0] + column * _CELL_PX + 3]))


def test_right_is_blue_wrong_is_red_and_empty_is_white(tmp_path: Path) -> None:
    scores = scored([(0, 0)] * 9 + [(0, 1)] + [(1, 1)] * 5, ("good", "schräg", "裂"))
    picture = drawn(scores, tmp_path / "confusion.png")
    right, wrong, empty = (cell(picture, *at, classes=3) for at in ((0, 0), (0, 1), (1, 0)))
    assert right[0] > right[1] > right[2]  # BGR
    assert wrong[2] > wrong[1] > wrong[0] > 200  # one of ten is pale, and seen
    assert empty == (255, 255, 255)
    assert cell(picture, 1, 1, classes=3)[2] < right[2]  # all of a row is darker than nine of ten


def test_of_many_classes_those_with_mistakes_are_shown() -> None:
    labels = tuple(f"class {number}" for number in range(100))
    said = [(number, number) for number in range(100)] + [(70, 71)] * 3 + [(5, 70)]
    scores = scored(said, labels)
    counts, names = _shown(scores)
    assert counts.shape == (30, 30)
    assert names[-1] == "71 others"
    assert {"class 5", "class 70", "class 71"} < set(names)
    assert counts[names.index("class 70"), names.index("class 71")] == 3
    assert counts.sum() == len(said)
    assert counts[-1, -1] == 71
    assert names[:-1] == sorted(names[:-1], key=labels.index)


def test_a_few_classes_are_all_shown() -> None:
    labels = tuple(f"class {number}" for number in range(30))
    counts, names = _shown(scored([(3, 4)], labels))
    assert names == list(labels)
    assert counts[3, 4] == 1


@pytest.mark.parametrize("classes", [2, 6, 40])
def test_the_headline_fits(tmp_path: Path, classes: int) -> None:
    labels = tuple("abcdefghijklmnopqrstuvwxyz"[number % 26] for number in range(classes))
    picture = drawn(scored([(0, 1)] * 100, labels), tmp_path / "confusion.png")
    assert (picture[:, -10:] == 255).all()
    assert (picture[-10:] == 255).all()


def test_others_taken_for_others_are_neither_right_nor_wrong(tmp_path: Path) -> None:
    labels = tuple(f"class {number}" for number in range(40))
    picture = drawn(scored([(number, number) for number in range(40)], labels), tmp_path / "confusion.png")
    blue, green, red = cell(picture, 29, 29, classes=30)
    assert blue == green == red < 200


def wrong(path: Path) -> WrongName:
    return WrongName(picture=classified(0, path), said="gut", score=0.98, truth="裂", truth_score=0.01)


def test_a_tile_says_what_was_said_and_what_it_is(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 40, 3), 90, np.uint8))
    tile = _tile(wrong(tmp_path / "a.png"))
    assert tile.caption == "said gut 0.98, is 裂 0.01"
    assert tile.source == "a.png"
    assert (tile.picture[128] == 90).all()
    assert not (tile.picture[10] == 90).any()


def test_sheets_are_written_with_and_without_mistakes(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((20, 40, 3), 90, np.uint8))
    heights = []
    for count in (0, 2):
        draw_worst_named([wrong(tmp_path / "a.png")] * count, tmp_path / "sheet.png")
        sheet = cv2.imread(str(tmp_path / "sheet.png"))
        assert sheet is not None
        heights.append(sheet.shape[0])
    assert heights[0] < heights[1] - 256


def test_what_can_not_be_read_or_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"gone\.png"):
        draw_worst_named([wrong(tmp_path / "gone.png")], tmp_path / "sheet.png")
    with pytest.raises(ConfigError, match=r"confusion\.png can't be written"):
        draw_confusion(scored([(0, 0)], ("a", "b")), tmp_path / "gone" / "confusion.png")
