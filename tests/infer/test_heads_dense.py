"""SSD, R-CNN, NanoDet and their kin, each against numbers worked out by hand, for an input of 64x32 px."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from head_sample import spec_for

from streamer.infer.heads import family_of, open_head
from streamer.infer.signature import Port, Signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.infer.heads import Candidates
    from streamer.infer.heads.family import Reading

CELLS = (32, 8, 2, 1)  # of strides 8, 16, 32, 64
Row = tuple[list[float], float, int]
Shape = tuple[int | None, ...]


def decode(head: str, *outputs: object, columns: int = 3, floor: float = 0.25) -> Candidates:
    """Decode one picture's outputs."""
    arrays = [np.asarray(output, np.float32) for output in outputs]
    return open_head(spec_for(head, columns, ("a",)))(arrays, floor, 0.5)[0]


def against(head: str, *outputs: object, columns: int = 3) -> str | None:
    """Return what the numbers say against a head."""
    check = family_of(head).against
    assert check is not None
    return check([np.asarray(output, np.float32) for output in outputs], spec_for(head, columns, ("a",)))


def assert_is(found: Candidates, *rows: Row) -> None:
    """Compare with (x1 y1 x2 y2, score, class) rows, best first."""
    assert found.class_ids.tolist() == [row[2] for row in rows]
    np.testing.assert_allclose(found.scores, [row[1] for row in rows], atol=1e-5)
    np.testing.assert_allclose(found.boxes, np.array([row[0] for row in rows]).reshape(-1, 4), atol=2e-3)


def read(head: str, *shapes: Shape, whole: Sequence[int] = (), batched: bool = True) -> list[Reading]:
    """Return a family's readings of outputs named a, b, c ...; `whole` are the places of whole numbers."""
    ports = tuple(
        Port(chr(ord("a") + i), shape, "int64" if i in whole else "float32") for i, shape in enumerate(shapes)
    )
    return list(family_of(head).read(Signature(hw=(32, 64), outputs=ports, batched=batched)))


def distances(*sides: int) -> list[float]:
    """Logits that are sure of a distance for each of left, top, right and bottom."""
    logits = np.full((4, 8), -50.0)
    logits[np.arange(4), sides] = 50
    return [float(logit) for logit in logits.ravel()]


def nanodet_outputs(levels: int, at: tuple[int, int], sides: Sequence[int]) -> list[np.ndarray]:
    """Return scores and logits of each stride; one cell (stride's place, row) shows class 1 by 0.9."""
    outputs = []
    for i, n in enumerate(CELLS[:levels]):
        scores, logits = np.zeros((1, n, 3)), np.zeros((1, n, 32))
        if i == at[0]:
            scores[0, at[1], 1] = 0.9
            logits[0, at[1]] = distances(*sides)
        outputs += [scores, logits]
    return outputs


def test_ssd_reads_fractions_and_skips_the_background() -> None:
    scores = np.zeros((1, 2, 3))
    scores[0, 0] = [0.1, 0.0, 0.9]  # class 2 by 0.9
    scores[0, 1] = [0.9, 0.1, 0.0]  # the background
    boxes = [[[0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 0.5, 0.5]]]
    assert_is(decode("ssd", scores, boxes), ([16, 16, 48, 32], 0.9, 2))


def test_ssd_is_told_by_numbers() -> None:
    scores, boxes = np.full((1, 4, 2), 0.5), np.tile([0.1, 0.1, 0.9, 0.9], (1, 4, 1))
    assert against("ssd", scores, boxes, columns=2) is None
    assert "add up to 1" in str(against("ssd", scores * 0.5, boxes, columns=2))
    assert "outside 0 to 1" in str(against("ssd", scores * 4, boxes, columns=2))
    assert "px" in str(against("ssd", scores, boxes * 64, columns=2))
    assert "end before" in str(against("ssd", scores, boxes[..., ::-1], columns=2))


