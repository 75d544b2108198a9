"""YOLOv5 and v7 decoded in the graph, [B, N, 5+C]; YOLOv6 is the same with an objectness of 1."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .nms import corners, suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .base import Candidates


class V5Head:
    """Rows cx, cy, w, h in px of the input, objectness, then classes; score = objectness * class."""

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, N, 5+C]."""
        result = []
        for rows in outputs[0]:
            passed, scores, class_ids = best_rows(rows, floor)
            result.append(suppress(corners(rows[passed, :4]), scores, class_ids, iou=iou))
        return result


def best_rows(
    rows: NDArray[np.float32], floor: float
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.int32]]:
    """Find the rows whose objectness times best class reaches the floor.

    Args:
        rows: (N, 5+C): box, objectness, classes; the last two are probabilities.
        floor: least score.

    Returns:
        Indices of rows (K,), scores (K,) and class ids (K,).
    """
    likely = np.flatnonzero(rows[:, 4] >= floor)  # a class is at most 1, so few rows are left to look at
    classes = rows[likely, 5:]
    class_ids = classes.argmax(axis=1)
    scores = rows[likely, 4] * np.take_along_axis(classes, class_ids[:, np.newaxis], axis=1)[:, 0]
    passed = scores >= floor
    return likely[passed], scores[passed], class_ids[passed].astype(np.int32)
