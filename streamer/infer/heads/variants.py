"""The layouts of v8, v5 and YOLOX with a last step left to the reader: no sigmoid, or other boxes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from . import v5, v8, yolox
from .anchored import follow_cells
from .doubts import as_corners, in_pixels, negative_sides, normalised, not_probabilities
from .layouts import grids_of
from .v5 import V5Head, best_logits
from .v8 import V8Head, against_centres
from .yolov5_maps import V5_LEVELS
from .yolox import YoloxHead, against_raw_boxes, read_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Signature
    from streamer.infer.spec import ModelSpec

    from .family import Family, Reading


def _rarely(head: str, read: Callable[[Signature], Sequence[Reading]]) -> Callable[[Signature], list[Reading]]:
    """Return a `Family.read` that finds what another finds, for when nothing else is left."""
    return lambda signature: [replace(reading, head=head, rare=True) for reading in read(signature)]


def _wh(spec: ModelSpec) -> tuple[int, int]:
    return spec.input.hw[1], spec.input.hw[0]


def _no_logits(scores: NDArray[np.float32]) -> str | None:
    return None if not_probabilities(scores) else "its scores lie within 0 to 1, so their sigmoid is done"


def _background(scores: NDArray[np.float32]) -> str | None:
    """Say that logits hold far too many objects."""
    return "more than half of its boxes would be objects" if scores.size and np.median(scores) > 0 else None


def _rows_of(
    outputs: Sequence[NDArray[np.float32]], spec: ModelSpec
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return v8's boxes (N, 4) and scores (N, C) of either order."""
    batch = outputs[0]
    rows = batch.transpose(0, 2, 1) if batch.shape[1] == 4 + spec.classes else batch
    return rows[..., :4].reshape(-1, 4), rows[..., 4:].reshape(-1, spec.classes)


def _against_v8_logits(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    boxes, scores = _rows_of(outputs, spec)
    return _background(scores.max(axis=1)) or _no_logits(scores) or against_centres(boxes)


def _against_fractions(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> str | None:
    return not_probabilities(scores) or negative_sides(boxes[:, 2:]) or in_pixels(boxes) or as_corners(boxes)


def _against_corners(boxes: NDArray[np.float32], scores: NDArray[np.float32]) -> str | None:
    wrong = None if as_corners(boxes) else "its boxes do not all end behind their begin"
    return not_probabilities(scores) or wrong or normalised(boxes)


def _against_v5_logits(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    rows = outputs[0].reshape(-1, outputs[0].shape[-1])
    return _background(rows[:, 4]) or _no_logits(rows[:, 4:]) or against_centres(rows[:, :4])


def _against_v5_normalized(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    rows = outputs[0].reshape(-1, outputs[0].shape[-1])
    try:
        grids = grids_of(outputs, V5_LEVELS, hw=spec.input.hw, classes=spec.classes)
    except ValueError:  # rows of another number: nobody else writes such within 0 to 1
        grids = []
    if grids and not follow_cells(grids[0][0]):
        return "its boxes do not lie where their cells lie, so they are not decoded"
    return _against_fractions(rows[:, :4], rows[:, 4:])


def _against_v5_xyxy(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    rows = outputs[0].reshape(-1, outputs[0].shape[-1])
    return _against_corners(rows[:, :4], rows[:, 4:])


def _against_yolox_logits(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    rows = outputs[0]
    return _background(rows[..., 4]) or _no_logits(rows[..., 4:]) or against_raw_boxes(rows)


V8_XYXY = replace(
    v8.FAMILY,
    name="v8-xyxy",
    needs="[B, 4+C, A] with boxes as corners in px",
    read=_rarely("v8-xyxy", v8.FAMILY.read),
    open=lambda spec: V8Head(spec.classes, xyxy=True),
    against=lambda outputs, spec: _against_corners(*_rows_of(outputs, spec)),
)
V5_XYXY = replace(
    v5.FAMILY,
    name="v5-xyxy",
    needs="[B, N, 5+C] with boxes as corners in px",
    read=_rarely("v5-xyxy", v5.FAMILY.read),
    open=lambda _: V5Head(xyxy=True),
    against=_against_v5_xyxy,
)
V8_NORMALIZED = replace(
    v8.FAMILY,
    name="v8-normalized",
    needs="[B, 4+C, A] with boxes in fractions of the input",
    read=_rarely("v8-normalized", v8.FAMILY.read),
    open=lambda spec: V8Head(spec.classes, unit_wh=_wh(spec)),
    against=lambda outputs, spec: _against_fractions(*_rows_of(outputs, spec)),
)
V8_LOGITS = replace(
    v8.FAMILY,
    name="v8-logits",
    needs="[B, 4+C, A] with scores that lack their sigmoid",
    read=_rarely("v8-logits", v8.FAMILY.read),
    open=lambda spec: V8Head(spec.classes, logits=True),
    against=_against_v8_logits,
)
V5_NORMALIZED = replace(
    v5.FAMILY,
    name="v5-normalized",
    needs="[B, N, 5+C] with boxes in fractions of the input",
    read=_rarely("v5-normalized", v5.FAMILY.read),
    open=lambda spec: V5Head(unit_wh=_wh(spec)),
    against=_against_v5_normalized,
)
V5_LOGITS = replace(
    v5.FAMILY,
    name="v5-logits",
    needs="[B, N, 5+C] with decoded boxes and scores that lack their sigmoid",
    read=_rarely("v5-logits", v5.FAMILY.read),
    open=lambda _: V5Head(best_logits),
    against=_against_v5_logits,
)
YOLOX_LOGITS: Family = replace(
    yolox.FAMILY,
    name="yolox-logits",
    needs="[B, A, 5+C] with a row for each cell of strides 8, 16 and 32, without sigmoid",
    read=_rarely("yolox-logits", lambda signature: [r for r in read_rows("yolox-logits", signature) if r.sure]),
    open=lambda spec: YoloxHead(spec.input.hw, logits=True),
    against=_against_yolox_logits,
)
