"""Real networks in the layouts of other families: recognised with no more than class names, and the same boxes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from graft import CLASSES, LEVELS, ROWS, SIDE, Graft
from onnx import TensorProto
from same_boxes import assert_same, detect, known, load, source_of

from streamer.core.errors import BackendError
from streamer.infer.heads import family_of
from streamer.infer.heads.levels import centres
from streamer.infer.heads.numbering import COCO91
from streamer.infer.spec import SpecOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Case:
    """One layout, and what is said to have it recognised."""

    head: str
    outputs: Callable[[Graft], dict[str, str]]
    layout: str = "nchw"
    dtype: int = 1  # ONNX's float32
    asked: bool = False  # whether the file alone leaves a doubt, whose message names the head
    labels: str | tuple[str, ...] = "coco80"


def _fractions(graft: Graft) -> str:
    return graft.add("Div", graft.xyxy, graft.const([SIDE]))


def _with_background(graft: Graft) -> str:
    """Softmax over what an SSD would have: the background takes what the classes leave."""
    most = graft.add("ReduceMax", graft.scores, axes=[2], keepdims=1)
    total = graft.add("ReduceSum", graft.scores, graft.const([2], np.int64), keepdims=1)
    shares = graft.add("Div", graft.add("Mul", graft.scores, most), graft.add("Add", total, graft.const([1e-6])))
    rest = graft.add("Sub", graft.const([1.0]), graft.add("ReduceSum", shares, graft.const([2], np.int64), keepdims=1))
    return graft.add("Concat", rest, shares, axis=2)


def ssd(graft: Graft) -> dict[str, str]:
    return {"scores": _with_background(graft), "boxes": _fractions(graft)}


def _distributions(graft: Graft, offset: Callable[[int], float], bins: int = 8) -> str:
    """Two neighbouring distances share the weight so that their mean is the side's: (1, 3549, 4*bins)."""
    points, strides = centres((SIDE, SIDE), (8, 16, 32), offset=offset)
    near, far = graft.split(graft.xyxy, 2, [2, 2])
    at, stride = graft.const(points[None]), graft.const(strides[None])
    sides = graft.add("Concat", graft.add("Sub", at, near), graft.add("Sub", far, at), axis=2)
    sides = graft.add("Clip", graft.add("Div", sides, stride), graft.const(0.0), graft.const(bins - 1.0))
    apart = graft.add("Sub", graft.reshape(sides, 1, -1, 4, 1), graft.const(np.arange(bins)))
    weights = graft.add("Relu", graft.add("Sub", graft.const([1.0]), graft.add("Abs", apart)))
    logits = graft.add("Log", graft.add("Add", weights, graft.const([1e-7])))
    return graft.reshape(logits, 1, -1, 4 * bins)


def nanodet(graft: Graft) -> dict[str, str]:
    """Without a batch axis, the boxes of the coarsest stride first."""
    counts = [cells * cells for _, cells in LEVELS]
    scores = graft.split(graft.scores, 1, counts)
    boxes = graft.split(_distributions(graft, lambda stride: (stride - 1) / 2), 1, counts)
    found = {f"box{n}": graft.reshape(box, n, 32) for n, box in zip(counts[::-1], boxes[::-1], strict=True)}
    return found | {f"cls{n}": graft.reshape(cls, n, 80) for n, cls in zip(counts, scores, strict=True)}


def _fourth_level(graft: Graft, rows: str, columns: int) -> str:
    """Append the cells of stride 64, which see nothing."""
    return graft.add("Concat", rows, graft.const(np.zeros((1, 49, columns))), axis=1)


def nanodet_plus(graft: Graft) -> dict[str, str]:
    rows = graft.add("Concat", graft.scores, _distributions(graft, lambda _: 0.0), axis=2)
    return {"output": _fourth_level(graft, rows, 112)}


def picodet(graft: Graft) -> dict[str, str]:
    counts = [*(cells * cells for _, cells in LEVELS), 49]
    boxes = _fourth_level(graft, _distributions(graft, lambda stride: stride / 2), 32)
    scores = _fourth_level(graft, graft.scores, 80)
    parts = [*graft.split(scores, 1, counts), *graft.split(boxes, 1, counts)]
    return {f"save_infer_model/scale_{i}.tmp_0": part for i, part in enumerate(parts)}


