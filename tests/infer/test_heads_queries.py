"""DETR's kin and outputs with NMS inside, each against an example worked out by hand. The input is 64x32 px."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from head_sample import spec_for

from streamer.infer.heads import Candidates, family_of, open_head
from streamer.infer.heads.logits import sigmoid
from streamer.infer.heads.nms import MAX_KEPT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Rows = Sequence[tuple[Sequence[float], float, int]]

NEAR = [16.0, 8.0, 24.0, 12.0]  # px, of a box whose centre is (20, 10) and whose size is 8x4
NEAR_FRACTIONS = [20 / 64, 10 / 32, 8 / 64, 4 / 32]
FAR = [32.0, 0.0, 64.0, 32.0]
FAR_FRACTIONS = [48 / 64, 16 / 32, 32 / 64, 32 / 32]


def decoded(
    head: str, *outputs: object, columns: int = 2, ids: tuple[int, ...] | None = None, floor: float = 0.25
) -> list[Candidates]:
    arrays = [np.asarray(output, np.float32) for output in outputs]
    for array in arrays:
        array.flags.writeable = False
    return open_head(replace(spec_for(head, columns, ("any",)), ids=ids))(arrays, floor, 0.5)


def against(head: str, *outputs: object, columns: int = 2) -> str | None:
    told = family_of(head).against
    assert told is not None
    return told([np.asarray(output, np.float32) for output in outputs], spec_for(head, columns, ("any",)))


def assert_is(found: Candidates, rows: Rows) -> None:
    assert [a.dtype.name for a in (found.boxes, found.scores, found.class_ids)] == ["float32", "float32", "int32"]
    assert found.class_ids.tolist() == [row[2] for row in rows]
    np.testing.assert_allclose(found.scores, [row[1] for row in rows], atol=1e-5)
    np.testing.assert_allclose(found.boxes, np.reshape([row[0] for row in rows], (-1, 4)), atol=1e-4)


def logit(*probabilities: float) -> list[float]:
    return [float(np.log(p / (1 - p))) for p in probabilities]


@pytest.mark.parametrize("head", ["detr-sigmoid", "rfdetr"])
def test_a_query_may_show_two_classes_and_two_queries_one_place(head: str) -> None:
    logits = [[logit(0.9, 0.6), logit(0.8, 0.1), logit(0.1, 0.2)]]
    boxes = [[NEAR_FRACTIONS, NEAR_FRACTIONS, FAR_FRACTIONS]]
    (found,) = decoded(head, logits, boxes)
    assert_is(found, [(NEAR, 0.9, 0), (NEAR, 0.8, 0), (NEAR, 0.6, 1)])


def test_the_best_of_all_queries_and_classes_are_kept_not_one_of_each_query() -> None:
    logits = np.full((1, 200, 2), 2.0)
    logits[0, :, 1] = 3.0
    (found,) = decoded("detr-sigmoid", logits, np.tile(NEAR_FRACTIONS, (1, 200, 1)))
    assert len(found) == MAX_KEPT
    assert np.bincount(found.class_ids).tolist() == [100, 200]


def test_softmax_leaves_the_share_of_nothing_out() -> None:
    # exp(2), exp(0), exp(0): 0.787, 0.107, 0.107; the second row is nothing by as much.
    logits = [[[2.0, 0.0, 0.0], [0.0, 0.0, 2.0]]]
    (found,) = decoded("detr", logits, [[NEAR_FRACTIONS, FAR_FRACTIONS]], columns=3, ids=(0, 1))
    assert_is(found, [(NEAR, 0.786986, 0)])


def test_nothing_does_not_crowd_out_what_is_there() -> None:
    shares = np.zeros((1, 400, 3))
    shares[0, :, 2] = 0.99
    shares[0, 399] = [0.4, 0.0, 0.6]
    (found,) = decoded("detr-scores", shares, np.tile(NEAR_FRACTIONS, (1, 400, 1)), columns=3, ids=(0, 1))
    assert_is(found, [(NEAR, 0.4, 0)])


def test_softmax_of_large_logits_is_no_trouble() -> None:
    (found,) = decoded("detr", [[[900.0, 0.0, -900.0]]], [[NEAR_FRACTIONS]], columns=3, ids=(0, 1))
    assert_is(found, [(NEAR, 1.0, 0)])


def test_a_query_of_ultralytics_shows_its_best_class() -> None:
    rows = [[[*NEAR_FRACTIONS, 0.7, 0.9], [*FAR_FRACTIONS, 0.3, 0.3], [*NEAR_FRACTIONS, 0.2, 0.1]]]
    (found,) = decoded("rtdetr-ultralytics", rows)
    assert_is(found, [(NEAR, 0.9, 1), (FAR, 0.3, 0)])
    assert len(decoded("rtdetr-ultralytics", rows, floor=0.0)[0]) == 3


def test_rtdetr_gives_final_boxes_in_px() -> None:
    boxes, scores, labels = [[FAR, NEAR, NEAR]], [[0.5, 0.9, 0.1]], [[1, 0, 0]]
    (found,) = decoded("rtdetr", boxes, scores, labels)
    assert_is(found, [(NEAR, 0.9, 0), (FAR, 0.5, 1)])


def test_only_the_counted_rows_are_there() -> None:
    boxes = [[NEAR, FAR, NEAR], [NEAR, FAR, NEAR]]
    scores, classes = [[0.9, 0.8, 0.7]] * 2, [[0, 1, 0]] * 2
    first, second = decoded("efficient-nms", boxes, scores, classes, [[2], [0]])
    assert_is(first, [(NEAR, 0.9, 0), (FAR, 0.8, 1)])
    assert_is(second, [])
    (one,) = decoded("efficient-nms", boxes[:1], scores[:1], classes[:1], [1])  # YOLO-NAS and others leave an axis out
    assert_is(one, [(NEAR, 0.9, 0)])


def test_a_count_that_can_be_none_counts_what_it_can() -> None:
    boxes, scores, classes = [[NEAR]], [[0.9]], [[0]]
    for count, rows in ((7.0, 1), (-1.0, 0), (np.nan, 0), (np.inf, 1)):
        assert len(decoded("efficient-nms", boxes, scores, classes, [[count]])[0]) == rows


def test_boxes_in_fractions_are_scaled_by_width_and_height() -> None:
    corners = [[[16 / 64, 8 / 32, 24 / 64, 12 / 32], [0, 0, 0, 0]]]
    (found,) = decoded("nms-normalized", corners, [[0.9, 0.0]], [[1, -1]], floor=0.0)
    assert_is(found, [(NEAR, 0.9, 1)])


def test_rows_of_7_have_the_class_before_or_behind_the_score() -> None:
    rows = [[0, *NEAR, 1, 0.9], [0, *FAR, 0, 0.6], [1, *FAR, 0, 0.6]]
    assert_is(decoded("yolov7-nms", rows)[0], [(NEAR, 0.9, 1), (FAR, 0.6, 0)])
    swapped = np.array(rows)[:, [0, 1, 2, 3, 4, 6, 5]]
    assert_is(decoded("yolo-nas-flat", swapped)[0], [(NEAR, 0.9, 1), (FAR, 0.6, 0)])
    assert_is(decoded("yolov7-nms", np.zeros((0, 7)))[0], [])


def test_mmdet_pads_and_leaves_the_batch_axis_out() -> None:
    rows, labels = [[*NEAR, 0.9], [*FAR, 0.6], [0, 0, 0, 0, 0]], [1, 0, -1]
    expected: Rows = [(NEAR, 0.9, 1), (FAR, 0.6, 0)]
    assert_is(decoded("mmdet", [rows], [labels])[0], expected)
    assert_is(decoded("mmdet", rows, labels)[0], expected)


def test_paddle_says_whose_each_row_is() -> None:
    rows = [[1, 0.9, *NEAR], [0, 0.6, *FAR], [-1, 0.0, 0, 0, 0, 0], [0, 0.8, *NEAR]]
    first, second, third = decoded("paddle", rows, [3, 0, 1])
    assert_is(first, [(NEAR, 0.9, 1), (FAR, 0.6, 0)])
    assert_is(second, [])
    assert_is(third, [(NEAR, 0.8, 0)])
    assert_is(decoded("paddle", [rows])[0], [(NEAR, 0.9, 1), (NEAR, 0.8, 0), (FAR, 0.6, 0)])


def test_ids_beyond_the_names_are_left_out_and_those_with_gaps_stay() -> None:
    boxes, scores, labels = [[NEAR, NEAR, NEAR]], [[0.9, 0.8, 0.7]], [[90, 91, 1]]
    (found,) = decoded("nms", boxes, scores, labels, ids=(1, 90))
    assert_is(found, [(NEAR, 0.9, 1), (NEAR, 0.7, 0)])


def test_ids_that_do_not_begin_at_0_are_no_further_than_their_names() -> None:
    (found,) = decoded("end2end", [[[*NEAR, 0.9, 2], [*FAR, 0.8, 1], [*FAR, 0.7, 3]]], ids=(1, 2))
    assert_is(found, [(NEAR, 0.9, 1), (FAR, 0.8, 0)])


def numbers(kind: str) -> list[NDArray[np.float32]]:
    """Return what a network answers: 100 queries of three columns, of which one shows class 0."""
    rng = np.random.default_rng(3)
    logits = rng.normal(-6, 1, (1, 100, 3)).astype(np.float32)
    boxes = np.tile(np.array(NEAR_FRACTIONS, np.float32), (1, 100, 1))
    if kind == "softmax":
        logits[..., 2] = 6
    logits[0, 5] = [3, -4, -4]
    return [sigmoid(logits) if kind == "probabilities" else logits, boxes]


@pytest.mark.parametrize(
    ("kind", "heads"),
    [("sigmoid", ["detr-sigmoid", "rfdetr"]), ("softmax", ["detr"]), ("probabilities", ["detr-scores"])],
)
def test_the_activation_is_told_by_its_numbers(kind: str, heads: list[str]) -> None:
    kin = ("detr-sigmoid", "rfdetr", "detr", "detr-scores")
    assert [head for head in kin if against(head, *numbers(kind), columns=3) is None] == heads


def test_queries_in_px_are_none() -> None:
    logits, boxes = numbers("sigmoid")
    assert "px, not fractions" in str(against("detr-sigmoid", logits, boxes * 64))


def test_px_and_fractions_are_told_apart() -> None:
    px = np.array([[NEAR, FAR]], np.float32)
    fractions = px / np.array([64, 32, 64, 32], np.float32)
    scores, ids = [[0.9, 0.8]], [[1, 0]]
    assert against("nms", px, scores, ids) is None
    assert against("nms-normalized", fractions, scores, ids) is None
    assert "fractions" in str(against("nms", fractions, scores, ids))
    assert "px" in str(against("nms-normalized", px, scores, ids))
    assert "end before" in str(against("nms", px[..., [2, 3, 0, 1]], scores, ids))
    assert "whole" in str(against("nms", px, ids, scores))


def test_rows_of_7_are_told_by_which_column_is_whole() -> None:
    rows = np.array([[0, *NEAR, 1, 0.9], [0, *FAR, 0, 0.6]], np.float32)
    assert against("yolov7-nms", rows) is None
    assert "whole" in str(against("yolo-nas-flat", rows))
    assert against("yolo-nas-flat", rows[:, [0, 1, 2, 3, 4, 6, 5]]) is None
    assert "whole" in str(against("yolov7-nms", rows[:, [0, 1, 2, 3, 4, 6, 5]]))


def test_a_class_first_is_told_from_a_class_last() -> None:
    """[1, 300, 6] of PaddleDetection and of YOLOv10."""
    paddle = np.zeros((1, 300, 6), np.float32)
    paddle[0, 0] = [1, 0.9, 16.5, 8.5, 24.5, 12.5]
    yolo = paddle[..., [2, 3, 4, 5, 1, 0]]
    assert against("paddle", paddle) is None
    assert against("end2end", yolo) is None
    assert against("paddle", yolo) is not None
    assert against("end2end", paddle) is not None


def test_what_lies_beyond_the_count_says_nothing() -> None:
    boxes = np.array([[NEAR, [9e9, 0, -1, 0]]], np.float32)
    assert against("efficient-nms", boxes, [[0.9, 77.0]], [[1, 0.5]], [[1]]) is None
    assert against("efficient-nms", boxes, [[0.9, 77.0]], [[1, 0.5]], [[2]]) is not None
