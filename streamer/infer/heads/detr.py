"""DETR and its kin: one row of classes and one box for each query, [B, Q, C] and [B, Q, 4], never suppressed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from .base import Candidates
from .doubts import in_pixels, negative_sides, not_probabilities
from .family import IMAGENET, STRETCHED, Family, Numbering, Reading
from .final import is_rows, same_rows
from .grid import each_cell
from .logits import sigmoid
from .nms import MAX_KEPT, corners, sound

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import Port, Signature
    from streamer.infer.spec import ModelSpec

    Activation = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # from one picture's logits (Q, C) to scores

_MOST_QUERIES = 1000  # 100 or 300 as a rule, 900 of DINO
_COCO = 80  # classes, as RT-DETR and D-FINE count them
_COCO91 = 91  # as RF-DETR and Deformable DETR do
_BUSY = 0.25  # a score that most queries of a network with a sigmoid never reach: they find nothing
_NAMED = (("logits", "pred_boxes"), ("pred_logits", "pred_boxes"))  # Hugging Face; the authors of DETR
_RFDETR = ("labels", "dets")  # RF-DETR's own exporter: `labels` are logits


class DetrHead:
    """Boxes cx, cy, w, h in fractions of the input; a query may show several classes, a class several queries."""

    def __init__(self, spec: ModelSpec, activation: Activation) -> None:
        height, width = spec.input.hw
        self._size = np.array([width, height, width, height], np.float32)
        self._activation = activation
        # Classes without a name, such as `nothing`, would crowd out the others.
        self._named = np.isin(np.arange(spec.classes), range(spec.classes) if spec.ids is None else spec.ids)

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:  # noqa: ARG002  queries do not repeat each other
        """Decode classes [B, Q, C] and boxes [B, Q, 4]."""
        return [self._decode(logits, boxes, floor) for logits, boxes in zip(*outputs, strict=True)]

    def _decode(self, logits: NDArray[np.float32], centres: NDArray[np.float32], floor: float) -> Candidates:
        scores = self._activation(logits)
        passed = (scores >= floor) & np.isfinite(logits) & self._named  # NaN passes no comparison
        queries, ids = np.nonzero(passed)
        boxes = corners(centres[queries] * self._size)
        found = scores[queries, ids]
        sane = sound(boxes, found)
        boxes, found, ids = boxes[sane], found[sane], ids[sane]
        best = np.argsort(-found, kind="stable")[:MAX_KEPT]
        return Candidates(
            boxes=boxes[best], scores=np.minimum(found[best], np.float32(1)), class_ids=ids[best].astype(np.int32)
        )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probabilities of all classes and of `nothing`, which make 1 together."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scores: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
    return scores


def _pairs(signature: Signature) -> tuple[list[tuple[Port, Port]], str]:
    """Return the outputs that may hold classes and boxes, and who named them: huggingface | rfdetr | nobody."""
    for names in _NAMED:
        named = signature.named(*names)
        if named is not None:
            return ([(named[0], named[1])] if _is_pair(*named) else []), "huggingface"
    named = signature.named(*_RFDETR)
    if named is not None:
        return ([(named[0], named[1])] if _is_pair(*named) else []), "rfdetr"
    return [(c, b) for c in signature.outputs for b in signature.outputs if c is not b and _is_pair(c, b)], "nobody"


def _is_pair(classes: Port, boxes: Port) -> bool:
    shaped = is_rows(classes) and is_rows(boxes) and boxes.shape[2] == 4 and classes.shape[2] is not None
    return shaped and same_rows(classes, boxes)


def _queries(pair: tuple[Port, Port], signature: Signature) -> bool:
    """Whether nobody's rows are queries: not as many as a grid has cells, and no other stride has more."""
    if sum(is_rows(port) and port.shape[2] == 4 for port in signature.outputs if port is not pair[0]) > 1:
        return False
    rows = _rows(pair)
    return rows is None or not each_cell(rows, signature.hw)


def _rows(pair: tuple[Port, Port]) -> int | None:
    return pair[0].shape[1] or pair[1].shape[1]


