"""Values that say what a model saw: checked when built."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.core.results import Classification, ClassScore


def classification(ids: list[int], scores: list[float]) -> Classification:
    return Classification(class_ids=np.array(ids, np.int32), scores=np.array(scores, np.float32))


def test_a_classification_gives_its_rows_and_its_best() -> None:
    shown = classification([4, 0, 2], [0.5, 0.25, 0.25])
    assert len(shown) == 3
    assert list(shown) == [ClassScore(4, 0.5), ClassScore(0, 0.25), ClassScore(2, 0.25)]
    assert list(shown[:1]) == [ClassScore(4, 0.5)]
    assert list(shown[shown.scores < 0.3]) == [ClassScore(0, 0.25), ClassScore(2, 0.25)]
    assert list(classification([], [])) == []


@pytest.mark.parametrize("scores", [[0.1, 0.2], [0.5, float("nan")], [float("nan"), 0.5]])
def test_scores_that_do_not_descend_are_refused(scores: list[float]) -> None:
    with pytest.raises(ValueError, match="expected them to descend"):
        classification([0, 1], scores)


def test_other_shapes_and_dtypes_are_refused_with_both() -> None:
    with pytest.raises(ValueError, match=r"expected .*\(2,\), .*int32.* got .*\(1,\), .*int32"):
        classification([0], [0.5, 0.4])
    with pytest.raises(ValueError, match=r"got .*int64"):
        Classification(class_ids=np.zeros(1, np.int64), scores=np.zeros(1, np.float32))
