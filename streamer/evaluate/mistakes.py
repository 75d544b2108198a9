"""Where a detector was wrong, and which of its mistakes are worth a look first."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.agreement import iou_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from .answers import Judged
    from .detection_scores import ClassScore, DetectionScores
    from .truths import LabelledPicture

_RIGHT_IOU = 0.5  # from here on a box is in the right place, as for AP50
_LOOSE_IOU = 0.1  # from here on a box means the object, and misses its outline
_USUAL_SCORE = 0.5  # what a configuration takes for a class that has no threshold of its own


class MistakeKind(str, Enum):
    """What is wrong with an answer, or with there being none."""

    MISSED = "missed"  # an object, and no answer at its place
    INVENTED = "invented"  # an answer where nothing is, or a second one for an object that was found
    CONFUSED = "confused"  # the right place, the wrong class
    LOOSE = "loose"  # the right class, and an IoU of 0.1 to 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mistake:
    """One answer that is wrong, or one that is missing."""

    picture: LabelledPicture
    kind: MistakeKind
    label: str  # what was said; of a miss, what was missed
    truth: str | None  # the class of the object that is meant; None: there is none
    score: float  # of the answer; of a miss 0
    box: NDArray[np.float32]  # (4,) x1 y1 x2 y2, px: the answer's; of a miss the object's
    wanted: NDArray[np.float32] | None  # (4,) the object's box; None: there is none


def worst(
    judged: Sequence[Judged], scores: DetectionScores, labels: Sequence[str], *, most: int = 24
) -> tuple[Mistake, ...]:
    """Choose the mistakes that tell most, the kinds in turn.

    Of inventions, confusions and loose boxes the surest come first; of misses those where the model saw least even
    below the threshold, and of these the largest.

    Args:
        judged: pictures, and what the model says of them.
        scores: with each class's best threshold, at which mistakes are counted.
        labels: class names by class id.
        most: how many are chosen.
    """
    found = find_mistakes(judged, scores, labels)
    kinds = ([mistake for mistake in found if mistake.kind is kind] for kind in MistakeKind)
    in_turn = chain.from_iterable(zip_longest(*kinds))
    return tuple(mistake for mistake in in_turn if mistake is not None)[:most]


def find_mistakes(judged: Sequence[Judged], scores: DetectionScores, labels: Sequence[str]) -> tuple[Mistake, ...]:
    """Return every mistake at each class's best threshold, the worst of each kind first.

    Answers are matched as COCO does at an IoU of 0.5: the surest first, each to the free object of its class that it
    overlaps most. What lies in a crowd is neither right nor wrong.
    """
    thresholds = np.array([_threshold(one) for one in scores.classes], np.float32)
    found = [mistake for one in judged for mistake in _Answers(one, thresholds, labels).mistakes()]
    return tuple(mistake for _, mistake in sorted(found, key=lambda ranked: ranked[0]))


def describe(mistake: Mistake, shown: Callable[[str], str] = str) -> str:
    """Say what is wrong, in one line.

    Args:
        mistake: what it is about.
        shown: how a class name is written.
    """
    said = f"{shown(mistake.label)} {mistake.score:.2f}"
    match mistake.kind:
        case MistakeKind.MISSED:
            return f"missed: {shown(mistake.label)}"
        case MistakeKind.INVENTED:
            return f"invented: {said}" if mistake.truth is None else f"invented: a second {said}"
        case MistakeKind.CONFUSED:
            return f"said {said}, is {shown(mistake.truth or '')}"
        case MistakeKind.LOOSE:
            return f"box is off: {said}, IoU {overlap(mistake):.2f}"


def overlap(mistake: Mistake) -> float:
    """Return the IoU of the answer's box and the object's; 0 if there is but one of them."""
    if mistake.wanted is None or mistake.kind is MistakeKind.MISSED:
        return 0.0
    return float(iou_of(mistake.box[None], mistake.wanted[None])[0, 0])


def _threshold(one: ClassScore) -> float:
    """Return the class's best threshold; where no threshold finds anything right, none is better than the usual."""
    return one.best.score if one.best is not None and one.best.f1 > 0 else _USUAL_SCORE


