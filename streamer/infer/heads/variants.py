"""The layouts of v8, v5 and YOLOX with a last step left to the reader: no sigmoid, or boxes in fractions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from . import v5, v8, yolox
from .anchored import follow_cells
from .doubts import in_pixels, negative_sides, normalised, not_probabilities
from .layouts import grids_of
from .v5 import V5Head, best_logits
from .v8 import V8Head
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


def _channels(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> NDArray[np.float32]:
    """Return v8's [B, 4+C, A] of either order."""
    batch = outputs[0]
    return batch if batch.shape[1] == 4 + spec.classes else batch.transpose(0, 2, 1)


def _against_v8_logits(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    batch = _channels(outputs, spec)
    if float(np.median(batch[:, 4:].max(axis=1))) > 0:
        return "more than half of its boxes would be objects"
    return _no_logits(batch[:, 4:]) or negative_sides(batch[:, 2:4]) or normalised(batch[:, :4])


def _against_v8_normalized(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    batch = _channels(outputs, spec)
    return not_probabilities(batch[:, 4:]) or negative_sides(batch[:, 2:4]) or in_pixels(batch[:, :4])


def _against_v5_logits(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    rows = outputs[0]
    if float(np.median(rows[..., 4])) > 0:
        return "more than half of its boxes would be objects"
    return _no_logits(rows[..., 4:]) or negative_sides(rows[..., 2:4]) or normalised(rows[..., :4])


def _against_v5_normalized(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    rows = outputs[0]
    try:
        grids = grids_of(outputs, V5_LEVELS, hw=spec.input.hw, classes=spec.classes)
    except ValueError:  # rows of another number: nobody else writes such within 0 to 1
        grids = []
    if grids and not follow_cells(grids[0][0]):
        return "its boxes do not lie where their cells lie, so they are not decoded"
    return not_probabilities(rows[..., 4:]) or negative_sides(rows[..., 2:4]) or in_pixels(rows[..., :4])


def _against_yolox_logits(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    rows = outputs[0]
    if float(np.median(rows[..., 4])) > 0:
        return "more than half of its cells would hold an object"
    return _no_logits(rows[..., 4:]) or against_raw_boxes(rows)


V8_NORMALIZED = replace(
    v8.FAMILY,
    name="v8-normalized",
    needs="[B, 4+C, A] with boxes in fractions of the input",
    read=_rarely("v8-normalized", v8.FAMILY.read),
    open=lambda spec: V8Head(spec.classes, unit_wh=_wh(spec)),
    against=_against_v8_normalized,
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