def _readings(
    head: str, signature: Signature, sure: Callable[[int, str], bool], numbering: Numbering = Numbering.ZERO
) -> list[Reading]:
    """Return the ways in which these may be classes and boxes.

    Args:
        head: whose ways.
        signature: the network's outside.
        sure: whether so many columns, named by whom, are this head's.
        numbering: how it counts its classes.
    """
    pairs, named_by = _pairs(signature)
    found = []
    for pair in pairs:
        columns = pair[0].shape[2] or 0
        if columns > (numbering is not Numbering.ZERO):
            few = (_rows(pair) or 0) <= _MOST_QUERIES
            certain = few and (named_by != "nobody" or _queries(pair, signature)) and sure(columns, named_by)
            found.append(Reading(head=head, outputs=pair, columns=columns, numbering=numbering, sure=certain))
    return found


def _read_rfdetr(signature: Signature) -> list[Reading]:
    """Its own exporter's networks have one column more than classes, the first or the last, which no shape tells."""

    def own(columns: int, named_by: str) -> bool:
        return named_by == "rfdetr" and columns != _COCO91

    return [
        *_readings("rfdetr", signature, lambda columns, named_by: named_by == "rfdetr" or columns != _COCO),
        *_readings("rfdetr", signature, own, Numbering.ONE),
        *_readings("rfdetr", signature, own, Numbering.LAST),
    ]


def _against_boxes(boxes: NDArray[np.float32]) -> str | None:
    return in_pixels(boxes) or negative_sides(boxes[..., 2:])


def _activated(logits: NDArray[np.float32]) -> str | None:
    """Say that logits, which know no bounds, are probabilities already."""
    if logits.size and logits.min() >= 0 and 0 < logits.max() <= 1:
        return "its classes lie within 0 to 1: probabilities already, as head detr-scores has them"
    return None


def _most_are_busy(scores: NDArray[np.float32]) -> str | None:
    best = scores.max(axis=2)
    if best.size and np.median(best) > _BUSY and scores.min() != scores.max():
        return f"most of its rows would show something, by a score of {np.median(best):.2g} and more"
    return None


def _against_sigmoid(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    logits, boxes = outputs
    with np.errstate(over="ignore"):
        return _activated(logits) or _against_boxes(boxes) or _most_are_busy(sigmoid(logits))


def _against_softmax(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    logits, boxes = outputs
    doubt = _activated(logits) or _against_boxes(boxes)
    if doubt is None and 2 * np.count_nonzero(logits.argmax(axis=2) == logits.shape[2] - 1) < logits[..., 0].size:
        return None if logits.min() == logits.max() else "its last column is not nothing: most rows show something else"
    return doubt


def _against_scores(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:  # noqa: ARG001  `Family.against`
    scores, boxes = outputs
    if scores.size and not (scores > 0).any():
        return "none of its scores is above 0"
    return not_probabilities(scores) or _against_boxes(boxes)


FAMILY = Family(  # Hugging Face's RT-DETR and D-FINE
    name="detr-sigmoid",
    needs="classes [B, Q, C] and boxes [B, Q, 4]",
    look=STRETCHED,
    read=lambda s: _readings("detr-sigmoid", s, lambda columns, by: by != "rfdetr" and columns != _COCO91),
    open=lambda spec: DetrHead(spec, sigmoid),
    against=_against_sigmoid,
)
RFDETR = Family(
    name="rfdetr",
    needs="classes [B, Q, C] and boxes [B, Q, 4]",
    look=IMAGENET,
    read=_read_rfdetr,
    open=lambda spec: DetrHead(spec, sigmoid),
    against=_against_sigmoid,
)
SOFTMAX = Family(  # DETR itself and YOLOS
    name="detr",
    needs="classes and nothing [B, Q, C+1] and boxes [B, Q, 4]",
    look=replace(IMAGENET, hw=(800, 800)),
    read=lambda s: _readings("detr", s, lambda _, by: by != "rfdetr", Numbering.LAST),
    open=lambda spec: DetrHead(spec, softmax),
    against=_against_softmax,
)
SCORES = Family(  # exported with the activation
    name="detr-scores",
    needs="scores [B, Q, C] and boxes [B, Q, 4]",
    look=STRETCHED,
    read=lambda s: [
        reading
        for numbering in (Numbering.ZERO, Numbering.LAST)
        for reading in _readings("detr-scores", s, lambda *_: True, numbering)
    ],
    open=lambda spec: DetrHead(spec, lambda scores: scores),
    against=_against_scores,
)
