"""A real network in the layouts of the anchored YOLOs and of YOLOs that lack a last step: the same boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from graft import CLASSES, LEVELS, SIDE, Graft
from onnx import TensorProto, helper
from same_boxes import PICTURES, assert_same, detect, known, load, source_of

from streamer.core.errors import BackendError
from streamer.infer.heads import family_of
from streamer.infer.heads.darknet import YOLOV3, YOLOV3_TINY, YOLOV4, YOLOV4_TINY
from streamer.infer.heads.yolov2 import AZURE_LEVELS, COCO_LEVELS
from streamer.infer.spec import SpecOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from streamer.infer.heads.layouts import Level

    Outputs = Callable[[Graft], dict[str, str]]

NOT_TWICE = ("person.jpg", "zidane.jpg", "bus.jpg")  # in none of these is one thing seen as two classes
COUNTS = [cells * cells for _, cells in LEVELS]
SELDOM = 1e-4  # probability of what a network does not see


@dataclass(frozen=True, slots=True)
class Case:
    """One layout, and what is said to have it recognised."""

    head: str
    outputs: Outputs
    asked: bool = False  # whether the file alone leaves a doubt, whose message names the head
    layout: str = "nchw"
    pictures: tuple[str, ...] = PICTURES


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchored:
    """Writes each object into its cell, at one of the cell's anchors."""

    levels: Sequence[Level]
    axes: str = "flat"  # flat | flat-last | split | split-last | rows
    square: bool = False  # YOLOv5's sizes
    reach: float | None = None  # instead of each level's own
    done: bool = False  # boxes with their sigmoid
    scores_done: bool = False
    softmax: bool = False
    plain_xy: bool = False
    names: tuple[str, ...] = ("out0", "out1", "out2")
    joined: bool = False  # all levels' rows in one output

    def __call__(self, graft: Graft) -> dict[str, str]:
        """Return the outputs, the coarsest first as Darknet has them."""
        boxes, scores = (graft.split(tensor, 1, COUNTS) for tensor in (graft.xywh, graft.scores))
        maps, taken = [], 0
        for i, level in enumerate(self.levels):
            last = 3 if i == len(self.levels) - 1 else max(1, 3 - len(self.levels) + 1 + i)
            seen, marks = (graft.add("Concat", *part[taken:last], axis=1) for part in (boxes, scores))
            maps.append(self._map(graft, seen, marks, level))
            taken = last
        if self.joined:
            return {"output": graft.add("Concat", *maps, axis=1)}
        return dict(zip(self.names, reversed(maps), strict=False))

    def _map(self, graft: Graft, boxes: str, scores: str, level: Level) -> str:
        side = SIDE // level.stride
        xywh, scores, best = _in_cells(graft, boxes, scores, level.stride)
        column, row = np.tile(np.arange(side), side), np.repeat(np.arange(side), side)
        cells = graft.const(np.stack((column, row), axis=1))
        reach = level.reach if self.reach is None else self.reach
        centre, size = graft.split(xywh, 1, [2, 2])
        place = graft.add("Sub", graft.add("Div", centre, graft.const([level.stride])), cells)
        place = graft.add("Add", place, graft.const([(reach - 1) / 2]))
        place = graft.add("Div", place, graft.const([reach]))
        anchor = len(level.anchors) - 1  # the largest: YOLOv5's sizes reach to its fourfold only
        share = graft.add("Div", size, graft.const(level.anchors[anchor]))
        if self.square:
            share = graft.add("Div", graft.add("Sqrt", share), graft.const([2.0]))
        if self.done:  # as a sigmoid would leave them, in cells without an object too
            place, share = (graft.add("Clip", x, graft.const(0.0), graft.const(1.0)) for x in (place, share))
        txy = place if self.done or self.plain_xy else graft.logits(place)
        twh = (
            (share if self.done else graft.logits(share))
            if self.square
            else graft.add("Log", graft.add("Add", share, graft.const([1e-3])))
        )
        probabilities = graft.add("Concat", best, self._classes(graft, scores, best), axis=1)
        marks = probabilities if self.scores_done else graft.logits(probabilities)
        numbers = graft.add("Concat", txy, twh, marks, axis=1)
        nothing = np.full((anchor, side * side, 5 + CLASSES), SELDOM if self.scores_done else -9)
        nothing[..., :4] = 0.5 if self.done else 0.0
        whole = graft.add("Concat", graft.const(nothing), graft.reshape(numbers, 1, side * side, 5 + CLASSES), axis=0)
        return self._laid_out(graft, whole, anchor + 1, side)

    def _classes(self, graft: Graft, scores: str, best: str) -> str:
        share = graft.add("Div", scores, graft.add("Add", best, graft.const([1e-6])))
        if not self.softmax:
            return graft.add("Clip", share, graft.const(SELDOM), graft.const(1 - SELDOM))
        sure = graft.cast(graft.add("GreaterOrEqual", share, graft.const([0.99])), TensorProto.FLOAT)
        return graft.add("Clip", sure, graft.const(1e-6), graft.const(1 - 1e-6))

    def _laid_out(self, graft: Graft, whole: str, anchors: int, side: int) -> str:
        channels = 5 + CLASSES
        match self.axes:
            case "split":
                return graft.reshape(whole, 1, anchors, side, side, channels)
            case "rows":
                return graft.reshape(whole, 1, -1, channels)
            case "flat":
                return graft.reshape(graft.add("Transpose", whole, perm=[0, 2, 1]), 1, -1, side, side)
            case "split-last":
                return graft.reshape(graft.add("Transpose", whole, perm=[1, 0, 2]), 1, side, side, anchors, channels)
            case _:
                return graft.reshape(graft.add("Transpose", whole, perm=[1, 0, 2]), 1, side, side, -1)