def test_ssd_needs_more_rows_than_a_detr_has_queries() -> None:
    assert [(r.columns, r.sure) for r in read("ssd", (1, 4420, 2), (1, 4420, 4))] == [(2, True)]
    assert [r.sure for r in read("ssd", (1, 300, 81), (1, 300, 4))] == [False]
    assert read("ssd", (1, 4420, 2), (1, 4400, 4)) == []
    both = read("ssd", (1, 4420, 4), (1, 4420, 4))  # three classes: either may be the boxes
    assert [[p.name for p in r.outputs] for r in both] == [["a", "b"], ["b", "a"]]


def test_nanodet_measures_from_the_middle_of_a_cells_pixels() -> None:
    # Row 9 of stride 8, eight cells wide: row 1, column 1, so its point is 1*8 + 3.5 = 11.5, 11.5.
    # 1, 1, 2, 2 cells of 8 px to the sides.
    found = decode("nanodet", *nanodet_outputs(3, (0, 9), (1, 1, 2, 2)))
    assert_is(found, ([3.5, 3.5, 27.5, 27.5], 0.9, 1))


def test_nanodet_takes_the_mean_of_a_distribution() -> None:
    outputs = nanodet_outputs(3, (1, 0), (0, 0, 0, 0))  # row 0 of stride 16: its point is 7.5, 7.5
    sides = np.full((4, 8), -50.0)
    sides[:, 0] = sides[:, 1] = 0  # half a cell of 16 px
    outputs[3][0, 0] = sides.ravel()
    assert_is(decode("nanodet", *outputs), ([-0.5, -0.5, 15.5, 15.5], 0.9, 1))


def test_nanodet_without_a_batch_axis() -> None:
    outputs = [output[0] for output in nanodet_outputs(3, (2, 1), (1, 0, 0, 0))]
    # Row 1 of stride 32: column 1, so its point is 32 + 15.5, 15.5; a box of no height is none.
    assert_is(decode("nanodet", *outputs))
    outputs = [output[0] for output in nanodet_outputs(3, (2, 1), (1, 0, 0, 1))]
    assert_is(decode("nanodet", *outputs), ([15.5, 15.5, 47.5, 47.5], 0.9, 1))


def test_nanodet_plus_measures_from_a_cells_corner() -> None:
    rows = np.zeros((1, 43, 35))
    rows[0, 32 + 8 + 2, :3] = [0, 0, 0.8]  # the one cell of stride 64
    rows[0, 32 + 8 + 2, 3:] = distances(0, 0, 1, 1)
    assert_is(decode("nanodet-plus", rows), ([0, 0, 64, 64], 0.8, 2))


def test_picodet_measures_from_a_cells_centre() -> None:
    found = decode("picodet", *nanodet_outputs(4, (0, 9), (1, 1, 2, 2)))
    assert_is(found, ([4, 4, 28, 28], 0.9, 1))


def test_nanodets_outputs_are_paired_by_rows_whatever_their_order_and_names() -> None:
    shapes = [(2, 32), (32, 3), (8, 32), (2, 3), (32, 32), (8, 3)]
    (reading,) = read("nanodet", *shapes)
    assert [port.shape for port in reading.outputs] == [(32, 3), (32, 32), (8, 3), (8, 32), (2, 3), (2, 32)]
    assert (reading.columns, reading.one_picture) == (3, True)
    assert [r.one_picture for r in read("nanodet", *((1, *shape) for shape in shapes))] == [False]
    assert read("nanodet", *shapes[:-1]) == []
    assert read("nanodet", *shapes, (1, 3), (1, 32)) == []  # four strides: PicoDet
    assert len(read("picodet", *shapes, (1, 3), (1, 32))) == 1


def test_nanodet_of_32_classes_can_be_taken_either_way() -> None:
    assert len(read("nanodet", *[(n, 32) for n in (32, 32, 8, 8, 2, 2)])) == 2


def test_nanodets_sizes_round_up() -> None:
    signature = Signature(hw=(416, 416), outputs=(Port("output", (1, 3598, 112), "float32"),))
    readings = family_of("nanodet-plus").read(signature)
    assert [(r.columns, r.sure) for r in readings] == [(80, True), (68, True)]  # of 8 bins, and of 11


