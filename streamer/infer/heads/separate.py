"""Final boxes in outputs of their own: boxes [B, K, 4], scores and classes [B, K], and often how many are valid."""

from __future__ import annotations

from itertools import permutations, product
from typing import TYPE_CHECKING

import numpy as np

from .doubts import in_pixels, normalised, not_corners, not_probabilities, not_whole
from .family import STRETCHED, ULTRALYTICS, Family, Reading
from .final import final_boxes, id_bound, is_float, not_suppressed, same_rows
from .grid import each_cell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Port, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_SIZES = "orig_target_sizes"  # RT-DETR and its kin are told the size of the picture that boxes are wanted for
_OTHERS = ("detection_", "detected_")  # TensorFlow and Azure, whose boxes and classes are others
_ZOO = "bboxes"  # of the Model Zoo's SSD, which counts its classes from 1: unless its numbers say otherwise
_EFFICIENT = (
    "num_dets"  # how the plug-in and all who have replaced it count; its boxes are px: unless its numbers say otherwise
)
_MOST_FINAL = 1000  # boxes that NMS leaves at most; 100 or 300 as a rule


class SeparateHead:
    """Boxes x1 y1 x2 y2, scores, classes, and how many rows of each picture are valid. Nothing is suppressed again."""

    def __init__(self, spec: ModelSpec, *, fractions: bool) -> None:
        height, width = spec.input.hw
        self._size = np.array([width, height, width, height] if fractions else [1, 1, 1, 1], np.float32)
        self._bound = id_bound(spec)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  the network has done its own NMS
        """Decode boxes [B, K, 4], scores [B, K], classes [B, K] and, if it is there, the count [B, 1] or [B]."""
        return [
            final_boxes(boxes * self._size, scores, ids, floor=floor, bound=self._bound)
            for boxes, scores, ids in _valid_rows(outputs)
        ]


def _valid_rows(
    outputs: Sequence[NDArray[np.float32]],
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]]:
    """Give each picture's rows without those that fill up: what they hold is undefined."""
    rows = outputs[0].shape[1]
    counts = np.full(len(outputs[0]), rows) if len(outputs) == 3 else outputs[3].reshape(-1)
    valid = np.clip(np.nan_to_num(counts), 0, rows).astype(np.intp)
    for boxes, scores, ids, n in zip(*outputs[:3], valid, strict=True):
        yield boxes[:n], scores[:n], ids[:n]


def box_sets(signature: Signature) -> Iterator[tuple[Port, ...]]:
    """Find boxes, scores and classes, and the count if there is one."""
    ports = signature.outputs
    counts = [p for p in ports if _is_count(p)]
    lists = [p for p in ports if p.rank == 2 and p not in counts]
    ids = [p for p in lists if not is_float(p)]
    scores = [p for p in lists if is_float(p)]
    pairs = list(product(scores, ids) if ids else permutations(scores, 2))
    told = [(s, i) for s, i in pairs if "score" in s.name.lower() and "score" not in i.name.lower()]
    for boxes in ports:
        if boxes.rank == 3 and boxes.shape[2] == 4 and is_float(boxes):
            for pair in told or pairs:
                if same_rows(boxes, *pair) and len(counts) <= 1 and same_rows(boxes, *counts, axes=1):
                    yield (boxes, *pair, *counts)


def _is_count(port: Port) -> bool:
    """Whether it is one whole number for each picture, whatever its type."""
    single = port.rank == 1 or (port.rank == 2 and port.shape[1] == 1)
    return single and (not is_float(port) or "num" in port.name.lower())


def _reader(head: str, sure: Callable[[tuple[Port, ...], bool], bool]) -> Callable[[Signature], list[Reading]]:
    """Return the reader of one of these heads; `sure` is told the outputs and whether the network is told a size."""

    def read(signature: Signature) -> list[Reading]:
        return [
            Reading(
                head=head,
                outputs=ports,
                sure=not ports[0].name.startswith(_OTHERS) and sure(ports, _SIZES in signature.extras),
                rare=(head == "nms-normalized" and _others(ports)) or _cells(ports[0], signature),
            )
            for ports in box_sets(signature)
        ]

    return read


def _others(ports: tuple[Port, ...]) -> bool:
    """Whether these are as a rule another family's."""
    return ports[0].name == _ZOO or any(port.name == _EFFICIENT for port in ports)


def _cells(boxes: Port, signature: Signature) -> bool:
    """Whether there is a row for each cell of a grid, and far more of them than NMS leaves."""
    rows = boxes.shape[1]
    return rows is not None and rows > _MOST_FINAL and each_cell(rows, signature.hw)


def _read_efficient(signature: Signature) -> list[Reading]:
    every = _reader("efficient-nms", lambda _, told_size: not told_size)(signature)
    return [reading for reading in every if len(reading.outputs) == 4]


def _against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec, *, fractions: bool) -> str | None:  # noqa: ARG001  `Family.against`
    boxes, scores, ids = (np.concatenate(part) for part in zip(*_valid_rows(outputs), strict=True))
    boxes, scores, ids = boxes[ids >= 0], scores[ids >= 0], ids[ids >= 0]  # below 0 are rows that fill up
    size = in_pixels(boxes) if fractions else normalised(boxes)
    doubt = not_whole(ids, "what should be its classes") or not_probabilities(scores) or size
    return doubt or not_corners(boxes, scores)


def _against_px(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
    return _against(outputs, spec, fractions=False)


def _against_suppressed(
    outputs: Sequence[NDArray[np.float32]], spec: ModelSpec, *, fractions: bool = False
) -> str | None:
    """Ask for NMS too, which queries do without: now and then they find an object twice."""
    doubts = (not_suppressed(*picture) for picture in _valid_rows(outputs))
    return _against(outputs, spec, fractions=fractions) or next(filter(None, doubts), None)


FAMILY = Family(  # RT-DETR, D-FINE and DEIM as their own exporters leave them
    name="rtdetr",
    needs="boxes [B, K, 4], scores [B, K] and labels [B, K]",
    look=STRETCHED,
    read=_reader("rtdetr", lambda ports, told_size: told_size and len(ports) == 3 and not is_float(ports[2])),
    open=lambda spec: SeparateHead(spec, fractions=False),
    against=_against_px,
)
EFFICIENT = Family(  # EfficientNMS and what stands for it in plain ONNX; YOLO-NAS, MMYOLO
    name="efficient-nms",
    needs="a count [B, 1], boxes [B, K, 4], scores [B, K] and classes [B, K]",
    look=ULTRALYTICS,
    read=_read_efficient,
    open=lambda spec: SeparateHead(spec, fractions=False),
    against=_against_suppressed,
)
PLAIN = Family(
    name="nms",
    needs="boxes [B, K, 4] in px, scores [B, K] and classes [B, K]",
    look=ULTRALYTICS,
    read=_reader("nms", lambda ports, told_size: not told_size and len(ports) == 3),
    open=lambda spec: SeparateHead(spec, fractions=False),
    against=_against_suppressed,
)
FRACTIONS = Family(
    name="nms-normalized",
    needs="boxes [B, K, 4] in fractions of the picture, scores [B, K] and classes [B, K]",
    look=STRETCHED,
    read=_reader("nms-normalized", lambda _, told_size: not told_size),
    open=lambda spec: SeparateHead(spec, fractions=True),
    against=lambda outputs, spec: _against_suppressed(outputs, spec, fractions=True),
)
