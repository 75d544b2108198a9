from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from factory_line import BOARD, DEFECTS, LOOKED, OPEN, SHORT, found, info, said

from streamer.core.decision import Doubt, Verdict
from streamer.core.results import Detections
from streamer.decide.judge import Judgement, JudgeSpec, LabelTest, doubted, judge, judge_object

if TYPE_CHECKING:
    from streamer.core.results import Box, Classification

INFO = info(0, 0)  # 640 x 480
ACCEPT = Judgement(verdict=Verdict.ACCEPT, reason=None)
UNSURE = doubted(Doubt.UNSURE)
LABELS = JudgeSpec(labels={"look": LOOKED}, sure=0.6)
BOTH = replace(DEFECTS, labels={"look": LOOKED})
MARKS = LabelTest(names=("stamp", "crack", "stain"), reject=frozenset({"crack", "stain"}), thresholds=(0.5, 0.3, 0.7))


def rejected(reason: str) -> Judgement:
    return Judgement(verdict=Verdict.REJECT, reason=reason)


def at(box: Box, class_id: int = SHORT, score: float = 0.9) -> Detections:
    return Detections(
        boxes=np.array([box], np.float32),
        scores=np.array([score], np.float32),
        class_ids=np.array([class_id], np.int32),
    )


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], ACCEPT),
        ([(BOARD, 0.99)], ACCEPT),
        ([(SHORT, 0.5)], rejected("short")),
        ([(SHORT, 0.7), (OPEN, 0.8)], rejected("open")),
        ([(OPEN, 0.59), (SHORT, 0.55)], rejected("short")),  # what is certain is the reason, not what scores best
        ([(OPEN, 0.49)], UNSURE),
        ([(OPEN, 0.47)], ACCEPT),
        ([(SHORT, 0.41)], UNSURE),
        ([(SHORT, 0.39)], ACCEPT),
        ([(BOARD, 0.9), (OPEN, 0.3)], ACCEPT),
        ([(SHORT, math.nan)], UNSURE),  # a network that overflowed
    ],
)
def test_a_defect_at_its_least_score_rejects_and_one_just_below_is_a_doubt(
    rows: list[tuple[int, float]], expected: Judgement
) -> None:
    assert judge(DEFECTS, INFO, detections=found(*rows), classes={}) == expected


def test_what_was_not_looked_at_is_never_accepted() -> None:
    assert judge(DEFECTS, INFO, detections=None, classes={}) == UNSURE
    assert judge(LABELS, INFO, detections=found(), classes={}) == UNSURE
    assert judge(BOTH, INFO, detections=found(), classes={}) == UNSURE
    assert judge(BOTH, INFO, detections=None, classes={"look": said(0.9, 0.05, 0.05)}) == UNSURE
    assert judge(BOTH, INFO, detections=found(), classes={"other": said(0.9, 0.05, 0.05)}) == UNSURE
    assert judge(BOTH, INFO, detections=found(), classes={"look": said(0.9, 0.05, 0.05)}) == ACCEPT


def test_a_certain_defect_rejects_whatever_else_is_unknown() -> None:
    assert judge(BOTH, INFO, detections=found((SHORT, 0.9)), classes={}) == rejected("short")
    assert judge(BOTH, INFO, detections=None, classes={"look": said(0.1, 0.8, 0.1)}) == rejected("scratched")
    assert judge(BOTH, INFO, detections=found((SHORT, 0.45)), classes={"look": said(0, 0, 1)}) == rejected("bent")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(0.6, 0.3, 0.1), ACCEPT),
        (said(0.59, 0.31, 0.1), UNSURE),
        (said(0.3, 0.65, 0.05), rejected("scratched")),
        (said(0.2, 0.25, 0.55), UNSURE),
        (said(), UNSURE),
        (said(math.nan), UNSURE),
    ],
)
def test_the_best_class_decides_if_it_is_sure(answer: Classification, expected: Judgement) -> None:
    assert judge(LABELS, INFO, detections=None, classes={"look": answer}) == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (said(0.9, 0.1, 0.1), ACCEPT),  # nothing bad is present; whether the stamp is does not matter
        (said(0.1, 0.1, 0.1), ACCEPT),
        (said(0.9, 0.31, 0.1), rejected("crack")),
        (said(0.9, 0.31, 0.8), rejected("stain")),  # the better one
        (said(0.9, 0.25, 0.1), UNSURE),
        (said(0.9, 0.1, 0.57), UNSURE),
        (said(0.9, 0.1, 0.55), ACCEPT),
    ],
)
def test_of_a_multi_label_model_each_bad_label_has_a_threshold(answer: Classification, expected: Judgement) -> None:
    assert judge(JudgeSpec(labels={"marks": MARKS}), INFO, detections=None, classes={"marks": answer}) == expected


