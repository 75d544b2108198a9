"""Ultralytics v8, v9, v11 and v12: [B, 4+C, A], no objectness; also transposed, [B, A, 4+C]."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .doubts import as_corners, negative_sides, normalised, not_probabilities
from .family import ULTRALYTICS, Family, Reading
from .final import is_rows
from .grid import ANCHOR_FREE, has_rows
from .logits import logit, sigmoid
from .nms import corners, suppress

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_EVERYWHERE = 0.9  # no object fills every cell of a picture with such a score


class V8Head:
    """Rows cx, cy, w, h, then one score for each class.

    Args:
        classes: how many the network counts.
        unit_wh: what 1 is in the boxes, px.
        logits: whether scores still need their sigmoid.
        xyxy: whether boxes are corners.
    """

    def __init__(
        self, classes: int, *, unit_wh: tuple[int, int] = (1, 1), logits: bool = False, xyxy: bool = False
    ) -> None:
        self._channels = 4 + classes
        self._unit = np.array((*unit_wh, *unit_wh), np.float32)
        self._logits = logits
        self._corners = np.asarray if xyxy else corners

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, 4+C, A] or [B, A, 4+C]."""
        batch = outputs[0]
        if batch.shape[1] != self._channels:
            batch = batch.transpose(0, 2, 1)
        return [self._decode(item, floor, iou) for item in batch]

    def _decode(self, channels: NDArray[np.float32], floor: float, iou: float) -> Candidates:
        """Decode (4+C, A). The maximum runs along the memory: nothing is copied or transposed before the floor."""
        best = channels[4:].max(axis=0)
        passed = np.flatnonzero(best >= (logit(floor) if self._logits else floor))  # NaN passes no comparison
        chosen = channels[:, passed]
        class_ids = chosen[4:].argmax(axis=0).astype(np.int32)
        scores = sigmoid(best[passed]) if self._logits else best[passed]
        return suppress(self._corners(chosen[:4].T * self._unit), scores, class_ids, iou=iou)


def _read(signature: Signature) -> list[Reading]:
    return [reading for output in signature.outputs if is_rows(output) for reading in _ways(output, signature)]


def _ways(output: Port, signature: Signature) -> Iterator[Reading]:
    _, rows, columns = output.shape
    for channels, boxes in ((rows, columns), (columns, rows)):
        if channels is not None and channels > 4:
            usual = has_rows(boxes, signature.hw, ANCHOR_FREE)
            yield Reading(head="v8", outputs=(output,), columns=channels - 4, sure=usual)


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    batch = outputs[0] if outputs[0].shape[1] == 4 + spec.classes else outputs[0].transpose(0, 2, 1)
    scores = batch[:, 4:]
    if scores.shape[2] and scores.min(axis=2).max(initial=0.0) > _EVERYWHERE:
        return "one of its classes is everywhere in the picture: an objectness of 1, as YOLOv6 has it"
    return not_probabilities(scores) or against_centres(batch[:, :4].transpose(0, 2, 1).reshape(-1, 4))


def against_centres(boxes: NDArray[np.float32]) -> str | None:
    """Say what speaks against centres and sizes in px, (N, 4)."""
    return negative_sides(boxes[:, 2:]) or normalised(boxes) or as_corners(boxes)


FAMILY = Family(
    name="v8",
    needs="[B, 4+C, A]",
    look=ULTRALYTICS,
    read=_read,
    open=lambda spec: V8Head(spec.classes),
    against=_against,
    ultralytics=True,
)
