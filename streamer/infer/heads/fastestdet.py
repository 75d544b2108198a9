"""FastestDet: one map of stride 16, [B, 5+C, h, w]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.spec import ColorOrder, Fit

from .doubts import not_probabilities
from .family import Family, Look, Reading
from .levels import level_hw
from .nms import corners, suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_STRIDE = 16  # px
_OF_OBJECTNESS, _OF_CLASS = 0.6, 0.4  # exponents by which its author joins the two to a score


class FastestDetHead:
    """Channels objectness, dx, dy, w, h, then classes; objectness and classes are probabilities."""

    def __init__(self, input_hw: HW) -> None:
        self._input_hw = input_hw

    @np.errstate(over="ignore", invalid="ignore", divide="ignore")  # what is no number is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, 5+C, h, w]."""
        return [self._decode(channels, floor, iou) for channels in outputs[0]]

    def _decode(self, channels: NDArray[np.float32], floor: float, iou: float) -> Candidates:
        objectness = np.minimum(channels[0], np.float32(1))
        rows, columns = np.nonzero(objectness >= floor ** (1 / _OF_OBJECTNESS))  # a class is at most 1
        cells = channels[:, rows, columns]  # (5+C, N)
        scores = objectness[rows, columns] ** np.float32(_OF_OBJECTNESS) * cells[5:].max(axis=0) ** np.float32(
            _OF_CLASS
        )
        passed = scores >= floor
        cells, grid = cells[:, passed], np.stack((columns, rows))[:, passed]
        height, width = channels.shape[1:]
        parts = np.concatenate(((grid + np.tanh(cells[1:3])) / [[width], [height]], 1 / (1 + np.exp(-cells[3:5]))))
        sides = np.array(self._input_hw[::-1] * 2, np.float32)
        boxes = corners((parts.T * sides).astype(np.float32))
        return suppress(boxes, scores[passed], cells[5:].argmax(axis=0).astype(np.int32), iou=iou)


def _read(signature: Signature) -> list[Reading]:
    """Nothing else may stand beside it: one of several raw maps has this shape too."""
    if len(signature.outputs) != 1 or signature.outputs[0].rank != 4:
        return []
    port = signature.outputs[0]
    _, channels, *size = port.shape
    fits = all(n in (None, cells) for n, cells in zip(size, level_hw(signature.hw, _STRIDE), strict=True))
    if channels is None or channels <= 5 or not fits:
        return []
    return [Reading(head="fastestdet", outputs=(port,), columns=channels - 5)]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    return not_probabilities(outputs[0][:, :1], "objectness") or not_probabilities(outputs[0][:, 5:])


FAMILY = Family(
    name="fastestdet",
    needs="one map of stride 16, [B, 5+C, h, w]",
    look=Look(color=ColorOrder.BGR, scale=1 / 255, fit=Fit.STRETCH, pad=0, hw=(352, 352)),
    read=_read,
    open=lambda spec: FastestDetHead(spec.input.hw),
    against=_against,
)
