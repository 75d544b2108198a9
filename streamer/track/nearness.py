"""How alike two boxes are, also when they do not overlap: what tracks and detections are paired by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from trackers import DIoU

if TYPE_CHECKING:
    from numpy.typing import NDArray


def least_diou(step_s: float) -> float:
    """Return the distance IoU down to which two boxes may be one object, for frames `step_s` apart.

    -0.3 is a gap of one width of a standing person between the boxes, -0.6 one of four: a runner covers that within
    half a second, a walker within two. Plain IoU would lose a walker at 1 to 3 frames a second; at 25 frames a second
    a wide reach would hand the id of an object that is missed for a moment to its neighbour.
    """
    return -min(0.25 + 1.5 * step_s, 0.6)


class Nearness(DIoU):  # type: ignore[misc]  # the library is untyped
    """Distance IoU, scaled to 0..1, and 0 for every pair too far apart to be one object.

    The assignment maximises the sum over all pairs; without the floor at 0 it would trade one good pair for two bad
    ones.
    """

    def __init__(self) -> None:
        self.least = least_diou(0.2)  # set anew for each frame

    def _compute(self, boxes_1: NDArray[np.float64], boxes_2: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N, M) nearness of (N, 4) predicted and (M, 4) detected boxes, x1 y1 x2 y2 px."""
        diou = np.asarray(super()._compute(boxes_1, boxes_2), np.float64)
        return np.maximum(0.0, (diou - self.least) / (1.0 - self.least))
