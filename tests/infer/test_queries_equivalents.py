"""A real network in the layouts of DETR's kin and with NMS inside: recognised by class names alone, the same boxes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from graft import CLASSES, SIDE, Graft
from onnx import TensorProto
from same_boxes import assert_same, detect, known, load, source_of

from streamer.infer.heads import family_of
from streamer.infer.heads.numbering import COCO91
from streamer.infer.spec import SpecOptions

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

INT64, INT32, FLOAT = TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT
Outputs = dict[str, str]


@dataclass(frozen=True, slots=True)
class Case:
    """One layout as somebody exports it."""

    head: str
    outputs: Callable[[Graft], Outputs]
    layout: str = "nchw"
    dtype: int = FLOAT


def fractions(graft: Graft, corners: str) -> str:
    return graft.add("Div", corners, graft.const([SIDE]))


def centres(graft: Graft, corners: str) -> str:
    """Turn corners into cx, cy, w, h."""
    near, far = graft.split(corners, 1, [2, 2])
    middle = graft.add("Mul", graft.add("Add", near, far), graft.const([0.5]))
    return graft.add("Concat", middle, graft.add("Sub", far, near), axis=1)


def pixels(graft: Graft) -> tuple[str, str, str]:
    """Return boxes [1, 300, 4], scores [1, 300] and classes [1, 300]."""
    boxes, scores, ids = graft.best(300)
    return graft.reshape(boxes, 1, 300, 4), graft.reshape(scores, 1, 300), graft.reshape(ids, 1, 300)


def rows(graft: Graft, *parts: str) -> str:
    """Join the columns of the valid rows: [n, all], as many as there are."""
    columns = [graft.reshape(part, 300, -1) for part in parts]
    joined = graft.add("Concat", *columns, axis=1)
    return graft.add("Compress", joined, graft.reshape(valid(graft, parts), 300), axis=0)


def valid(graft: Graft, parts: tuple[str, ...]) -> str:
    """Say of each row whether any of its numbers is above 0; what fills up has none."""
    joined = graft.add("Concat", *(graft.reshape(part, 300, -1) for part in parts), axis=1)
    return graft.add("Greater", graft.add("ReduceMax", joined, axes=[1], keepdims=0), graft.const(0.0))


def counted(graft: Graft, scores: str) -> str:
    """Return how many scores are above 0, (1,) float."""
    some = graft.cast(graft.add("Greater", scores, graft.const(0.0)), FLOAT)
    return graft.reshape(graft.add("ReduceSum", some, keepdims=0), 1)


def queries(graft: Graft, columns: int, *, coco91: bool = False, nothing: bool = False) -> tuple[str, str]:
    """Return probabilities [1, 300, columns] and boxes [1, 300, 4] cx cy w h in fractions."""
    boxes, scores, ids = graft.best(300)
    if coco91:
        ids = graft.add("Gather", graft.const(COCO91, np.int64), ids)
    depth, values = graft.const(columns, np.int64), graft.const([0.0, 1.0])
    shares = graft.add("Mul", graft.add("OneHot", ids, depth, values), graft.reshape(scores, 300, 1))
    if nothing:  # the last column takes what the class leaves
        last = graft.add("OneHot", graft.const(np.full(300, columns - 1), np.int64), depth, values)
        rest = graft.add("Sub", graft.const([1.0]), graft.reshape(scores, 300, 1))
        shares = graft.add("Add", shares, graft.add("Mul", last, rest))
    return graft.reshape(shares, 1, 300, columns), graft.reshape(fractions(graft, centres(graft, boxes)), 1, 300, 4)


def log(graft: Graft, shares: str) -> str:
    """Return logits whose softmax these are, far from 0 as a real network's."""
    return graft.add("Add", graft.add("Log", graft.add("Add", shares, graft.const([1e-6]))), graft.const([4.0]))


def rtdetr(graft: Graft) -> Outputs:
    size = graft.cast(graft.told("orig_target_sizes", INT64), FLOAT)
    boxes, scores, ids = pixels(graft)
    scale = graft.reshape(graft.add("Concat", size, size, axis=1), 1, 1, 4)
    return {"labels": ids, "boxes": graft.add("Mul", fractions(graft, boxes), scale), "scores": scores}


def huggingface(graft: Graft) -> Outputs:
    shares, boxes = queries(graft, CLASSES)
    return {"logits": graft.logits(shares), "pred_boxes": boxes}


def huggingface_rfdetr(graft: Graft) -> Outputs:
    shares, boxes = queries(graft, 91, coco91=True)
    return {"logits": graft.logits(shares), "pred_boxes": boxes}


def rfdetr(graft: Graft) -> Outputs:
    shares, boxes = queries(graft, 91, coco91=True)
    return {"dets": boxes, "labels": graft.logits(shares)}


