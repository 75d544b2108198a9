"""The anchored YOLOs, and YOLOs that lack a last step, each against an example worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from head_sample import HW, spec_for

from streamer.core.errors import ConfigError
from streamer.infer.heads import Candidates, family_of, open_head
from streamer.infer.heads.darknet import YOLOV3, YOLOV4
from streamer.infer.heads.logits import logit, sigmoid
from streamer.infer.signature import Port, Signature

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The input is 32x64 px (height x width), so strides 8, 16 and 32 have 4x8, 2x4 and 1x2 cells. Two classes.
NOTHING = -20.0


def detect(name: str, *outputs: NDArray[np.float32], floor: float = 0.25) -> Candidates:
    names = tuple(f"output{i}" for i in range(len(outputs)))
    (found,) = open_head(spec_for(name, 2, names))(list(outputs), floor, 0.5)
    return found


def empty(cells: tuple[int, int], anchors: int = 3, nothing: float = NOTHING) -> NDArray[np.float32]:
    """Return a grid (1, A, h, w, 7) that sees nothing."""
    grid = np.zeros((1, anchors, *cells, 7), np.float32)
    grid[..., 4:] = nothing
    return grid


def flat(grid: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (1, A*7, h, w) of (1, A, h, w, 7)."""
    _, anchors, h, w, channels = grid.shape
    return np.asarray(grid.transpose(0, 1, 4, 2, 3).reshape(1, anchors * channels, h, w), np.float32)


def assert_one(found: Candidates, box: list[float], score: float, class_id: int) -> None:
    assert found.class_ids.tolist() == [class_id]
    np.testing.assert_allclose(found.scores, [score], atol=1e-4)
    np.testing.assert_allclose(found.boxes, [box], rtol=1e-4, atol=1e-3)


def test_logit_undoes_sigmoid_and_has_no_end() -> None:
    assert logit(0.5) == 0
    assert float(sigmoid(np.array([logit(0.3)], np.float32))[0]) == pytest.approx(0.3)
    assert (logit(0.0), logit(1.0)) == (-np.inf, np.inf)
    assert sigmoid(np.array([-1e30, 1e30], np.float32)).tolist() == [0, 1]


def test_yolov3_by_hand() -> None:
    """Stride 16, row 1, column 2, anchor 62x45: centre (2.5, 1.5) * 16 = (40, 24); e^0 and e^ln(0.2) times it."""
    grids = [empty((4, 8)), empty((2, 4)), empty((1, 2))]
    grids[1][0, 1, 1, 2] = [0, 0, 0, np.log(0.2), logit(0.9), NOTHING, logit(0.8)]
    for order in ([0, 1, 2], [2, 0, 1]):  # exporters order them as they like
        found = detect("yolov3", *(flat(grids[i]) for i in order))
        assert_one(found, [40 - 31, 24 - 4.5, 40 + 31, 24 + 4.5], 0.9 * 0.8, 1)


def test_two_maps_are_the_tiny_one_whose_anchors_differ_between_v3_and_v4() -> None:
    """v3-tiny's first anchor of stride 16 is 10x14, v4-tiny's 23x27; v4's reach is 1.05, nothing in the middle."""
    grids = [empty((2, 4)), empty((1, 2))]
    grids[0][0, 0, 0, 0] = [0, 0, 0, 0, 20, 20, NOTHING]
    maps = [flat(grid) for grid in grids]
    assert_one(detect("yolov3", *maps), [8 - 5, 8 - 7, 8 + 5, 8 + 7], 1, 0)
    assert_one(detect("yolov4", *maps), [8 - 11.5, 8 - 13.5, 8 + 11.5, 8 + 13.5], 1, 0)


def test_yolov4_reaches_beyond_its_cell() -> None:
    """sigmoid = 1 at stride 8: 1.2 - 0.1 = 1.1 cells; at stride 32: 1.05 - 0.025 = 1.025 cells."""
    grids = [empty((4, 8)), empty((2, 4)), empty((1, 2))]
    grids[0][0, 0, 0, 0] = [50, 50, 0, 0, 20, 20, NOTHING]
    assert_one(detect("yolov4", *map(flat, grids)), [8.8 - 6, 8.8 - 8, 8.8 + 6, 8.8 + 8], 1, 0)
    grids = [empty((4, 8)), empty((2, 4)), empty((1, 2))]
    grids[2][0, 0, 0, 0] = [50, 50, -1, -1, 20, 20, NOTHING]
    w, h = 142 / np.e, 110 / np.e
    assert_one(detect("yolov4", *map(flat, grids)), [32.8 - w / 2, 32.8 - h / 2, 32.8 + w / 2, 32.8 + h / 2], 1, 0)


