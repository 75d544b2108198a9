"""AP by hand, against a second library, and the thresholds that follow from the same matching."""

from __future__ import annotations

from typing import TYPE_CHECKING

import judged_pictures
import numpy as np
import pytest
import supervision as sv
from judged_pictures import labelled
from supervision.metrics import MeanAveragePrecision

from streamer.evaluate.detection_scores import plain_between, score_detections

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.evaluate.answers import Judged

Box = tuple[float, float, float, float]
HERE, THERE, FAR = (0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 30.0, 30.0), (50.0, 50.0, 60.0, 60.0)


def judged(
    truths: Sequence[tuple[int, Box]], said: Sequence[tuple[int, Box, float]], *, crowd: Sequence[int] = ()
) -> Judged:
    """Make one picture: class and box of what is there, class, box and score of what was said."""
    return judged_pictures.judged(labelled(*truths, crowds=crowd), *said)


def test_ap_and_thresholds_by_hand() -> None:
    scores = score_detections(
        [judged([(0, HERE), (0, THERE)], [(0, HERE, 0.9), (0, FAR, 0.8)]), judged([(0, HERE)], [(0, HERE, 0.7)])], ["a"]
    )
    (one,) = scores.classes
    # Of three the first is found with precision 1 (recalls 0 to 0.33), the second with 2/3 (to 0.66), the third never.
    assert one.ap50 == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)
    assert one.ap == one.ap50 == scores.ap50 == scores.ap  # every box is exact
    assert one.truths == 3
    assert one.recalls.shape == one.precisions.shape == (101,)
    assert one.precisions[[33, 34, 66, 67]] == pytest.approx([1, 2 / 3, 2 / 3, 0])
    assert one.thresholds == pytest.approx([0.7, 0.8, 0.9])
    assert one.f1 == pytest.approx([2 * 2 / 6, 2 * 1 / 5, 2 * 1 / 4])
    assert one.best is not None
    assert (one.best.score, one.best.precision, one.best.recall) == pytest.approx((0.35, 2 / 3, 2 / 3))


def test_a_box_counts_up_to_its_own_iou() -> None:
    scores = score_detections([judged([(0, HERE)], [(0, (0.0, 0.0, 10.0, 7.2), 0.9)])], ["a"])
    assert scores.ap50 == pytest.approx(1)
    assert scores.ap == pytest.approx(0.5)  # at 0.5, 0.55, 0.6, 0.65 and 0.7


def test_a_second_answer_to_one_object_is_wrong() -> None:
    (one,) = score_detections([judged([(0, HERE)], [(0, HERE, 0.6), (0, HERE, 0.5)])], ["a"]).classes
    assert one.f1 == pytest.approx([2 / 3, 1])
    assert one.best is not None
    assert 0.5 < one.best.score <= 0.6


def test_the_class_must_be_right_and_means_are_over_classes_with_truths() -> None:
    scores = score_detections([judged([(0, HERE), (2, THERE)], [(0, HERE, 0.9), (1, THERE, 0.8)])], list("abcd"))
    assert [(one.truths, one.ap50) for one in scores.classes] == [(1, pytest.approx(1)), (0, None), (1, 0), (0, None)]
    assert [one.best is None for one in scores.classes] == [False, True, True, True]
    assert scores.ap50 == pytest.approx(0.5)
    for empty in (scores.classes[1], scores.classes[3]):
        assert empty.ap is None
        assert len(empty.thresholds) == len(empty.f1) == 0
        assert empty.precisions.shape == (101,)


def test_what_is_said_of_a_crowd_is_neither_right_nor_wrong() -> None:
    said = [(0, THERE, 0.9), (0, (21.0, 21.0, 24.0, 24.0), 0.8), (0, HERE, 0.7)]
    (one,) = score_detections([judged([(0, HERE), (0, THERE)], said, crowd=[1])], ["a"]).classes
    assert one.truths == 1
    assert one.ap50 == pytest.approx(1)
    assert one.thresholds == pytest.approx([0.7])


def test_the_first_object_counts_too() -> None:
    """An annotation with the id 0 would never be matched."""
    assert score_detections([judged([(0, HERE)], [(0, HERE, 0.9)])], ["a"]).ap50 == pytest.approx(1)


