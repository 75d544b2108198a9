from __future__ import annotations

import numpy as np
import pytest

from streamer.infer.agreement import LEAST_BOXES, LEAST_FRAMES, Agreement, agreement, floor_for, iou_of
from streamer.infer.heads import Candidates


def seen(*rows: tuple[float, float, float, float, float, int]) -> Candidates:
    """Rows of x1, y1, x2, y2, score, class."""
    rows = tuple(sorted(rows, key=lambda r: -r[4]))
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Candidates(boxes=table[:, :4], scores=table[:, 4], class_ids=table[:, 5].astype(np.int32))


BOX = (10.0, 10.0, 50.0, 90.0)


def test_the_same_answer_agrees_with_itself() -> None:
    answer = seen((*BOX, 0.9, 1), (100, 10, 140, 60, 0.7, 1))
    result = agreement([answer, seen()], [answer, seen()], threshold=0.5)
    assert result == Agreement(frames=2, boxes=4, matched=4, score_off_sum=0.0)
    assert result.share == 1.0


@pytest.mark.parametrize(
    ("other", "matched", "boxes"),
    [
        (seen(), 0, 1),  # missed
        (seen((*BOX, 0.9, 2)), 0, 2),  # another class
        (seen((10, 10, 50, 82, 0.9, 1)), 2, 2),  # IoU 0.9
        (seen((10, 10, 50, 81, 0.9, 1)), 0, 2),  # IoU 0.8875
        (seen((*BOX, 0.9, 1), (200, 10, 240, 90, 0.6, 1)), 2, 3),  # one too many
        (seen((*BOX, 0.9, 1), (*BOX, 0.8, 1)), 2, 3),  # twice: each box has one counterpart
        (seen((*BOX, 0.48, 1)), 1, 1),  # just below the threshold: it counts once, and agrees
    ],
)
def test_what_differs_is_counted_both_ways(other: Candidates, matched: int, boxes: int) -> None:
    for pair in ((seen((*BOX, 0.9, 1)), other), (other, seen((*BOX, 0.9, 1)))):
        result = agreement([pair[0]], [pair[1]], threshold=0.5)
        assert (result.matched, result.boxes) == (matched, boxes)


def test_boxes_below_the_threshold_in_both_do_not_count() -> None:
    result = agreement([seen((*BOX, 0.47, 1))], [seen((*BOX, 0.49, 1))], threshold=0.5)
    assert result == Agreement(frames=1)


def test_the_most_alike_are_paired_first() -> None:
    one = seen((10, 10, 50, 90, 0.9, 1), (10, 12, 50, 92, 0.8, 1))
    two = seen((10, 12, 50, 92, 0.9, 1), (10, 10, 50, 90, 0.8, 1))
    result = agreement([one], [two], threshold=0.5)
    assert result.matched == 4
    assert result.score_off == pytest.approx(0.1, abs=1e-6)


def test_scores_differ_on_average() -> None:
    one = seen((*BOX, 0.9, 1), (100, 10, 140, 60, 0.7, 1))
    two = seen((*BOX, 0.86, 1), (100, 10, 140, 60, 0.7, 1))
    assert agreement([one], [two], threshold=0.5).score_off == pytest.approx(0.02, abs=1e-6)


def evidence(*, boxes: int = 1000, matched: int = 1000, frames: int = 100, off: float = 0.0) -> Agreement:
    return Agreement(frames=frames, boxes=boxes, matched=matched, score_off_sum=off * matched)


@pytest.mark.parametrize(
    ("counted", "passed"),
    [
        (evidence(), True),
        (evidence(matched=980), True),
        (evidence(matched=979), False),
        (evidence(off=0.0499), True),
        (evidence(off=0.0501), False),
        (evidence(frames=LEAST_FRAMES - 1), False),
        (evidence(boxes=2 * LEAST_BOXES - 1, matched=2 * LEAST_BOXES - 1), False),
        (Agreement(), False),
    ],
)
def test_the_contract_s_numbers(counted: Agreement, passed: bool) -> None:  # noqa: FBT001  a parameter
    assert counted.passes() is passed


def test_evidence_adds_up() -> None:
    assert evidence() + evidence(matched=900, off=0.5) == Agreement(
        frames=200, boxes=2000, matched=1900, score_off_sum=450.0
    )


def test_what_is_still_wanting_is_told() -> None:
    assert evidence(frames=12, boxes=31).so_far() == "12 of 32 frames, 15 of 50 objects"


def test_pictures_must_be_the_same_ones() -> None:
    with pytest.raises(ValueError, match="longer"):
        agreement([seen()], [seen(), seen()], threshold=0.5)


def test_floor_reaches_as_far_down_as_scores_may_differ() -> None:
    assert floor_for(0.4) == pytest.approx(0.35)
    assert floor_for(0.01) == 0.0


def test_overlaps() -> None:
    one = np.array([[0, 0, 10, 10], [0, 0, 0, 0]], np.float32)
    two = np.array([[5, 0, 15, 10], [20, 20, 30, 30], [0, 0, 10, 10]], np.float32)
    np.testing.assert_allclose(iou_of(one, two), np.array([[1 / 3, 0, 1], [0, 0, 0]]))
    assert iou_of(one[:0], two).shape == (0, 3)