def _final(graft: Graft, *, first: int = 0, dtype: int = TensorProto.INT64, batch: bool = True) -> tuple[str, str, str]:
    """Return boxes px, scores and class ids that count from `first`."""
    boxes, scores, ids = graft.best()
    ids = graft.cast(graft.add("Add", ids, graft.const([first], np.int64)), dtype)
    if not batch:
        return boxes, scores, ids
    return graft.reshape(boxes, 1, 100, 4), graft.reshape(scores, 1, 100), graft.reshape(ids, 1, 100)


def _in_fractions(graft: Graft, boxes: str) -> str:
    return graft.add("Div", boxes, graft.const([SIDE]))


def tensorflow(graft: Graft) -> dict[str, str]:
    """What fills up behind the valid rows looks like something."""
    boxes, scores, ids = _final(graft)
    ids = graft.cast(graft.add("Gather", graft.const(COCO91, np.int64), ids), TensorProto.FLOAT)
    boxes = graft.add("Gather", _in_fractions(graft, boxes), graft.const([1, 0, 3, 2], np.int64), axis=2)
    seen = graft.cast(graft.add("Greater", scores, graft.const([0.01])), TensorProto.FLOAT)
    count = graft.add("ReduceSum", seen, graft.const([1], np.int64), keepdims=0)
    empty = graft.add("Sub", graft.const([1.0]), seen)
    scores = graft.add("Add", scores, graft.add("Mul", empty, graft.const([0.9])))
    boxes = graft.add("Add", boxes, graft.reshape(empty, 1, 100, 1))
    return {
        "detection_classes:0": ids,
        "detection_scores:0": scores,
        "num_detections:0": count,
        "detection_boxes:0": boxes,
    }


def unnamed_tensorflow(graft: Graft) -> dict[str, str]:
    return {f"Identity_{i}:0": tensor for i, tensor in enumerate(tensorflow(graft).values())}


def torchvision(graft: Graft) -> dict[str, str]:
    """By other names: its boxes are called scores, as some do."""
    boxes, scores, ids = _final(graft, batch=False)
    labels = graft.add("Gather", graft.const(COCO91, np.int64), ids)
    seen = graft.add("Greater", scores, graft.const([0.05]))
    boxes, labels, scores = (graft.add("Compress", part, seen, axis=0) for part in (boxes, labels, scores))
    return {"scores": boxes, "2770": labels, "boxes": scores}


def faster_rcnn(graft: Graft) -> dict[str, str]:
    boxes, scores, ids = _final(graft, first=1, batch=False)
    return {"6379": boxes, "6381": ids, "6383": scores}


def azure(graft: Graft) -> dict[str, str]:
    boxes, scores, ids = _final(graft)
    return {"detected_boxes": _in_fractions(graft, boxes), "detected_classes": ids, "detected_scores": scores}


def ssd_zoo(graft: Graft) -> dict[str, str]:
    boxes, scores, ids = _final(graft, first=1)
    return {"bboxes": _in_fractions(graft, boxes), "labels": ids, "scores": scores}


def detection_output(graft: Graft) -> dict[str, str]:
    boxes, scores, ids = _final(graft, first=1, dtype=TensorProto.FLOAT)
    ends = graft.add("Less", scores, graft.const([0.05]))
    picture = graft.add("Neg", graft.cast(ends, TensorProto.FLOAT))
    columns = [graft.reshape(column, 1, 1, 100, 1) for column in (picture, ids, scores)]
    boxes = graft.reshape(_in_fractions(graft, boxes), 1, 1, 100, 4)
    return {"detection_out": graft.add("Concat", *columns, boxes, axis=3)}


def yolo_nas(graft: Graft) -> dict[str, str]:
    return {"913": graft.xyxy, "904": graft.scores}


def ppyoloe(graft: Graft) -> dict[str, str]:
    return {"tmp_20": graft.xyxy, "concat_14.tmp_0": graft.add("Transpose", graft.scores, perm=[0, 2, 1])}