_Ranked = tuple[tuple[float, float], Mistake]  # the lower, the worse


class _Answers:
    """What was said of one picture above the thresholds, beside what is in it."""

    def __init__(self, one: Judged, thresholds: NDArray[np.float32], labels: Sequence[str]) -> None:
        order = np.argsort(-one.scores, kind="stable")
        self._kept = order[one.scores[order] >= thresholds[one.class_ids[order]]]
        self._one = one
        self._labels = labels
        truths = one.picture
        self._iou = iou_of(one.boxes[self._kept], truths.boxes)  # (K, N)
        self._same = one.class_ids[self._kept][:, None] == truths.class_ids[None]
        self._free = ~truths.crowd  # (N,) nobody has found it yet

    def mistakes(self) -> Iterator[_Ranked]:
        """Yield what is wrong in this picture."""
        wrong = [place for place in range(len(self._kept)) if not self._is_right(place)]
        yield from (self._wrong(place) for place in wrong)
        yield from (self._missed(int(truth)) for truth in np.flatnonzero(self._free))

    def _is_right(self, place: int) -> bool:
        """Match an answer to its object. In a crowd it needs none."""
        fits = self._same[place] & self._free & (self._iou[place] >= _RIGHT_IOU)
        if fits.any():
            self._free[np.where(fits, self._iou[place], 0).argmax()] = False
            return True
        crowd = self._one.picture.crowd & self._same[place]
        return bool((_share_within(self._one.boxes[self._kept[place]], self._one.picture.boxes[crowd]) >= 0.5).any())

    def _wrong(self, place: int) -> _Ranked:
        """Say what an answer that found nothing means, of the objects beside it: a free one rather than another."""
        iou, same, crowd = self._iou[place], self._same[place], self._one.picture.crowd
        near = ~crowd & ((iou >= _RIGHT_IOU) | (same & (iou >= _LOOSE_IOU)))
        if not near.any():
            return self._ranked(place, MistakeKind.INVENTED, None)
        truth = int(np.where(near, iou + self._free, -1.0).argmax())
        if not same[truth]:
            kind = MistakeKind.CONFUSED
        else:
            kind = MistakeKind.LOOSE if self._free[truth] else MistakeKind.INVENTED
        self._free[truth] = False
        return self._ranked(place, kind, truth)

    def _ranked(self, place: int, kind: MistakeKind, truth: int | None) -> _Ranked:
        one, row = self._one, self._kept[place]
        score = float(one.scores[row])
        return (-score, 0.0), Mistake(
            picture=one.picture,
            kind=kind,
            label=self._labels[one.class_ids[row]],
            truth=None if truth is None else self._labels[one.picture.class_ids[truth]],
            score=score,
            box=one.boxes[row],
            wanted=None if truth is None else one.picture.boxes[truth],
        )

    def _missed(self, truth: int) -> _Ranked:
        one = self._one
        box, label = one.picture.boxes[truth], self._labels[one.picture.class_ids[truth]]
        suspected = (one.class_ids == one.picture.class_ids[truth]) & (iou_of(one.boxes, box[None])[:, 0] >= _RIGHT_IOU)
        area = float(np.prod(box[2:] - box[:2]))
        return (float(one.scores[suspected].max(initial=0.0)), -area), Mistake(
            picture=one.picture, kind=MistakeKind.MISSED, label=label, truth=label, score=0.0, box=box, wanted=box
        )


def _share_within(box: NDArray[np.float32], crowds: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much of a box, (4,), lies in each of (N, 4) crowds: of a crowd only a part is ever answered."""
    sides = np.minimum(box[2:], crowds[:, 2:]) - np.maximum(box[:2], crowds[:, :2])
    shared: NDArray[np.float64] = np.clip(sides, 0, None).prod(axis=1, dtype=np.float64)
    share: NDArray[np.float64] = shared / max(float(np.prod(box[2:] - box[:2])), 1e-9)
    return share
