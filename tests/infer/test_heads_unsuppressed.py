"""Rows that NMS has not seen yet, which look like final ones, and what NMS has chosen by its indices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from head_sample import spec_for
from tiny_onnx import Output, write_tiny

from streamer.infer.catalogue import Catalogue
from streamer.infer.heads import Candidates, family_of, open_head
from streamer.infer.recognise import load_spec
from streamer.infer.signature import Port, Signature
from streamer.infer.spec import ModelSpec, SpecOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

# One object three times, and another class in the same place; IoU of the first with the others is 0.82 and more.
BOXES = [[10, 10, 30, 30], [11, 10, 31, 30], [10, 11, 30, 31], [10, 10, 30, 30]]
SCORES, IDS = [0.9, 0.8, 0.7, 0.6], [1, 1, 1, 0]
ONCE = [0, 3]  # the rows that NMS would leave
CELLS = 3549  # of 416x416 px


def arrays(*outputs: object) -> list[NDArray[np.float32]]:
    return [np.asarray([output], np.float32) for output in outputs]


def columns(*rows: int) -> NDArray[np.float32]:
    """Return [1, n, 6] of these rows."""
    return np.column_stack((BOXES, SCORES, IDS)).astype(np.float32)[np.newaxis, list(rows or range(4))]


def decoded(head: str, outputs: list[NDArray[np.float32]]) -> Candidates:
    (found,) = open_head(spec_for(head, 2, ("any",)))(outputs, 0.25, 0.5)
    return found


def against(head: str, outputs: list[NDArray[np.float32]]) -> str:
    told = family_of(head).against
    assert told is not None
    return str(told(outputs, spec_for(head, 2, ("any",))))


def load(path: Path, head: str | None = None) -> ModelSpec:
    return load_spec(str(path), options=SpecOptions(labels="coco80", head=head), catalogue=Catalogue((), path.parent))


@pytest.mark.parametrize("outputs", [arrays(BOXES, SCORES, IDS), [columns()]])
def test_argmax_suppresses_within_each_class(outputs: list[NDArray[np.float32]]) -> None:
    found = decoded("argmax", outputs)
    assert found.boxes.tolist() == [BOXES[0], BOXES[3]]
    assert found.class_ids.tolist() == [1, 0]
    np.testing.assert_allclose(found.scores, [0.9, 0.6])


def test_one_object_found_again_says_that_nms_is_not_inside() -> None:
    fractions = np.divide(BOXES, 64).tolist()
    count = np.array([[4]], np.float32)
    assert "3 times: NMS is not inside" in against("nms", arrays(BOXES, SCORES, IDS))
    assert "3 times: NMS is not inside" in against("nms-normalized", arrays(fractions, SCORES, IDS))
    assert "3 times: NMS is not inside" in against("efficient-nms", [*arrays(BOXES, SCORES, IDS), count])
    assert "3 times: NMS is not inside" in against("end2end", [columns()])
    assert against("argmax", arrays(BOXES, SCORES, IDS)) == against("argmax", [columns()]) == "None"


def test_what_nms_has_left_is_final() -> None:
    final = [np.asarray(part)[:, ONCE] for part in arrays(BOXES, SCORES, IDS)]
    assert against("nms", final) == against("end2end", [columns(*ONCE)]) == "None"
    assert "NMS may be inside" in against("argmax", final)
    assert "NMS may be inside" in against("argmax", [columns(*ONCE)])


def test_queries_may_find_an_object_twice() -> None:
    """YOLOv10 and RT-DETR have no NMS and need none; faint repeats and copies that fill up say nothing anywhere."""
    assert against("end2end", [columns(0, 1, 3)]) == "None"
    assert against("rtdetr", arrays(BOXES, SCORES, IDS)) == "None"
    assert against("nms", arrays(BOXES, [0.9, 0.2, 0.2, 0.2], IDS)) == "None"
    assert against("nms", arrays([BOXES[0]] * 9, [0.9] * 9, [1] * 9)) == "None"


def test_rows_of_a_grid_where_each_object_is_found_once_are_final() -> None:
    """42 rows are the cells of 64x32 px."""
    boxes, scores, ids = np.zeros((1, 42, 4), np.float32), np.zeros((1, 42), np.float32), np.zeros((1, 42), np.float32)
    assert against("argmax", [boxes, scores, ids]) == "None"  # nothing is seen
    boxes[0, 7], scores[0, 7] = BOXES[0], 0.9
    assert "NMS is inside already" in against("argmax", [boxes, scores, ids])


def cells(*, suppressed: bool = False) -> list[NDArray[np.float32]]:
    """Return boxes [1, 3549, 4], scores [1, 3549] and ids [1, 3549] of a person where the trial's picture has one."""
    boxes, scores, ids = (
        np.tile(np.array([1, 1, 9, 9], np.float32), (1, CELLS, 1)),
        np.zeros((1, CELLS), np.float32),
        np.zeros((1, CELLS)),
    )
    for row in range(1 if suppressed else 8):
        boxes[0, 900 + row], scores[0, 900 + row] = [20 + row, 230, 120 + row, 360], 0.9 - row / 20
    return [boxes, scores, ids.astype(np.float32)]


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float32"])
def test_rows_for_all_cells_are_suppressed(tmp_path: Path, dtype: str) -> None:
    boxes, scores, ids = cells()
    outputs = [Output("boxes", boxes), Output("scores", scores), Output("class_idx", ids.astype(dtype))]
    spec = load(write_tiny(tmp_path / "m.onnx", outputs, shape=(1, 3, 416, 416)))
    assert spec.head == "argmax"


