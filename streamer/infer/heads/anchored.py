"""Boxes told relative to anchors, on one grid or several: YOLOv2 to v7 as their last layers leave them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from streamer.core.errors import ConfigError

from .doubts import not_probabilities
from .family import Reading
from .layouts import Layout, Level, find_grids, grids_of
from .logits import logit, sigmoid
from .nms import corners, suppress

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from numpy.typing import NDArray

    from streamer.infer.signature import HW, Signature
    from streamer.infer.spec import ModelSpec

    from .base import Candidates

_LARGEST_LOG = 6.0  # e^6 = 403 anchors wide
_FOLLOWS = 0.5  # correlation; about 0 for places in a cell, nearly 1 for places in the picture
_LARGEST_LOGIT = 200.0  # a network's own numbers stay far below; px do not


class Sizes(Enum):
    """How width and height follow from a network's number t and the anchor."""

    EXP = "exp(t)"
    SQUARE = "(2 sigmoid(t))^2"
    SQUARE_DONE = "(2 t)^2"  # the sigmoid is in the network


class Scores(Enum):
    """What objectness and classes still need."""

    RAW = "sigmoid"
    SOFTMAX = "sigmoid for the objectness, softmax for the classes"
    DONE = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How one family writes boxes on its grids."""

    grids: tuple[tuple[Level, ...], ...]  # the sets of levels that its networks have, each finest first
    sizes: Sizes
    scores: Scores
    sigmoid_xy: bool = True  # whether the place in the cell still needs its sigmoid


class AnchorHead:
    """Numbers tx, ty, tw, th, objectness and classes for each anchor of each cell."""

    def __init__(self, coding: Coding, *, hw: HW, classes: int) -> None:
        self._coding = coding
        self._hw = hw
        self._classes = classes

    @np.errstate(over="ignore", invalid="ignore")  # what becomes infinite or NaN is left out as a row
    def __call__(self, outputs: Sequence[NDArray[np.float32]], floor: float, iou: float) -> list[Candidates]:
        """Decode grids in any of the layouts of `layouts.py`."""
        grids = grids_of(outputs, self._coding.grids, hw=self._hw, classes=self._classes)
        result = []
        for i in range(len(outputs[0])):
            parts = [_decode(grid[i], level, self._coding, floor) for grid, level in grids]
            boxes, scores, class_ids = (np.concatenate(column) for column in zip(*parts, strict=True))
            result.append(suppress(boxes, scores, class_ids, iou=iou))
        return result


def with_anchors(coding: Coding) -> Callable[[ModelSpec], AnchorHead]:
    """Return what opens a head (`Family.open`), with anchors of a model's own where its spec has them."""
    return lambda spec: AnchorHead(_own(coding, spec), hw=spec.input.hw, classes=spec.classes)


def _own(coding: Coding, spec: ModelSpec) -> Coding:
    """Return the coding with a spec's anchors, finest level first.

    Raises:
        ConfigError: there are too few or too many.
    """
    if spec.anchors is None:
        return coding
    counts = [sum(len(level.anchors) for level in levels) for levels in coding.grids]
    grids = []
    for levels, count in zip(coding.grids, counts, strict=True):
        if count == len(spec.anchors):
            given = iter(spec.anchors)
            grids.append(tuple(replace(level, anchors=tuple(islice(given, len(level.anchors)))) for level in levels))
    if not grids:
        allowed = " or ".join(map(str, sorted(set(counts))))
        raise ConfigError(f"anchors: {len(spec.anchors)} are given, head {spec.head} has {allowed}")
    return replace(coding, grids=tuple(grids))


def _decode(
    grid: NDArray[np.float32], level: Level, coding: Coding, floor: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int32]]:
    """Decode (A, h, w, 5+C) to boxes (K, 4), scores (K,) and class ids (K,) of at least the floor."""
    least = floor if coding.scores is Scores.DONE else logit(floor)
    likely = np.nonzero(grid[..., 4] >= least)  # a class is at most 1, so few rows are left to look at
    rows = grid[likely]
    class_ids = rows[:, 5:].argmax(axis=1).astype(np.int32)
    scores = _scores(rows, class_ids, coding.scores)
    passed = (scores >= floor) & np.isfinite(rows).all(axis=1)
    anchor, y, x = (place[passed] for place in likely)
    boxes = _boxes(rows[passed, :4], np.stack((x, y), axis=1), level.sizes[anchor], level, coding)
    return corners(boxes), scores[passed], class_ids[passed]


