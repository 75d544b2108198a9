"""YOLO-NAS, DAMO-YOLO and PP-YOLOE without NMS: a row of scores and a box in px for each cell, in two outputs."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.spec import ColorOrder, Fit

from .doubts import normalised, not_corners, not_probabilities
from .family import STRETCHED, ULTRALYTICS, Family, Look, Reading
from .final import is_float, is_raw, same_rows
from .grid import ANCHOR_FREE, has_rows
from .nms import suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the families differ in, besides their look."""

    name: str
    class_axis: int  # of the scores: 2 for [B, A, C], 1 for [B, C, A]

    @property
    def row_axis(self) -> int:
        """The other one."""
        return 3 - self.class_axis


class TwoOutputsHead:
    """Sigmoid scores of each class, and boxes x1, y1, x2, y2 in px of the input."""

    def __init__(self, kind: _Kind) -> None:
        self._axis = kind.class_axis - 1  # within one picture

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode scores [B, A, C] or [B, C, A], and boxes [B, A, 4]."""
        return [self._decode(*one, floor=floor, iou=iou) for one in zip(outputs[0], outputs[1], strict=True)]

    def _decode(
        self, scores: NDArray[np.float32], boxes: NDArray[np.float32], *, floor: float, iou: float
    ) -> Candidates:
        best = scores.max(axis=self._axis)
        passed = np.flatnonzero(best >= floor)  # NaN passes no comparison
        class_ids = scores.take(passed, axis=1 - self._axis).argmax(axis=self._axis).astype(np.int32)
        return suppress(boxes[passed], best[passed], class_ids, iou=iou)


def _read(kind: _Kind, signature: Signature) -> list[Reading]:
    ports = [port for port in signature.outputs if port.rank == 3 and is_float(port) and not is_raw(port)]
    return [
        Reading(
            head=kind.name,
            outputs=(scores, boxes),
            columns=scores.shape[kind.class_axis],
            # Whole numbers beside them are what NMS has chosen: they belong to another family.
            sure=has_rows(boxes.shape[1], signature.hw, ANCHOR_FREE) and all(map(is_float, signature.outputs)),
        )
        for scores, boxes in permutations(ports, 2)
        if boxes.shape[2] == 4 and scores.shape[kind.class_axis] and _alike(scores, boxes, kind)
    ]


def _alike(scores: Port, boxes: Port, kind: _Kind) -> bool:
    rows = {scores.shape[kind.row_axis], boxes.shape[1]}
    return len(rows - {None}) <= 1 and same_rows(scores, boxes, axes=1)


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    scores, boxes = outputs
    return not_probabilities(scores) or normalised(boxes) or not_corners(boxes.reshape(-1, 4))


def _family(kind: _Kind, look: Look) -> Family:
    scores = "[B, A, C]" if kind.class_axis == 2 else "[B, C, A]"
    return Family(
        name=kind.name,
        needs=f"scores {scores} and boxes [B, A, 4] in px",
        look=look,
        read=lambda signature: _read(kind, signature),
        open=lambda _: TwoOutputsHead(kind),
        against=_against,
    )


YOLO_NAS = _family(_Kind("yolo-nas", 2), ULTRALYTICS)
DAMO = _family(_Kind("damo-yolo", 2), Look(color=ColorOrder.RGB, scale=1.0, fit=Fit.LETTERBOX_TOPLEFT, pad=0))
PPYOLOE = _family(_Kind("ppyoloe", 1), STRETCHED)  # that of PP-YOLOE+; the first ones had ImageNet's mean and std