def test_rows_for_all_cells_that_nms_has_emptied_are_final(tmp_path: Path) -> None:
    boxes, scores, ids = cells(suppressed=True)
    outputs = [Output("b", boxes), Output("s", scores), Output("c", ids.astype(np.int64))]
    assert load(write_tiny(tmp_path / "m.onnx", outputs, shape=(1, 3, 416, 416))).head == "nms"


@pytest.mark.parametrize("joined", [True, False])
def test_the_best_rows_before_nms_are_told_by_their_numbers(tmp_path: Path, *, joined: bool) -> None:
    boxes, scores, ids = (part[:, 890:1190] for part in cells())
    outputs = [Output("b", boxes), Output("s", scores), Output("c", ids.astype(np.int64))]
    if joined:
        outputs = [Output("out", np.dstack((boxes, scores, ids)))]
    assert load(write_tiny(tmp_path / "m.onnx", outputs, shape=(1, 3, 416, 416))).head == "argmax"


def test_final_boxes_in_fractions_are_told_by_their_numbers(tmp_path: Path) -> None:
    rows = np.zeros((1, 300, 6), np.float32)
    rows[0, 0] = [0.05, 0.55, 0.3, 0.88, 0.8, 0]
    assert load(write_tiny(tmp_path / "m.onnx", [Output("out", rows)])).head == "end2end-normalized"
    given = {"num_dets": [[1]], "det_boxes": rows[..., :4], "det_scores": rows[..., 4], "det_classes": rows[..., 5]}
    outputs = [Output(name, np.asarray(value, np.float32)) for name, value in given.items()]
    assert load(write_tiny(tmp_path / "m.onnx", outputs)).head == "nms-normalized"


def test_end2end_in_fractions_by_hand() -> None:
    """A quarter of 64 px to a half, and a half of 32 px to all."""
    found = decoded("end2end-normalized", [np.array([[[0.25, 0.5, 0.5, 1, 0.9, 1]]], np.float32)])
    assert found.boxes.tolist() == [[16, 16, 32, 32]]
    assert found.class_ids.tolist() == [1]


@pytest.mark.parametrize(
    ("head", "box"),
    [("xyxy", [20, 10, 60, 30]), ("yxyx", [10, 20, 30, 60]), ("cxcywh", [40, 20, 40, 20])],
)
def test_indices_choose_among_boxes_of_any_order(head: str, box: list[int]) -> None:
    boxes = np.array([[[1, 2, 3, 4], box]], np.float32)
    scores = np.array([[[0.9, 0.1], [0, 0.7]]], np.float32)
    found = decoded(f"indices-{head}", [boxes, scores, np.array([[0, 1, 1]], np.float32)])
    assert found.boxes.tolist() == [[20, 10, 60, 30]]
    assert found.class_ids.tolist() == [1]


def test_indices_of_no_model_zoo_are_not_taken_for_its_own(tmp_path: Path) -> None:
    boxes, scores, _ = cells()
    by_class = np.zeros((1, 80, CELLS), np.float32)
    by_class[:, 0] = scores
    everywhere = np.tile(np.array([70, 300, 40, 30], np.float32), (1, CELLS, 1))  # few of them end behind their begin
    chosen = np.array([[0, 0, 900]])
    path = tmp_path / "m.onnx"

    def written(some: NDArray[np.float32]) -> Path:
        outputs = [Output("boxes", some), Output("scores", by_class), Output("selected_indices", chosen)]
        return write_tiny(path, outputs, shape=(1, 3, 416, 416), looks=True)

    assert load(written(everywhere)).head == "indices-cxcywh"
    assert load(written(boxes[..., [1, 0, 3, 2]])).head == "indices-yxyx"
    assert load(written(boxes)).head == "indices-xyxy"
    assert load(path, "yolov3-nms").head == "yolov3-nms"


@pytest.mark.parametrize("names", [("logits", "pred_boxes"), ("labels", "dets")])
@pytest.mark.parametrize(("rows", "sure"), [(300, True), (900, True), (8400, False)])
def test_thousands_of_rows_are_no_queries_whatever_their_name(names: tuple[str, str], rows: int, *, sure: bool) -> None:
    ports = (Port(names[0], (1, rows, 80), "float32"), Port(names[1], (1, rows, 4), "float32"))
    signature = Signature(hw=(640, 640), outputs=ports)
    heads = ("detr-sigmoid", "detr", "detr-scores", "rfdetr")
    found = {reading.sure for head in heads for reading in family_of(head).read(signature)}
    assert (True in found) == sure
