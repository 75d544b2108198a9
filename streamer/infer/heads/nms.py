"""Non-maximum suppression within each class, and the bounds that keep it quick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from .base import Candidates

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_CONSIDERED = 3000  # the work grows with the square: a network gone mad must not stall the others
MAX_KEPT = 300  # as Ultralytics and YOLOX
_FARTHEST_PX = 1e5  # far beyond any picture; keeps the class offsets below exact
_ROUNDED_ONE = 1.05  # a quantised 1 may come back a little larger; beyond this it is no probability


def suppress(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], class_ids: NDArray[np.int32], *, iou: float
) -> Candidates:
    """Keep the best of overlapping boxes of each class.

    Args:
        boxes: (N, 4) x1 y1 x2 y2, px, any order.
        scores: (N,), filtered by the caller's floor.
        class_ids: (N,) from 0.
        iou: greatest overlap that two boxes of one class may have.
    """
    sane = sound(boxes, scores)
    if not sane.all():
        boxes, scores, class_ids = boxes[sane], scores[sane], class_ids[sane]
    if len(scores) > MAX_CONSIDERED:
        best = np.argpartition(-scores, MAX_CONSIDERED)[:MAX_CONSIDERED]
        boxes, scores, class_ids = boxes[best], scores[best], class_ids[best]
    if len(scores) == 0:
        return Candidates.empty()
    near = np.clip(boxes, -_FARTHEST_PX, _FARTHEST_PX)
    # OpenCV keeps classes apart by moving each by its largest coordinate: that holds for positive ones only.
    xywh = near - near.min()
    xywh[:, 2:] -= xywh[:, :2]
    batched: Any = cv2.dnn.NMSBoxesBatched  # its stubs ask for lists, which would be slower
    kept = np.asarray(batched(xywh, scores, class_ids, 0.0, iou), np.intp)[:MAX_KEPT]
    return Candidates(boxes=near[kept], scores=np.minimum(scores[kept], np.float32(1)), class_ids=class_ids[kept])


def sound(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which rows are finite, have an area, and a score that can be one, (N,)."""
    sides = boxes[:, 2:] - boxes[:, :2]
    sane: NDArray[np.bool_] = (sides > 0).all(axis=1) & np.isfinite(boxes).all(axis=1) & (scores <= _ROUNDED_ONE)
    return sane


def corners(centres: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N, 4) x1 y1 x2 y2 of (N, 4) cx cy w h."""
    half = centres[:, 2:4] * np.float32(0.5)
    boxes: NDArray[np.float32] = np.concatenate((centres[:, :2] - half, centres[:, :2] + half), axis=1)
    return boxes