def _maps(graft: Graft, rows: str, channels: int) -> list[str]:
    """Cut rows into a map for each stride."""
    levels = graft.split(graft.add("Transpose", rows, perm=[0, 2, 1]), 2, [n * n for _, n in LEVELS])
    return [graft.reshape(level, 1, channels, n, n) for level, (_, n) in zip(levels, LEVELS, strict=True)]


def yolov9_mit(graft: Graft) -> dict[str, str]:
    """With its second branch, which sees nothing, behind the first."""
    points, strides = centres((SIDE, SIDE), (8, 16, 32), offset=lambda stride: stride / 2)
    near, far = graft.split(graft.xyxy, 2, [2, 2])
    at = graft.const(points[None])
    sides = graft.add("Concat", graft.add("Sub", at, near), graft.add("Sub", far, at), axis=2)
    boxes = _maps(graft, graft.add("Div", sides, graft.const(strides[None])), 4)
    classes = _maps(graft, graft.logits(graft.scores), CLASSES)
    found = {}
    for branch in (0, 1):
        for i, (_, n) in enumerate(LEVELS):
            found[f"{branch}{i}a"] = classes[i] if branch == 0 else graft.const(np.full((1, CLASSES, n, n), -9))
            found[f"{branch}{i}b"] = graft.const(np.zeros((1, 16, 4, n, n)))
            found[f"{branch}{i}c"] = boxes[i] if branch == 0 else graft.const(np.ones((1, 4, n, n)))
    return found


def _persons(graft: Graft) -> str:
    """The scores of the first class alone."""
    return graft.split(graft.scores, 2, [1, CLASSES - 1])[0]


def _cut(graft: Graft, rows: str, each: int = 1) -> list[str]:
    return graft.split(rows, 1, [each * n * n for _, n in LEVELS])


def yunet(graft: Graft) -> dict[str, str]:
    points, strides = (graft.const(part[None]) for part in centres((SIDE, SIDE), (8, 16, 32), offset=lambda _: 0.0))
    centre, size = graft.split(graft.xywh, 2, [2, 2])
    shift = graft.add("Div", graft.add("Sub", centre, points), strides)
    boxes = graft.add("Concat", shift, graft.add("Log", graft.add("Div", size, strides)), axis=2)
    scores = _cut(graft, _persons(graft))
    parts = {"cls": scores, "obj": scores, "bbox": _cut(graft, boxes)}
    return {f"{kind}_{8 * 2**i}": level for kind, levels in parts.items() for i, level in enumerate(levels)}


def scrfd(graft: Graft) -> dict[str, str]:
    """The second box of each cell sees something."""
    points, strides = (graft.const(part[None]) for part in centres((SIDE, SIDE), (8, 16, 32), offset=lambda _: 0.0))
    near, far = graft.split(graft.xyxy, 2, [2, 2])
    sides = graft.add("Concat", graft.add("Sub", points, near), graft.add("Sub", far, points), axis=2)
    found: dict[str, str] = {}
    for name, rows, columns in (("4", _persons(graft), 1), ("8", graft.add("Div", sides, strides), 4)):
        blank = graft.const(np.zeros((1, ROWS, 1, columns)))
        both = graft.add("Concat", blank, graft.reshape(rows, 1, ROWS, 1, columns), axis=2)
        levels = _cut(graft, graft.reshape(both, 1, 2 * ROWS, columns), each=2)
        found |= {f"{name}{i}": graft.reshape(level, -1, columns) for i, level in enumerate(levels)}
    return found


def _distribution_maps(graft: Graft) -> list[str]:
    return _maps(graft, _distributions(graft, lambda stride: stride / 2, bins=16), 64)


def v8_raw(graft: Graft) -> dict[str, str]:
    classes = _maps(graft, graft.logits(graft.scores), CLASSES)
    levels = zip(_distribution_maps(graft), classes, strict=True)
    return {f"map{i}": graft.add("Concat", *level, axis=1) for i, level in enumerate(levels)}


def rknn(graft: Graft) -> dict[str, str]:
    """Boxes, classes and the sum of the classes of each stride."""
    found: dict[str, str] = {}
    for i, (box, scores) in enumerate(zip(_distribution_maps(graft), _maps(graft, graft.scores, CLASSES), strict=True)):
        total = graft.add("ReduceSum", scores, graft.const([1], np.int64), keepdims=1)
        found |= {f"{i}": box, f"{i}c": scores, f"{i}s": graft.add("Clip", total, graft.const(0.0), graft.const(1.0))}
    return found


