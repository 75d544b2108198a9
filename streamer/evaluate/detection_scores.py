"""How good boxes are, by pycocotools: AP for each class, and the score from which on a class is reported best."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from .answers import Judged

_MOST = 300  # boxes of a class in a picture: as many as Streamer's own suppression leaves of all of them
_CURVE = np.linspace(0.0, 1.0, 101)  # recalls at which COCO reads precisions
_AT = 0  # of pycocotools' ten IoU, 0.5 ... 0.95: the first


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A least score, and what is found with it at IoU 0.5."""

    score: float
    precision: float  # share of what is said that is right
    recall: float  # share of what is there that is found
    f1: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # eq=False: arrays have no single truth value
class ClassScore:
    """How well one class is found."""

    label: str
    truths: int  # labelled objects, crowds not counted
    ap50: float | None  # at IoU 0.5; None: there are no truths
    ap: float | None  # the mean over IoU 0.5 to 0.95 in steps of 0.05; None: there are no truths
    recalls: NDArray[np.float64]  # (101,) 0 to 1
    precisions: NDArray[np.float64]  # (101,) at IoU 0.5, the best at this recall or a greater one; 0 without truths
    thresholds: NDArray[np.float64]  # (K,) every score that was given, ascending; empty without truths
    f1: NDArray[np.float64]  # (K,) at IoU 0.5, of what reaches the threshold
    best: Threshold | None  # with the greatest F1; None: nothing right was ever said


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DetectionScores:
    """How well all classes are found. The means are over classes that have truths."""

    ap50: float
    ap: float
    classes: tuple[ClassScore, ...]  # in the order of the data set's labels


def score_detections(judged: Sequence[Judged], labels: Sequence[str]) -> DetectionScores:
    """Compare what was found with what is there.

    Args:
        judged: each picture once.
        labels: the data set's.

    Raises:
        ValueError: there is no object of any class, so that there is nothing to find.
    """
    # A class at a time: the rows that pycocotools wants would fill the memory for all of them at once.
    classes = tuple(_score_class(judged, class_id, label) for class_id, label in enumerate(labels))
    ap50, ap = ([v for c in classes if (v := getattr(c, name)) is not None] for name in ("ap50", "ap"))
    if not ap:
        raise ValueError("no picture holds a labelled object")
    return DetectionScores(ap50=float(np.mean(ap50)), ap=float(np.mean(ap)), classes=classes)


def _score_class(judged: Sequence[Judged], class_id: int, label: str) -> ClassScore:
    evaluated = _evaluated(judged, class_id)
    truths = _truths(evaluated)
    if not truths:
        nothing = np.zeros(0)
        return ClassScore(
            label=label, truths=0, ap50=None, ap=None, recalls=_CURVE, precisions=np.zeros(len(_CURVE)),
            thresholds=nothing, f1=nothing, best=None,
        )  # fmt: skip
    precisions = evaluated.eval["precision"].reshape(-1, len(_CURVE))  # (10 IoU, 101 recalls)
    thresholds, found, invented = _counts(evaluated.evalImgs)
    f1 = 2 * found / (found + invented + truths)
    return ClassScore(
        label=label,
        truths=truths,
        ap50=float(precisions[_AT].mean()),
        ap=float(precisions.mean()),
        recalls=_CURVE,
        precisions=precisions[_AT],
        thresholds=thresholds,
        f1=f1,
        best=_best(thresholds, f1, found=found, invented=invented, truths=truths),
    )