def _scores(rows: NDArray[np.float32], class_ids: NDArray[np.int32], kind: Scores) -> NDArray[np.float32]:
    best = np.take_along_axis(rows[:, 5:], class_ids[:, np.newaxis], axis=1)
    scores: NDArray[np.float32]
    match kind:
        case Scores.RAW:
            scores = sigmoid(rows[:, 4]) * sigmoid(best[:, 0])
        case Scores.SOFTMAX:
            scores = sigmoid(rows[:, 4]) / np.exp(rows[:, 5:] - best).sum(axis=1)
        case Scores.DONE:
            scores = rows[:, 4] * best[:, 0]
    return scores


def _boxes(
    raw: NDArray[np.float32], cells: NDArray[np.intp], anchors: NDArray[np.float32], level: Level, coding: Coding
) -> NDArray[np.float32]:
    """Return centres and sizes in px, (K, 4), of raw numbers (K, 4)."""
    place = sigmoid(raw[:, :2]) if coding.sigmoid_xy else raw[:, :2]
    centres = (place * level.reach - (level.reach - 1) / 2 + cells) * level.stride
    match coding.sizes:
        case Sizes.EXP:
            sides = np.exp(raw[:, 2:])
        case Sizes.SQUARE:
            sides = (2 * sigmoid(raw[:, 2:])) ** 2
        case Sizes.SQUARE_DONE:
            sides = (2 * raw[:, 2:]) ** 2
    return np.concatenate((centres, sides * anchors), axis=1, dtype=np.float32)


def read_maps(
    head: str, coding: Coding, usual: Collection[Layout], rare: Collection[Layout] = ()
) -> Callable[[Signature], list[Reading]]:
    """Return what finds one output for each level (`Family.read`).

    Args:
        head: the family's name.
        coding: whose levels are looked for.
        usual: layouts that its exporters write.
        rare: layouts that are tried only where nothing else fits; all others are for whoever names the head.
    """

    def read(signature: Signature) -> list[Reading]:
        maps = [port for port in signature.outputs if port.rank > 3]
        for levels in coding.grids:
            for layout in Layout:
                # Decoded boxes beside the maps are the better answer: the maps are then only for whoever asks.
                ports = signature.outputs if layout is Layout.ROWS else maps
                found = find_grids(ports, levels, layout, signature.hw) if len(ports) == len(levels) else None
                if found is not None:
                    outputs, classes = found
                    sure = len(ports) == len(signature.outputs) and layout in (*usual, *rare)
                    return [Reading(head=head, outputs=outputs, columns=classes, sure=sure, rare=layout in rare)]
        return []

    return read


def against_coding(coding: Coding) -> Callable[[Sequence[NDArray[np.float32]], ModelSpec], str | None]:
    """Return what looks for numbers that this coding can't have written (`Family.against`)."""

    def against(outputs: Sequence[NDArray[np.float32]], spec: ModelSpec) -> str | None:
        grids = grids_of(outputs, _own(coding, spec).grids, hw=spec.input.hw, classes=spec.classes)
        rows = np.concatenate([grid.reshape(-1, grid.shape[-1]) for grid, _ in grids])
        doubt = _against_scores(rows[:, 4:], coding.scores) or _against_boxes(rows[:, :4], coding)
        if doubt is None and follow_cells(grids[0][0]):
            return "its boxes lie where their cells lie, so they are decoded"
        return doubt

    return against


def follow_cells(grid: NDArray[np.float32]) -> bool:
    """Whether centres grow with the column of their cell: they are decoded. Of a grid (B, A, h, w, 5+C)."""
    x = np.asarray(grid[..., 0], np.float64)
    columns = np.broadcast_to(np.arange(x.shape[-1], dtype=np.float64), x.shape)
    x, columns = x - x.mean(), columns - columns.mean()
    spread = float(np.sqrt((x * x).sum() * (columns * columns).sum()))
    return spread > 0 and float((x * columns).sum()) > _FOLLOWS * spread


def _against_scores(scores: NDArray[np.float32], kind: Scores) -> str | None:
    if kind is Scores.DONE:
        doubt = not_probabilities(scores)
        middle = 0.5
    else:
        doubt = None if not_probabilities(scores) else "its scores lie within 0 to 1, so their sigmoid is done"
        middle = 0.0
    if doubt is None and float(np.median(scores[:, 0])) > middle:
        return "more than half of its cells would hold an object"
    return doubt


def _against_boxes(boxes: NDArray[np.float32], coding: Coding) -> str | None:
    if coding.sizes is Sizes.SQUARE_DONE:
        return not_probabilities(boxes, "boxes") or (None if boxes.any() else "its boxes are 0 everywhere")
    if float(boxes[:, 2:].min()) >= 0 and float(boxes.max()) <= 1:
        return "its boxes lie within 0 to 1, so their sigmoid is done"
    largest = float(boxes[:, 2:].max())
    if largest > (_LARGEST_LOG if coding.sizes is Sizes.EXP else _LARGEST_LOGIT):
        return f"its widths and heights reach to {largest:.4g}: px, not what an anchor is multiplied by"
    return None
