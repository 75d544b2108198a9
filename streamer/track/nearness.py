"""How alike a track and a detection are, also when their boxes do not overlap: what they are paired by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from trackers import DIoU

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SURE_IOU = 0.3  # boxes that overlap this much may be one object whatever the rest says
_LIKE_AREA = 4.0  # else one box has at most this many times the other's area


class Nearness(DIoU):  # type: ignore[misc]  # the library is untyped
    """Distance IoU scaled to 0..1 within a track's own reach, 0 beyond it.

    Plain overlap loses a walker at 1 to 3 frames a second; one fixed reach wide enough for that would hand the id of an
    object missed for a moment to its neighbour at 25. So each track says how far it may have strayed. The assignment
    maximises the sum over all pairs: without the 0 it would trade one good pair for two bad ones.
    """

    def _compute(self, boxes_1: NDArray[np.float64], boxes_2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, M) nearness.

        Args:
            boxes_1: (N, 5) predicted x1 y1 x2 y2 and reach, px, of `CoastingEstimator`.
            boxes_2: (M, 4) detected x1 y1 x2 y2, px.
        """
        tracks, reach = boxes_1[:, None, :4], boxes_1[:, None, 4]
        detected = boxes_2[None, :, :]
        diou = np.asarray(super()._compute(boxes_1[:, :4], boxes_2), np.float64)
        astray = (tracks[..., :2] + tracks[..., 2:] - detected[..., :2] - detected[..., 2:]) / 2
        areas = [np.maximum((b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1]), 1.0) for b in (tracks, detected)]
        alike = np.maximum(areas[0], areas[1]) <= _LIKE_AREA * np.minimum(areas[0], areas[1])
        within = np.hypot(astray[..., 0], astray[..., 1]) <= reach
        return np.where((diou >= _SURE_IOU) | (within & alike), (1.0 + diou) / 2, 0.0)
