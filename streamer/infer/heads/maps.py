"""Ultralytics v8 to v12 and YOLOv9 cut off before their boxes are decoded: maps for each of strides 8, 16 and 32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .doubts import not_probabilities
from .family import ULTRALYTICS, Family, Reading
from .final import is_float
from .grid import STRIDES
from .levels import centres, level_hw
from .logits import logit, sigmoid
from .nanodet import expected
from .nms import suppress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_BINS = 16  # distances 0 to 15 cells
_BUSY = 0.25  # a score that few cells of a network reach
_FAR = -4.0  # cells by which a box may miss the middle of its cell; a logarithm falls lower


@dataclass(frozen=True, slots=True)
class _Kind:
    """What the families differ in."""

    name: str
    side: int  # channels for each side of a box: 1 is a distance, more are the logits of a distribution
    logits: bool  # whether classes lack their sigmoid

    @property
    def box(self) -> int:
        """How many channels a box has."""
        return 4 * self.side


class MapsHead:
    """Maps of classes, and of left, top, right and bottom in cells: one output for each stride, or two."""

    def __init__(self, kind: _Kind, input_hw: HW) -> None:
        self._kind = kind
        self._cells = [centres(input_hw, (stride,), offset=lambda stride: stride / 2) for stride in STRIDES]

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode [B, box+C, h, w] of each stride, or classes [B, C, h, w] and boxes [B, box, h, w] of each in turn."""
        least = logit(floor) if self._kind.logits else floor  # before the sigmoid: few of the maps' numbers are left
        levels = list(_levels(outputs, self._kind.box))
        return [
            self._decode([(classes[i], sides[i]) for classes, sides in levels], least, iou)
            for i in range(len(outputs[0]))
        ]

    def _decode(
        self, levels: Iterable[tuple[NDArray[np.float32], NDArray[np.float32]]], least: float, iou: float
    ) -> Candidates:
        found = [self._level(level, cells, least) for level, cells in zip(levels, self._cells, strict=True)]
        boxes, values, class_ids = (np.concatenate(parts) for parts in zip(*found, strict=True))
        scores = sigmoid(values) if self._kind.logits else values
        return suppress(boxes, scores, class_ids.astype(np.int32), iou=iou)

    def _level(
        self,
        level: tuple[NDArray[np.float32], NDArray[np.float32]],
        cells: tuple[NDArray[np.float32], NDArray[np.float32]],
        least: float,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
        """Return boxes (N, 4) px, values (N,) and class ids (N,) of the cells that reach `least`."""
        classes, sides = (part.reshape(len(part), -1) for part in level)
        points, stride = cells
        best = classes.max(axis=0)
        passed = np.flatnonzero(best >= least)  # NaN passes no comparison
        reach = sides[:, passed].T
        if self._kind.side > 1:
            reach = expected(reach.reshape(-1, 4, self._kind.side))
        reach, points = reach * stride[passed], points[passed]
        boxes = np.concatenate((points - reach[:, :2], points + reach[:, 2:]), axis=1)
        return boxes, best[passed], classes[:, passed].argmax(axis=0)


def _levels(
    outputs: Sequence[NDArray[np.float32]], box: int
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Yield classes [B, C, h, w] and boxes [B, box, h, w] of each stride."""
    if len(outputs) == len(STRIDES):
        yield from ((level[:, box:], level[:, :box]) for level in outputs)
    else:
        yield from zip(outputs[0::2], outputs[1::2], strict=True)


def _read(kind: _Kind, signature: Signature) -> list[Reading]:
    maps = [port for port in signature.outputs if port.rank == 4 and port.shape[1] is not None and is_float(port)]
    levels = [[port for port in maps if port.shape[2:] == level_hw(signature.hw, stride)] for stride in STRIDES]
    if kind.side > 1 and all(len(level) == 1 for level in levels):
        return _joint(kind, [level[0] for level in levels])
    pairs = [_pair(level, kind) for level in levels]
    flat = tuple(port for pair in pairs for port in pair)
    columns = {port.shape[1] for port in flat[0::2]}
    if not all(pairs) or len(columns) != 1:
        return []
    # With plain distances there are other networks of these shapes: the distributions beside them tell.
    sure = kind.side > 1 or any(port.rank == 5 and port.shape[2] == 4 for port in signature.outputs)
    return [Reading(head=kind.name, outputs=flat, columns=columns.pop(), sure=sure)]


def _joint(kind: _Kind, levels: Sequence[Port]) -> list[Reading]:
    channels = {port.shape[1] or 0 for port in levels}
    count = channels.pop() - kind.box
    if channels or count < 1:
        return []
    return [Reading(head=kind.name, outputs=tuple(levels), columns=count, rare=True)]  # as anchored maps are shaped


def _pair(level: Sequence[Port], kind: _Kind) -> tuple[Port, ...]:
    """Return classes and boxes of one stride.

    Behind them may stand the sum of the classes, one channel, and a second branch that only training needs.
    """
    boxes = [port for port in level if port.shape[1] == kind.box]
    classes = [port for port in level if port is not (boxes[0] if boxes else None)]
    if kind.side == 1 and len(boxes) > 1 and boxes[0] is level[0]:  # four classes: they come first
        boxes, classes = boxes[1:], boxes[:1]
    return (classes[0], boxes[0]) if boxes and classes else ()


def _against(kind: _Kind, outputs: Sequence[NDArray[np.float32]]) -> str | None:
    levels = list(_levels(outputs, kind.box))
    doubts = [not_probabilities(classes) for classes, _ in levels]
    if not kind.logits and any(doubts):
        return next(filter(None, doubts))
    if kind.logits and not any(doubts):
        return "its classes lie within 0 to 1: probabilities already"
    best = np.concatenate([classes.max(axis=1).ravel() for classes, _ in levels])
    if np.median(sigmoid(best) if kind.logits else best) > _BUSY:
        return "most of its cells would show something"
    least = min(float(sides.min(initial=0.0)) for _, sides in levels)
    return f"its distances fall to {least:.3g}, far below 0" if kind.side == 1 and least < _FAR else None


def _family(kind: _Kind, needs: str) -> Family:
    def against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
        return _against(kind, outputs)

    return Family(
        name=kind.name,
        needs=f"{needs} for each of strides 8, 16 and 32",
        look=ULTRALYTICS,
        read=lambda signature: _read(kind, signature),
        open=lambda spec: MapsHead(kind, spec.input.hw),
        against=against,
        ultralytics=kind.side > 1,
    )


V8_RAW = _family(_Kind("v8-raw", _BINS, logits=True), "maps [B, 64+C, h, w], or [B, 64, h, w] and [B, C, h, w],")
V8_RAW_SIGMOID = _family(_Kind("v8-raw-sigmoid", _BINS, logits=False), "maps [B, 64, h, w] and scores [B, C, h, w]")
YOLOV9_MIT = _family(_Kind("yolov9-mit", 1, logits=True), "maps [B, C, h, w] and [B, 4, h, w]")
