"""PaddleDetection with NMS inside: the rows of all pictures in one list, the class first, and how many are whose."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .doubts import normalised, not_corners, not_probabilities, not_whole
from .family import STRETCHED, Family, Reading
from .final import final_boxes, id_bound, is_float, other_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_TOLD = {"im_shape", "scale_factor"}  # what only its networks ask for beside the picture


class PaddleHead:
    """Rows class, score, x1, y1, x2, y2 in px of the input; a class of -1 fills up. Nothing is suppressed again."""

    def __init__(self, spec: ModelSpec) -> None:
        self._bound = id_bound(spec)

    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode [n, 6] and the number of rows of each picture, [B]; or [B, K, 6]."""
        return [
            final_boxes(rows[:, 2:], rows[:, 1], rows[:, 0], floor=floor, bound=self._bound)
            for rows in _pictures(outputs)
        ]


def _pictures(outputs: Sequence[NDArray[np.float32]]) -> Sequence[NDArray[np.float32]]:
    """Return each picture's rows."""
    if outputs[0].ndim == 3:
        return list(outputs[0])
    rows, counts = outputs[0], np.nan_to_num(outputs[1].reshape(-1))
    ends = np.cumsum(np.clip(counts, 0, len(rows)).astype(np.intp))
    return np.split(rows, ends)[: len(counts)]


def _read(signature: Signature) -> list[Reading]:
    rows = [p for p in signature.outputs if _may_be_rows(p)]
    counts = [p for p in signature.outputs if _is_count(p)]
    found = []
    for port in rows:
        if port.rank == 3:  # but for the order of its columns this is head end2end, which is met far more often
            rare = not counts and _TOLD.isdisjoint(signature.extras)
            found.append(Reading(head="paddle", outputs=(port,), rare=rare))
        elif len(counts) == 1:
            found.append(Reading(head="paddle", outputs=(port, counts[0])))
    return found


def _may_be_rows(port: Port) -> bool:
    return port.rank in (2, 3) and (port.shape[-1] == 6 or port.shape == (None, None)) and is_float(port)


def _is_count(port: Port) -> bool:
    return not is_float(port) and (port.rank == 1 or (port.rank == 2 and port.shape[1] == 1))


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    doubt = other_columns(outputs[0], 6)
    if doubt is not None:
        return doubt
    rows = np.concatenate(_pictures(outputs))
    if outputs[0].ndim == 3 and not (rows[:, 1] > 0).any():
        return "none of its scores is above 0"
    rows = rows[rows[:, 0] >= 0]
    boxes = rows[:, 2:]
    doubt = not_whole(rows[:, 0], "its first column") or not_probabilities(rows[:, 1])
    return doubt or normalised(boxes) or not_corners(boxes, rows[:, 1])


FAMILY = Family(
    name="paddle",
    needs="[n, 6] of class, score, box, and how many rows each picture has, [B]",
    look=STRETCHED,
    read=_read,
    open=PaddleHead,
    against=_against,
)
