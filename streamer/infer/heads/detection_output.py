"""DetectionOutput of Caffe, OpenVINO and OpenCV: final boxes in rows of seven, [1, 1, N, 7]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.spec import ColorOrder, Fit

from .doubts import in_pixels, not_corners, not_probabilities, not_whole
from .family import Family, Look, Numbering, Reading
from .final import final_boxes, id_bound, is_float

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_PICTURE, _LABEL, _SCORE, _BOX = 0, 1, 2, 3  # columns
_SEEN = 0.1  # scores below it may stand in rows that fill up
_ENDS = -1  # in the column of the picture: no more rows


class DetectionOutputHead:
    """Rows picture, label, score, and x1, y1, x2, y2 in fractions of the input; a picture of -1 ends them."""

    def __init__(self, spec: ModelSpec) -> None:
        self._size = np.array(spec.input.hw[::-1] * 2, np.float32)
        self._bound = id_bound(spec)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode [1, 1, N, 7] of one picture: one without boxes has no rows, so that more could not be told apart."""
        rows = _valid(outputs[0])
        boxes = rows[:, _BOX:] * self._size
        return [final_boxes(boxes, rows[:, _SCORE], rows[:, _LABEL], floor=floor, bound=self._bound)]


def _valid(output: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows before the end, (N, 7)."""
    rows = output.reshape(-1, 7)
    ends = np.flatnonzero(rows[:, _PICTURE] == _ENDS)
    return rows[: ends[0]] if len(ends) else rows


def _read(signature: Signature) -> list[Reading]:
    return [
        Reading(head="detection-output", outputs=(port,), numbering=Numbering.ONE, one_picture=True)
        for port in signature.outputs
        if port.rank == 4
        and port.shape[3] == 7
        and port.shape[1] in (1, None)
        and port.shape[0] in (1, None)
        and is_float(port)
    ]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    rows = _valid(outputs[0])
    if ((rows[:, _LABEL] == 0) & (rows[:, _SCORE] > _SEEN)).any():
        return "it shows class 0, which should be the background"
    return (
        not_whole(rows[:, :_SCORE], "its first two columns")
        or not_probabilities(rows[:, _SCORE])
        or in_pixels(rows[:, _BOX:])
        or not_corners(rows[:, _BOX:], rows[:, _SCORE])
    )


FAMILY = Family(  # the look of MobileNet-SSD; VGG's takes off 104, 117, 123 and divides by nothing
    name="detection-output",
    needs="[1, 1, N, 7] of picture, label, score and box",
    look=Look(
        color=ColorOrder.BGR,
        scale=1.0,
        fit=Fit.STRETCH,
        pad=127,
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        hw=(320, 320),
    ),
    read=_read,
    open=DetectionOutputHead,
    against=_against,
)
