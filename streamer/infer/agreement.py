"""Whether two answers to the same pictures are the same answer. Pure numbers; of classifiers: `class_agreement.py`.

The contract: in f32 boxes agree to IoU 0.95 and scores to 0.01; a faster precision is used only while on real frames at
least 98 % of the boxes above the threshold agree to IoU 0.9 and scores to 0.05 on average.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .heads import Candidates

E = TypeVar("E", bound="Evidence")

LEAST_FRAMES = 32  # less says too little about a scene
LEAST_BOXES = 50  # one disagreement among fewer is already 2 %


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """How alike two answers must be."""

    box_iou: float
    least_share: float  # of the boxes that have a counterpart, or of the pictures that show the same classes
    most_score_off: float
    each: bool  # whether each score must be so near, or all on average
    tie: float  # of the best class's score: a class that reaches it in both answers may be the best in either


FASTER = Bar(box_iou=0.9, least_share=0.98, most_score_off=0.05, each=False, tie=0.9)
# Rounding may make non-maximum suppression keep the other of two boxes that lie over each other and score the same:
# hence not all of them.
SAME = Bar(box_iou=0.95, least_share=0.99, most_score_off=0.01, each=True, tie=0.98)


def bar_of(precision: str) -> Bar:
    """Return what a precision is held to, against f32 on the reference."""
    return SAME if precision == "f32" else FASTER


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence(ABC):
    """What two answers to some pictures have in common, as far as it was counted."""

    frames: int = 0
    matched: int = 0  # of what was counted: what agrees
    score_off_sum: float = 0.0  # of the matched ones, absolute

    def __add__(self: E, other: E) -> E:  # noqa: PYI019  typing.Self is younger than Python 3.10
        return type(self)(**{f.name: getattr(self, f.name) + getattr(other, f.name) for f in fields(self)})

    @property
    @abstractmethod
    def counted(self) -> int:
        """How much there was to agree on."""

    @property
    @abstractmethod
    def enough(self) -> bool:
        """Whether there is evidence for a decision."""

    @abstractmethod
    def so_far(self) -> str:
        """Return how much has been seen of what a decision takes, for people."""

    @property
    def share(self) -> float:
        """The part of what was counted that agrees; 1.0 of nothing."""
        return self.matched / self.counted if self.counted else 1.0

    @property
    def score_off(self) -> float:
        """The mean absolute difference of the scores of what agrees."""
        return self.score_off_sum / self.matched if self.matched else 0.0

    def within(self, bar: Bar) -> bool:
        """Whether what was seen so far is as alike as that; nothing is."""
        return self.share >= bar.least_share and self.score_off <= bar.most_score_off

    def passes(self, bar: Bar = FASTER) -> bool:
        """Whether the two are the same answer: too little evidence is not."""
        return self.enough and self.within(bar)


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement(Evidence):
    """Of a detector. A box counts once in each of the two answers that hold it above the threshold."""

    boxes: int = 0

    def __str__(self) -> str:
        agree = f"{self.share:.1%} of {self.boxes} boxes in {self.frames} frames agree"
        return f"{agree}, scores differ by {self.score_off:.3f}"

    @property
    def counted(self) -> int:
        """The boxes of both answers."""
        return self.boxes

    @property
    def enough(self) -> bool:
        """Whether there is evidence for a decision."""
        # Each object counts in both answers, so this is LEAST_BOXES objects where the two agree.
        return self.frames >= LEAST_FRAMES and self.boxes >= 2 * LEAST_BOXES

    def so_far(self) -> str:
        """Return how much has been seen of what a decision takes, for people."""
        return f"{self.frames} of {LEAST_FRAMES} frames, {self.boxes // 2} of {LEAST_BOXES} objects"


def agreement(
    reference: Sequence[Candidates], other: Sequence[Candidates], *, threshold: float, bar: Bar = FASTER
) -> Agreement:
    """Compare two answers to the same pictures, both ways.

    A box at the very threshold would flip at any rounding, so a box above it in one answer may have its counterpart as
    far below it in the other as scores may differ: the candidates must reach down to `floor_for(threshold)`.

    Args:
        reference: what the exact one found, one value a picture.
        other: what the faster one found.
        threshold: the boxes above it count.
        bar: what makes two boxes the same.

    Raises:
        ValueError: the two are of different length.
    """
    total = Agreement()
    for one, two in zip(reference, other, strict=True):
        total += _of_picture(one, two, threshold=threshold, bar=bar) + Agreement(frames=1)
    return total


def floor_for(threshold: float) -> float:
    """Return the score down to which candidates are compared."""
    return max(0.0, threshold - FASTER.most_score_off)


def _of_picture(one: Candidates, two: Candidates, *, threshold: float, bar: Bar) -> Agreement:
    pairs = _pairs(one, two, bar.box_iou)
    off = np.abs(one.scores[pairs[:, 0]] - two.scores[pairs[:, 1]])
    if bar.each:
        pairs, off = pairs[off <= bar.most_score_off], off[off <= bar.most_score_off]
    above_one, above_two = one.scores >= threshold, two.scores >= threshold
    counts = above_one[pairs[:, 0]].astype(int) + above_two[pairs[:, 1]]  # each pair answers for its boxes above
    return Agreement(
        boxes=int(above_one.sum() + above_two.sum()),
        matched=int(counts.sum()),
        score_off_sum=float((off * counts).sum()),
    )


def _pairs(one: Candidates, two: Candidates, least_iou: float) -> NDArray[np.intp]:
    """Pair boxes of one class that overlap so much, each at most once, the most alike first. Returns (P, 2) indices."""
    alike = iou_of(one.boxes, two.boxes)
    alike[one.class_ids[:, None] != two.class_ids[None]] = 0.0
    rows, columns = np.nonzero(alike >= least_iou)
    order = np.argsort(-alike[rows, columns], kind="stable")
    used_one, used_two = np.zeros(len(one), bool), np.zeros(len(two), bool)
    pairs = []
    for i, j in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if not (used_one[i] or used_two[j]):
            used_one[i] = used_two[j] = True
            pairs.append((i, j))
    return np.array(pairs, np.intp).reshape(-1, 2)


def iou_of(one: NDArray[np.float32], two: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the (N, M) overlaps of (N, 4) and (M, 4) boxes x1 y1 x2 y2."""
    a, b = one.astype(np.float64)[:, None], two.astype(np.float64)[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = np.clip(sides, 0, None).prod(axis=-1)
    areas = [np.clip(x[..., 2:] - x[..., :2], 0, None).prod(axis=-1) for x in (a, b)]
    union = areas[0] + areas[1] - shared
    result: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return result
