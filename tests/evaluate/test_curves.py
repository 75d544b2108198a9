"""Curves and the table below them: what is in colour, what is read off, and that nothing else is drawn into."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from streamer.core.errors import ConfigError
from streamer.evaluate.curves import _COLORS, _common, _hex, _lines, _table, draw_detection_curves, f1_at
from streamer.evaluate.detection_scores import ClassScore, DetectionScores, Threshold
from streamer.evaluate.sheet import TEXT_PX
from streamer.pixels.lettering import Lettering
from streamer.pixels.palette import BLACK, WHITE, contrast

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

GREY = (190, 190, 190)  # lines of those that are not told apart
RECALLS = np.linspace(0.0, 1.0, 101)


def found(label: str, quality: float, *, thresholds: tuple[float, ...] = (0.2, 0.4, 0.9)) -> ClassScore:
    """Return a class that is found up to a recall."""
    f1 = quality * np.linspace(0.5, 1.0, len(thresholds))
    return ClassScore(
        label=label,
        truths=10,
        ap50=quality,
        ap=quality / 2,
        recalls=RECALLS,
        precisions=np.where(quality >= RECALLS, 0.95, 0.0),
        thresholds=np.array(thresholds),
        f1=f1,
        best=Threshold(score=thresholds[-1], precision=0.95, recall=quality, f1=float(f1[-1])),
    )


def absent(label: str) -> ClassScore:
    nothing = np.zeros(0)
    return ClassScore(
        label=label, truths=0, ap50=None, ap=None, recalls=RECALLS, precisions=np.zeros(101), thresholds=nothing,
        f1=nothing, best=None,
    )  # fmt: skip


def never_right(label: str) -> ClassScore:
    """Return a class of which nothing was ever said."""
    nothing = np.zeros(0)
    return ClassScore(
        label=label, truths=3, ap50=0.0, ap=0.0, recalls=RECALLS, precisions=np.zeros(101), thresholds=nothing,
        f1=nothing, best=None,
    )  # fmt: skip


def scores_of(*classes: ClassScore) -> DetectionScores:
    known = [one.ap50 for one in classes if one.ap50 is not None]
    return DetectionScores(ap50=float(np.mean(known or 0)), ap=0.4, classes=classes)


def pixels_of(picture: NDArray[np.uint8], color: tuple[int, int, int]) -> int:
    return int((picture == color).all(axis=2).sum())


@pytest.mark.parametrize(("at", "expected"), [(0.0, 0.4), (0.2, 0.4), (0.21, 0.6), (0.9, 0.8), (0.91, 0.0)])
def test_f1_changes_where_an_answer_no_longer_counts(at: float, expected: float) -> None:
    assert f1_at(found("a", 0.8), np.array([at])) == pytest.approx([expected])


def test_a_class_without_answers_has_no_f1() -> None:
    assert f1_at(never_right("a"), np.array([0.0, 0.5])).tolist() == [0.0, 0.0]


def test_one_threshold_for_all_is_where_the_mean_is_best() -> None:
    score, f1 = _common([found("a", 1.0), found("b", 1.0, thresholds=(0.1, 0.3, 0.6))])
    assert score == pytest.approx(0.5, abs=0.002)  # the middle of 0.401 to 0.6
    assert f1 == pytest.approx(1.0)
    assert _common([found("a", 1.0, thresholds=(1.0,))])[0] == pytest.approx(0.5)


def test_the_ten_worst_of_many_are_in_colour() -> None:
    classes = [found(f"class {number}", 1 - number / 100) for number in range(80)]
    assert [line.one.label for line in _lines(classes)] == [f"class {number}" for number in range(79, 69, -1)]
    looks = [(line.color, line.dashed) for line in _lines(classes)]
    assert len(set(looks)) == 10


def test_a_few_stay_in_their_order() -> None:
    classes = [found("a", 0.5), found("b", 0.2), found("c", 0.9)]
    assert [line.one.label for line in _lines(classes)] == ["a", "b", "c"]


def test_lines_are_seen_on_white() -> None:
    assert min(contrast(color, WHITE) for color in _COLORS) > 2
    assert _hex((178, 114, 0)) == "#0072b2"


def table_of(*classes: ClassScore) -> NDArray[np.uint8]:
    known = [one for one in classes if one.ap50 is not None]
    return _table(scores_of(*classes), known, _lines(known), 1200)


def test_each_class_has_a_row_with_the_look_of_its_line() -> None:
    few, more = table_of(found("open", 0.8), found("short", 0.6)), table_of(*(found(name, 0.8) for name in "abcdefg"))
    assert pixels_of(few, _COLORS[0]) == pixels_of(few, _COLORS[1]) > 100
    assert pixels_of(few, _COLORS[2]) == 0
    assert pixels_of(few, _COLORS[0]) < pixels_of(more, _COLORS[0]) < 2 * pixels_of(few, _COLORS[0])  # and dashed
    row = Lettering(TEXT_PX).plate_height_px
    assert more.shape[0] - few.shape[0] == 5 * row


def test_many_classes_make_no_longer_table() -> None:
    many = [found(f"class {number}", 1 - number / 100) for number in range(80)]
    eleven, eighty = table_of(*many[:11]), table_of(*many)
    assert eighty.shape == eleven.shape
    looks = slice(None), slice(0, 56)  # beside them letters have greys of their own
    assert pixels_of(eighty[looks], GREY) > 0
    assert pixels_of(table_of(*many[:10])[looks], GREY) == 0


def test_classes_without_objects_are_named_below() -> None:
    classes = [never_right("spur"), found("a very long name " * 20, 0.5)]
    row = Lettering(TEXT_PX).plate_height_px
    plain = table_of(*classes).shape[0]
    assert table_of(*classes, absent("دراجة"), absent("🚗")).shape[0] == plain + row
    many = [absent(f"a class that nobody has labelled, {number}") for number in range(80)]
    assert table_of(*classes, *many).shape[0] == plain + 3 * row


@pytest.mark.timeout(60)  # matplotlib looks for fonts at its first use
def test_lines_and_dots_are_drawn_without_global_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # whoever imports it fails
    classes = [found("open", 0.8), found("行人", 0.6), never_right("spur"), absent("دراجة")]
    path = tmp_path / "curves.png"
    draw_detection_curves(scores_of(*classes), path, title="数据 دراجة")
    assert not logging.getLogger("matplotlib.font_manager").isEnabledFor(logging.WARNING)  # stderr is for what matters
    picture = np.asarray(cv2.imread(str(path)), np.uint8)
    diagrams = picture[: -table_of(*classes).shape[0]]
    for color in (*_COLORS[:2], BLACK):
        assert pixels_of(diagrams, color) > 500
    assert pixels_of(diagrams, _COLORS[3]) == 0
    assert picture.shape[1] == 1200


@pytest.mark.timeout(60)
def test_a_folder_that_is_not_there_is_named_and_nothing_labelled_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"curves\.png can't be written"):
        draw_detection_curves(scores_of(absent("a")), tmp_path / "gone" / "curves.png", title="a")


@pytest.mark.timeout(60)
def test_matplotlib_is_not_loaded_before_it_draws() -> None:
    program = "import sys, streamer.evaluate.curves; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)
