"""YOLOX as its own exporter leaves it: boxes still relative to their cells, [B, A, 5+C]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.spec import ColorOrder, Fit

from .doubts import normalised, not_probabilities
from .family import Family, Look, Reading
from .final import is_rows
from .grid import STRIDES, cells, has_rows
from .nms import corners, suppress
from .v5 import V5Head, against_rows, best_logits, best_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

YOLOX = Look(color=ColorOrder.BGR, scale=1.0, fit=Fit.LETTERBOX_TOPLEFT)
_LARGEST_LOG = 6.0  # e^6 cells of 8 px are 3200 px, wider than any input


class YoloxHead:
    """Rows dx, dy, log w, log h in cells, objectness, then classes; row-major cells of strides 8, 16 and 32."""

    def __init__(self, input_hw: tuple[int, int], *, logits: bool = False) -> None:
        self._best = best_logits if logits else best_rows
        self._xy, self._stride = cells(input_hw, STRIDES)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, A, 5+C]."""
        result = []
        for rows in outputs[0]:
            passed, scores, class_ids = self._best(rows, floor)
            raw = rows[passed, :4]
            stride = self._stride[passed]
            centres = np.concatenate(
                ((raw[:, :2] + self._xy[passed]) * stride, np.exp(raw[:, 2:]) * stride),
                axis=1,
            )
            result.append(suppress(corners(centres), scores, class_ids, iou=iou))
        return result


def read_rows(head: str, signature: Signature) -> list[Reading]:
    """Return the outputs that hold a row for each cell of strides 8, 16 and 32."""
    return [
        Reading(
            head=head,
            outputs=(output,),
            columns=output.shape[2] - 5,
            sure=has_rows(output.shape[1], signature.hw, (STRIDES,)),
        )
        for output in signature.outputs
        if is_rows(output) and output.shape[2] is not None and output.shape[2] > 5
    ]


def _read_raw(signature: Signature) -> list[Reading]:
    """Only rows of the three strides can be placed at all."""
    return [reading for reading in read_rows("yolox", signature) if reading.sure]


def _against_raw(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    return against_raw_boxes(outputs[0]) or not_probabilities(outputs[0][..., 4:])


def against_raw_boxes(rows: NDArray[np.float32]) -> str | None:
    """Say that boxes relative to their cells can't be."""
    if float(rows[..., 2:4].min()) >= 0 and normalised(rows[..., :4]):
        return "its widths and heights lie from 0 to about 1: fractions, not logarithms"
    logs = float(rows[..., 2:4].max(initial=0.0))
    if logs > _LARGEST_LOG:
        return f"its widths and heights reach to {logs:.4g}: px, not logarithms"
    return None


FAMILY = Family(
    name="yolox",
    needs="[B, A, 5+C] with a row for each cell of strides 8, 16 and 32",
    look=YOLOX,
    read=_read_raw,
    open=lambda spec: YoloxHead(spec.input.hw),
    against=_against_raw,
)
DECODED = Family(  # `--decode_in_inference`: the layout of v5; the two differ in what the network wants to see
    name="yolox-decoded",
    needs="[B, A, 5+C]",
    look=YOLOX,
    read=lambda signature: read_rows("yolox-decoded", signature),
    open=lambda _: V5Head(),
    against=against_rows,
)