def test_nanodet_is_told_by_numbers() -> None:
    outputs = nanodet_outputs(3, (0, 9), (1, 1, 2, 2))
    assert against("nanodet", *outputs) is None
    assert "outside 0 to 1" in str(against("nanodet", outputs[0] - 3, *outputs[1:]))
    shares = [np.full_like(output, 1 / 8) if i % 2 else output for i, output in enumerate(outputs)]
    assert "probabilities already" in str(against("nanodet", *shares))


def test_fastestdet_joins_objectness_and_class_by_powers() -> None:
    channels = np.zeros((1, 8, 2, 4))
    # Row 1, column 2: tanh(0.5) = 0.46212 of a cell further; sigmoid(0) = half the width, sigmoid(-2) = 0.1192 of it.
    channels[0, :, 1, 2] = [0.8, 0.5, 0.0, 0.0, -2.0, 0.1, 0.7, 0.2]
    score = 0.8**0.6 * 0.7**0.4
    x, y, w, h = (2 + 0.46212) / 4 * 64, 1 / 2 * 32, 32.0, 0.119203 * 32
    assert_is(decode("fastestdet", channels), ([x - w / 2, y - h / 2, x + w / 2, y + h / 2], score, 1))


def test_fastestdet_is_one_map_of_stride_16_alone() -> None:
    assert [r.columns for r in read("fastestdet", (1, 85, 2, 4))] == [80]
    assert read("fastestdet", (1, 85, 4, 8)) == []
    assert read("fastestdet", (1, 5, 2, 4)) == []
    assert read("fastestdet", (1, 255, 2, 4), (1, 255, 1, 2)) == []


def faces(*columns: int, each: int = 1) -> list[np.ndarray]:
    """Return zeros for each cell of each stride."""
    return [np.zeros((1, each * n, c)) for n in CELLS[:3] for c in columns]


def test_yunet_joins_class_and_objectness_by_a_root() -> None:
    outputs = faces(1, 1, 4)
    outputs[3][0, 5], outputs[4][0, 5] = 0.9, 0.4  # stride 16, row 1, column 1: sqrt(0.36) = 0.6
    outputs[5][0, 5] = [0.5, 0.25, np.log(2), 0.0]  # its middle is 24, 20; 32 px wide, 16 high
    assert_is(decode("yunet", *outputs, columns=1), ([8, 12, 40, 28], 0.6, 0))
    assert against("yunet", *outputs, columns=1) is None
    outputs[5][0, 5] = [24, 20, 32, 16]
    assert "px" in str(against("yunet", *outputs, columns=1))


def test_scrfd_has_two_boxes_at_each_corner_of_a_cell() -> None:
    outputs = faces(1, 4, each=2)
    outputs[2][0, 11], outputs[3][0, 11] = 0.8, [0.5, 1, 1, 0.5]  # stride 16: the second of cell 5, at 16, 16
    expected = ([8.0, 0.0, 32.0, 24.0], 0.8, 0)
    assert_is(decode("scrfd", *outputs, columns=1), expected)
    assert_is(decode("scrfd", *(output[0] for output in outputs), columns=1), expected)
    assert "outside" in str(against("scrfd", *(output - 2 for output in outputs), columns=1))


def test_faces_are_told_by_columns_and_rows_and_their_points_are_left_out() -> None:
    kinds = [(c, n) for c in (1, 1, 4, 10) for n in CELLS[:3]]  # all classes, all objectness, boxes, points
    (yunet,) = read("yunet", *((1, n, c) for c, n in kinds))
    assert [port.name for port in yunet.outputs] == ["a", "d", "g", "b", "e", "h", "c", "f", "i"]
    (scrfd,) = read("scrfd", *((2 * n, c) for c in (1, 4, 10) for n in CELLS[:3]))
    assert [port.name for port in scrfd.outputs] == ["a", "d", "b", "e", "c", "f"]
    assert (yunet.columns, yunet.one_picture, scrfd.columns, scrfd.one_picture) == (1, False, 1, True)
    assert read("yunet", *((1, 2 * n, c) for c, n in kinds)) == []
    assert read("scrfd", *((n, c) for c, n in kinds)) == []


