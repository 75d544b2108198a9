"""MMDetection as mmdeploy exports it, and OpenVINO's training extensions: boxes with their scores, and labels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from streamer.infer.spec import Fit

from .doubts import normalised, not_corners, not_probabilities, not_whole
from .family import IMAGENET, Family, Reading
from .final import final_boxes, id_bound, is_float, other_columns, same_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.infer.signature import Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates


class MmdetHead:
    """Rows x1, y1, x2, y2 in px of the input, score; and each row's class from 0. Nothing is suppressed again."""

    def __init__(self, spec: ModelSpec) -> None:
        self._bound = id_bound(spec)

    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode dets [B, n, 5] and labels [B, n], or those of one picture, [n, 5] and [n]."""
        rows, ids = outputs
        pictures = [(rows, ids)] if rows.ndim == 2 else zip(rows, ids, strict=True)
        return [final_boxes(row[:, :4], row[:, 4], i, floor=floor, bound=self._bound) for row, i in pictures]


def _read(signature: Signature) -> list[Reading]:
    return [
        Reading(head="mmdet", outputs=(dets, labels), one_picture=dets.rank == 2)
        for dets in signature.outputs
        if dets.rank in (2, 3) and (dets.shape[-1] == 5 or dets.shape == (None, None)) and is_float(dets)
        for labels in signature.outputs
        if labels.rank == dets.rank - 1 and not is_float(labels) and same_rows(dets, labels, axes=labels.rank)
    ]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    doubt = other_columns(outputs[0], 5)
    if doubt is not None:
        return doubt
    rows, ids = outputs[0].reshape(-1, 5), outputs[1].reshape(-1)
    rows, ids = rows[ids >= 0], ids[ids >= 0]  # below 0 are rows that fill up
    boxes = rows[:, :4]
    doubt = not_whole(ids, "its labels") or not_probabilities(rows[:, 4])
    return doubt or normalised(boxes) or not_corners(boxes, rows[:, 4])


FAMILY = Family(
    name="mmdet",
    needs="dets [B, n, 5] and labels [B, n]",
    look=replace(IMAGENET, fit=Fit.LETTERBOX_TOPLEFT, pad=114),
    read=_read,
    open=MmdetHead,
    against=_against,
)
