"""The best class of each cell and its score, with boxes in px: argmax is inside the network, NMS is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .doubts import normalised, not_corners, not_probabilities, not_whole
from .family import ULTRALYTICS, Family, Reading
from .final import id_bound, is_rows, not_suppressed, suppressed
from .grid import each_cell
from .nms import suppress
from .separate import box_sets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

    Picture = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


class ArgmaxHead:
    """Boxes x1, y1, x2, y2 in px of the input, scores and classes, in three outputs or as the columns of one."""

    def __init__(self, spec: ModelSpec) -> None:
        self._bound = id_bound(spec)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode boxes [B, A, 4], scores [B, A] and classes [B, A], or [B, A, 6]."""
        return [self._decode(*picture, floor=floor, iou=iou) for picture in _pictures(outputs)]

    def _decode(
        self,
        boxes: NDArray[np.float32],
        scores: NDArray[np.float32],
        ids: NDArray[np.float32],
        *,
        floor: float,
        iou: float,
    ) -> Candidates:
        passed = (scores >= floor) & (ids > -0.5) & (ids < self._bound - 0.5)  # NaN passes no comparison
        return suppress(boxes[passed], scores[passed], np.rint(ids[passed]).astype(np.int32), iou=iou)


def _pictures(outputs: Sequence[NDArray[np.float32]]) -> list[Picture]:
    """Return each picture's boxes (A, 4), scores (A,) and classes (A,)."""
    if len(outputs) == 1:
        return [(rows[:, :4], rows[:, 4], rows[:, 5]) for rows in outputs[0]]
    return list(zip(*outputs, strict=True))


def _read(signature: Signature) -> list[Reading]:
    """A row for each cell is this family's; fewer rows are as a rule what NMS has left, which a trial run tells."""
    found = []
    for ports in box_sets(signature):
        rows = ports[0].shape[1]
        if len(ports) == 3 and not signature.extras:
            rare = rows is None or not each_cell(rows, signature.hw)
            found.append(Reading(head="argmax", outputs=ports, rare=rare))
    rows6 = [port for port in signature.outputs if is_rows(port) and port.shape[2] == 6]
    return [*found, *(Reading(head="argmax", outputs=(port,), rare=True) for port in rows6)]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    boxes, scores, ids = _pictures(outputs)[0]
    doubt = not_whole(ids, "what should be its classes") or not_probabilities(scores)
    doubt = doubt or normalised(boxes) or not_corners(boxes)
    if doubt is not None:
        return doubt
    if len(outputs) == 3 and each_cell(len(boxes), spec.input.hw):
        return suppressed(boxes, scores, ids)
    return (
        "no object is found more than once: NMS may be inside" if not_suppressed(boxes, scores, ids) is None else None
    )


FAMILY = Family(  # Qualcomm AI Hub's exports of YOLO; the best rows of others
    name="argmax",
    needs="boxes [B, A, 4] in px, scores [B, A] and classes [B, A], or these in one [B, A, 6], before NMS",
    look=ULTRALYTICS,
    read=_read,
    open=ArgmaxHead,
    against=_against,
)