def test_tensorflow_writes_y_first_and_counts_from_one() -> None:
    boxes = [[[0.25, 0.5, 0.75, 1.0], [0.0, 0.0, 1.0, 1.0]]]
    found = decode("ssd-tf", boxes, [[0.9, 0.8]], [[2, 1]], [1])  # the second row only fills up
    assert_is(found, ([32, 8, 64, 24], 0.9, 2))


@pytest.mark.parametrize("name", ["{}", "{}:0", "StatefulPartitionedCall/{}:0"])
def test_tensorflows_names_tell_and_its_raw_outputs_do_not(name: str) -> None:
    shapes: dict[str, tuple[int, ...]] = {
        "detection_boxes": (1, 100, 4),
        "detection_classes": (1, 100),
        "detection_multiclass_scores": (1, 100, 91),
        "detection_scores": (1, 100),
        "num_detections": (1,),
        "raw_detection_boxes": (1, 1917, 4),
        "raw_detection_scores": (1, 1917, 91),
    }
    outputs = tuple(Port(name.format(key), shape, "float32") for key, shape in shapes.items())
    (reading,) = family_of("ssd-tf").read(Signature(hw=(320, 320), outputs=outputs))
    kinds = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")
    assert [port.name for port in reading.outputs] == [name.format(kind) for kind in kinds]
    assert reading.coco91
    assert not any(r.sure for r in family_of("ssd").read(Signature(hw=(320, 320), outputs=outputs)))


def test_torchvisions_outputs_are_told_by_rank_and_type() -> None:
    (reading,) = read("torchvision", (None,), (None, 4), (None,), whole=[2])
    assert [port.name for port in reading.outputs] == ["b", "c", "a"]
    assert (reading.coco91, reading.one_picture, reading.sure) == (True, True, True)
    assert [r.sure for r in read("faster-rcnn-zoo", (None,), (None, 4), (None,), whole=[2])] == [False]
    masks = (None, 1, 28, 28)
    assert len(read("torchvision", (None,), (None, 4), (None,), masks, whole=[2])) == 1
    assert read("torchvision", (1, None), (1, None, 4), (1, None), whole=[2]) == []
    assert read("torchvision", (8,), (9, 4), (8,), whole=[2]) == []


def test_a_picture_without_a_batch_axis_may_be_the_zoos() -> None:
    for head in ("faster-rcnn-zoo", "torchvision"):
        assert [r.sure for r in read(head, (None, 4), (None,), (None,), whole=[1], batched=False)] == [True]
    ports = (Port("6379", (None, 4), "float32"), Port("6381", (None,), "int64"), Port("6383", (None,), "float32"))
    signature = Signature(hw=(800, 1344), outputs=ports, batched=False)
    assert [r.sure for r in family_of("torchvision").read(signature)] == [False]
    (reading,) = family_of("faster-rcnn-zoo").read(signature)
    assert (reading.coco91, reading.sure) == (False, True)


@pytest.mark.parametrize("head", ["torchvision", "faster-rcnn-zoo"])
def test_two_stages_write_px(head: str) -> None:
    boxes, labels, scores = [[1, 2, 30, 20], [0, 0, 9, 9]], [2, 1], [0.9, 0.1]
    assert_is(decode(head, boxes, labels, scores), ([1, 2, 30, 20], 0.9, 2))
    assert len(decode(head, np.zeros((0, 4)), [], [])) == 0
    assert against(head, boxes, labels, scores) is None
    assert "class 0" in str(against(head, boxes, [0, 1], scores))
    assert "fractions" in str(against(head, np.array(boxes) / 64, labels, scores))


def test_azure_writes_x_first_and_counts_from_zero() -> None:
    found = decode("azure-nms", [[[0.25, 0.5, 0.75, 1.0]]], [[0.9]], [[0]])
    assert_is(found, ([16, 16, 48, 32], 0.9, 0))


def test_the_zoos_ssd_counts_from_one() -> None:
    boxes, scores = [[[0.25, 0.5, 0.75, 1.0]]], [[0.9]]
    assert_is(decode("ssd-zoo", boxes, scores, [[1]]), ([16, 16, 48, 32], 0.9, 1))
    assert against("ssd-zoo", boxes, scores, [[1]]) is None
    assert "class 0" in str(against("ssd-zoo", boxes, scores, [[0]]))


