"""Final boxes of all pictures in one list of seven columns: YOLOv7 end-to-end, and YOLO-NAS in its flat format."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .doubts import normalised, not_corners, not_probabilities, not_whole
from .family import ULTRALYTICS, Family, Reading
from .final import final_boxes, id_bound, is_float, other_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.infer.signature import Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_COLUMNS = 7
_YOLOV7 = "output"  # as its exporter names it
_YOLO_NAS = "flat_predictions"  # a part of the name that its exporter gives


class Rows7Head:
    """Rows picture, x1, y1, x2, y2 in px of the input, then class and score, in either order."""

    def __init__(self, spec: ModelSpec, *, class_at: int) -> None:
        self._class_at = class_at
        self._bound = id_bound(spec)

    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode [n, 7] of one picture: one without boxes has no rows, so that more could not be told apart."""
        rows = outputs[0]
        rows = rows[rows[:, 0] == 0]
        scores, ids = rows[:, 11 - self._class_at], rows[:, self._class_at]
        return [final_boxes(rows[:, 1:5], scores, ids, floor=floor, bound=self._bound)]


def _read(signature: Signature, head: str) -> list[Reading]:
    return [
        Reading(head=head, outputs=(output,), sure=_may_be(head, output), one_picture=True)
        for output in signature.outputs
        if output.rank == 2 and output.shape[1] in (_COLUMNS, None) and is_float(output)
    ]


def _may_be(head: str, output: Port) -> bool:
    """Whether its name is not the other's; where the file leaves the columns open, its name must be the head's own."""
    its, others = output.name == _YOLOV7, _YOLO_NAS in output.name
    if head == "yolo-nas-flat":
        its, others = others, its
    return its if output.shape[1] is None else not others


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec, class_at: int) -> str | None:  # noqa: ARG001  `Family.against`
    rows = outputs[0]
    return (
        other_columns(rows, _COLUMNS)
        or not_whole(rows[:, 0], "its first column")
        or not_whole(rows[:, class_at], f"its column {class_at}")
        or not_probabilities(rows[:, 11 - class_at])
        or normalised(rows[:, 1:5])
        or not_corners(rows[:, 1:5], rows[:, 11 - class_at])
    )


FAMILY = Family(
    name="yolov7-nms",
    needs="[n, 7] of picture, box, class, score",
    look=ULTRALYTICS,
    read=partial(_read, head="yolov7-nms"),
    open=lambda spec: Rows7Head(spec, class_at=5),
    against=partial(_against, class_at=5),
)
YOLO_NAS = Family(
    name="yolo-nas-flat",
    needs="[n, 7] of picture, box, score, class",
    look=ULTRALYTICS,
    read=partial(_read, head="yolo-nas-flat"),
    open=lambda spec: Rows7Head(spec, class_at=6),
    against=partial(_against, class_at=6),
)
