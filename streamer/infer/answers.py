"""What two backends' outputs say of the same picture, and whether that is the same: of a detector, of a classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from streamer.core.results import Classification

from .agreement import Agreement, Bar, Evidence, agreement, floor_for
from .class_agreement import ClassAgreement, class_agreement
from .classifier import ScoreReader
from .heads import open_head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from .comparison import Answers
    from .heads import Candidates, Head
    from .network import Found
    from .spec import ModelSpec, Scoring


class BoxAnswers:
    """A detector's answers: boxes above a threshold."""

    def __init__(self, head: Head, *, threshold: float, iou: float) -> None:
        """Store the parts.

        Args:
            head: reads both backends' outputs.
            threshold: boxes above it count.
            iou: of two boxes of a class that overlap more, the better stays.
        """
        self._head = head
        self._threshold = threshold
        self._iou = iou

    def read(self, outputs: Sequence[NDArray[np.float32]], picture: int) -> Candidates:
        """Return what is seen in one picture of a batch."""
        return self._head(outputs, floor_for(self._threshold), self._iou)[picture]

    def compare(self, reference: Sequence[Candidates], other: Sequence[Candidates], bar: Bar) -> Agreement:
        """Compare what was seen in the same pictures."""
        return agreement(reference, other, threshold=self._threshold, bar=bar)

    def shows(self, found: Found) -> bool:
        """Whether a picture shows anything; nothing agrees too easily."""
        return bool((found.scores >= self._threshold).any())


class ClassAnswers:
    """A classifier's answers: a score for each class."""

    def __init__(self, spec: ModelSpec, scoring: Scoring) -> None:
        self._scores = ScoreReader(scoring, names=len(spec.labels), columns=spec.classes, ids=spec.ids)
        self._columns = spec.classes
        self._thresholds = scoring.thresholds

    def read(self, outputs: Sequence[NDArray[np.float32]], picture: int) -> NDArray[np.float32]:
        """Return the scores of one picture of a batch, (C,), in the order of the labels."""
        scores: NDArray[np.float32] = self._scores(outputs[0].reshape(-1, self._columns)[picture : picture + 1])[0]
        return scores

    def compare(
        self, reference: Sequence[NDArray[np.float32]], other: Sequence[NDArray[np.float32]], bar: Bar
    ) -> ClassAgreement:
        """Compare the scores of the same pictures."""
        return class_agreement(reference, other, thresholds=self._thresholds, bar=bar)

    def shows(self, found: Found) -> bool:
        """Whether a picture shows anything: one of its classes, or one that is judged for itself and is there."""
        if not self._thresholds or not isinstance(found, Classification):
            return True
        return bool((found.scores >= np.array(self._thresholds, np.float32)[found.class_ids]).any())


def answers_of(spec: ModelSpec, *, threshold: float, iou: float) -> Answers:
    """Return how a model's answers are compared.

    Args:
        spec: the model.
        threshold: of a detector: boxes above it count.
        iou: of a detector: of two boxes of a class that overlap more, the better stays.

    Raises:
        ConfigError: the spec's head is not known.
    """
    if spec.scoring is not None:
        return ClassAnswers(spec, spec.scoring)
    return BoxAnswers(open_head(spec), threshold=threshold, iou=iou)


def read_as(spec: ModelSpec) -> str:
    """Return in one word how a model's outputs are read, which a proof rests on."""
    scoring = spec.scoring
    if scoring is None:
        return spec.head
    least = ",".join(f"{threshold:g}" for threshold in scoring.thresholds)
    return f"{spec.head} {scoring.activation.value} {least}".rstrip()


def evidence_of(stored: Mapping[str, Any]) -> Evidence:
    """Return what `asdict` made of an evidence.

    Raises:
        TypeError: it is none.
    """
    return Agreement(**stored) if "boxes" in stored else ClassAgreement(**stored)