def test_small_defects_do_not_count() -> None:
    spec = replace(DEFECTS, min_area=0.01)  # 3072 px of 640 x 480

    assert judge(spec, INFO, detections=at((100, 100, 155, 155)), classes={}) == ACCEPT
    assert judge(spec, INFO, detections=at((100, 100, 156, 156)), classes={}) == rejected("short")


@pytest.mark.parametrize(
    ("box", "counts"),
    [
        ((200, 200, 240, 230), True),  # entirely in
        ((200, 340, 240, 380), True),  # its foot is out, its centre on the border
        ((200, 90, 240, 130), True),  # its foot is in
        ((200, 350, 240, 390), False),
        ((10, 200, 50, 230), False),
    ],
)
def test_only_defects_in_the_zone_count(box: Box, *, counts: bool) -> None:
    spec = replace(DEFECTS, zone=((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)))  # 160..480, 120..360 px

    assert judge(spec, INFO, detections=at(box), classes={}) == (rejected("short") if counts else ACCEPT)


def test_a_tracked_item_answers_for_the_defects_in_its_own_box_only() -> None:
    box = (100.0, 100.0, 300.0, 300.0)

    def judged(detections: Detections | None) -> Judgement:
        return judge_object(DEFECTS, INFO, box=box, detections=detections, labels={})

    assert judged(at((250, 250, 340, 340))) == rejected("short")
    assert judged(at((290, 290, 320, 320))) == ACCEPT
    assert judged(found()) == ACCEPT
    assert judged(None) == UNSURE


def test_a_tracked_item_is_judged_by_its_decided_labels() -> None:
    def judged(labels: dict[str, tuple[str, float]]) -> Judgement:
        return judge_object(LABELS, INFO, box=(0, 0, 9, 9), detections=None, labels=labels)

    assert judged({}) == UNSURE
    assert judged({"other": ("bent", 0.9)}) == UNSURE
    assert judged({"look": ("good", 0.9)}) == ACCEPT
    assert judged({"look": ("good", 0.5)}) == UNSURE
    assert judged({"look": ("bent", 0.9)}) == rejected("bent")


@pytest.mark.parametrize(("label", "expected"), [("", ACCEPT), ("stamp", ACCEPT), ("crack", rejected("crack"))])
def test_of_a_tracked_item_it_may_be_decided_that_no_label_is_present(label: str, expected: Judgement) -> None:
    spec = JudgeSpec(labels={"marks": MARKS})

    assert judge_object(spec, INFO, box=(0, 0, 9, 9), detections=None, labels={"marks": (label, 1.0)}) == expected


def test_an_object_of_which_no_view_was_certain_is_no_good_one() -> None:
    """Where one class is right, none is no answer: each view was below the least score."""
    assert judge_object(LABELS, INFO, box=(0, 0, 9, 9), detections=None, labels={"look": ("", 1.0)}) == UNSURE


def test_a_spec_that_can_judge_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="got neither"):
        JudgeSpec()
    with pytest.raises(ValueError, match=r"a name and a least score for each of the classes \[1\]"):
        JudgeSpec(class_ids=frozenset({1}), least={1: 0.5}, names=("short",))
    with pytest.raises(ValueError, match="a name and a least score"):
        replace(DEFECTS, least={SHORT: 0.5})
    with pytest.raises(ValueError, match=r"sure 0\.\.1"):
        replace(DEFECTS, sure=1.5)
    with pytest.raises(ValueError, match="a zone of 3 points"):
        replace(DEFECTS, zone=((0, 0), (1, 1)))


def test_labels_that_the_classifier_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match=r"got \['dented'\]"):
        LabelTest(names=("good", "bent"), reject=frozenset({"dented"}))
    with pytest.raises(ValueError, match="expected 2 thresholds"):
        LabelTest(names=("good", "bent"), reject=frozenset({"bent"}), thresholds=(0.5,))


@pytest.mark.parametrize(
    ("verdict", "reason"), [(Verdict.ACCEPT, "short"), (Verdict.REJECT, None), (None, None), (None, "short")]
)
def test_a_verdict_has_the_reason_that_fits_it(verdict: Verdict | None, reason: str | None) -> None:
    with pytest.raises(ValueError, match="expected no reason to accept"):
        Judgement(verdict=verdict, reason=reason)
