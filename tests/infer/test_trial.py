"""What a run on one picture tells of a network's boxes, and what is said of heads that it speaks against."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from graft import CLASSES, SIDE, Graft
from onnx import TensorProto
from randomnet import make_random_yolo
from same_boxes import load, source_of
from tiny_onnx import Output, write_tiny

from streamer.core.errors import BackendError
from streamer.infer.heads import family_of
from streamer.infer.heads.doubts import in_pixels, normalised, not_corners
from streamer.infer.recognise import SpecOptions
from streamer.infer.recognise.trial import placed_portrait, trial_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streamer.infer.spec import ModelSpec

COCO = SpecOptions(labels="coco80")
COUNT = 100


def from_corners(graft: Graft, boxes: str, order: str) -> str:
    """Rewrite boxes x1 y1 x2 y2, (n, 4)."""
    first, second = graft.split(boxes, 1, [2, 2])
    if order == "yxyx":
        return graft.add("Gather", boxes, graft.const([1, 0, 3, 2], np.int64), axis=1)
    size = graft.add("Sub", second, first)
    centre = graft.add("Mul", graft.add("Add", first, second), graft.const(0.5))
    return graft.add("Concat", {"cxcywh": centre, "ltwh": first, "xyxy": first}[order],
                     second if order == "xyxy" else size, axis=1)  # fmt: skip


def nms(graft: Graft, order: str, *, unit: float = 1.0, first: int = 0) -> dict[str, str]:
    boxes, scores, ids = graft.best(COUNT)
    boxes = graft.add("Mul", from_corners(graft, boxes, order), graft.const(1 / unit))
    ids = graft.add("Add", ids, graft.const(first, np.int64))
    return {
        "boxes": graft.reshape(boxes, 1, COUNT, 4),
        "scores": graft.reshape(scores, 1, COUNT),
        "labels": graft.reshape(ids, 1, COUNT),
    }


def normalized(graft: Graft, order: str) -> dict[str, str]:
    return nms(graft, order, unit=SIDE)


def rows(graft: Graft, order: str) -> dict[str, str]:
    boxes, scores, ids = graft.best(COUNT)
    columns = [from_corners(graft, boxes, order), graft.reshape(scores, COUNT, 1)]
    columns.append(graft.cast(graft.reshape(ids, COUNT, 1), TensorProto.FLOAT))
    return {"out": graft.reshape(graft.add("Concat", *columns, axis=1), 1, COUNT, 6)}


def v8(graft: Graft, order: str) -> dict[str, str]:
    boxes = from_corners(graft, graft.add("Squeeze", graft.xyxy, graft.const([0], np.int64)), order)
    channels = graft.add("Concat", graft.reshape(boxes, 1, -1, 4), graft.scores, axis=2)
    return {"out": graft.add("Transpose", channels, perm=[0, 2, 1])}


@pytest.mark.parametrize("order", ["yxyx", "cxcywh", "ltwh"])
@pytest.mark.parametrize("outputs", [nms, normalized, rows])
def test_final_boxes_in_another_order_are_refused(
    shared_data: Path, tmp_path: Path, outputs: Callable[[Graft, str], dict[str, str]], order: str
) -> None:
    graft = Graft(source_of(shared_data))
    path = graft.finish(tmp_path / "model.onnx", outputs(graft, order))
    with pytest.raises(BackendError, match=r"no head fits .*: on a real picture, .*docs/models\.md") as caught:
        load(path, COCO)
    assert "--head" not in str(caught.value)


@pytest.mark.parametrize("order", ["yxyx", "ltwh"])
def test_rows_without_nms_in_another_order_are_refused(shared_data: Path, tmp_path: Path, order: str) -> None:
    graft = Graft(source_of(shared_data))
    with pytest.raises(BackendError, match=r"v8.*: its boxes lie where nothing is"):
        load(graft.finish(tmp_path / "model.onnx", v8(graft, order)), COCO)


@pytest.mark.parametrize(
    ("outputs", "order", "head"),
    [(nms, "xyxy", "nms"), (normalized, "xyxy", "nms-normalized"), (rows, "xyxy", "end2end"), (v8, "cxcywh", "v8")],
)
def test_the_usual_order_is_taken(
    shared_data: Path, tmp_path: Path, outputs: Callable[[Graft, str], dict[str, str]], order: str, head: str
) -> None:
    graft = Graft(source_of(shared_data))
    path = graft.finish(tmp_path / "model.onnx", outputs(graft, order))
    assert load(path, COCO).head == head


def test_ids_from_one_are_asked_for(shared_data: Path, tmp_path: Path) -> None:
    graft = Graft(source_of(shared_data))
    path = graft.finish(tmp_path / "model.onnx", nms(graft, "xyxy", first=1))
    with pytest.raises(BackendError, match=r"is of head nms, .*write `ids: 0` or `ids: 1`"):
        load(path, COCO)
    assert load(path, SpecOptions(labels="coco80", ids=1)).ids == tuple(range(1, CLASSES + 1))
    assert load(path, SpecOptions(labels="coco80", ids=0)).head == "nms"


def test_detection_output_that_shows_class_0_is_refused(shared_data: Path, tmp_path: Path) -> None:
    graft = Graft(source_of(shared_data)).fed_by(family_of("detection-output").look)
    boxes, scores, ids = graft.best(COUNT)
    scores = graft.reshape(scores, COUNT, 1)
    labels = graft.cast(graft.reshape(ids, COUNT, 1), TensorProto.FLOAT)
    columns = [graft.add("Mul", scores, graft.const(0.0)), labels, scores]
    table = graft.add("Concat", *columns, graft.add("Mul", boxes, graft.const(1 / SIDE)), axis=1)
    path = graft.finish(tmp_path / "model.onnx", {"detection_out": graft.reshape(table, 1, 1, COUNT, 7)})
    with pytest.raises(BackendError, match="shows class 0, which should be the background"):
        load(path, COCO)


def test_noise_is_no_detector(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((1, 84, 3549), np.float32)
    path = write_tiny(tmp_path / "model.onnx", [Output("out", noise)], shape=(1, 3, SIDE, SIDE))
    with pytest.raises(BackendError, match="v8-normalized: it is certain of far too many objects"):
        load(path, COCO)
    maps = np.random.default_rng(0).random((1, 85, 26, 26), np.float32)
    path = write_tiny(tmp_path / "map.onnx", [Output("out", maps)], shape=(1, 3, SIDE, SIDE))
    with pytest.raises(BackendError, match=r"no head fits .*fastestdet: it is certain of far too many objects"):
        load(path, COCO)


def test_places_mean_nothing_where_an_empty_picture_shows_the_same(tmp_path: Path) -> None:
    row = np.array([[[300, 20, 400, 90, 0.9, 0]]], np.float32)  # top right, where nothing is
    shape = (1, 3, SIDE, SIDE)
    path = write_tiny(tmp_path / "model.onnx", [Output("out", row)], shape=shape)
    assert load(path, COCO).head == "end2end"
    numbers = np.concatenate((row[..., :4], row[..., 4:5]), axis=2)
    outputs = [Output("dets", numbers), Output("labels", np.zeros((1, 1), np.int64))]
    assert load(write_tiny(path, outputs, shape=shape), COCO).head == "mmdet"
    with pytest.raises(BackendError, match="mmdet: its boxes lie where nothing is"):
        load(write_tiny(path, outputs, shape=shape, looks=True), COCO)


def test_a_network_that_is_not_trained_yet_is_recognised(tmp_path: Path) -> None:
    make_random_yolo(tmp_path / "model.onnx", size=320)
    assert load(tmp_path / "model.onnx", SpecOptions()).head == "v8"


def named(path: Path, value: Any) -> ModelSpec:  # noqa: ANN401  any array
    write_tiny(path, [Output("out", value)], shape=(1, 3, SIDE, SIDE))
    return load(path, SpecOptions(labels="coco80", head="v8"))


def test_a_named_head_is_believed_and_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    fractions = np.array([0.3, 0.4, 0.1, 0.2] + [0.0] * CLASSES, np.float32)
    with caplog.at_level(logging.WARNING):
        assert named(tmp_path / "model.onnx", np.tile(fractions[:, None], 3549)[None]).head == "v8"
    assert "head v8, but on a real picture: its boxes reach to 0.4 only: fractions, not px" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        assert named(tmp_path / "silent.onnx", np.zeros((1, 84, 3549), np.float32)).head == "v8"
    assert not caplog.text


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_named_head_without_numbers_is_refused(tmp_path: Path, value: float) -> None:
    with pytest.raises(BackendError, match="on a real picture, it answers with numbers that are none"):
        named(tmp_path / "model.onnx", np.full((1, 84, 3549), value, np.float32))


def test_what_no_head_reads_is_told_without_advice_that_fails(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "model.onnx", [Output("out", np.zeros((1, 100, 7, 3, 2), np.float32))])
    with pytest.raises(
        BackendError, match=r"no head that Streamer has fits its output out .*docs/models\.md"
    ) as caught:
        load(path, COCO)
    assert len(str(caught.value)) - len(str(path)) < 200
    assert "--head" not in str(caught.value)


def test_a_few_wild_boxes_do_not_hide_what_the_others_are() -> None:
    fractions = np.tile(np.array([0.1, 0.2, 0.3, 0.4], np.float32), (100, 1))
    fractions[:3] = 40
    fractions[3] = [-9, 0, 9, 5]
    assert normalised(fractions) is not None
    assert in_pixels(fractions) is None
    assert normalised(np.zeros((5, 4), np.float32)) is None
    padded = np.zeros((100, 4), np.float32)
    padded[:2] = [200, 300, 90, 80]
    assert not_corners(padded) is None
    assert not_corners(padded, np.array([0.9, 0.8] + [0.0] * 98, np.float32)) is not None


def test_the_portrait_is_off_the_centre_and_the_diagonal() -> None:
    picture, (x1, y1, x2, y2) = placed_portrait()
    height, width = picture.shape[:2]
    assert np.array_equal(picture[y1:y2, x1:x2], trial_picture())
    assert x2 / width < y1 / height  # exchanged, it lies beside itself
    assert y2 - y1 < y1  # left, top, width and height: the height is less than where it begins
