"""YOLOv10, YOLO26 and exports with NMS inside: [B, K, 6], final boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .doubts import normalised, not_probabilities
from .family import ULTRALYTICS, Family, Reading
from .final import final_boxes, id_bound, is_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_MAX_FINAL = 1000  # boxes that networks with NMS inside give at most; 300 as a rule


class End2EndHead:
    """Rows x1, y1, x2, y2 in px of the input, score, class; padded with zeros. Nothing is suppressed again."""

    def __init__(self, spec: ModelSpec) -> None:
        self._bound = id_bound(spec)

    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode [B, K, 6]."""
        return [final_boxes(rows[:, :4], rows[:, 4], rows[:, 5], floor=floor, bound=self._bound) for rows in outputs[0]]


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
    open=End2EndHead,
    against=_against,
    ultralytics=True,
)
