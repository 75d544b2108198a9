"""Top-k, confusions and thresholds of a classifier, against figures worked out by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from judged_pictures import classified

from streamer.evaluate.class_scores import NamedClass, best_threshold, score_classes, worst_named

LABELS = ("good", "bent", "cracked")


def named(class_id: int, *scores: float) -> NamedClass:
    return NamedClass(picture=classified(class_id), scores=np.array(scores, np.float32))


FOUR = (
    named(0, 0.7, 0.2, 0.1),
    named(0, 0.3, 0.6, 0.1),
    named(1, 0.1, 0.8, 0.1),
    named(1, 0.9, 0.1, 0.0),
)


def test_figures_are_those_worked_out_by_hand() -> None:
    scores = score_classes(FOUR, LABELS)
    assert scores.top1 == 0.5
    assert scores.confusion.tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    good, bent, cracked = scores.classes
    assert (good.label, good.count, good.recall, good.precision, good.f1) == ("good", 2, 0.5, 0.5, 0.5)
    assert bent.best is not None
    assert (bent.best.precision, bent.best.recall) == (1.0, 0.5)
    assert bent.best.f1 == pytest.approx(2 / 3)
    assert 0.6 < bent.best.score <= 0.8
    assert (cracked.count, cracked.recall, cracked.precision, cracked.f1, cracked.best) == (0, None, None, None, None)


def test_five_of_a_few_classes_are_no_figure() -> None:
    assert score_classes(FOUR, LABELS).top5 is None
    five = named(0, 0.1, 0.2, 0.3, 0.2, 0.1)
    assert score_classes([five], "abcde").top5 is None


def test_the_best_five_are_counted() -> None:
    fifth = named(1, 0.3, 0.05, 0.2, 0.2, 0.2, 0.01)
    sixth = named(5, 0.3, 0.05, 0.2, 0.2, 0.2, 0.01)
    scores = score_classes([fifth, sixth], "abcdef")
    assert (scores.top1, scores.top5) == (0.0, 0.5)


def test_of_equal_scores_the_lower_class_is_said() -> None:
    scores = score_classes([named(0, 0.4, 0.4), named(1, 0.4, 0.4)], ("a", "b"))
    assert scores.top1 == 0.5
    assert scores.confusion.tolist() == [[1, 0], [1, 0]]
    assert scores.classes[1].precision is None
    assert scores.classes[1].recall == 0.0


def test_top_one_is_the_diagonal_of_the_confusions(seed: int) -> None:
    dice = np.random.default_rng(seed)
    rows = dice.integers(0, 5, (200, 7)) / 10  # many are equal
    pictures = [named(int(c), *row) for c, row in zip(dice.integers(0, 7, 200), rows, strict=True)]
    scores = score_classes(pictures, "abcdefg")
    assert scores.top1 == pytest.approx(scores.confusion.trace() / 200)
    assert scores.confusion.sum() == 200
    assert [one.count for one in scores.classes] == scores.confusion.sum(axis=1).tolist()
    assert scores.top5 is not None
    assert scores.top5 > scores.top1


@pytest.mark.parametrize("draw", range(20))
def test_no_threshold_is_better_than_the_best(seed: int, draw: int) -> None:
    dice = np.random.default_rng((seed, draw))
    scores = (dice.integers(0, 30, 60) / 30).astype(np.float32)
    right = dice.random(60) < scores * 0.8
    right[0] = True
    best = best_threshold(scores, right)
    assert best is not None
    said = scores >= best.score
    assert best.precision == pytest.approx(right[said].mean())
    assert best.recall == pytest.approx((right & said).sum() / right.sum())
    for threshold in np.unique(scores[scores > 0]):
        taken = scores >= threshold
        assert 2 * (right & taken).sum() / (taken.sum() + right.sum()) <= best.f1 + 1e-9


@pytest.mark.parametrize(
    ("scores", "right"),
    [
        ([0.9, 0.1], [False, False]),
        ([0.0, 0.0], [True, False]),
        ([0.0], [True]),
        ([0.9, 0.0, 0.0], [False, True, False]),
    ],
)
def test_there_is_no_best_threshold_where_nothing_can_be_found(scores: list[float], right: list[bool]) -> None:
    assert best_threshold(np.array(scores, np.float32), np.array(right)) is None


def test_a_threshold_stands_between_what_it_parts() -> None:
    best = best_threshold(np.array([0.9, 0.8, 0.2], np.float32), np.array([True, True, False]))
    assert best is not None
    assert best.score == 0.5
    assert (best.precision, best.recall, best.f1) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_score_that_is_no_number_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        score_classes([named(0, bad, 0.1, 0.1)], LABELS)


def test_scores_of_another_number_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected the shape \(3,\), got \[\(2,\)\]"):
        score_classes([named(0, 0.1, 0.1)], LABELS)


def test_no_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one picture"):
        score_classes([], LABELS)


def test_the_surest_of_the_wrong_come_first() -> None:
    surest, other = worst_named(FOUR, LABELS)
    assert (surest.said, surest.truth) == ("good", "bent")
    assert surest.score == pytest.approx(0.9)
    assert surest.truth_score == pytest.approx(0.1)
    assert surest.picture is FOUR[3].picture
    assert (other.said, other.truth) == ("bent", "good")
    assert len(worst_named(FOUR, LABELS, most=1)) == 1
    assert worst_named(FOUR[:1], LABELS) == ()