def test_the_zoos_yolov4_has_scores_that_are_done_and_boxes_that_are_not() -> None:
    """Its maps are [1, h, w, 3, 7]; the stride 16's cell (row 1, column 3) has its centre at (56, 24)."""
    grids = [empty(cells, nothing=0.0) for cells in ((4, 8), (2, 4), (1, 2))]
    grids[1][0, 2, 1, 3] = [0, 0, np.log(0.5), np.log(0.5), 0.8, 0.5, 0.75]
    maps = [grid.transpose(0, 2, 3, 1, 4) for grid in grids]
    assert_one(detect("yolov4-zoo", *maps), [56 - 18, 24 - 36.5, 56 + 18, 24 + 36.5], 0.6, 1)
    assert YOLOV4[1].anchors[2] == (72, 146)


@pytest.mark.parametrize(("head", "anchor"), [("v5-raw", (30, 61)), ("v7-raw", (36, 75))])
def test_v5_and_v7_raw_by_hand(head: str, anchor: tuple[int, int]) -> None:
    """sigmoid(tx) = 1: 2 - 0.5 = 1.5 cells from column 1; (2 * 0.25)^2 = a quarter of the anchor."""
    grids = [empty((4, 8)), empty((2, 4)), empty((1, 2))]
    quarter = logit(0.25)
    grids[1][0, 0, 0, 1] = [50, 0, quarter, quarter, logit(0.6), 20, NOTHING]
    x, y, w, h = (1 + 1.5) * 16, 8, anchor[0] / 4, anchor[1] / 4
    expected = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    rows = np.concatenate([grid.reshape(1, -1, 7) for grid in grids], axis=1)
    per_level = [grid.reshape(1, -1, 7) for grid in grids]
    for outputs in (grids, [flat(grid) for grid in grids], [rows], per_level):
        assert_one(detect(head, *outputs), expected, 0.6, 0)


def test_v5_lite_is_v5_with_its_sigmoid_done_and_its_boxes_not() -> None:
    """Row 96 + 3 of [1, 126, 7]: stride 16 begins at 3*32 = 96, its first anchor 30x61 has 8 cells; column 3, row 0."""
    rows = np.zeros((1, 126, 7), np.float32)
    rows[..., :4] = 0.5
    rows[0, 99] = [0.5, 0.5, 0.5, 0.25, 0.9, 0.1, 0.9]
    assert_one(detect("v5-sigmoid", rows), [56 - 15, 8 - 7.625, 56 + 15, 8 + 7.625], 0.81, 1)


def test_six_strides_of_v5() -> None:
    """Anchors of the P6 networks: 436x615 at stride 64 over an input of 64x128."""
    grids = [empty(cells) for cells in ((8, 16), (4, 8), (2, 4), (1, 2))]
    grids[3][0, 0, 0, 1] = [0, 0, -50, 0, 20, 20, NOTHING]
    spec = spec_for("v5-raw", 2, ("a", "b", "c", "d"))
    spec = replace(spec, input=replace(spec.input, hw=(64, 128)))
    grids[3][0, 0, 0, 1, 2] = logit(0.25)
    (found,) = open_head(spec)(grids, 0.25, 0.5)
    assert_one(found, [96 - 436 / 8, 32 - 615 / 2, 96 + 436 / 8, 32 + 615 / 2], 1, 0)


