"""RT-DETR as Ultralytics exports it: [B, 300, 4+C], boxes in fractions of the picture, never suppressed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .detr import DetrHead
from .doubts import in_pixels, negative_sides, not_probabilities
from .family import STRETCHED, Family, Reading
from .final import is_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_QUERIES = 300


class UltralyticsHead:
    """Rows cx, cy, w, h in fractions, then one sigmoid score for each class; the best of a row counts."""

    def __init__(self, spec: ModelSpec) -> None:
        self._head = DetrHead(spec, _best_of_row)

    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, Q, 4+C]."""
        return self._head([outputs[0][..., 4:], outputs[0][..., :4]], floor, iou)


def _best_of_row(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return -1 for all but the best class of each row; the first of equal ones is the best."""
    best = np.full_like(scores, -1)
    places = scores.argmax(axis=1)[:, np.newaxis]
    np.put_along_axis(best, places, np.take_along_axis(scores, places, axis=1), axis=1)
    return best


def _read(signature: Signature) -> list[Reading]:
    return [
        Reading(
            head="rtdetr-ultralytics",
            outputs=(output,),
            columns=output.shape[2] - 4,
            sure=output.shape[1] in (_QUERIES, None) and len(signature.outputs) == 1,
        )
        for output in signature.outputs
        if is_rows(output) and output.shape[2] is not None and output.shape[2] > 4
    ]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    rows = outputs[0]
    return not_probabilities(rows[..., 4:]) or in_pixels(rows[..., :4]) or negative_sides(rows[..., 2:4])


FAMILY = Family(
    name="rtdetr-ultralytics",
    needs="[B, 300, 4+C]",
    look=STRETCHED,
    read=_read,
    open=UltralyticsHead,
    against=_against,
    ultralytics=True,
)
