"""Face detectors that answer for each stride apart: YuNet of OpenCV, and SCRFD of InsightFace. Points are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.spec import ColorOrder, Fit

from .doubts import not_probabilities
from .family import Family, Look, Reading
from .final import is_float
from .grid import STRIDES, count_cells
from .levels import centres
from .nms import corners, suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_LARGEST_LOG = 6.0  # e^6 cells of 8 px are wider than any input
_EACH = 2  # boxes of a cell, SCRFD


class YuNetHead:
    """Class, objectness and dx, dy, log w, log h in cells of each stride in turn; score = sqrt(class * objectness)."""

    def __init__(self, input_hw: HW) -> None:
        self._points, self._strides = centres(input_hw, STRIDES, offset=lambda _: 0.0)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, n, 1], [B, n, 1] and [B, n, 4] of each stride."""
        shares = [np.clip(_joined(outputs[i::3])[..., 0], 0, 1) for i in (0, 1)]
        scores, boxes = np.sqrt(shares[0] * shares[1]), _joined(outputs[2::3])
        return [self._decode(*one, floor=floor, iou=iou) for one in zip(scores, boxes, strict=True)]

    def _decode(self, scores: NDArray[np.float32], raw: NDArray[np.float32], *, floor: float, iou: float) -> Candidates:
        passed = np.flatnonzero(scores >= floor)  # NaN passes no comparison
        strides, raw = self._strides[passed], raw[passed]
        middle = self._points[passed] + raw[:, :2] * strides
        boxes = corners(np.concatenate((middle, np.exp(raw[:, 2:]) * strides), axis=1))
        return suppress(boxes, scores[passed], np.zeros(len(passed), np.int32), iou=iou)


class ScrfdHead:
    """Scores, and left, top, right and bottom in cells from a cell's corner, two for each, of each stride in turn."""

    def __init__(self, input_hw: HW) -> None:
        points, strides = centres(input_hw, STRIDES, offset=lambda _: 0.0)
        self._points, self._strides = np.repeat(points, _EACH, axis=0), np.repeat(strides, _EACH, axis=0)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, 2*n, 1] and [B, 2*n, 4] of each stride; what has no batch axis is one picture."""
        scores, sides = _joined(outputs[0::2])[..., 0], _joined(outputs[1::2])
        return [self._decode(*one, floor=floor, iou=iou) for one in zip(scores, sides, strict=True)]

    def _decode(
        self, scores: NDArray[np.float32], sides: NDArray[np.float32], *, floor: float, iou: float
    ) -> Candidates:
        passed = np.flatnonzero(scores >= floor)  # NaN passes no comparison
        points, reach = self._points[passed], sides[passed] * self._strides[passed]
        boxes = np.concatenate((points - reach[:, :2], points + reach[:, 2:]), axis=1)
        return suppress(boxes, scores[passed], np.zeros(len(passed), np.int32), iou=iou)


def _joined(levels: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Join the rows of all strides, (B, A, columns)."""
    return np.concatenate([level if level.ndim == 3 else level[np.newaxis] for level in levels], axis=1)


def _levels(signature: Signature, columns: int, *, each: int) -> list[list[Port]]:
    """Return the outputs of so many columns of each stride, as they are listed."""
    found = [port for port in signature.outputs if port.rank in (2, 3) and port.shape[-1] == columns and is_float(port)]
    rows = [each * count_cells(signature.hw, (stride,)) for stride in STRIDES]
    return [[port for port in found if port.shape[-2] == n] for n in rows]


def _read(head: str, signature: Signature, *, ones: int, each: int) -> list[Reading]:
    """Find `ones` outputs of one column and one of four for each stride, and nothing but points beside them."""
    levels = list(zip(_levels(signature, 1, each=each), _levels(signature, 4, each=each), strict=True))
    if any((len(scores), len(boxes)) != (ones, 1) for scores, boxes in levels):
        return []
    flat = tuple(port for scores, boxes in levels for port in (*scores, *boxes))
    ranks = {port.rank for port in flat}
    return [Reading(head=head, outputs=flat, columns=1, one_picture=ranks == {2})] if len(ranks) == 1 else []


def _against_yunet(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    most = max(float(boxes[..., 2:].max(initial=0.0)) for boxes in outputs[2::3])
    if most > _LARGEST_LOG:
        return f"its widths and heights reach to {most:.4g}: px, not logarithms"
    return next((doubt for i in (0, 1) for part in outputs[i::3] if (doubt := not_probabilities(part))), None)


def _against_scrfd(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    return next((doubt for scores in outputs[0::2] if (doubt := not_probabilities(scores))), None)


YUNET = Family(
    name="yunet",
    needs="[B, n, 1] twice and [B, n, 4] for each of strides 8, 16 and 32",
    look=Look(color=ColorOrder.BGR, scale=1.0, fit=Fit.LETTERBOX_TOPLEFT, pad=0),
    read=lambda signature: _read("yunet", signature, ones=2, each=1),
    open=lambda spec: YuNetHead(spec.input.hw),
    against=_against_yunet,
)
SCRFD = Family(
    name="scrfd",
    needs="[2*n, 1] and [2*n, 4] for each of strides 8, 16 and 32",
    look=Look(
        color=ColorOrder.RGB,
        scale=1.0,
        fit=Fit.LETTERBOX_TOPLEFT,
        pad=0,
        mean=(127.5, 127.5, 127.5),
        std=(128.0, 128.0, 128.0),
    ),
    read=lambda signature: _read("scrfd", signature, ones=1, each=_EACH),
    open=lambda spec: ScrfdHead(spec.input.hw),
    against=_against_scrfd,
)