def test_yolov2_takes_a_softmax_over_its_classes() -> None:
    """Column 1, anchor 2 (3.34 x 5.47 cells) halved; softmax of ln 3 and 0 is 0.75; times an objectness of 0.8."""
    grid = empty((1, 2), anchors=5)
    grid[0, 2, 0, 1] = [0, 0, np.log(0.5), np.log(0.5), logit(0.8), np.log(3), 0]
    w, h = 3.33843 * 32 / 2, 5.47434 * 32 / 2
    assert_one(detect("yolov2", flat(grid)), [48 - w / 2, 16 - h / 2, 48 + w / 2, 16 + h / 2], 0.6, 0)
    w, h = 5.05587 * 32 / 2, 8.09892 * 32 / 2
    assert_one(detect("yolov2-voc", flat(grid)), [48 - w / 2, 16 - h / 2, 48 + w / 2, 16 + h / 2], 0.6, 0)
    w, h = 6.63 * 32 / 2, 11.38 * 32 / 2
    assert_one(detect("yolov2-tiny-voc", flat(grid)), [48 - w / 2, 16 - h / 2, 48 + w / 2, 16 + h / 2], 0.6, 0)


def test_azure_adds_its_place_without_a_sigmoid() -> None:
    grid = empty((1, 2), anchors=5)
    grid[0, 0, 0, 1] = [0.25, 0.5, 0, 0, logit(0.8), 20, NOTHING]
    x, y, w, h = 1.25 * 32, 0.5 * 32, 0.573 * 32, 0.677 * 32
    assert_one(detect("azure", flat(grid)), [x - w / 2, y - h / 2, x + w / 2, y + h / 2], 0.8, 0)


def test_yolov4_boxes_are_fractions_and_are_suppressed() -> None:
    """Two of the same place and class, 0.9 and 0.8: one is left; x is a fraction of 64 px and y of 32 px."""
    boxes = np.zeros((1, 126, 1, 4), np.float32)
    confidences = np.zeros((1, 126, 2), np.float32)
    boxes[0, 5] = boxes[0, 6] = [0.25, 0.5, 0.5, 1.0]
    confidences[0, 5], confidences[0, 6] = [0.1, 0.9], [0.1, 0.8]
    assert_one(detect("yolov4-boxes", boxes, confidences), [16, 16, 32, 32], 0.9, 1)


@pytest.mark.parametrize("axes", [2, 3])
def test_yolov3_nms_is_y_before_x_and_only_what_was_chosen(axes: int) -> None:
    """Chosen are class 1 of box 2, class 0 of box 0 (below the floor), and -1 for nothing."""
    boxes = np.zeros((1, 3, 4), np.float32)
    boxes[0] = [[1, 2, 3, 4], [0, 0, 9, 9], [10, 20, 30, 60]]
    scores = np.zeros((1, 2, 3), np.float32)
    scores[0] = [[0.1, 0.95, 0], [0, 0.9, 0.7]]
    chosen = np.array([[0, 1, 2], [0, 0, 0], [-1, -1, -1]], np.float32)
    assert_one(
        detect("yolov3-nms", boxes, scores, chosen if axes == 2 else chosen[np.newaxis]), [20, 10, 60, 30], 0.7, 1
    )
    assert len(detect("yolov3-nms", boxes, scores, np.zeros((0, 3), np.float32))) == 0


def test_yolox_without_sigmoid() -> None:
    """Row 32 + 5 of stride 16: row 1, column 1; centre (1.5, 1.25) cells, e^1 = 2.718 cells wide."""
    rows = np.zeros((1, 42, 7), np.float32)
    rows[..., 4:] = NOTHING
    rows[0, 37] = [0.5, 0.25, 1, 0, logit(0.9), NOTHING, logit(0.5)]
    w = np.e * 16
    assert_one(detect("yolox-logits", rows), [24 - w / 2, 20 - 8, 24 + w / 2, 20 + 8], 0.45, 1)


def test_v8_and_v5_without_sigmoid() -> None:
    channels = np.full((1, 6, 42), NOTHING, np.float32)
    channels[0, :, 7] = [20, 10, 8, 4, logit(0.7), 0]
    assert_one(detect("v8-logits", channels), [16, 8, 24, 12], 0.7, 0)
    rows = np.full((1, 126, 7), NOTHING, np.float32)
    rows[0, 7] = [20, 10, 8, 4, logit(0.7), logit(0.2), logit(0.5)]
    assert_one(detect("v5-logits", rows), [16, 8, 24, 12], 0.35, 1)