def detr(graft: Graft) -> Outputs:
    """With the mask and the states that Hugging Face's exporter adds; where the mask is 0 nothing is seen."""
    mask = graft.cast(graft.told("pixel_mask", INT64, 64, 64), FLOAT)
    shares, boxes = queries(graft, 92, coco91=True, nothing=True)
    state = graft.const(np.zeros((1, 300, 256)))
    boxes = graft.add("Mul", boxes, graft.add("ReduceMin", mask, keepdims=0))
    return {"logits": log(graft, shares), "pred_boxes": boxes, "last_hidden_state": state}


def detr_of_80(graft: Graft) -> Outputs:
    shares, boxes = queries(graft, 81, nothing=True)
    return {"pred_logits": log(graft, shares), "pred_boxes": boxes}


def nameless(graft: Graft) -> Outputs:
    shares, boxes = queries(graft, CLASSES)
    return {"1234": boxes, "1230": graft.logits(shares)}


def activated(graft: Graft) -> Outputs:
    shares, boxes = queries(graft, CLASSES)
    return {"boxes": boxes, "scores": shares}


def ultralytics(graft: Graft) -> Outputs:
    shares, boxes = queries(graft, CLASSES)
    return {"output": graft.add("Concat", boxes, shares, axis=2)}


def efficient_nms(graft: Graft) -> Outputs:
    """What lies beyond the count is undefined."""
    boxes, scores, ids = pixels(graft)
    count = graft.cast(graft.reshape(counted(graft, scores), 1, 1), INT32)
    empty = graft.cast(graft.add("Equal", scores, graft.const(0.0)), FLOAT)
    wild = graft.add("Add", scores, graft.add("Mul", empty, graft.const([17.0])))
    return {"num_dets": count, "det_boxes": boxes, "det_scores": wild, "det_classes": graft.cast(ids, INT32)}


def yolo_nas_batch(graft: Graft) -> Outputs:
    boxes, scores, ids = pixels(graft)
    count = graft.cast(graft.reshape(counted(graft, scores), 1, 1), INT64)
    given = {"num_predictions": count, "pred_boxes": boxes, "pred_scores": scores, "pred_classes": ids}
    return {f"graph2_{name}": tensor for name, tensor in given.items()}


def plain(graft: Graft) -> Outputs:
    boxes, scores, ids = pixels(graft)
    return {"boxes": boxes, "scores": scores, "labels": ids}


def plain_floats(graft: Graft) -> Outputs:
    """Classes that are floats, by names that say nothing."""
    boxes, scores, ids = pixels(graft)
    return {"a": graft.cast(ids, FLOAT), "b": scores, "c": boxes}


def plain_fractions(graft: Graft) -> Outputs:
    boxes, scores, ids = pixels(graft)
    return {"boxes": fractions(graft, boxes), "scores": scores, "classes": ids}


def counted_fractions(graft: Graft) -> Outputs:
    given = efficient_nms(graft)
    return given | {"det_boxes": fractions(graft, given["det_boxes"])}


def joined_fractions(graft: Graft) -> Outputs:
    boxes, scores, ids = pixels(graft)
    last = graft.reshape(graft.cast(ids, FLOAT), 1, 300, 1)
    columns = (fractions(graft, boxes), graft.reshape(scores, 1, 300, 1), last)
    return {"output": graft.add("Concat", *columns, axis=2)}


def best_classes(graft: Graft) -> Outputs:
    """What Qualcomm's exporter leaves to NMS outside: a row for each cell."""
    best = graft.add("ReduceMax", graft.scores, axes=[2], keepdims=0)
    ids = graft.cast(graft.add("ArgMax", graft.scores, axis=2, keepdims=0), TensorProto.UINT8)
    return {"boxes": graft.xyxy, "scores": best, "class_idx": ids}


def best_rows(graft: Graft) -> Outputs:
    """The 300 best rows, as networks with NMS inside have them, but without NMS."""
    given = best_classes(graft)
    scores, order = graft.many("TopK", given["scores"], graft.const([300], np.int64), outputs=2)
    order = graft.reshape(order, -1)
    boxes = graft.add("Gather", given["boxes"], order, axis=1)
    ids = graft.cast(graft.add("Gather", given["class_idx"], order, axis=1), FLOAT)
    columns = (boxes, graft.reshape(scores, 1, 300, 1), graft.reshape(ids, 1, 300, 1))
    return {"output": graft.add("Concat", *columns, axis=2)}


def indices(order: str) -> Callable[[Graft], Outputs]:
    """Return what ends with ONNX's NonMaxSuppression beside its own inputs, boxes in this order."""

    def outputs(graft: Graft) -> Outputs:
        turned = graft.add("Gather", graft.xyxy, graft.const([1, 0, 3, 2], np.int64), axis=2)
        boxes = {"xyxy": graft.xyxy, "yxyx": turned, "cxcywh": graft.xywh}[order]
        by_class = graft.add("Transpose", graft.scores, perm=[0, 2, 1])
        limits = (graft.const([100], np.int64), graft.const([0.5]), graft.const([0.1]))
        centres = int(order == "cxcywh")
        chosen = graft.add("NonMaxSuppression", boxes, by_class, *limits, center_point_box=centres)
        return {"boxes": boxes, "scores": by_class, "selected_indices": chosen}

    return outputs