def test_equal_scores_pass_together() -> None:
    (one,) = score_detections([judged([(0, HERE), (0, THERE)], [(0, HERE, 0.5), (0, FAR, 0.5)])], ["a"]).classes
    assert one.thresholds == pytest.approx([0.5])
    assert one.f1 == pytest.approx([2 / 4])


def test_nothing_to_find_is_an_error_and_nothing_found_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="no picture holds a labelled object"):
        score_detections([judged([], [(0, HERE, 0.9)])], ["a"])
    scores = score_detections([judged([(0, HERE)], [])], ["a"])
    assert (scores.ap50, scores.ap, scores.classes[0].best) == (0, 0, None)
    assert capsys.readouterr().out == ""


def drawn(rng: np.random.Generator) -> Judged:
    """Draw a picture: of each object one answer or none, more or less off, now and then of another class; and noise."""
    corners = rng.uniform(0, 70, (rng.integers(0, 6), 2))
    boxes = np.hstack([corners, corners + rng.uniform(8, 30, corners.shape)])
    truths = [(int(rng.integers(3)), (b[0], b[1], b[2], b[3])) for b in boxes.tolist()]
    said = []
    for class_id, box in truths:
        if rng.random() < 0.8:
            off = rng.normal(0, 1.2, 4)
            x1, y1, x2, y2 = (side + shift for side, shift in zip(box, off, strict=True))
            named = class_id if rng.random() < 0.9 else int(rng.integers(3))
            said.append((named, (x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)), float(rng.uniform(0.2, 1))))
    for _ in range(rng.integers(0, 4)):
        x, y = rng.uniform(0, 80, 2).tolist()
        said.append((int(rng.integers(3)), (x, y, x + 15, y + 15), float(rng.uniform(0, 0.7))))
    return judged(truths, said)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("draw", range(3))
def test_a_second_library_agrees(seed: int, draw: int) -> None:
    rng = np.random.default_rng([seed, draw])
    pictures = [drawn(rng) for _ in range(30)]
    scores = score_detections(pictures, ["a", "b", "c"])
    metric = MeanAveragePrecision()
    for one in pictures:
        said = sv.Detections(xyxy=one.boxes, confidence=one.scores, class_id=one.class_ids.astype(int))
        there = sv.Detections(xyxy=one.picture.boxes, class_id=one.picture.class_ids.astype(int))
        metric.update(said, there)
    other = metric.compute()
    assert 0.15 < scores.ap < scores.ap50 < 0.95
    assert scores.ap50 == pytest.approx(other.map50, abs=0.005)
    assert scores.ap == pytest.approx(other.map50_95, abs=0.005)
    ours = [one.ap for one in scores.classes]
    assert ours == pytest.approx(other.ap_per_class.mean(axis=1).tolist(), abs=0.005)


def test_the_best_threshold_is_the_best_of_all(seed: int) -> None:
    """At the reported least score precision, recall and F1 are what counting anew gives, and no other is better."""
    rng = np.random.default_rng([seed, 9])
    pictures = [drawn(rng) for _ in range(40)]
    for class_id, one in enumerate(score_detections(pictures, ["a", "b", "c"]).classes):
        assert one.best is not None
        again = [above(picture, class_id, one.best.score) for picture in pictures]
        (kept,) = score_detections(again, ["x"]).classes
        assert kept.f1[0] == pytest.approx(one.best.f1)
        assert one.best.f1 == pytest.approx(one.f1.max())
        assert 2 / (1 / one.best.precision + 1 / one.best.recall) == pytest.approx(one.best.f1)


def above(one: Judged, class_id: int, least: float) -> Judged:
    """Return one class of a picture, and of what was said only what reaches a score."""
    mine, there = (one.class_ids == class_id) & (one.scores >= least), one.picture.class_ids == class_id
    truths = [(0, (b[0], b[1], b[2], b[3])) for b in one.picture.boxes[there].tolist()]
    said = [
        (0, (b[0], b[1], b[2], b[3]), s)
        for b, s in zip(one.boxes[mine].tolist(), one.scores[mine].tolist(), strict=True)
    ]
    return judged(truths, said)


@pytest.mark.parametrize(
    ("low", "high", "number"),
    [(0.1, 0.9, 0.5), (0.0, 0.7, 0.35), (0.411, 0.419, 0.415), (0.5, 0.50004, 0.50002), (0.0, 0.004, 0.002)],
)
def test_a_threshold_is_a_short_number_in_the_gap(low: float, high: float, number: float) -> None:
    assert plain_between(low, high) == number
