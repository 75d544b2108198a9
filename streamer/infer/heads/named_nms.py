"""Final boxes in fractions under names of their own: TensorFlow's Object Detection API, Azure, the Model Zoo's SSD."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.infer.spec import ColorOrder, Fit

from .doubts import in_pixels, not_corners, not_probabilities, not_whole
from .family import IMAGENET, STRETCHED, Family, Look, Numbering, Reading
from .final import is_float, same_rows
from .separate import SeparateHead

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.infer.signature import Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_TENSORFLOW = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
_AZURE = ("detected_boxes", "detected_scores", "detected_classes")
_ZOO = ("bboxes", "scores", "labels")
_SEEN = 0.1  # scores below it may stand in rows that fill up


class TensorFlowHead(SeparateHead):
    """Boxes y1, x1, y2, x2, scores, classes, and how many rows are valid."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, fractions=True)

    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode boxes [B, n, 4], scores [B, n], classes [B, n] and the count [B]."""
        return super().__call__([outputs[0][..., [1, 0, 3, 2]], *outputs[1:]], floor, iou)


def _plain(name: str) -> str:
    """Return `detection_boxes` of `StatefulPartitionedCall/detection_boxes:0`."""
    return name.rsplit("/", 1)[-1].split(":", 1)[0]


def _by_name(signature: Signature, names: Sequence[str]) -> tuple[Port, ...] | None:
    """Return the outputs of these names, or None if one is missing, or is no list of boxes and what goes with them."""
    found = {_plain(port.name): port for port in reversed(signature.outputs)}
    if not all(name in found for name in names):
        return None
    boxes, *lists = (found[name] for name in names)
    shaped = boxes.rank == 3 and boxes.shape[2] in (4, None) and all(p.rank == 2 for p in lists[:2])
    return (boxes, *lists) if shaped and same_rows(boxes, *lists[:2]) else None


def _read_tensorflow(signature: Signature) -> list[Reading]:
    named = _by_name(signature, _TENSORFLOW) or _by_name(signature, _TENSORFLOW[:3])
    ways = [named] if named is not None else list(_unnamed(signature))
    return [Reading(head="ssd-tf", outputs=way, numbering=Numbering.ONE, coco91=True) for way in ways]


def _unnamed(signature: Signature) -> Iterator[tuple[Port, ...]]:
    """Find the four outputs that a converter has called `Identity` and the like: all are floats, the count too."""
    ports = signature.outputs
    boxes = [p for p in ports if p.rank == 3 and p.shape[2] == 4]
    lists = [p for p in ports if p.rank == 2]
    counts = [p for p in ports if p.rank == 1]
    if (len(ports), len(boxes), len(lists), len(counts)) != (4, 1, 2, 1) or not all(map(is_float, ports)):
        return
    if same_rows(boxes[0], *lists) and same_rows(boxes[0], counts[0], axes=1):
        yield from ((boxes[0], scores, ids, counts[0]) for scores, ids in (lists, lists[::-1]))


def _read_azure(signature: Signature) -> list[Reading]:
    named = _by_name(signature, _AZURE)
    return [] if named is None else [Reading(head="azure-nms", outputs=named)]


def _read_zoo(signature: Signature) -> list[Reading]:
    named = _by_name(signature, _ZOO)
    if named is None or is_float(named[2]):
        return []
    return [Reading(head="ssd-zoo", outputs=named, numbering=Numbering.ONE)]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    boxes, scores, ids = outputs[:3]
    return (
        not_whole(ids, "what should be its classes")
        or not_probabilities(scores)
        or in_pixels(boxes)
        or not_corners(boxes.reshape(-1, 4))
    )


def _against_background(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    scores, ids = outputs[1:3]
    if ((ids == 0) & (scores > _SEEN)).any():
        return "it shows class 0, which should be the background"
    return _against(outputs, spec)


TENSORFLOW = Family(  # SSD, EfficientDet, Faster R-CNN, CenterNet of that API: each resizes for itself
    name="ssd-tf",
    needs="detection_boxes [B, n, 4], detection_scores, detection_classes [B, n] and num_detections [B]",
    look=Look(color=ColorOrder.RGB, scale=1.0, fit=Fit.STRETCH),
    read=_read_tensorflow,
    open=TensorFlowHead,
    against=_against_background,
)
AZURE = Family(
    name="azure-nms",
    needs="detected_boxes [B, n, 4], detected_scores and detected_classes [B, n]",
    look=STRETCHED,
    read=_read_azure,
    open=lambda spec: SeparateHead(spec, fractions=True),
    against=_against,
)
ZOO = Family(
    name="ssd-zoo",
    needs="bboxes [B, n, 4], scores [B, n] and whole labels [B, n]",
    look=IMAGENET,
    read=_read_zoo,
    open=lambda spec: SeparateHead(spec, fractions=True),
    against=_against_background,
)
