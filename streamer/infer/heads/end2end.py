"""YOLOv10, YOLO26 and exports with NMS inside: [B, K, 6], final boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .base import Candidates
from .doubts import normalised, not_probabilities
from .family import ULTRALYTICS, Family, Reading
from .final import is_rows
from .nms import MAX_KEPT, sound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Signature
    from streamer.infer.spec import ModelSpec

_MAX_FINAL = 1000  # boxes that networks with NMS inside give at most; 300 as a rule


class End2EndHead:
    """Rows x1, y1, x2, y2 in px of the input, score, class; padded with zeros. Nothing is suppressed again."""

    def __init__(self, classes: int) -> None:
        self._classes = classes

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode [B, K, 6]."""
        return [self._decode(rows, floor) for rows in outputs[0]]

    def _decode(self, rows: NDArray[np.float32], floor: float) -> Candidates:
        rows = rows[rows[:, 4] >= floor]
        known = (rows[:, 5] > -0.5) & (rows[:, 5] < self._classes - 0.5)
        rows = rows[known & sound(rows[:, :4], rows[:, 4])]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")[:MAX_KEPT]]
        return Candidates(
            boxes=rows[:, :4].copy(),
            scores=np.minimum(rows[:, 4], np.float32(1)),
            class_ids=np.rint(rows[:, 5]).astype(np.int32),
        )


def _read(signature: Signature) -> list[Reading]:
    return [
        Reading(head="end2end", outputs=(output,), sure=output.shape[1] is None or output.shape[1] <= _MAX_FINAL)
        for output in signature.outputs
        if is_rows(output) and output.shape[2] == 6
    ]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    rows = outputs[0]
    ids = rows[..., 5]
    if (ids != np.rint(ids)).any():
        return "its last column holds no whole numbers, so no classes"
    return not_probabilities(rows[..., 4]) or normalised(rows[..., :4])


FAMILY = Family(
    name="end2end",
    needs="[B, K, 6]",
    look=ULTRALYTICS,
    read=_read,
    open=lambda spec: End2EndHead(spec.classes),
    against=_against,
    ultralytics=True,
)