def test_v8_and_v5_in_fractions() -> None:
    """x and w are fractions of 64 px, y and h of 32 px."""
    channels = np.zeros((1, 6, 42), np.float32)
    channels[0, :, 7] = [0.5, 0.5, 0.25, 0.25, 0.7, 0.1]
    assert_one(detect("v8-normalized", channels), [24, 12, 40, 20], 0.7, 0)
    rows = np.zeros((1, 126, 7), np.float32)
    rows[0, 7] = [0.5, 0.5, 0.25, 0.25, 0.7, 0.2, 0.5]
    assert_one(detect("v5-normalized", rows), [24, 12, 40, 20], 0.35, 1)


def test_v8_and_v5_with_corners() -> None:
    channels = np.zeros((1, 6, 42), np.float32)
    channels[0, :, 7] = [16, 8, 24, 12, 0.7, 0.1]
    assert_one(detect("v8-xyxy", channels), [16, 8, 24, 12], 0.7, 0)
    rows = np.zeros((1, 126, 7), np.float32)
    rows[0, 7] = [16, 8, 24, 12, 0.7, 0.2, 0.5]
    assert_one(detect("v5-xyxy", rows), [16, 8, 24, 12], 0.35, 1)


def test_v8_and_v5_in_pieces_of_either_order() -> None:
    boxes, classes = np.zeros((1, 4, 42), np.float32), np.zeros((1, 2, 42), np.float32)
    boxes[0, :, 7], classes[0, :, 7] = [20, 10, 8, 4], [0.1, 0.7]
    turned = classes.transpose(0, 2, 1)
    assert_one(detect("v8-split", boxes, classes), [16, 8, 24, 12], 0.7, 1)
    assert_one(detect("v8-split", boxes.transpose(0, 2, 1), turned), [16, 8, 24, 12], 0.7, 1)
    objectness = np.zeros((1, 42, 1), np.float32)
    objectness[0, 7] = 0.5
    assert_one(detect("v5-split", boxes.transpose(0, 2, 1), turned, objectness), [16, 8, 24, 12], 0.35, 1)


def port(shape: tuple[int | None, ...], name: str = "out", dtype: str = "float32") -> Port:
    return Port(name, shape, dtype)


def readings(name: str, *ports: Port, hw: tuple[int, int] = (416, 416)) -> list[tuple[int | None, bool, bool]]:
    """Return classes, whether it is sure, and whether it is rare, of each reading."""
    return [(r.columns, r.sure, r.rare) for r in family_of(name).read(Signature(hw=hw, outputs=ports))]


