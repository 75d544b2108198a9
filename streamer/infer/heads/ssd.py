"""SSD with its priors applied, UltraFace too: scores [B, N, 1+C], the background first, and boxes [B, N, 4]."""

from __future__ import annotations

from itertools import permutations
from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.spec import ColorOrder, Fit

from .doubts import in_pixels, not_corners, not_probabilities
from .family import Family, Look, Numbering, Reading
from .final import is_float, is_raw, same_rows
from .nms import suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

# Of UltraFace, and of the PyTorch SSDs that it comes from, jetson-inference's among them.
ULTRAFACE = Look(color=ColorOrder.RGB, scale=1.0, fit=Fit.STRETCH, pad=127, mean=(127.0,) * 3, std=(128.0,) * 3)
_FEWEST = 1000  # priors; fewer rows are the queries of a DETR
_OFF_ONE = 0.02  # by which the probabilities of a row may miss 1 together


class SsdHead:
    """Rows of softmaxed classes, the background in column 0; boxes x1, y1, x2, y2 as fractions of the input."""

    def __init__(self, input_hw: HW) -> None:
        self._sides = np.array(input_hw[::-1] * 2, np.float32)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode scores [B, N, 1+C] and boxes [B, N, 4]."""
        return [self._decode(*one, floor=floor, iou=iou) for one in zip(outputs[0], outputs[1], strict=True)]

    def _decode(
        self, scores: NDArray[np.float32], boxes: NDArray[np.float32], *, floor: float, iou: float
    ) -> Candidates:
        rows, columns = np.nonzero(scores[:, 1:] >= floor)  # a box may stand for several classes; NaN passes none
        return suppress(boxes[rows] * self._sides, scores[rows, columns + 1], (columns + 1).astype(np.int32), iou=iou)


def _read(signature: Signature) -> list[Reading]:
    ports = [port for port in signature.outputs if port.rank == 3 and is_float(port) and not is_raw(port)]
    return [
        Reading(
            head="ssd",
            outputs=(scores, boxes),
            columns=scores.shape[2],
            numbering=Numbering.ONE,
            sure=boxes.shape[1] is None or boxes.shape[1] > _FEWEST,
        )
        for scores, boxes in permutations(ports, 2)
        if boxes.shape[2] == 4 and (scores.shape[2] or 0) > 1 and same_rows(scores, boxes)
    ]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    scores, boxes = outputs
    if doubt := not_probabilities(scores) or in_pixels(boxes) or not_corners(boxes.reshape(-1, 4)):
        return doubt
    if np.mean(np.abs(scores.sum(axis=2) - 1) > _OFF_ONE) > 0.5:
        return "the scores of a row do not add up to 1, as with a background they would"
    return None


FAMILY = Family(
    name="ssd",
    needs="scores [B, N, 1+C] with a background, and boxes [B, N, 4] as fractions",
    look=ULTRAFACE,
    read=_read,
    open=lambda spec: SsdHead(spec.input.hw),
    against=_against,
)