def retinanet(graft: Graft, *, logits: bool = False) -> dict[str, str]:
    """The first of nine anchors tells, the others and the coarse strides see nothing."""
    nothing = -9.0 if logits else 0.0
    points, strides = centres((SIDE, SIDE), (8, 16, 32), offset=lambda stride: stride / 2 + 0.5)
    centre, size = graft.split(graft.xywh, 2, [2, 2])
    side = graft.const(4 * strides[None] + 1)
    shift = graft.add("Div", graft.add("Sub", centre, graft.const(points[None])), side)
    deltas = graft.add("Concat", shift, graft.add("Log", graft.add("Div", size, side)), axis=2)
    scores = graft.logits(graft.scores) if logits else graft.scores
    found = {}
    for i, (classes, boxes) in enumerate(zip(_maps(graft, scores, CLASSES), _maps(graft, deltas, 4), strict=True)):
        n = LEVELS[i][1]
        rest = graft.const(np.full((1, 8 * CLASSES, n, n), nothing))
        found[f"class{i}"] = graft.add("Concat", classes, rest, axis=1)
        found[f"box{i}"] = graft.add("Concat", boxes, graft.const(np.zeros((1, 32, n, n))), axis=1)
    for i, n in ((3, 7), (4, 4)):
        found[f"class{i}"] = graft.const(np.full((1, 9 * CLASSES, n, n), nothing))
        found[f"box{i}"] = graft.const(np.zeros((1, 36, n, n)))
    return dict(sorted(found.items(), reverse=True))


CASES = {
    "ssd": Case("ssd", ssd),
    "ssd-tf": Case("ssd-tf", tensorflow, layout="nhwc", dtype=TensorProto.UINT8),
    "ssd-tf, unnamed": Case("ssd-tf", unnamed_tensorflow, layout="nhwc", dtype=TensorProto.UINT8),
    "torchvision": Case("torchvision", torchvision),
    "torchvision, one picture": Case("torchvision", torchvision, layout="chw"),
    "faster-rcnn-zoo": Case("faster-rcnn-zoo", faster_rcnn, layout="chw"),
    "azure-nms": Case("azure-nms", azure),
    "ssd-zoo": Case("ssd-zoo", ssd_zoo),
    "detection-output": Case("detection-output", detection_output),
    "yolo-nas": Case("yolo-nas", yolo_nas, asked=True),
    "damo-yolo": Case("damo-yolo", yolo_nas, asked=True),
    "ppyoloe": Case("ppyoloe", ppyoloe),
    "yunet": Case("yunet", yunet, labels=("person",)),
    "scrfd": Case("scrfd", scrfd, labels=("person",)),
    "v8-raw": Case("v8-raw", v8_raw),
    "v8-raw-sigmoid": Case("v8-raw-sigmoid", rknn),
    "yolov9-mit": Case("yolov9-mit", yolov9_mit),
    "nanodet": Case("nanodet", nanodet),
    "nanodet-plus": Case("nanodet-plus", nanodet_plus),
    "picodet": Case("picodet", picodet),
    "retinanet": Case("retinanet", retinanet),
    "retinanet-logits": Case("retinanet-logits", partial(retinanet, logits=True)),
}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CASES)
def test_the_same_boxes_come_from_every_layout(shared_data: Path, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    look = family_of(case.head).look
    graft = Graft(source_of(shared_data))
    path = graft.fed_by(look, layout=case.layout, dtype=case.dtype).finish(tmp_path / "graft.onnx", case.outputs(graft))
    if case.asked:
        with pytest.raises(BackendError, match=rf"{case.head}\b"):
            load(path, SpecOptions(labels=case.labels))
    spec = load(path, SpecOptions(labels=case.labels, head=case.head if case.asked else None))
    assert spec.head == case.head
    theirs = [one[one.class_ids < len(spec.labels)] for one in known(shared_data, look.fit.value, look.pad)]
    assert_same(detect(spec, shared_data / "images"), theirs)
