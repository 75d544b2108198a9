"""YOLOv3 and tiny YOLOv3 of the ONNX Model Zoo: all boxes, all scores, and what NMS has chosen of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .base import Candidates
from .darknet import DARKNET
from .doubts import normalised, not_probabilities
from .family import Family, Reading
from .final import same_rows
from .nms import MAX_KEPT, sound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Port, Signature
    from streamer.infer.spec import ModelSpec


class Yolov3NmsHead:
    """Boxes y1, x1, y2, x2 in px, scores by class, and rows of picture, class and box. Nothing is suppressed again."""

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode [1, N, 4], [1, C, N] and [K, 3] or [1, K, 3]."""
        boxes, scores = outputs[0][0], outputs[1][0]
        chosen = outputs[2].reshape(-1, 3)[:, 1:]
        inside = ((chosen >= 0) & (chosen < (scores.shape[0], boxes.shape[0]))).all(axis=1)  # -1 stands for nothing
        class_ids, places = chosen[inside].astype(np.intp).T
        values = scores[class_ids, places]
        found = boxes[places][:, [1, 0, 3, 2]]
        kept = np.flatnonzero((values >= floor) & sound(found, values))
        kept = kept[np.argsort(-values[kept], kind="stable")[:MAX_KEPT]]
        return [
            Candidates(
                boxes=found[kept],
                scores=np.minimum(values[kept], np.float32(1)),
                class_ids=class_ids[kept].astype(np.int32),
            )
        ]


def _read(signature: Signature) -> list[Reading]:
    boxes = [p for p in signature.outputs if p.rank == 3 and p.shape[2] == 4 and _is_float(p)]
    chosen = [p for p in signature.outputs if p.rank in (2, 3) and p.shape[-1] == 3 and not _is_float(p)]
    return [
        Reading(head="yolov3-nms", outputs=(box, score, index), columns=score.shape[1], one_picture=True)
        for index in chosen
        for box in boxes
        for score in signature.outputs
        if score is not box and _is_float(score) and same_rows(score, box, axes=1) and _are_scores(score, box)
    ]


def _is_float(port: Port) -> bool:
    return port.dtype.startswith("float")


def _are_scores(port: Port, boxes: Port) -> bool:
    """Whether it has a score of each class for each box."""
    if port.rank != 3 or port.shape[1] is None:
        return False
    return None in (port.shape[2], boxes.shape[1]) or port.shape[2] == boxes.shape[1]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    return not_probabilities(outputs[1]) or normalised(outputs[0])


FAMILY = Family(
    name="yolov3-nms",
    needs="boxes [1, N, 4], scores [1, C, N] and whole numbers [K, 3]",
    look=DARKNET,
    read=_read,
    open=lambda _: Yolov3NmsHead(),
    against=_against,
)
