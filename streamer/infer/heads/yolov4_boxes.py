"""YOLOv4 as exported from pytorch-YOLOv4: boxes [B, N, 1, 4] in fractions and confidences [B, N, C]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .darknet import STRETCHED
from .doubts import in_pixels, not_probabilities
from .family import Family, Reading
from .final import is_float, is_rows
from .nms import suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_NAMES = ("boxes", "confs")  # of its exporter, which some follow without the axis of length 1


class Yolov4BoxesHead:
    """Boxes x1, y1, x2, y2 in fractions of the input, and for each the objectness times each class."""

    def __init__(self, input_hw: HW) -> None:
        height, width = input_hw
        self._sides = np.array((width, height, width, height), np.float32)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, N, 1, 4] and [B, N, C]."""
        result = []
        for boxes, confidences in zip(outputs[0], outputs[1], strict=True):
            best = confidences.max(axis=1)
            passed = np.flatnonzero(best >= floor)  # NaN passes no comparison
            class_ids = confidences[passed].argmax(axis=1).astype(np.int32)
            result.append(suppress(boxes.reshape(-1, 4)[passed] * self._sides, best[passed], class_ids, iou=iou))
        return result


def _read(signature: Signature) -> list[Reading]:
    named = signature.named(*_NAMES) or ()
    return [
        Reading(head="yolov4-boxes", outputs=(boxes, confidences), columns=confidences.shape[2])
        for boxes in signature.outputs
        for confidences in signature.outputs
        if ((boxes.rank == 4 and boxes.shape[2] == 1) or (boxes.rank == 3 and boxes in named))
        and boxes.shape[-1] == 4
        and is_float(boxes)
        and is_rows(confidences)
        and confidences is not boxes
        and confidences.shape[2] is not None
        and (boxes.shape[1] == confidences.shape[1] or None in (boxes.shape[1], confidences.shape[1]))
    ]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    return not_probabilities(outputs[1]) or in_pixels(outputs[0])


FAMILY = Family(
    name="yolov4-boxes",
    needs="boxes [B, N, 1, 4] and confidences [B, N, C]",
    look=STRETCHED,
    read=_read,
    open=lambda spec: Yolov4BoxesHead(spec.input.hw),
    against=_against,
)