def test_detection_output_ends_at_the_first_row_without_a_picture() -> None:
    rows = [
        [0, 2, 0.9, 0.25, 0.5, 0.75, 1.0],
        [0, 1, 0.1, 0.25, 0.5, 0.75, 1.0],
        [-1, 0, 0, 0, 0, 0, 0],
        [0, 1, 0.8, 0.0, 0.0, 1.0, 1.0],  # left over from an earlier picture
    ]
    assert_is(decode("detection-output", [[rows]]), ([16, 16, 48, 32], 0.9, 2))
    assert against("detection-output", [[rows]]) is None
    assert "no whole numbers" in str(against("detection-output", [[np.array(rows)[:2] * 0.7]]))
    assert len(read("detection-output", (1, 1, 200, 7))) == 1
    assert read("detection-output", (1, 3, 200, 7)) == []


@pytest.mark.parametrize("head", ["yolo-nas", "damo-yolo", "ppyoloe"])
def test_two_outputs_hold_scores_and_corners_in_px(head: str) -> None:
    scores, boxes = np.zeros((1, 42, 3)), np.zeros((1, 42, 4))
    scores[0, 5] = [0.2, 0.6, 0.3]
    boxes[0, 5] = [4, 8, 20, 30]
    if head == "ppyoloe":
        scores = scores.transpose(0, 2, 1)
    assert_is(decode(head, scores, boxes), ([4, 8, 20, 30], 0.6, 1))
    assert against(head, scores, boxes) is None
    assert "fractions" in str(against(head, scores, boxes / 64))
    assert "outside 0 to 1" in str(against(head, scores - 5, boxes))


def test_two_outputs_are_told_by_their_rows() -> None:
    assert [(r.columns, r.sure) for r in read("yolo-nas", (1, 42, 4), (1, 42, 80))] == [(80, True)]
    assert [(r.columns, r.sure) for r in read("ppyoloe", (1, 80, 42), (1, 42, 4))] == [(80, True)]
    assert [r.sure for r in read("yolo-nas", (1, 300, 80), (1, 300, 4))] == [False]
    assert read("yolo-nas", (1, 80, 42), (1, 42, 4)) == []
    assert read("ppyoloe", (1, 42, 80), (1, 42, 4)) == []


def yolov9_outputs() -> list[np.ndarray]:
    """Return the maps of each stride, in which nothing is seen."""
    return [m for h, w in ((4, 8), (2, 4), (1, 2)) for m in (np.full((1, 3, h, w), -9.0), np.ones((1, 4, h, w)))]


def test_yolov9_lacks_its_sigmoid_and_measures_in_cells() -> None:
    outputs = yolov9_outputs()
    outputs[2][0, 2, 1, 3] = 2.0  # stride 16, row 1, column 3: its point is 56, 24
    outputs[3][0, :, 1, 3] = [1, 0.5, 0.25, 0.5]
    assert_is(decode("yolov9-mit", *outputs), ([40, 16, 60, 32], 0.880797, 2))
    assert against("yolov9-mit", *outputs) is None
    assert "already" in str(against("yolov9-mit", *(np.abs(output) / 10 for output in outputs)))


def test_yolov9s_second_branch_is_left_out() -> None:
    branch = [(1, *kind, *hw) for hw in ((4, 8), (2, 4), (1, 2)) for kind in ((3,), (16, 4), (4,))]
    (reading,) = read("yolov9-mit", *branch, *branch)
    assert [port.name for port in reading.outputs] == ["a", "c", "d", "f", "g", "i"]
    assert (reading.columns, reading.sure) == (3, True)
    maps = [shape for shape in branch if len(shape) == 4]
    assert [r.sure for r in read("yolov9-mit", *maps)] == [False]


