"""NanoDet, NanoDet-Plus and PicoDet: scores, and for each side of a box a distribution over distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.spec import ColorOrder, Fit

from .doubts import not_probabilities
from .family import IMAGENET, Family, Look, Reading
from .levels import centres, count_level, paired
from .nms import suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

NANODET = Look(  # Caffe's mean in its order of channels, and ImageNet's deviation
    color=ColorOrder.BGR,
    scale=1.0,
    fit=Fit.STRETCH,
    pad=0,
    mean=(103.53, 116.28, 123.675),
    std=(57.375, 57.12, 58.395),
    hw=(320, 320),
)
_BINS = (8, 11)  # distances 0 to 7 strides, or 0 to 10: NanoDet-g and those on EfficientNet


@dataclass(frozen=True, slots=True)
class _Kind:
    """What NanoDet's kin differ in."""

    name: str
    strides: tuple[int, ...]  # px
    offset: Callable[[int], float]  # from a cell's corner to the point that distances are measured from, px


_NANODET = _Kind("nanodet", (8, 16, 32), lambda stride: (stride - 1) / 2)
_PLUS = _Kind("nanodet-plus", (8, 16, 32, 64), lambda _: 0.0)
_PICODET = _Kind("picodet", (8, 16, 32, 64), lambda stride: stride / 2)


class DistributionHead:
    """Rows of class scores, and of logits of the distances left, top, right and bottom, `bins` each, in strides."""

    def __init__(self, kind: _Kind, input_hw: HW, classes: int) -> None:
        self._points, self._strides = centres(input_hw, kind.strides, offset=kind.offset)
        self._classes = classes

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, A, C+4*bins], or scores [B, n, C] and logits [B, n, 4*bins] of each stride in turn."""
        if len(outputs) == 1:
            scores, logits = outputs[0][..., : self._classes], outputs[0][..., self._classes :]
        else:
            scores, logits = _joined(outputs[0::2]), _joined(outputs[1::2])
        return [self._decode(*one, floor=floor, iou=iou) for one in zip(scores, logits, strict=True)]

    def _decode(
        self, scores: NDArray[np.float32], logits: NDArray[np.float32], *, floor: float, iou: float
    ) -> Candidates:
        best = scores.max(axis=1)
        passed = np.flatnonzero(best >= floor)  # NaN passes no comparison
        class_ids = scores[passed].argmax(axis=1).astype(np.int32)
        sides = expected(logits[passed].reshape(-1, 4, logits.shape[1] // 4)) * self._strides[passed]
        points = self._points[passed]
        boxes = np.concatenate((points - sides[:, :2], points + sides[:, 2:]), axis=1)
        return suppress(boxes, best[passed], class_ids, iou=iou)


def expected(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the mean of 0, 1, 2 ... under the softmax of the last axis: (..., bins) becomes (...)."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    distances = np.arange(logits.shape[-1], dtype=np.float32)
    mean: NDArray[np.float32] = (weights @ distances) / weights.sum(axis=-1)
    return mean


def _joined(levels: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Join the rows of all strides, (B, A, columns); what has no batch axis is one picture."""
    return np.concatenate([level if level.ndim == 3 else level[np.newaxis] for level in levels], axis=1)


def _read_levels(kind: _Kind, signature: Signature) -> list[Reading]:
    ports = [port for port in signature.outputs if port.rank in (2, 3) and port.shape[-1] is not None]
    if len(ports) != 2 * len(kind.strides):  # three strides of four are somebody else's
        return []
    ways = paired(
        ports,
        kind.strides,
        at=lambda port, stride: port.shape[-2] == count_level(signature.hw, (stride,)),
        is_box=lambda port: port.shape[-1] in tuple(4 * bins for bins in _BINS),
    )
    found = []
    for pairs in ways:
        flat = tuple(port for pair in pairs for port in pair)
        alike = len({port.rank for port in flat}) == 1
        if alike and all(len({pair[i].shape[-1] for pair in pairs}) == 1 for i in (0, 1)):
            columns, one = flat[0].shape[-1], flat[0].rank == 2
            found.append(Reading(head=kind.name, outputs=flat, columns=columns, one_picture=one))
    return found


def _read_plus(signature: Signature) -> list[Reading]:
    rows = count_level(signature.hw, _PLUS.strides)
    return [
        Reading(head=_PLUS.name, outputs=(port,), columns=_columns(port) - 4 * bins, sure=port.shape[1] in (rows, None))
        for port in signature.outputs
        for bins in _BINS
        if port.rank == 3 and _columns(port) > 4 * bins and port.shape[1] in (rows, None)
    ]


def _columns(port: Port) -> int:
    return port.shape[-1] or 0


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    if len(outputs) == 1:
        scores, logits = [outputs[0][..., : spec.classes]], [outputs[0][..., spec.classes :]]
    else:
        scores, logits = list(outputs[0::2]), list(outputs[1::2])
    for level in scores:
        if doubt := not_probabilities(level):
            return doubt
    if any(level.any() for level in logits) and all(not_probabilities(level) is None for level in logits):
        return "its distances are probabilities already, or none at all"
    return None


def _family(kind: _Kind, look: Look) -> Family:
    maps = 2 * len(kind.strides)
    return Family(
        name=kind.name,
        needs=f"{maps} outputs, [B, n, C] and [B, n, 32] for each of strides {', '.join(map(str, kind.strides))}",
        look=look,
        read=lambda signature: _read_levels(kind, signature),
        open=lambda spec: DistributionHead(kind, spec.input.hw, spec.classes),
        against=_against,
    )


FAMILY = _family(_NANODET, NANODET)
PICODET = _family(_PICODET, IMAGENET)
PLUS = Family(
    name=_PLUS.name,
    needs="[B, A, C+32] with a row for each cell of strides 8, 16, 32 and 64",
    look=NANODET,
    read=_read_plus,
    open=lambda spec: DistributionHead(_PLUS, spec.input.hw, spec.classes),
    against=_against,
)
