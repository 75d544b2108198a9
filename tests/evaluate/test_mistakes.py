"""What a detector got wrong is named for what it is, and the worst comes first."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from judged_pictures import drawn_at_random, judged, labelled

from streamer.evaluate.detection_scores import ClassScore, DetectionScores, Threshold, score_detections
from streamer.evaluate.mistakes import Mistake, MistakeKind, describe, find_mistakes, overlap, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.evaluate.answers import Judged

LABELS = ("open", "short", "spur")
HERE = (100.0, 100.0, 200.0, 200.0)
ASIDE = (100.0, 130.0, 200.0, 230.0)  # IoU 0.54 with HERE
OFF = (100.0, 160.0, 200.0, 260.0)  # IoU 0.25
BARELY = (100.0, 185.0, 200.0, 285.0)  # IoU 0.08
FAR = (400.0, 400.0, 450.0, 450.0)


def scores_at(*thresholds: float | None, f1: float = 0.5) -> DetectionScores:
    """Return scores of which only the best thresholds count."""
    curve = np.zeros(0)
    classes = tuple(
        ClassScore(
            label=label,
            truths=1,
            ap50=0.5,
            ap=0.5,
            recalls=curve,
            precisions=curve,
            thresholds=curve,
            f1=curve,
            best=None if best is None else Threshold(score=best, precision=0.5, recall=0.5, f1=f1),
        )
        for label, best in zip(LABELS, thresholds, strict=True)
    )
    return DetectionScores(ap50=0.5, ap=0.5, classes=classes)


AT_HALF = scores_at(0.5, 0.5, 0.5)


def found(*pictures: Judged) -> tuple[Mistake, ...]:
    return find_mistakes(pictures, AT_HALF, LABELS)


def kinds(mistakes: Sequence[Mistake]) -> list[str]:
    return [mistake.kind.value for mistake in mistakes]


@pytest.mark.parametrize("box", [HERE, ASIDE])
def test_an_object_in_its_place_is_no_mistake(box: tuple[float, float, float, float]) -> None:
    assert found(judged(labelled((0, HERE)), (0, box, 0.9))) == ()


def test_nothing_said_of_nothing_is_no_mistake() -> None:
    assert found(judged(labelled())) == ()


def test_an_object_without_an_answer_is_missed() -> None:
    (mistake,) = found(judged(labelled((1, HERE))))
    assert mistake.kind is MistakeKind.MISSED
    assert (mistake.label, mistake.truth, mistake.score) == ("short", "short", 0.0)
    assert mistake.box.tolist() == list(HERE)
    assert describe(mistake) == "missed: short"
    assert overlap(mistake) == 0.0


def test_an_answer_where_nothing_is_is_invented() -> None:
    (mistake,) = found(judged(labelled(), (2, FAR, 0.88)))
    assert mistake.kind is MistakeKind.INVENTED
    assert (mistake.label, mistake.truth, mistake.wanted) == ("spur", None, None)
    assert mistake.score == pytest.approx(0.88)
    assert describe(mistake) == "invented: spur 0.88"


@pytest.mark.parametrize("box", [HERE, OFF])
def test_a_second_answer_for_one_object_is_invented(box: tuple[float, float, float, float]) -> None:
    (mistake,) = found(judged(labelled((0, HERE)), (0, box, 0.7), (0, HERE, 0.9)))
    assert mistake.kind is MistakeKind.INVENTED
    assert mistake.wanted is not None
    assert describe(mistake) == "invented: a second open 0.70"


def test_the_right_place_with_the_wrong_name_is_confused() -> None:
    (mistake,) = found(judged(labelled((2, HERE)), (0, ASIDE, 0.91)))
    assert mistake.kind is MistakeKind.CONFUSED
    assert describe(mistake) == "said open 0.91, is spur"
    assert describe(mistake, str.upper) == "said OPEN 0.91, is SPUR"
    assert overlap(mistake) == pytest.approx(7 / 13)


def test_a_second_name_for_an_object_that_was_found_is_confused_as_well() -> None:
    (mistake,) = found(judged(labelled((2, HERE)), (2, HERE, 0.9), (0, HERE, 0.6)))
    assert describe(mistake) == "said open 0.60, is spur"


def test_a_box_beside_its_object_is_loose_and_the_object_is_not_missed_too() -> None:
    (mistake,) = found(judged(labelled((0, HERE)), (0, OFF, 0.77)))
    assert mistake.kind is MistakeKind.LOOSE
    assert describe(mistake) == "box is off: open 0.77, IoU 0.25"


@pytest.mark.parametrize(("class_id", "box"), [(0, BARELY), (1, OFF)])
def test_what_does_not_mean_the_object_leaves_it_missed(class_id: int, box: tuple[float, float, float, float]) -> None:
    assert kinds(found(judged(labelled((0, HERE)), (class_id, box, 0.9)))) == ["invented", "missed"]


def test_an_answer_takes_a_free_object_rather_than_a_found_one() -> None:
    beside = (140.0, 100.0, 240.0, 200.0)
    picture = labelled((0, HERE), (1, beside))
    (mistake,) = found(judged(picture, (0, HERE, 0.9), (2, (115.0, 100.0, 215.0, 200.0), 0.8)))
    assert mistake.truth == "short"


def test_a_crowd_is_neither_missed_nor_invented_in() -> None:
    picture = labelled((0, (0, 0, 400, 400)), crowds=[0])
    assert found(judged(picture, (0, HERE, 0.9), (0, (10, 10, 40, 40), 0.8))) == ()
    assert kinds(found(judged(picture, (1, HERE, 0.9)))) == ["invented"]


def test_each_class_counts_from_its_own_threshold() -> None:
    picture = judged(labelled(), (0, HERE, 0.3), (1, FAR, 0.3))
    (mistake,) = find_mistakes([picture], scores_at(0.2, 0.4, None), LABELS)
    assert mistake.label == "open"


@pytest.mark.parametrize("scores", [scores_at(None, None, None), scores_at(0.001, 0.001, 0.001, f1=0.0)])
def test_a_class_that_no_threshold_helps_counts_from_the_usual_one(scores: DetectionScores) -> None:
    picture = judged(labelled(), (0, HERE, 0.49), (1, FAR, 0.51))
    (mistake,) = find_mistakes([picture], scores, LABELS)
    assert mistake.label == "short"


def test_the_surest_answer_and_the_least_suspected_object_come_first() -> None:
    small = (300.0, 300.0, 310.0, 310.0)
    pictures = [
        judged(labelled((0, HERE)), (0, HERE, 0.2), (1, FAR, 0.6)),  # missed, though suspected
        judged(labelled((0, small)), (1, FAR, 0.8)),
        judged(labelled((0, HERE))),
    ]
    found_all = find_mistakes(pictures, AT_HALF, LABELS)
    invented = [m.score for m in found_all if m.kind is MistakeKind.INVENTED]
    missed = [m.box.tolist() for m in found_all if m.kind is MistakeKind.MISSED]
    assert invented == pytest.approx([0.8, 0.6])
    assert missed == [list(HERE), list(small), list(HERE)]
    assert found_all[-1].picture is pictures[0].picture


def test_the_kinds_come_in_turn_and_no_more_than_asked_for() -> None:
    pictures = [
        judged(labelled((0, HERE)), (2, FAR, 0.9), (1, (300, 300, 330, 330), 0.7)),
        judged(labelled((1, HERE)), (0, HERE, 0.9)),
        judged(labelled((0, HERE), (1, FAR)), (0, OFF, 0.9)),
    ]
    in_turn = worst(pictures, AT_HALF, LABELS)
    assert kinds(in_turn) == ["missed", "invented", "confused", "loose", "missed", "invented"]
    assert kinds(worst(pictures, AT_HALF, LABELS, most=3)) == ["missed", "invented", "confused"]
    assert worst(pictures, AT_HALF, LABELS, most=0) == ()


def test_wrong_answers_are_as_many_as_pycocotools_counts(seed: int) -> None:
    pictures = drawn_at_random(seed, pictures=40, classes=3)
    scores = score_detections(pictures, LABELS)
    wrong = Counter(m.label for m in find_mistakes(pictures, scores, LABELS) if m.kind is not MistakeKind.MISSED)
    for one in scores.classes:
        assert one.best is not None
        right = one.best.recall * one.truths
        assert wrong[one.label] == round(right / one.best.precision - right)
        assert wrong[one.label] > 0


def test_every_object_is_found_or_part_of_a_mistake(seed: int) -> None:
    pictures = drawn_at_random(seed, pictures=40, classes=3)
    scores = score_detections(pictures, LABELS)
    mistakes = find_mistakes(pictures, scores, LABELS)
    for number, one in enumerate(scores.classes):
        assert one.best is not None
        missed = sum(m.kind is MistakeKind.MISSED and m.label == one.label for m in mistakes)
        meant = sum(m.kind in {MistakeKind.LOOSE, MistakeKind.CONFUSED} and m.truth == one.label for m in mistakes)
        unfound = one.truths - round(one.best.recall * one.truths)
        assert missed <= unfound <= missed + meant, number