def _in_cells(graft: Graft, boxes: str, scores: str, stride: int) -> tuple[str, str, str]:
    """Return each cell's best box (n, 4), classes (n, 80) and best score (n, 1): the box whose centre lies in it."""
    side = SIDE // stride
    boxes, scores = graft.reshape(boxes, -1, 4), graft.reshape(scores, -1, CLASSES)
    best = graft.add("ReduceMax", scores, axes=[1], keepdims=0)
    x, y, _ = graft.split(boxes, 1, [1, 1, 2])
    column, row = (
        graft.add("Clip", graft.add("Floor", graft.add("Div", at, graft.const([stride]))), graft.const(0.0),
                  graft.const(side - 1.0)) for at in (x, y)
    )  # fmt: skip
    place = graft.add("Add", graft.add("Mul", row, graft.const([side])), column)
    inside = graft.add("Equal", graft.reshape(place, 1, -1), graft.const(np.arange(side * side)[:, None]))
    held = graft.add("Where", inside, graft.reshape(best, 1, -1), graft.const([0.0]))
    chosen = graft.add("ArgMax", held, axis=1, keepdims=0)
    most = graft.add("ReduceMax", held, axes=[1], keepdims=1)
    return graft.add("Gather", boxes, chosen), graft.add("Gather", scores, chosen), most


def yolov3_nms(graft: Graft) -> dict[str, str]:
    """Boxes y1 x1 y2 x2 in px of what `image_shape` says, scores by class, and what NMS has chosen."""
    shape = helper.make_tensor_value_info("image_shape", TensorProto.FLOAT, [1, 2])
    graft._graph.input.append(shape)
    share = graft.add("Div", "image_shape", graft.const([SIDE]))
    y1x1y2x2 = graft.add("Gather", graft.xyxy, graft.const([1, 0, 3, 2], np.int64), axis=2)
    boxes = graft.add("Mul", y1x1y2x2, graft.add("Concat", share, share, axis=1))
    scores = graft.add("Transpose", graft.scores, perm=[0, 2, 1])
    limits = (graft.const([100], np.int64), graft.const([0.5]), graft.const([0.1]))
    chosen = graft.add("NonMaxSuppression", graft.xyxy, scores, *limits)
    return {"yolonms_layer_1": boxes, "scores": scores, "chosen": graft.cast(chosen, TensorProto.INT32)}


def yolov4_boxes(graft: Graft) -> dict[str, str]:
    boxes = graft.add("Div", graft.xyxy, graft.const([SIDE]))
    return {"boxes": graft.reshape(boxes, 1, -1, 1, 4), "confs": graft.scores}


def _with_objectness(graft: Graft, boxes: str, *, logits: bool = False) -> dict[str, str]:
    best = graft.add("ReduceMax", graft.scores, axes=[2], keepdims=1)
    classes = graft.add("Div", graft.scores, graft.add("Add", best, graft.const([1e-6])))
    marks = graft.add("Concat", best, graft.add("Clip", classes, graft.const(0.0), graft.const(1.0)), axis=2)
    return {"output": graft.add("Concat", boxes, graft.logits(marks) if logits else marks, axis=2)}


def _normalized(graft: Graft) -> str:
    return graft.add("Div", graft.xywh, graft.const([SIDE]))


def v8(boxes: Callable[[Graft], str], *, logits: bool, transposed: bool = False) -> Outputs:
    def outputs(graft: Graft) -> dict[str, str]:
        scores = graft.logits(graft.scores) if logits else graft.scores
        rows = graft.add("Concat", boxes(graft), scores, axis=2)
        return {"predictions": rows if transposed else graft.add("Transpose", rows, perm=[0, 2, 1])}

    return outputs


def yolox_logits(graft: Graft) -> dict[str, str]:
    grid = [np.stack(np.meshgrid(np.arange(n), np.arange(n)), axis=-1).reshape(-1, 2) for _, n in LEVELS]
    strides = graft.const(np.repeat([stride for stride, _ in LEVELS], COUNTS)[:, None])
    centre, size = graft.split(graft.add("Div", graft.xywh, strides), 2, [2, 2])
    logs = graft.add("Log", graft.add("Add", size, graft.const([1e-6])))
    place = graft.add("Sub", centre, graft.const(np.concatenate(grid)))
    return _with_objectness(graft, graft.add("Concat", place, logs, axis=2), logits=True)


