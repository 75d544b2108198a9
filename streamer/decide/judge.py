"""What an item's evidence says of it: good, bad, or not certain. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

from streamer.core.decision import Doubt, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from streamer.core.frame import FrameInfo
    from streamer.core.results import Box, Classification, Detections

_UNSURE_SHARE = 0.8  # of its least score: from there on a defect is not certain to be none (as events go on down to it)
_DOUBTS = frozenset(doubt.value for doubt in Doubt)

Point = tuple[float, float]  # x y, fractions of width and height


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What was found. `verdict` None: nothing certain, and `reason` is the doubt.

    Raises:
        ValueError: the reason does not fit the verdict.
    """

    verdict: Verdict | None
    reason: str | None  # the class that was found, or a `Doubt`; None: nothing is wrong

    def __post_init__(self) -> None:
        fits = {
            Verdict.ACCEPT: self.reason is None,
            Verdict.REJECT: bool(self.reason),
            None: self.reason in _DOUBTS,
        }
        if not fits[self.verdict]:
            raise ValueError(f"expected no reason to accept, a class to reject, else a doubt; got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTest:
    """Which answers of a classifier are bad.

    Raises:
        ValueError: a bad class is none of the classifier's, or thresholds are not one for each class.
    """

    names: tuple[str, ...]  # the classifier's classes, by id
    reject: frozenset[str]  # the bad ones
    thresholds: tuple[float, ...] = ()  # of a multi-label model, by id; (): exactly one class is right

    def __post_init__(self) -> None:
        if self.reject - set(self.names):
            raise ValueError(f"expected classes to reject among {self.names}, got {sorted(self.reject)}")
        if self.thresholds and len(self.thresholds) != len(self.names):
            raise ValueError(f"expected {len(self.names)} thresholds, one for each class, got {len(self.thresholds)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgeSpec:
    """What makes an item bad.

    Raises:
        ValueError: it asks for nothing, a class has no least score or no name, or a value is out of range.
    """

    class_ids: frozenset[int] | None = None  # the detector's defect classes; None: labels only
    least: Mapping[int, float] = field(default_factory=dict)  # the score from which on each is certain
    names: Sequence[str] = ()  # the detector's classes, by id
    labels: Mapping[str, LabelTest] = field(default_factory=dict)  # by classification
    sure: float = 0.5  # what the best class of a classification must reach
    zone: tuple[Point, ...] | None = None  # only defects in here count
    min_area: float = 0.0  # of the frame; smaller defects don't count

    def __post_init__(self) -> None:
        classes = self.class_ids or frozenset()
        if not classes and not self.labels:
            raise ValueError("an item is judged by defect classes, by labels, or both; got neither")
        if classes - set(self.least) or any(not 0 <= number < len(self.names) for number in classes):
            raise ValueError(f"expected a name and a least score for each of the classes {sorted(classes)}")
        if not 0 <= self.sure <= 1 or not 0 <= self.min_area <= 1 or (self.zone is not None and len(self.zone) < 3):
            raise ValueError(f"sure 0..1, min_area 0..1 and a zone of 3 points or more expected, got {self}")


class _Finding(NamedTuple):
    name: str
    certain: bool


def doubted(doubt: Doubt) -> Judgement:
    """Return the judgement of an item whose picture decides nothing."""
    return Judgement(verdict=None, reason=doubt.value)


def judge(
    spec: JudgeSpec, info: FrameInfo, *, detections: Detections | None, classes: Mapping[str, Classification]
) -> Judgement:
    """Judge an item that a whole frame, or a zone of it, shows.

    A certain defect rejects, whatever else is known or not; its class is the reason: of the detector first, best score
    first. Without one, what `spec` asks for and is not there, or is not certain, is a doubt: accepted is only what has
    been seen entirely.

    Args:
        spec: what is bad.
        info: of the frame that `detections` came from.
        detections: of that frame, best first; None: not known.
        classes: answers of the classifiers, by classification; absent: not known.
    """
    answers = {
        name: tuple((spec.labels[name].names[number], score) for number, score in answer)
        for name, answer in classes.items()
        if name in spec.labels
    }
    return _judged(spec, info, detections=detections, answers=answers, within=None)


def judge_object(
    spec: JudgeSpec,
    info: FrameInfo,
    *,
    box: Box,
    detections: Detections | None,
    labels: Mapping[str, tuple[str, float]],
) -> Judgement:
    """Judge an item that is a tracked object, by what is known of it.

    Args:
        spec: what is bad.
        info: of the frame that `detections` came from.
        box: where the object is, px; only defects whose centre is in it are its own.
        detections: of that frame, best first; None: not known.
        labels: its decided labels, by classification: class and score, "" for a decided none; absent: not decided.
    """
    answers = {name: (labels[name],) for name in spec.labels if name in labels}
    return _judged(spec, info, detections=detections, answers=answers, within=box)


def _judged(
    spec: JudgeSpec,
    info: FrameInfo,
    *,
    detections: Detections | None,
    answers: Mapping[str, tuple[tuple[str, float], ...]],
    within: Box | None,
) -> Judgement:
    findings = list(_defects(spec, info, detections or (), within)) if spec.class_ids else []
    for name, answer in answers.items():
        findings += _bad_labels(spec.labels[name], answer, spec.sure)
    reason = next((finding.name for finding in findings if finding.certain), None)
    if reason is not None:
        return Judgement(verdict=Verdict.REJECT, reason=reason)
    unknown = (spec.class_ids and detections is None) or spec.labels.keys() - answers.keys()
    if findings or unknown:
        return doubted(Doubt.UNSURE)
    return Judgement(verdict=Verdict.ACCEPT, reason=None)


def _defects(
    spec: JudgeSpec, info: FrameInfo, detections: Detections | tuple[()], within: Box | None
) -> Iterator[_Finding]:
    """Yield the defects that count, best first. A score that is no number is not certain to be none."""
    for box, score, class_id in detections:
        if class_id not in (spec.class_ids or ()) or not _counts(spec, info, box, within):
            continue
        least = spec.least[class_id]
        if not score < _UNSURE_SHARE * least:
            yield _Finding(spec.names[class_id], certain=score >= least)


def _counts(spec: JudgeSpec, info: FrameInfo, box: Box, within: Box | None) -> bool:
    """Tell whether a defect is large enough, and the item's."""
    x1, y1, x2, y2 = box
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    if (x2 - x1) * (y2 - y1) < spec.min_area * info.width * info.height:
        return False
    if within is not None and not (within[0] <= x <= within[2] and within[1] <= y <= within[3]):
        return False
    # By its foot point, as every object is in a zone; by its centre too, for a defect does not stand on anything.
    return spec.zone is None or any(_within((x, at_y), spec.zone, info) for at_y in (y2, y))


def _within(point: Point, zone: tuple[Point, ...], info: FrameInfo) -> bool:
    """Tell whether a point, px, is in a zone or on its border."""
    polygon = (np.array(zone) * (info.width, info.height)).astype(np.float32)
    return bool(cv2.pointPolygonTest(polygon, point, measureDist=False) >= 0)


def _bad_labels(test: LabelTest, answer: tuple[tuple[str, float], ...], sure: float) -> Iterator[_Finding]:
    """Yield what speaks against an item. Best first; a score that is no number is not certain."""
    if test.thresholds:
        thresholds = dict(zip(test.names, test.thresholds, strict=True))
        for name, score in answer:
            if name in test.reject and not score < _UNSURE_SHARE * thresholds[name]:
                yield _Finding(name, certain=score >= thresholds[name])
        return
    if not answer:
        yield _Finding("", certain=False)
        return
    name, score = answer[0]
    if not name or not score >= sure:  # no class: every view of an object was below the least score
        yield _Finding(name, certain=False)
    elif name in test.reject:
        yield _Finding(name, certain=True)