def maps(*strides: int, channels: int = 255, hw: tuple[int, int] = (416, 416)) -> list[Port]:
    return [port((1, channels, hw[0] // s, hw[1] // s), f"map{s}") for s in strides]


def test_maps_are_read_in_the_order_of_their_strides() -> None:
    (reading,) = family_of("yolov3").read(Signature(hw=(416, 608), outputs=tuple(maps(32, 8, 16, hw=(416, 608)))))
    assert [p.name for p in reading.outputs] == ["map8", "map16", "map32"]
    assert (reading.columns, reading.sure) == (80, True)


def test_open_axes_fit_any_map_and_only_the_number_of_maps_tells() -> None:
    ports = [port((None, 255, None, None), name) for name in "abc"]
    assert readings("yolov3", *ports) == [(80, True, False)]
    assert readings("yolov3", *ports[:2]) == [(80, True, False)]


@pytest.mark.parametrize(
    "ports",
    [
        maps(8, 16, 32, channels=254),  # not three times anything
        maps(8, 16, 32, channels=15),  # no class
        maps(8, 16),
        maps(8, 8, 32),
        maps(8),
        [port((1, 255, 52, 51)), *maps(16, 32)],
        [port((1, 255, 52, 52), dtype="int64"), *maps(16, 32)],
        [port((1, 85, 3549))],
    ],
)
def test_other_maps_are_none_of_yolov3(ports: list[Port]) -> None:
    assert readings("yolov3", *ports) == []


def test_maps_beside_decoded_boxes_are_for_whoever_asks() -> None:
    decoded = port((1, 10647, 85))
    assert readings("v5-raw", decoded, *[port((1, 3, n, n, 85), str(n)) for n in (52, 26, 13)]) == [
        (80, False, False),
        (80, True, True),
    ]


def test_yolov2_is_one_map_of_stride_32() -> None:
    assert readings("yolov2", port((1, 425, 13, 13))) == [(80, True, False)]
    assert readings("yolov2", port((None, 13, 13, 125))) == [(20, True, False)]
    assert readings("yolov2", port((1, 425, 26, 26))) == []
    assert readings("yolov2", *maps(8, 16, 32)) == []
    assert readings("azure", port((1, 35, 13, 13))) == [(2, False, False)]
    assert readings("azure", port((1, 35, 13, 13), "model_outputs0")) == [(2, True, False)]
    assert readings("yolov2", port((1, 35, 13, 13), "model_outputs0")) == [(2, False, False)]


def test_yolov4_boxes_are_told_by_their_axis_of_one_or_by_name() -> None:
    confidences = port((1, 10647, 80), "confs")
    assert readings("yolov4-boxes", port((1, 10647, 1, 4), "x"), confidences) == [(80, True, False)]
    assert readings("yolov4-boxes", confidences, port((1, 10647, 4), "boxes")) == [(80, True, False)]
    assert readings("yolov4-boxes", port((1, 10647, 4), "x"), confidences) == []
    assert readings("yolov4-boxes", port((1, 2535, 1, 4), "x"), confidences) == []


def test_yolov3_nms_is_told_by_its_whole_numbers() -> None:
    boxes, scores, chosen = port((1, None, 4)), port((1, 80, None)), port((None, 3), dtype="int32")
    assert readings("indices-xyxy", chosen, boxes, scores) == [(80, True, False)]
    assert readings("yolov3-nms", chosen, boxes, scores) == [(80, False, False)]  # it is told `image_shape`
    assert readings("yolov3-nms", boxes, scores, port((None, 3))) == []
    assert readings("yolov3-nms", boxes, scores) == []


def test_pieces_are_told_by_their_lengths() -> None:
    boxes, scores = port((1, 4, 3549), "b"), port((1, 80, 3549), "s")
    (reading,) = family_of("v8-split").read(Signature(hw=(416, 416), outputs=(scores, boxes)))
    assert [p.name for p in reading.outputs] == ["b", "s"]
    assert (reading.columns, reading.sure, reading.rare) == (80, True, True)
    assert readings("v8-split", port((1, 4, 3549)), port((1, 3549, 80))) == []
    assert readings("v8-split", port((1, 300, 4)), port((1, 300, 80))) == [(80, False, True)]
    assert readings("v5-split", port((1, 10647, 80)), port((1, 10647, 1)), port((1, 10647, 4))) == [(80, True, True)]
    assert readings("v5-split", port((1, 10647, 80)), port((1, 10647, 2)), port((1, 10647, 4))) == []


def against(name: str, *outputs: NDArray[np.float32]) -> str | None:
    look = family_of(name).against
    assert look is not None
    return look(list(outputs), spec_for(name, 2, tuple(map(str, range(len(outputs))))))


def decoded_rows() -> NDArray[np.float32]:
    """Return [1, 126, 7] of v5 in px: each box lies at its cell, scores are low."""
    rows = np.full((1, 126, 7), 0.01, np.float32)
    start = 0
    for stride, h, w in ((8, 4, 8), (16, 2, 4), (32, 1, 2)):
        y, x = np.mgrid[0:h, 0:w]
        for _ in range(3):
            rows[0, start : start + h * w, 0] = (x.ravel() + 0.5) * stride
            rows[0, start : start + h * w, 1] = (y.ravel() + 0.5) * stride
            rows[0, start : start + h * w, 2:4] = stride
            start += h * w
    return rows


def test_numbers_tell_six_kinds_of_v5_rows() -> None:
    """What each of them gives speaks against all others."""
    rng = np.random.default_rng(3)
    px = decoded_rows()
    normalized = px.copy()
    normalized[..., :4] /= [64, 32, 64, 32]
    logits = px.copy()
    logits[..., 4:] = rng.normal(-6, 2, (1, 126, 3))
    raw = np.concatenate((rng.normal(size=(1, 126, 4)), logits[..., 4:]), axis=2).astype(np.float32)
    done = np.asarray(sigmoid(raw), np.float32)
    corners = px.copy()
    corners[..., 2:4] += corners[..., :2]
    kinds = {
        "v5": px,
        "v5-normalized": normalized,
        "v5-logits": logits,
        "v5-xyxy": corners,
        "v5-raw": raw,
        "v5-sigmoid": done,
    }
    for kind, rows in kinds.items():
        for head in kinds:
            doubt = against(head, rows)
            assert (doubt is None) == (head == kind), f"{kind} read as {head}: {doubt}"


def test_numbers_tell_four_kinds_of_yolox_rows() -> None:
    rng = np.random.default_rng(4)
    raw = np.concatenate((rng.normal(size=(1, 42, 4)), rng.random((1, 42, 3)) * 0.1), axis=2).astype(np.float32)
    logits = raw.copy()
    logits[..., 4:] = rng.normal(-6, 2, (1, 42, 3))
    decoded = raw.copy()
    decoded[..., :4] = 4 + 20 * rng.random((1, 42, 4))
    ones = decoded.copy()
    ones[..., 4] = 1
    kinds = {"yolox": raw, "yolox-logits": logits, "yolox-decoded": decoded, "yolov6": ones}
    for kind, rows in kinds.items():
        for head in kinds:
            doubt = against(head, rows)
            assert (doubt is None) == (head == kind), f"{kind} read as {head}: {doubt}"


def test_numbers_tell_four_kinds_of_v8_channels() -> None:
    rng = np.random.default_rng(5)
    px = np.concatenate((20 * rng.random((1, 4, 42)), rng.random((1, 2, 42)) * 0.1), axis=1).astype(np.float32)
    normalized = px.copy()
    normalized[:, :4] /= 32
    logits = px.copy()
    logits[:, 4:] = rng.normal(-6, 2, (1, 2, 42))
    corners = px.copy()
    corners[:, 2:4] += corners[:, :2]
    kinds = {"v8": px, "v8-normalized": normalized, "v8-logits": logits, "v8-xyxy": corners}
    for kind, rows in kinds.items():
        for head in kinds:
            doubt = against(head, rows)
            assert (doubt is None) == (head == kind), f"{kind} read as {head}: {doubt}"


def test_maps_of_the_wrong_sort_are_told() -> None:
    grids = [empty((4, 8)), empty((2, 4)), empty((1, 2))]
    for grid in grids:
        grid[..., :4] = -0.5
    assert against("v5-raw", *grids) is None
    assert "sigmoid is done" in str(against("v5-raw", *(sigmoid(grid) for grid in grids)))
    assert "boxes are 0 everywhere" in str(against("v5-sigmoid", *(0 * grid for grid in grids)))
    grids[0][..., 2:4] = 40
    assert "px, not what an anchor is multiplied by" in str(against("yolov3", *map(flat, grids)))
    for grid in grids:
        grid[..., 4] = 3
    assert "more than half" in str(against("v7-raw", *grids))


OWN = ((8.0, 9.0), (11.0, 12.0), (13.0, 14.0), *YOLOV3[1].anchors, *YOLOV3[2].anchors)


def test_a_network_may_bring_anchors_of_its_own() -> None:
    """A number 0 for width and height is the anchor itself: of the second one of the finest level, in cell 0, 0."""
    spec = replace(spec_for("yolov3", 2, ("a", "b", "c")), anchors=OWN)
    maps = [np.full((1, 3 * 7, HW[0] // s, HW[1] // s), -20, np.float32) for s in (8, 16, 32)]
    maps[0][0, 7:14, 0, 0] = [0, 0, 0, 0, 9, 9, -9]
    (found,) = open_head(spec)(maps, 0.5, 0.5)
    np.testing.assert_allclose(found.boxes, [[4 - 5.5, 4 - 6, 4 + 5.5, 4 + 6]], atol=1e-4)


def test_anchors_are_as_many_as_the_head_has() -> None:
    spec = replace(spec_for("yolov3", 2, ("a", "b", "c")), anchors=OWN[:5])
    with pytest.raises(ConfigError, match="anchors: 5 are given, head yolov3 has 6 or 9"):
        open_head(spec)