def v8_split(graft: Graft) -> dict[str, str]:
    turned = [graft.add("Transpose", part, perm=[0, 2, 1]) for part in (graft.scores, graft.xywh)]
    return dict(zip(("scores", "boxes"), turned, strict=True))


def v5_split(graft: Graft) -> dict[str, str]:
    rows = _with_objectness(graft, graft.xywh)["output"]
    return dict(zip(("boxes", "objectness", "classes"), graft.split(rows, 2, [4, 1, CLASSES]), strict=True))


def plain(levels: Sequence[Level], axes: str = "flat", *, scores_done: bool = False, softmax: bool = False) -> Anchored:
    return Anchored(levels=levels, axes=axes, scores_done=scores_done, softmax=softmax)


def v5_like(levels: Sequence[Level], axes: str, *, done: bool = False) -> Anchored:
    return Anchored(levels=levels, axes=axes, square=True, reach=2.0, done=done, scores_done=done)


CASES = {
    "yolov3": Case("yolov3", plain(YOLOV3), asked=True),
    "yolov3-keras": Case("yolov3", plain(YOLOV3, "flat-last"), asked=True),
    "yolov3-split": Case("yolov3", plain(YOLOV3, "split-last"), asked=True),
    "yolov3-tiny": Case("yolov3", plain(YOLOV3_TINY), asked=True),
    "yolov4": Case("yolov4", plain(YOLOV4), asked=True),
    "yolov4-tiny": Case("yolov4", plain(YOLOV4_TINY), asked=True),
    "yolov4-zoo": Case("yolov4-zoo", plain(YOLOV4, "split-last", scores_done=True), layout="nhwc"),
    "v5-raw": Case("v5-raw", v5_like(YOLOV3, "split"), asked=True),
    "v5-raw-flat": Case("v5-raw", v5_like(YOLOV3, "flat"), asked=True),
    "v7-raw": Case("v7-raw", v5_like(YOLOV4, "split"), asked=True),
    "v5-sigmoid": Case("v5-sigmoid", v5_like(YOLOV3, "flat", done=True), asked=True),
    "v7-sigmoid": Case("v7-sigmoid", v5_like(YOLOV4, "split", done=True), asked=True),
    "v5-raw-rows": Case(
        "v5-raw", Anchored(levels=YOLOV3, axes="rows", square=True, reach=2.0, joined=True), asked=True
    ),
    "v5-lite": Case(
        "v5-sigmoid",
        Anchored(levels=YOLOV3, axes="rows", square=True, reach=2.0, done=True, scores_done=True, joined=True),
        asked=True,
    ),
    "yolov2": Case("yolov2", plain(COCO_LEVELS, softmax=True), asked=True, pictures=NOT_TWICE),
    "azure": Case(
        "azure",
        Anchored(levels=AZURE_LEVELS, softmax=True, plain_xy=True, names=("model_outputs0",)),
        pictures=NOT_TWICE,
    ),
    "yolov4-boxes": Case("yolov4-boxes", yolov4_boxes),
    "yolov3-nms": Case("yolov3-nms", yolov3_nms),
    "v8-normalized": Case("v8-normalized", v8(_normalized, logits=False)),
    "v8-normalized-rows": Case("v8-normalized", v8(_normalized, logits=False, transposed=True)),
    "v8-xyxy": Case("v8-xyxy", v8(lambda graft: graft.xyxy, logits=False)),
    "v8-split": Case("v8-split", v8_split),
    "v8-split-rows": Case("v8-split", lambda graft: {"b": graft.xywh, "s": graft.scores}),
    "v5-xyxy": Case("v5-xyxy", lambda graft: _with_objectness(graft, graft.xyxy)),
    "v5-split": Case("v5-split", v5_split),
    "v8-logits": Case("v8-logits", v8(lambda graft: graft.xywh, logits=True)),
    "v5-normalized": Case("v5-normalized", lambda graft: _with_objectness(graft, _normalized(graft))),
    "v5-logits": Case("v5-logits", lambda graft: _with_objectness(graft, graft.xywh, logits=True)),
    "yolox-logits": Case("yolox-logits", yolox_logits),
}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CASES)
def test_the_same_boxes_come_from_every_layout(shared_data: Path, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    look = family_of(case.head).look
    graft = Graft(source_of(shared_data)).fed_by(look, layout=case.layout)
    path = graft.finish(tmp_path / "graft.onnx", case.outputs(graft))
    if case.asked:
        with pytest.raises(BackendError, match=rf"{case.head}\b.*choose with --head"):
            load(path, SpecOptions(labels="coco80"))
    spec = load(path, SpecOptions(labels="coco80", head=case.head if case.asked else None))
    assert spec.head == case.head
    found = detect(spec, shared_data / "images", case.pictures)
    assert_same(found, known(shared_data, look.fit.value, look.pad, case.pictures), case.pictures)
