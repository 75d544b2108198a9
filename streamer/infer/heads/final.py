"""Boxes that are final when they leave the network: what is left to do with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.agreement import iou_of

from .base import Candidates
from .nms import MAX_KEPT, sound

_SEEN = 0.3  # a score that only what is really there reaches
_FAINT = 0.1  # a score that what surrounds the best box of an object reaches
_MOST_SEEN = 200  # boxes that are compared with each other, the best
_SAME = 0.8  # IoU of two boxes that NMS would not have left
_NEAR = 0.5  # IoU of two boxes, one of which it would have removed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streamer.infer.signature import Port
    from streamer.infer.spec import ModelSpec


def id_bound(spec: ModelSpec) -> int:
    """Return the first whole number that is no class id of a network whose shapes need not say how many it has."""
    return spec.classes if spec.ids is None else max(spec.ids, default=-1) + 1


@np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
def final_boxes(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], ids: NDArray[np.float32], *, floor: float, bound: int
) -> Candidates:
    """Return what is good enough and can be, best first. Nothing is suppressed: the network has done that.

    Args:
        boxes: (N, 4) x1 y1 x2 y2, px, any order.
        scores: (N,).
        ids: (N,) class ids, whole numbers, written as floats.
        floor: least score.
        bound: ids from it on are none, nor are those below 0, which fill up what is empty.
    """
    passed = np.flatnonzero((scores >= floor) & (ids > -0.5) & (ids < bound - 0.5))  # NaN passes no comparison
    boxes, scores = boxes[passed], scores[passed]
    sane = sound(boxes, scores)
    boxes, scores, passed = boxes[sane], scores[sane], passed[sane]
    best = np.argsort(-scores, kind="stable")[:MAX_KEPT]
    return Candidates(
        boxes=boxes[best].astype(np.float32),
        scores=np.minimum(scores[best], np.float32(1)),
        class_ids=np.rint(ids[passed[best]]).astype(np.int32),
    )


def not_suppressed(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], ids: NDArray[np.float32], *, crowd: int = 2
) -> str | None:
    """Say that some object is found several times over, as it is before NMS.

    Args:
        boxes: (N, 4) x1 y1 x2 y2.
        scores: (N,).
        ids: (N,) class ids.
        crowd: how many boxes of one object are too many.
    """
    most = _most_of_one(boxes, scores, ids, seen=_SEEN, same=_SAME)
    return f"one object is found {most} times: NMS is not inside" if most >= crowd else None


def suppressed(boxes: NDArray[np.float32], scores: NDArray[np.float32], ids: NDArray[np.float32]) -> str | None:
    """Say that each object is found once only, as it is after NMS; arguments as of `not_suppressed`."""
    if not (scores > _SEEN).any() or _most_of_one(boxes, scores, ids, seen=_FAINT, same=_NEAR) != 1:
        return None
    return "each object is found once: NMS is inside already"


def _most_of_one(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], ids: NDArray[np.float32], *, seen: float, same: float
) -> int:
    """Return how many boxes the object has that has most of them; 0: nothing is seen."""
    passed = np.flatnonzero((scores > seen) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1))
    best = passed[np.argsort(-scores[passed], kind="stable")[:_MOST_SEEN]]
    # Some networks fill up with copies of one row: what is the same to the last bit counts once.
    found = np.unique(np.column_stack((ids[best], boxes[best])), axis=0)
    alike = (iou_of(found[:, 1:], found[:, 1:]) > same) & (found[:, :1] == found[:, 0])
    return int(alike.sum(axis=1).max(initial=0))


def other_columns(rows: NDArray[np.float32], columns: int) -> str | None:
    """Say that rows, whose length the file leaves open, (..., n), are not so long."""
    return None if rows.shape[-1] == columns else f"it answers with {rows.shape[-1]} columns"


def is_raw(port: Port) -> bool:
    """Whether it is what TensorFlow's networks answer beside their final boxes, before their NMS."""
    return "raw_detection" in port.name


def is_float(port: Port) -> bool:
    """Whether it holds numbers with a fraction."""
    return port.dtype.startswith("float")


def is_rows(port: Port) -> bool:
    """Whether it holds rows of numbers for each picture, [B, n, m]."""
    return port.rank == 3 and is_float(port)


def same_rows(*ports: Port, axes: int = 2) -> bool:
    """Whether the first axes of all, batch and rows, may have the same lengths; an open one has any."""
    lengths = zip(*(port.shape[:axes] for port in ports), strict=False)
    return all(len({n for n in same if n is not None}) <= 1 for same in lengths)
