"""YOLOv10, YOLO26 and exports with NMS inside: [B, K, 6], final boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .base import Candidates
from .nms import MAX_KEPT, sound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class End2EndHead:
    """Rows x1, y1, x2, y2 in px of the input, score, class; padded with zeros. Nothing is suppressed again."""

    def __init__(self, classes: int) -> None:
        self._classes = classes

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode [B, K, 6]."""
        return [self._decode(rows, floor) for rows in outputs[0]]

    def _decode(self, rows: NDArray[np.float32], floor: float) -> Candidates:
        rows = rows[rows[:, 4] >= floor]
        known = (rows[:, 5] > -0.5) & (rows[:, 5] < self._classes - 0.5)
        rows = rows[known & sound(rows[:, :4], rows[:, 4])]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")[:MAX_KEPT]]
        return Candidates(
            boxes=rows[:, :4].copy(),
            scores=np.minimum(rows[:, 4], np.float32(1)),
            class_ids=np.rint(rows[:, 5]).astype(np.int32),
        )