def _evaluated(judged: Sequence[Judged], class_id: int) -> Any:  # noqa: ANN401  pycocotools has no types
    """Return pycocotools' COCOeval of one class, with all that it has found out."""
    from pycocotools.coco import COCO  # noqa: PLC0415  other commands need not wait for it
    from pycocotools.cocoeval import COCOeval  # noqa: PLC0415  other commands need not wait for it

    there, said = COCO(), COCO()
    truths, answered = list(_truth_rows(judged, class_id)), list(_answer_rows(judged, class_id))
    # A picture without the class on either side changes nothing, and takes its time.
    images = [{"id": number} for number in sorted({row["image_id"] for row in (*truths, *answered)})]
    for coco, rows in ((there, truths), (said, answered)):
        for number, row in enumerate(rows, start=1):  # an id of 0 would count as not matched
            row.update(id=number, category_id=1)
        coco.dataset = {"images": images, "categories": [{"id": 1}], "annotations": rows}
    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it does, where our results go
        there.createIndex()
        said.createIndex()
        evaluated = COCOeval(there, said, "bbox")
        evaluated.params.areaRng, evaluated.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluated.params.maxDets = [_MOST]
        evaluated.evaluate()
        evaluated.accumulate()
    return evaluated


def _truth_rows(judged: Sequence[Judged], class_id: int) -> Iterator[dict[str, Any]]:
    for number, one in enumerate(judged):
        mine = one.picture.class_ids == class_id
        for box, crowd in zip(one.picture.boxes[mine].tolist(), one.picture.crowd[mine].tolist(), strict=True):
            yield {"image_id": number, **_sides(box), "iscrowd": int(crowd)}


def _answer_rows(judged: Sequence[Judged], class_id: int) -> Iterator[dict[str, Any]]:
    for number, one in enumerate(judged):
        mine = one.class_ids == class_id
        for box, score in zip(one.boxes[mine].tolist(), one.scores[mine].tolist(), strict=True):
            yield {"image_id": number, **_sides(box), "iscrowd": 0, "score": score}


def _sides(box: Sequence[float]) -> dict[str, Any]:
    x1, y1, x2, y2 = box
    return {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}


def _truths(evaluated: Any) -> int:  # noqa: ANN401  pycocotools has no types
    return sum(int(np.count_nonzero(np.asarray(one["gtIgnore"]) == 0)) for one in evaluated.evalImgs if one)


def _counts(pictures: Sequence[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Count what is right and wrong from each score on, by pycocotools' own matching at IoU 0.5.

    It matches the surest first, so that what is below a threshold never changes what is above.

    Args:
        pictures: `COCOeval.evalImgs`.

    Returns:
        (K,) scores ascending, and of what reaches each: how many are right, how many wrong.
    """
    seen = [one for one in pictures if one is not None]
    scores = np.concatenate([np.asarray(one["dtScores"], np.float64) for one in seen])
    right = np.concatenate([np.asarray(one["dtMatches"])[_AT] > 0 for one in seen])
    counted = np.concatenate([~np.asarray(one["dtIgnore"])[_AT].astype(bool) for one in seen])
    scores, right = scores[counted], right[counted]
    order = np.argsort(scores, kind="stable")
    thresholds, first = np.unique(scores[order], return_index=True)
    from_here = np.cumsum(right[order][::-1])[::-1]  # right ones from each place on
    found = from_here[first].astype(np.float64) if len(first) else np.zeros(0)
    return thresholds, found, (len(scores) - first) - found


def _best(
    thresholds: NDArray[np.float64],
    f1: NDArray[np.float64],
    *,
    found: NDArray[np.float64],
    invented: NDArray[np.float64],
    truths: int,
) -> Threshold | None:
    if not found.any():
        return None
    place = int(f1.argmax())
    below = float(thresholds[place - 1]) if place else 0.0
    return Threshold(
        score=plain_between(below, float(thresholds[place])),
        precision=float(found[place] / (found[place] + invented[place])),
        recall=float(found[place] / truths),
        f1=float(f1[place]),
    )


def plain_between(low: float, high: float) -> float:
    """Return a short decimal number near the middle of what lies above `low`, up to `high`.

    Every least score in there lets the same detections pass; the middle is the surest on pictures not seen yet.
    """
    middle = (low + high) / 2
    for digits in range(2, 8):
        short = round(middle, digits)
        if low < short <= high:
            return short
    return high
