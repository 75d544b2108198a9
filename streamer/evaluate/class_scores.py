"""How well a classifier names pictures.

Top-k, a confusion matrix and counts above a threshold are definitions, not algorithms, so that numpy's few lines stand
here in place of a library.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .detection_scores import Threshold, plain_between

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .truths import LabelledPicture

_FEWEST_FOR_TOP5 = 6  # of fewer classes, five always hold the right one


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedClass:
    """What a classifier says of a picture whose class is known."""

    picture: LabelledPicture
    scores: NDArray[np.float32]  # (C,) by the data set's class ids; a class that the model lacks has 0

    @property
    def truth(self) -> int:
        """The picture's class id."""
        return int(self.picture.class_ids[0])

    @property
    def said(self) -> int:
        """The class id with the best score; the lowest of equals."""
        return int(self.scores.argmax())


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedScore:
    """How well one class is named."""

    label: str
    count: int  # pictures of it
    recall: float | None  # None: there are no pictures of it
    precision: float | None  # None: no picture was called so
    f1: float | None  # None: there are no pictures of it
    best: Threshold | None  # this class against all others, where F1 is best; None: no pictures, or all scores are 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassificationScores:
    """How well pictures are named."""

    top1: float  # share of pictures whose best class is right
    top5: float | None  # share whose class is among the best five; None below six classes
    confusion: NDArray[np.int64]  # (C, C) pictures: [what it is, what was said]
    classes: tuple[NamedScore, ...]  # by class id


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WrongName:
    """A picture that was called something else than it is."""

    picture: LabelledPicture
    said: str
    score: float
    truth: str
    truth_score: float


def score_classes(named: Sequence[NamedClass], labels: Sequence[str]) -> ClassificationScores:
    """Compare what was said of pictures with what they are.

    Args:
        named: one for each picture.
        labels: class names by class id.

    Raises:
        ValueError: there are no pictures, or the scores are not one finite number for each label.
    """
    scores, truths = _table(named, len(labels))
    own = scores[np.arange(len(truths)), truths][:, None]
    # Of equal scores the lower id goes first, as with argmax.
    before = (scores > own) | ((scores == own) & (np.arange(len(labels)) < truths[:, None]))
    rank = before.sum(axis=1)
    by_class = np.ascontiguousarray(scores.T)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (truths, scores.argmax(axis=1)), 1)
    return ClassificationScores(
        top1=float((rank < 1).mean()),
        top5=float((rank < 5).mean()) if len(labels) >= _FEWEST_FOR_TOP5 else None,
        confusion=confusion,
        classes=tuple(
            _of_class(label, confusion, number, best_threshold(by_class[number], truths == number))
            for number, label in enumerate(labels)
        ),
    )


def best_threshold(scores: NDArray[np.float32], right: NDArray[np.bool_]) -> Threshold | None:
    """Return the score from which on a class is best taken as seen: by F1, the highest of equals.

    Args:
        scores: (N,) of one class, by picture.
        right: (N,) whether it is the picture's class.

    Returns:
        None where there is nothing to be found, or nothing right has a score above 0.
    """
    order = np.argsort(-scores, kind="stable")
    descending, hits = scores[order], right[order].cumsum()
    said = np.arange(1, len(order) + 1)
    last_of_equals = np.append(descending[1:] != descending[:-1], True)  # a threshold can't part equal scores
    usable = last_of_equals & (descending > 0)
    total = int(right.sum())
    if not hits[usable].any():
        return None
    f1 = np.where(usable, 2 * hits / (said + total), -1.0)
    best = int(f1.argmax())
    below = float(descending[best + 1]) if best + 1 < len(descending) else 0.0
    return Threshold(
        score=plain_between(below, float(descending[best])),
        precision=float(hits[best] / said[best]),
        recall=float(hits[best] / total),
        f1=float(f1[best]),
    )


def worst_named(named: Sequence[NamedClass], labels: Sequence[str], *, most: int = 24) -> tuple[WrongName, ...]:
    """Choose the pictures that are most confidently called something else than they are, the surest first."""
    wrong = sorted((one for one in named if one.said != one.truth), key=lambda one: -float(one.scores[one.said]))
    return tuple(
        WrongName(
            picture=one.picture,
            said=labels[one.said],
            score=float(one.scores[one.said]),
            truth=labels[one.truth],
            truth_score=float(one.scores[one.truth]),
        )
        for one in wrong[:most]
    )


def _table(named: Sequence[NamedClass], classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the scores, (N, C), and what the pictures are, (N,)."""
    if not named:
        raise ValueError("named: expected at least one picture, got none")
    shapes = {one.scores.shape for one in named}
    if shapes != {(classes,)}:
        raise ValueError(f"scores: expected the shape ({classes},), got {sorted(shapes)}")
    scores = np.stack([one.scores for one in named])
    if not np.isfinite(scores).all():  # NaN is below and above nothing, and would be counted as right
        raise ValueError("scores: expected finite numbers")
    return scores, np.array([one.truth for one in named], np.int64)


def _of_class(label: str, confusion: NDArray[np.int64], number: int, best: Threshold | None) -> NamedScore:
    hits, count, said = confusion[number, number], int(confusion[number].sum()), int(confusion[:, number].sum())
    return NamedScore(
        label=label,
        count=count,
        recall=float(hits / count) if count else None,
        precision=float(hits / said) if said else None,
        f1=float(2 * hits / (count + said)) if count else None,
        best=best,
    )
