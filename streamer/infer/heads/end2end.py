"""YOLOv10, YOLO26 and exports with NMS inside: [B, K, 6], final boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .doubts import in_pixels, normalised, not_corners, not_probabilities
from .family import ULTRALYTICS, Family, Reading
from .final import final_boxes, id_bound, is_rows, not_suppressed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_MAX_FINAL = 1000  # boxes that networks with NMS inside give at most; 300 as a rule
_CROWD = 3  # boxes of one object: YOLOv10, which has no NMS, may find it twice


class End2EndHead:
    """Rows x1, y1, x2, y2, score, class; padded with zeros. Nothing is suppressed again."""

    def __init__(self, spec: ModelSpec, *, fractions: bool) -> None:
        height, width = spec.input.hw
        self._size = np.array([width, height, width, height] if fractions else [1, 1, 1, 1], np.float32)
        self._bound = id_bound(spec)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode [B, K, 6]."""
        return [
            final_boxes(rows[:, :4] * self._size, rows[:, 4], rows[:, 5], floor=floor, bound=self._bound)
            for rows in outputs[0]
        ]


def _read(head: str, signature: Signature, *, rare: bool = False) -> list[Reading]:
    return [
        Reading(
            head=head,
            outputs=(output,),
            sure=output.shape[1] is None or output.shape[1] <= _MAX_FINAL,
            rare=rare,
        )
        for output in signature.outputs
        if is_rows(output) and output.shape[2] == 6
    ]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec, *, fractions: bool) -> str | None:  # noqa: ARG001  `Family.against`
    rows = outputs[0]
    ids = rows[..., 5]
    if (ids != np.rint(ids)).any():
        return "its last column holds no whole numbers, so no classes"
    if fractions and not (rows[..., 4] > 0).any():  # nothing is seen, and px are met far more often
        return "none of its scores is above 0"
    boxes = rows[..., :4]
    doubt = not_probabilities(rows[..., 4]) or (in_pixels(boxes) if fractions else normalised(boxes))
    doubt = doubt or not_corners(rows[0, :, :4], rows[0, :, 4])
    return doubt or not_suppressed(rows[0, :, :4], rows[0, :, 4], rows[0, :, 5], crowd=_CROWD)


FAMILY = Family(
    name="end2end",
    needs="[B, K, 6]",
    look=ULTRALYTICS,
    read=lambda signature: _read("end2end", signature),
    open=lambda spec: End2EndHead(spec, fractions=False),
    against=lambda outputs, spec: _against(outputs, spec, fractions=False),
    ultralytics=True,
)
NORMALIZED = Family(
    name="end2end-normalized",
    needs="[B, K, 6] with boxes in fractions of the picture",
    look=ULTRALYTICS,
    read=lambda signature: _read("end2end-normalized", signature, rare=True),
    open=lambda spec: End2EndHead(spec, fractions=True),
    against=lambda outputs, spec: _against(outputs, spec, fractions=True),
)