def mmdet(graft: Graft) -> Outputs:
    boxes, scores, ids = pixels(graft)
    return {"dets": graft.add("Concat", boxes, graft.reshape(scores, 1, 300, 1), axis=2), "labels": ids}


def openvino_training(graft: Graft) -> Outputs:
    """Without a batch axis, as many rows as there are boxes."""
    boxes, scores, ids = graft.best(300)
    kept = rows(graft, boxes, scores, graft.cast(ids, FLOAT))
    columns = graft.split(kept, 1, [5, 1])
    return {"labels": graft.reshape(graft.cast(columns[1], INT64), -1), "boxes": columns[0]}


def yolov7(graft: Graft) -> Outputs:
    boxes, scores, ids = graft.best(300)
    return {"output": rows(graft, graft.const(np.zeros(300)), boxes, graft.cast(ids, FLOAT), scores)}


def yolo_nas_flat(graft: Graft) -> Outputs:
    boxes, scores, ids = graft.best(300)
    kept = rows(graft, graft.const(np.zeros(300)), boxes, scores, graft.cast(ids, FLOAT))
    return {"graph2_flat_predictions": kept}


def paddle(graft: Graft) -> Outputs:
    """Boxes come back in px of the picture before it was scaled, whose shape the network is told."""
    shape, factor = graft.told("im_shape", FLOAT), graft.told("scale_factor", FLOAT)
    boxes, scores, ids = graft.best(300)
    size = graft.add("Div", shape, factor)
    height, width = graft.split(size, 1, [1, 1])
    scale = graft.add("Concat", width, height, width, height, axis=1)
    kept = rows(graft, graft.cast(ids, FLOAT), scores, graft.add("Mul", fractions(graft, boxes), scale))
    count = graft.reshape(graft.cast(counted(graft, scores), INT32), 1)
    return {"multiclass_nms3_0.tmp_0": kept, "multiclass_nms3_0.tmp_2": count}


CASES = {
    "RT-DETR, D-FINE": Case("rtdetr", rtdetr),
    "Hugging Face's D-FINE": Case("detr-sigmoid", huggingface),
    "Hugging Face's RF-DETR": Case("rfdetr", huggingface_rfdetr),
    "RF-DETR": Case("rfdetr", rfdetr),
    "RF-DETR, NHWC": Case("rfdetr", rfdetr, layout="nhwc"),
    "DETR": Case("detr", detr),
    "DETR of 80 classes": Case("detr", detr_of_80),
    "queries without names": Case("detr-sigmoid", nameless),
    "queries with probabilities": Case("detr-scores", activated),
    "Ultralytics' RT-DETR": Case("rtdetr-ultralytics", ultralytics),
    "EfficientNMS in plain ONNX": Case("efficient-nms", efficient_nms),
    "YOLO-NAS, batch format": Case("efficient-nms", yolo_nas_batch, dtype=TensorProto.UINT8),
    "NMS inside": Case("nms", plain),
    "NMS inside, all floats": Case("nms", plain_floats),
    "NMS inside, fractions": Case("nms-normalized", plain_fractions),
    "a count, fractions": Case("nms-normalized", counted_fractions),
    "rows in fractions": Case("end2end-normalized", joined_fractions),
    "Qualcomm AI Hub": Case("argmax", best_classes),
    "the best rows before NMS": Case("argmax", best_rows),
    "indices, x first": Case("indices-xyxy", indices("xyxy")),
    "indices, y first": Case("indices-yxyx", indices("yxyx")),
    "indices, centres": Case("indices-cxcywh", indices("cxcywh")),
    "MMDetection": Case("mmdet", mmdet),
    "OpenVINO's training extensions": Case("mmdet", openvino_training),
    "YOLOv7 end-to-end": Case("yolov7-nms", yolov7),
    "YOLO-NAS, flat format": Case("yolo-nas-flat", yolo_nas_flat),
    "PaddleDetection": Case("paddle", paddle),
}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CASES)
def test_the_same_boxes_come_from_every_layout(shared_data: Path, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    look = family_of(case.head).look
    graft = Graft(source_of(shared_data)).fed_by(look, layout=case.layout, dtype=case.dtype)
    spec = load(graft.finish(tmp_path / "graft.onnx", case.outputs(graft)), SpecOptions(labels="coco80"))
    assert spec.head == case.head
    assert_same(detect(spec, shared_data / "images"), known(shared_data, look.fit.value, look.pad))
