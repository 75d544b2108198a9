"""YOLOX as its own exporter leaves it: boxes still relative to their cells, [B, A, 5+C]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .grid import STRIDES, cells
from .nms import corners, suppress
from .v5 import best_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from .base import Candidates


class YoloxHead:
    """Rows dx, dy, log w, log h in cells, objectness, then classes; row-major cells of strides 8, 16 and 32."""

    def __init__(self, input_hw: tuple[int, int]) -> None:
        self._xy, self._stride = cells(input_hw, STRIDES)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, A, 5+C]."""
        result = []
        for rows in outputs[0]:
            passed, scores, class_ids = best_rows(rows, floor)
            raw = rows[passed, :4]
            stride = self._stride[passed]
            centres = np.concatenate(
                ((raw[:, :2] + self._xy[passed]) * stride, np.exp(raw[:, 2:]) * stride),
                axis=1,
            )
            result.append(suppress(corners(centres), scores, class_ids, iou=iou))
        return result
