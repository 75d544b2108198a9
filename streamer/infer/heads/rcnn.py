"""Final boxes without a batch axis: torchvision's detectors, and the ONNX Model Zoo's Faster and Mask R-CNN."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.infer.spec import ColorOrder, Fit

from .doubts import normalised, not_corners, not_probabilities
from .family import ULTRALYTICS, Family, Look, Numbering, Reading
from .final import final_boxes, id_bound, is_float

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.infer.signature import Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_ZOO = (("6379", "6381", "6383"), ("6568", "6570", "6572"))  # boxes, labels and scores of Faster R-CNN, Mask R-CNN
_SEEN = 0.1  # scores that say something


class RcnnHead:
    """Boxes x1, y1, x2, y2 in px of the input, labels from 1 on, and scores. Nothing is suppressed again."""

    def __init__(self, spec: ModelSpec) -> None:
        self._bound = id_bound(spec)

    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode boxes [n, 4], labels [n] and scores [n] of one picture."""
        boxes, labels, scores = outputs
        return [final_boxes(boxes, scores, labels, floor=floor, bound=self._bound)]


def _found(signature: Signature) -> tuple[Port, ...] | None:
    """Return boxes, labels and scores by their shapes: exporters call them anything, at times by each other's names."""
    boxes = [p for p in signature.outputs if p.rank == 2 and p.shape[1] == 4 and is_float(p)]
    labels = [p for p in signature.outputs if p.rank == 1 and not is_float(p)]
    scores = [p for p in signature.outputs if p.rank == 1 and is_float(p)]
    if (len(boxes), len(labels), len(scores)) != (1, 1, 1):
        return None
    lengths = {port.shape[0] for port in (*boxes, *labels, *scores)} - {None}
    return (boxes[0], labels[0], scores[0]) if len(lengths) <= 1 else None


def _read(signature: Signature, head: str) -> list[Reading]:
    found = _found(signature)
    if found is None:
        return []
    is_zoo = tuple(port.name for port in found) in _ZOO
    zoo = head == _OF_ZOO
    return [
        Reading(
            head=head,
            outputs=found,
            numbering=Numbering.ONE,
            coco91=not zoo,
            sure=(is_zoo or not signature.batched) if zoo else not is_zoo,
            one_picture=True,
        )
    ]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    boxes, labels, scores = outputs
    if ((labels == 0) & (scores > _SEEN)).any():
        return "it shows class 0, which should be the background"
    return not_probabilities(scores) or normalised(boxes) or not_corners(boxes)


_OF_TORCHVISION, _OF_ZOO = "torchvision", "faster-rcnn-zoo"
FAMILY = Family(  # its detectors resize and normalise for themselves
    name=_OF_TORCHVISION,
    needs="boxes [n, 4], whole labels [n] and scores [n]",
    look=ULTRALYTICS,
    read=lambda signature: _read(signature, _OF_TORCHVISION),
    open=RcnnHead,
    against=_against,
)
ZOO = Family(
    name=_OF_ZOO,
    needs="boxes [n, 4], whole labels [n] and scores [n]",
    look=Look(
        color=ColorOrder.BGR,
        scale=1.0,
        fit=Fit.LETTERBOX_TOPLEFT,
        pad=116,  # nearly the mean: what it was trained with is 0 after that is subtracted
        mean=(102.9801, 115.9465, 122.7717),
        hw=(800, 1344),
    ),
    read=lambda signature: _read(signature, _OF_ZOO),
    open=RcnnHead,
    against=_against,
)
