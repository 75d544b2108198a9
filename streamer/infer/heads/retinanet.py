"""RetinaNet as NVIDIA and the ONNX Model Zoo export it: a map of classes and one of boxes for each stride."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streamer.infer.spec import ColorOrder, Fit

from .doubts import not_probabilities
from .family import IMAGENET, Family, Look, Reading
from .levels import level_hw
from .logits import logit, sigmoid
from .nms import MAX_CONSIDERED, corners, suppress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_STRIDES = (8, 16, 32, 64, 128)  # px
_RATIOS = (1.0, 2.0, 0.5)  # height to width
_SCALES = tuple(4 * 2 ** (i / 3) for i in range(3))  # strides
_EACH = len(_RATIOS) * len(_SCALES)  # anchors of a cell
_HALF_PX = 0.5  # its authors count whole pixels, from the first to the last: anchors are 1 px larger, their middle half


class RetinaNetHead:
    """Maps [B, 9*C, h, w] and [B, 9*4, h, w] of dx, dy, log w, log h relative to anchors, of each stride in turn."""

    def __init__(self, *, logits: bool) -> None:
        self._logits = logits

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode a pair of maps for each stride."""
        return [self._decode([output[i] for output in outputs], floor, iou) for i in range(len(outputs[0]))]

    def _decode(self, maps: Sequence[NDArray[np.float32]], floor: float, iou: float) -> Candidates:
        # Compared before the sigmoid: of each map's thousands of numbers few are left.
        least = logit(floor) if self._logits else floor
        levels = [
            _level(classes, boxes, stride=stride, least=least)
            for classes, boxes, stride in zip(maps[0::2], maps[1::2], _STRIDES, strict=True)
        ]
        boxes, scores, ids = (np.concatenate(parts) for parts in zip(*levels, strict=True))
        if self._logits:
            scores = sigmoid(scores)
        return suppress(boxes, scores, ids.astype(np.int32), iou=iou)


def _level(
    classes: NDArray[np.float32], deltas: NDArray[np.float32], *, stride: int, least: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.intp]]:
    """Return the boxes (N, 4) px, values (N,) and class ids (N,) of one stride that reach `least`."""
    passed = np.flatnonzero(classes >= least)
    if len(passed) > MAX_CONSIDERED:
        passed = passed[np.argpartition(-classes.ravel()[passed], MAX_CONSIDERED)[:MAX_CONSIDERED]]
    channels, rows, columns = np.unravel_index(passed, classes.shape)
    anchors, ids = np.divmod(channels, classes.shape[0] // _EACH)
    found = deltas.reshape(_EACH, 4, *deltas.shape[1:])[anchors, :, rows, columns]
    sides = _anchor_sides(stride)[anchors]
    cells = np.stack((columns, rows), axis=1) * stride + stride / 2 + _HALF_PX
    centres = np.concatenate((cells + found[:, :2] * sides, np.exp(found[:, 2:]) * sides), axis=1)
    return corners(centres.astype(np.float32)), classes.ravel()[passed], ids


def _anchor_sides(stride: int) -> NDArray[np.float32]:
    """Return the width and height of a cell's anchors, (9, 2) px: all shapes of one size, then of the next."""
    shapes = [(scale / ratio**0.5, scale * ratio**0.5) for scale in _SCALES for ratio in _RATIOS]
    return np.array(shapes, np.float32) * stride + 2 * _HALF_PX


def _read(head: str, signature: Signature) -> list[Reading]:
    ports = [port for port in signature.outputs if port.rank == 4]
    boxes = [port for port in ports if port.shape[1] == 4 * _EACH]
    if len(boxes) == len(ports):  # four classes: exporters name the maps of classes first
        boxes = ports[len(ports) // 2 :]
    classes = [port for port in ports if port not in boxes]
    channels = {port.shape[1] for port in classes}
    count = channels.pop() if len(channels) == 1 else None
    sizes = [level_hw(signature.hw, stride) for stride in _STRIDES]
    pairs = [_by_size(kind, sizes) for kind in (classes, boxes)]
    if not count or count % _EACH or not all(pairs):
        return []
    flat = tuple(port for pair in zip(*pairs, strict=True) for port in pair)
    return [Reading(head=head, outputs=flat, columns=count // _EACH)]


def _by_size(maps: Sequence[Port], sizes: Sequence[HW]) -> list[Port]:
    """Return the maps from the finest stride on, or none if their sizes are others; open ones keep their order."""
    found = sorted(maps, key=lambda port: -(port.shape[2] or 0) * (port.shape[3] or 0))
    fits = len(found) == len(sizes) and all(
        own in (None, side)
        for port, size in zip(found, sizes, strict=True)
        for own, side in zip(port.shape[2:], size, strict=True)
    )
    return found if fits else []


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    return next((doubt for classes in outputs[0::2] if (doubt := not_probabilities(classes))), None)


def _against_logits(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    if all(not_probabilities(classes) is None for classes in outputs[0::2]):
        return "its classes lie within 0 to 1: probabilities already, as head retinanet has them"
    return None


def _family(head: str, *, logits: bool) -> Family:
    return Family(
        name=head,
        needs="10 maps, [B, 9*C, h, w] and [B, 36, h, w] for each of strides 8 to 128",
        look=Look(
            color=ColorOrder.RGB,
            scale=1 / 255,
            fit=Fit.LETTERBOX_TOPLEFT,
            mean=IMAGENET.mean,
            std=IMAGENET.std,
            hw=(480, 640),
        ),
        read=lambda signature: _read(head, signature),
        open=lambda _: RetinaNetHead(logits=logits),
        against=_against_logits if logits else _against,
    )


FAMILY = _family("retinanet", logits=False)
LOGITS = _family("retinanet-logits", logits=True)
