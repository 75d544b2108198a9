"""Whether two classifiers' scores for the same pictures are the same answer. Pure numbers.

The contract's promise in the terms of a classifier: at least 98 % of the pictures show the same classes, and the scores
of those differ by no more than 0.05 on average; in f32 each by no more than 0.01.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .agreement import FASTER, Bar, Evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LEAST_PICTURES = 50  # one disagreement among fewer is already 2 %


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassAgreement(Evidence):
    """Of a classifier: `frames` is how many pictures, `matched` how many of them show the same classes."""

    def __str__(self) -> str:
        agree = f"{self.share:.1%} of {self.frames} pictures show the same"
        return f"{agree}, scores differ by {self.score_off:.3f}"

    @property
    def counted(self) -> int:
        """The pictures."""
        return self.frames

    @property
    def enough(self) -> bool:
        """Whether there is evidence for a decision."""
        return self.frames >= LEAST_PICTURES

    def so_far(self) -> str:
        """Return how much has been seen of what a decision takes, for people."""
        return f"{self.frames} of {LEAST_PICTURES} pictures"


def class_agreement(
    reference: Sequence[NDArray[np.float32]],
    other: Sequence[NDArray[np.float32]],
    *,
    thresholds: Sequence[float],
    bar: Bar = FASTER,
) -> ClassAgreement:
    """Compare two answers to the same pictures.

    Rounding turns a draw, and moves a score over its threshold: two classes that score nearly the same in both answers
    may change places, and of classes judged each for itself one may be there in one answer only, if its score is as
    near as scores must be.

    Args:
        reference: the exact one's scores of each class (C,), one value a picture.
        other: the faster one's.
        thresholds: of each class, where each is judged for itself; empty: the best one is it.
        bar: what makes two answers the same.

    Raises:
        ValueError: the two are of different length.
    """
    total = ClassAgreement()
    least = np.array(thresholds, np.float32)
    for one, two in zip(reference, other, strict=True):
        total += _of_each(one, two, least, bar) if len(least) else _of_best(one, two, bar)
    return total


def _of_best(one: NDArray[np.float32], two: NDArray[np.float32], bar: Bar) -> ClassAgreement:
    """Compare answers of which the best class counts."""
    best_of_one, best_of_two = int(np.argmax(one)), int(np.argmax(two))
    draw = one[best_of_two] >= bar.tie * one[best_of_one] and two[best_of_one] >= bar.tie * two[best_of_two]
    return _counted(np.abs(one - two)[[best_of_one, best_of_two]], bar, same=bool(draw))


def _of_each(
    one: NDArray[np.float32], two: NDArray[np.float32], least: NDArray[np.float32], bar: Bar
) -> ClassAgreement:
    """Compare answers of which every class counts that is there; where none is, the best of the exact answer."""
    there_in_one, there_in_two, off = one >= least, two >= least, np.abs(one - two)
    same = not bool((off[there_in_one != there_in_two] > bar.most_score_off).any())
    there = there_in_one | there_in_two
    return _counted(off[there] if there.any() else off[[int(np.argmax(one))]], bar, same=same)


def _counted(off: NDArray[np.float32], bar: Bar, *, same: bool) -> ClassAgreement:
    """Count one picture, whose shown classes' scores differ by so much; a number that is none agrees with nothing."""
    most = float(off.max())
    matched = same and (most <= bar.most_score_off if bar.each else bool(np.isfinite(most)))
    return ClassAgreement(frames=1, matched=int(matched), score_off_sum=most if matched else 0.0)
