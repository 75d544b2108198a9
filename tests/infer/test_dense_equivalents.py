"""Real networks in the layouts of other families: recognised with no more than class names, and the same boxes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from graft import LEVELS, SIDE, Graft

from streamer.core.errors import BackendError
from streamer.infer.agreement import iou_of
from streamer.infer.catalogue import Catalogue
from streamer.infer.heads import family_of
from streamer.infer.heads.levels import centres
from streamer.infer.model import open_model
from streamer.infer.recognise import load_spec
from streamer.infer.spec import SpecOptions
from streamer.pixels.convert import picture_of_bgr

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamer.core.results import Detections
    from streamer.infer.spec import ModelSpec

PICTURES = ("dog.jpg", "person.jpg", "zidane.jpg")
SCORE = 0.4


@dataclass(frozen=True, slots=True)
class Case:
    """One layout, and what is said to have it recognised."""

    head: str
    outputs: Callable[[Graft], dict[str, str]]
    layout: str = "nchw"
    dtype: int = 1  # ONNX's float32
    asked: bool = False  # whether the file alone leaves a doubt, whose message names the head
    ids: str | int | None = None


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


def _distributions(graft: Graft, offset: Callable[[int], float]) -> str:
    """Two neighbouring distances share the weight so that their mean is the side's: (1, 3549, 32)."""
    points, strides = centres((SIDE, SIDE), (8, 16, 32), offset=offset)
    near, far = graft.split(graft.xyxy, 2, [2, 2])
    at, stride = graft.const(points[None]), graft.const(strides[None])
    sides = graft.add("Concat", graft.add("Sub", at, near), graft.add("Sub", far, at), axis=2)
    sides = graft.add("Clip", graft.add("Div", sides, stride), graft.const(0.0), graft.const(7.0))
    apart = graft.add("Sub", graft.reshape(sides, 1, -1, 4, 1), graft.const(np.arange(8)))
    weights = graft.add("Relu", graft.add("Sub", graft.const([1.0]), graft.add("Abs", apart)))
    logits = graft.add("Log", graft.add("Add", weights, graft.const([1e-7])))
    return graft.reshape(logits, 1, -1, 32)


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


CASES = {
    "ssd": Case("ssd", ssd),
    "nanodet": Case("nanodet", nanodet),
    "nanodet-plus": Case("nanodet-plus", nanodet_plus),
    "picodet": Case("picodet", picodet),
}


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", CASES)
def test_the_same_boxes_come_from_every_layout(shared_data: Path, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    source = shared_data / "models" / "yolox_nano_v8layout.onnx"
    look = family_of(case.head).look
    graft = Graft(source)
    path = graft.fed_by(look, layout=case.layout, dtype=case.dtype).finish(tmp_path / "graft.onnx", case.outputs(graft))
    if case.asked:
        with pytest.raises(BackendError, match=rf"{case.head}\b"):
            load(path, SpecOptions(labels="coco80"))
    spec = load(path, SpecOptions(labels="coco80", head=case.head if case.asked else None, ids=case.ids))
    assert spec.head == case.head
    expected = load(source, SpecOptions(fit=look.fit.value, pad=look.pad))
    for picture in PICTURES:
        pixels = cv2.imread(str(shared_data / "images" / picture))
        assert pixels is not None
        found, known = detect(spec, pixels), detect(expected, pixels)
        missing, more = unmatched(known, found), unmatched(found, known)
        assert not missing, f"{picture}: lacks {missing}"
        assert not more, f"{picture}: has {more}"


def load(path: Path, options: SpecOptions) -> ModelSpec:
    return load_spec(str(path), options=options, catalogue=Catalogue((), path.parent))


def detect(spec: ModelSpec, pixels: object) -> Detections:
    with contextlib.closing(
        open_model(
            spec, backend="onnxruntime", precision="f32", latency=True, floor=0.3, iou=0.5, on_ready=lambda: None
        )
    ) as model:
        return model.collect(model.submit([picture_of_bgr(np.asarray(pixels, np.uint8))]))[0]


def unmatched(one: Detections, two: Detections) -> list[str]:
    """Return what of `one` has no counterpart in `two`; at its edge the score decides nothing."""
    near = iou_of(one.boxes, two.boxes) > 0.8
    same = near & (one.class_ids[:, None] == two.class_ids) & (np.abs(one.scores[:, None] - two.scores) <= 0.05)
    alone = (one.scores >= SCORE + 0.02) & ~same.any(axis=1)
    return [f"{d.class_id} {d.score:.3f} {d.box}" for d, lost in zip(one, alone, strict=True) if lost]
