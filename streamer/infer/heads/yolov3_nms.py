"""All boxes, all scores, and the indices of what NMS has chosen of them; so are YOLOv3s of the ONNX Model Zoo."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .base import Candidates
from .darknet import DARKNET
from .doubts import as_corners, normalised, not_corners, not_probabilities
from .family import ULTRALYTICS, Family, Look, Reading
from .final import is_float, same_rows
from .nms import MAX_KEPT, corners, sound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Port, Signature

    Boxes = NDArray[np.float32]

_ZOO = "image_shape"  # what the Model Zoo's networks alone ask for beside the picture


class IndicesHead:
    """Boxes in px, scores by class, and rows of picture, class and box. Nothing is suppressed again."""

    def __init__(self, to_corners: Callable[[Boxes], Boxes]) -> None:
        self._to_corners = to_corners  # from (n, 4) as the network writes them to x1, y1, x2, y2

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode [1, N, 4], [1, C, N] and [K, 3] or [1, K, 3]."""
        boxes, scores = outputs[0][0], outputs[1][0]
        chosen = outputs[2].reshape(-1, 3)[:, 1:]
        inside = ((chosen >= 0) & (chosen < (scores.shape[0], boxes.shape[0]))).all(axis=1)  # -1 stands for nothing
        class_ids, places = chosen[inside].astype(np.intp).T
        values = scores[class_ids, places]
        found = self._to_corners(boxes[places])
        kept = np.flatnonzero((values >= floor) & sound(found, values))
        kept = kept[np.argsort(-values[kept], kind="stable")[:MAX_KEPT]]
        return [
            Candidates(
                boxes=found[kept],
                scores=np.minimum(values[kept], np.float32(1)),
                class_ids=class_ids[kept].astype(np.int32),
            )
        ]


def _read(head: str, signature: Signature) -> list[Reading]:
    boxes = [p for p in signature.outputs if p.rank == 3 and p.shape[2] == 4 and is_float(p)]
    chosen = [p for p in signature.outputs if p.rank in (2, 3) and p.shape[-1] == 3 and not is_float(p)]
    return [
        Reading(
            head=head,
            outputs=(box, score, index),
            columns=score.shape[1],
            sure=(_ZOO in signature.extras) == (head == "yolov3-nms"),
            one_picture=True,
        )
        for index in chosen
        for box in boxes
        for score in signature.outputs
        if score is not box and is_float(score) and same_rows(score, box, axes=1) and _are_scores(score, box)
    ]


def _are_scores(port: Port, boxes: Port) -> bool:
    """Whether it has a score of each class for each box."""
    if port.rank != 3 or port.shape[1] is None:
        return False
    return None in (port.shape[2], boxes.shape[1]) or port.shape[2] == boxes.shape[1]


def _xyxy(boxes: Boxes) -> Boxes:
    return boxes


def _yxyx(boxes: Boxes) -> Boxes:
    return boxes[:, [1, 0, 3, 2]]


def _against(outputs: Sequence[NDArray[np.float32]], order: Callable[[Boxes], str | None]) -> str | None:
    boxes, scores = outputs[:2]
    return not_probabilities(scores) or normalised(boxes) or order(boxes.reshape(-1, 4))


def _family(
    name: str,
    columns: str,
    to_corners: Callable[[Boxes], Boxes],
    *,
    order: Callable[[Boxes], str | None] = not_corners,
    look: Look = ULTRALYTICS,
) -> Family:
    """Return a family; `order` says what speaks against this order of a box's numbers."""
    return Family(
        name=name,
        needs=f"boxes [1, N, 4] of {columns} in px, scores [1, C, N] and whole numbers [K, 3]",
        look=look,
        read=lambda signature: _read(name, signature),
        open=lambda _: IndicesHead(to_corners),
        against=lambda outputs, _: _against(outputs, order),
    )


FAMILY = _family("yolov3-nms", "y1, x1, y2, x2", _yxyx, look=DARKNET)
# ONNX's NonMaxSuppression takes corners of either order alike, and centres with `center_point_box`.
XYXY = _family("indices-xyxy", "x1, y1, x2, y2", _xyxy)
YXYX = _family("indices-yxyx", "y1, x1, y2, x2", _yxyx)
CXCYWH = _family("indices-cxcywh", "cx, cy, w, h", corners, order=as_corners)
