from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.infer.agreement import FASTER, SAME, Bar
from streamer.infer.class_agreement import LEAST_PICTURES, ClassAgreement, class_agreement

if TYPE_CHECKING:
    from numpy.typing import NDArray


def scores(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def compared(
    one: NDArray[np.float32], two: NDArray[np.float32], *thresholds: float, bar: Bar = FASTER
) -> ClassAgreement:
    return class_agreement([one], [two], thresholds=thresholds, bar=bar)


def test_the_same_best_class_is_the_same_answer() -> None:
    found = compared(scores(0.1, 0.8, 0.1), scores(0.05, 0.84, 0.11))
    assert (found.frames, found.matched) == (1, 1)
    assert found.score_off == pytest.approx(0.04)


def test_another_best_class_is_another_answer() -> None:
    found = compared(scores(0.1, 0.8, 0.1), scores(0.6, 0.3, 0.1))
    assert (found.frames, found.matched, found.score_off_sum) == (1, 0, 0.0)


@pytest.mark.parametrize(
    ("other", "bar", "same"),
    [
        (scores(0.43, 0.42, 0.15), FASTER, True),  # a draw in both, that rounding turns
        (scores(0.43, 0.38, 0.19), FASTER, False),  # clearly the other one
        (scores(0.43, 0.42, 0.15), SAME, False),
        (scores(0.421, 0.42, 0.159), SAME, True),
    ],
)
def test_a_draw_may_end_either_way(other: NDArray[np.float32], bar: Bar, same: bool) -> None:  # noqa: FBT001  a parameter
    exact = scores(0.42, 0.43, 0.15) if bar is FASTER else scores(0.42, 0.421, 0.159)
    assert compared(exact, other, bar=bar).matched == same


def test_classes_that_hardly_score_are_no_draw() -> None:
    """Of a thousand classes that score next to nothing each, one is not as good as another."""
    assert compared(scores(0.004, 0.001), scores(0.001, 0.002)).matched == 0


def test_in_the_same_precision_each_score_must_be_near() -> None:
    exact, near, off = scores(0.8, 0.2), scores(0.795, 0.205), scores(0.785, 0.215)
    assert compared(exact, near, bar=SAME).matched == 1
    assert compared(exact, off, bar=SAME).matched == 0
    assert compared(exact, off, bar=FASTER).matched == 1


@pytest.mark.parametrize(
    ("other", "same"),
    [
        (scores(0.9, 0.1, 0.7), True),
        (scores(0.9, 0.1, 0.4), False),  # one is missing
        (scores(0.9, 0.6, 0.7), False),  # one too many
        (scores(0.9, 0.1, 0.59), True),  # of the third there is 0.6, and its least is 0.6
        (scores(0.9, 0.1, 0.54), False),
    ],
)
def test_of_classes_judged_each_for_itself_the_same_ones_must_be_there(
    other: NDArray[np.float32],
    same: bool,  # noqa: FBT001  a parameter
) -> None:
    assert compared(scores(0.88, 0.1, 0.6), other, 0.5, 0.5, 0.6).matched == same


def test_where_none_is_there_in_either_the_best_ones_scores_count() -> None:
    found = compared(scores(0.3, 0.1), scores(0.2, 0.1), 0.5, 0.5)
    assert found.matched == 1
    assert found.score_off == pytest.approx(0.1)


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.5)])
def test_a_number_that_is_none_agrees_with_nothing(thresholds: tuple[float, ...]) -> None:
    broken = scores(math.nan, math.nan)
    assert compared(scores(0.9, 0.1), broken, *thresholds).matched == 0
    assert compared(broken, scores(0.9, 0.1), *thresholds).matched == 0


def test_pictures_add_up_to_a_decision() -> None:
    exact, wrong = scores(0.9, 0.1), scores(0.1, 0.9)
    other = [exact] * (LEAST_PICTURES - 1) + [wrong]
    found = class_agreement([exact] * LEAST_PICTURES, other, thresholds=())
    assert found.enough
    assert found.passes()  # one in fifty is 2 %
    assert not (found + compared(exact, wrong)).passes()
    assert not class_agreement([exact] * 49, [exact] * 49, thresholds=()).enough
    assert str(found) == "98.0% of 50 pictures show the same, scores differ by 0.000"
    assert compared(exact, exact).so_far() == "1 of 50 pictures"


def test_scores_that_sink_are_told_from_a_good_answer() -> None:
    found = class_agreement([scores(0.9, 0.1)] * 60, [scores(0.8, 0.2)] * 60, thresholds=())
    assert found.share == 1.0
    assert not found.passes()


def test_answers_to_different_numbers_of_pictures_can_not_be_compared() -> None:
    with pytest.raises(ValueError, match="shorter"):
        class_agreement([scores(1.0)], [], thresholds=())
