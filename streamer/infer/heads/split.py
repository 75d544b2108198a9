"""The rows of v8 and v5 cut into outputs of their own: boxes, objectness and classes."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from .doubts import not_probabilities
from .family import ULTRALYTICS, Family, Reading
from .grid import ANCHOR_FREE, ANCHORED, has_rows
from .nms import corners, suppress
from .v5 import ANCHORS
from .v8 import against_centres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates


class SplitHead:
    """Boxes cx, cy, w, h in px and scores of each class, with an objectness that they are multiplied by, or without.

    Each is [B, A, n] or [B, n, A].
    """

    def __init__(self, classes: int) -> None:
        self._widths = (4, classes, 1)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode boxes, classes and, where there is one, objectness."""
        return [
            _decode(rows, floor, iou)
            for rows in zip(*(map(_as_rows, outputs, self._widths)), strict=True)
        ]  # fmt: skip


def _decode(rows: Sequence[NDArray[np.float32]], floor: float, iou: float) -> Candidates:
    """Decode (A, 4), (A, C) and perhaps (A, 1)."""
    boxes, classes, *objectness = rows
    scores = classes.max(axis=1)
    if objectness:
        scores = scores * objectness[0][:, 0]
    passed = np.flatnonzero(scores >= floor)  # NaN passes no comparison
    class_ids = classes[passed].argmax(axis=1).astype(np.int32)
    return suppress(corners(boxes[passed]), scores[passed], class_ids, iou=iou)


def _as_rows(output: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return (B, A, n) of either order."""
    if output.ndim != 3 or width not in output.shape[1:]:
        raise ValueError(f"no rows of {width} numbers")
    rows: NDArray[np.float32] = output if output.shape[2] == width else output.transpose(0, 2, 1)
    return rows


def _read(head: str, signature: Signature, parts: int) -> list[Reading]:
    ports = signature.outputs
    if len(ports) != parts or not all(port.rank == 3 and port.dtype.startswith("float") for port in ports):
        return []
    return [
        Reading(head=head, outputs=order, columns=classes, sure=_usual(rows, signature.hw), rare=True)
        for order in permutations(ports)
        for row_axis in (1, 2)
        for rows, classes in _columns(order, row_axis)
    ]


def _columns(order: Sequence[Port], row_axis: int) -> list[tuple[int | None, int]]:
    """Return how many rows and classes outputs in this order have if their rows lie along this axis."""
    rows = {port.shape[row_axis] for port in order} - {None}
    boxes, classes, *objectness = (port.shape[3 - row_axis] for port in order)
    if len(rows) > 1 or boxes != 4 or classes is None or objectness not in ([], [1]):
        return []
    return [(next(iter(rows), None), classes)]


def _usual(rows: int | None, hw: HW) -> bool:
    return has_rows(rows, hw, ANCHOR_FREE) or has_rows(rows, hw, ANCHORED, each=ANCHORS)


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    boxes, *scores = map(_as_rows, outputs, (4, spec.classes, 1))
    doubts = (not_probabilities(part) for part in scores)
    return next(filter(None, doubts), None) or against_centres(boxes.reshape(-1, 4))


def _family(name: str, needs: str, parts: int) -> Family:
    return Family(
        name=name,
        needs=needs,
        look=ULTRALYTICS,
        read=lambda signature: _read(name, signature, parts),
        open=lambda spec: SplitHead(spec.classes),
        against=_against,
    )


V8_SPLIT = _family("v8-split", "boxes [B, 4, A] and scores [B, C, A], or [B, A, 4] and [B, A, C]", 2)
V5_SPLIT = _family("v5-split", "boxes [B, N, 4], objectness [B, N, 1] and scores [B, N, C]", 3)