@pytest.mark.parametrize(("head", "said", "silent"), [("v8-raw", 2.0, -9.0), ("v8-raw-sigmoid", 0.880797, 0.0)])
def test_v8_before_its_last_layer_measures_in_cells_from_their_centres(head: str, said: float, silent: float) -> None:
    outputs = [m for h, w in ((4, 8), (2, 4), (1, 2)) for m in (np.full((1, 3, h, w), silent), np.zeros((1, 64, h, w)))]
    outputs[2][0, 2, 1, 3] = said  # stride 16, row 1, column 3: its point is 56, 24
    sides = np.full((4, 16), -50.0)
    sides[np.arange(4), [1, 0, 0, 1]] = 50
    sides[1, 1] = 50  # as likely 0 as 1
    outputs[3][0, :, 1, 3] = sides.ravel()
    expected = ([40.0, 16.0, 56.0, 40.0], 0.880797, 2)
    assert_is(decode(head, *outputs), expected)
    assert against(head, *outputs) is None
    if head == "v8-raw":
        joint = [np.concatenate((box, cls), axis=1) for cls, box in zip(outputs[0::2], outputs[1::2], strict=True)]
        assert_is(decode(head, *joint), expected)


def test_v8s_maps_are_told_by_channels_and_what_stands_beside_them_is_left_out() -> None:
    sizes = ((4, 8), (2, 4), (1, 2))
    rknn = [(1, channels, *hw) for hw in sizes for channels in (64, 80, 1)]
    (reading,) = read("v8-raw-sigmoid", *rknn)
    assert [port.name for port in reading.outputs] == ["b", "a", "e", "d", "h", "g"]
    assert (reading.columns, reading.sure) == (80, True)
    (joint,) = read("v8-raw", *[(1, 144, *hw) for hw in sizes])
    assert (joint.columns, joint.rare) == (80, True)  # anchored maps are shaped alike: those are tried first
    assert read("v8-raw", *[(1, 64, *hw) for hw in sizes]) == []
    assert read("v8-raw", *[(1, 144, *hw) for hw in sizes[:2]]) == []
    assert read("v8-raw-sigmoid", *[(1, 144, *hw) for hw in sizes])[0].rare


@pytest.mark.parametrize(("head", "said", "silent"), [("retinanet", 0.9, 0.0), ("retinanet-logits", 2.197225, -9.0)])
def test_retinanet_moves_and_stretches_its_anchors(head: str, said: float, silent: float) -> None:
    sizes = ((4, 8), (2, 4), (1, 2), (1, 1), (1, 1))
    outputs = [m for h, w in sizes for m in (np.full((1, 27, h, w), silent), np.zeros((1, 36, h, w)))]
    # Stride 8, row 1, column 2; anchor 1 is twice as high as wide, of 4 strides: 22.627 x 45.255 px, and 1 px more.
    outputs[0][0, 1 * 3 + 2, 1, 2] = said
    outputs[1][0, 4:8, 1, 2] = [0.1, 0.0, 0.0, -1.0]
    w, h = 23.6274, 46.2548
    x, y, h = 2 * 8 + 4.5 + 0.1 * w, 8 + 4.5, h * np.exp(-1)
    assert_is(decode(head, *outputs), ([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 0.9, 2))
    assert against(head, *outputs) is None
    other = "retinanet" if head == "retinanet-logits" else "retinanet-logits"
    assert against(other, *outputs) is not None


def test_retinanets_maps_are_told_by_channels_and_size() -> None:
    sizes = ((4, 8), (2, 4), (1, 2), (1, 1), (1, 1))
    classes, boxes = [(1, 27, *hw) for hw in sizes], [(1, 36, *hw) for hw in sizes]
    (reading,) = read("retinanet", *boxes[::-1], *classes)
    assert [port.shape for port in reading.outputs[:4]] == [classes[0], boxes[0], classes[1], boxes[1]]
    assert reading.columns == 3
    (four,) = read("retinanet", *boxes, *boxes)  # four classes: those come first
    assert [port.name for port in four.outputs[:2]] == ["a", "f"]
    assert read("retinanet", *classes, *boxes[:-1]) == []
    (in_order,) = read("retinanet", *[(1, 27, None, None)] * 5, *[(1, 36, None, None)] * 5)
    assert [port.name for port in in_order.outputs] == list("afbgchdiej")
    assert read("retinanet", *[(1, 28, *hw) for hw in sizes], *boxes) == []
