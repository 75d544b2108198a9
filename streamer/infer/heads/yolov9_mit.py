"""YOLOv9 of the MIT-licensed project: maps of class logits, and of distances in cells, for each stride."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .doubts import not_probabilities
from .family import ULTRALYTICS, Family, Reading
from .grid import STRIDES
from .levels import centres, level_hw, paired
from .nms import suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates


class Yolov9MitHead:
    """Maps of class logits [B, C, h, w] and left, top, right, bottom [B, 4, h, w] in cells, of each stride in turn."""

    def __init__(self, input_hw: HW) -> None:
        self._points, self._strides = centres(input_hw, STRIDES, offset=lambda stride: stride / 2)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode a pair of maps for each stride."""
        logits, sides = (
            np.concatenate([level.reshape(*level.shape[:2], -1) for level in maps], axis=2)
            for maps in (outputs[0::2], outputs[1::2])
        )
        return [self._decode(*one, floor, iou) for one in zip(logits, sides, strict=True)]

    def _decode(self, logits: NDArray[np.float32], sides: NDArray[np.float32], floor: float, iou: float) -> Candidates:
        """Decode (C, A) and (4, A)."""
        best = 1 / (1 + np.exp(-logits.max(axis=0)))
        passed = np.flatnonzero(best >= floor)  # NaN passes no comparison
        class_ids = logits[:, passed].argmax(axis=0).astype(np.int32)
        reach = sides[:, passed].T * self._strides[passed]
        points = self._points[passed]
        boxes = np.concatenate((points - reach[:, :2], points + reach[:, 2:]), axis=1)
        return suppress(boxes, best[passed], class_ids, iou=iou)


def _read(signature: Signature) -> list[Reading]:
    """Of 18 outputs the last nine are a second branch that only training needs."""

    def at(port: Port, stride: int) -> bool:
        return port.shape[-2:] == level_hw(signature.hw, stride)

    maps = [port for port in signature.outputs if port.rank == 4]
    first = [port for stride in STRIDES for port in [port for port in maps if at(port, stride)][:2]]
    distributions = any(port.rank == 5 and port.shape[2] == 4 for port in signature.outputs)
    found = []
    for pairs in paired(first, STRIDES, at=at, is_box=lambda port: port.shape[1] == 4)[:1]:  # classes come first
        counts = {classes.shape[1] for classes, _ in pairs}
        columns = counts.pop()
        if not counts and columns is not None:
            flat = tuple(port for pair in pairs for port in pair)
            found.append(Reading(head="yolov9-mit", outputs=flat, columns=columns, sure=distributions))
    return found


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    if all(not_probabilities(logits) is None for logits in outputs[0::2]):
        return "its classes lie within 0 to 1: probabilities already"
    least = min(float(sides.min(initial=0.0)) for sides in outputs[1::2])
    return f"its distances fall to {least:.3g}, far below 0" if least < -2 else None


FAMILY = Family(
    name="yolov9-mit",
    needs="maps [B, C, h, w] and [B, 4, h, w] for each of strides 8, 16 and 32",
    look=ULTRALYTICS,
    read=_read,
    open=lambda spec: Yolov9MitHead(spec.input.hw),
    against=_against,
)
