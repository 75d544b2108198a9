"""Which head is told by the outside of DETR's kin and of networks with NMS inside, and by a trial of their numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto
from tiny_onnx import Output, write_tiny

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.backends.batch import extra_values
from streamer.infer.catalogue import Catalogue
from streamer.infer.heads.numbering import COCO91
from streamer.infer.recognise import load_spec
from streamer.infer.spec import ColorOrder, Fit, ModelSpec, SpecOptions

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

INT64 = TensorProto.INT64
FLOAT = TensorProto.FLOAT
IMAGENET = (0.485, 0.456, 0.406)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def load(path: Path, **said: Any) -> ModelSpec:  # noqa: ANN401  any option
    return load_spec(str(path), options=SpecOptions(**said), catalogue=Catalogue((), path.parent))


def logits(columns: int, queries: int = 300) -> NDArray[np.float32]:
    """Return what most networks with a sigmoid say: next to nothing."""
    return np.random.default_rng(1).normal(-6, 1, (1, queries, columns)).astype(np.float32)


def softmax_logits(columns: int) -> NDArray[np.float32]:
    """Return logits whose last column, nothing, is the largest."""
    values = logits(columns, 100)
    values[..., -1] = 7
    return values


def shares_with_nothing(columns: int) -> NDArray[np.float32]:
    """Return probabilities, most of them of nothing."""
    powers = np.exp(softmax_logits(columns))
    return np.asarray(powers / powers.sum(axis=2, keepdims=True), np.float32)


def fractions(queries: int = 300) -> NDArray[np.float32]:
    """Return centres and sizes."""
    return np.tile(np.array([0.5, 0.5, 0.2, 0.4], np.float32), (1, queries, 1))


def corners(*, px: bool = True, rows: int = 100) -> NDArray[np.float32]:
    """Return boxes [1, rows, 4]."""
    box = np.array([0.2, 0.2, 0.5, 0.6], np.float32) * (640 if px else 1)
    return np.tile(box, (1, rows, 1))


SCORES = np.full((1, 100), 0.8, np.float32)
IDS = np.full((1, 100), 3, np.int64)
ROWS = np.array([[0, 100, 120, 300, 400, 3, 0.75]], np.float32)  # of YOLOv7


def names(count: int) -> tuple[str, ...]:
    return tuple(f"class {i}" for i in range(count))


@pytest.mark.parametrize(
    ("outputs", "labels", "head"),
    [
        ({"logits": logits(80), "pred_boxes": fractions()}, "coco80", "detr-sigmoid"),
        ({"pred_boxes": fractions(), "logits": logits(91)}, "coco80", "rfdetr"),
        ({"logits": logits(91), "pred_boxes": fractions()}, names(91), "rfdetr"),
        ({"logits": softmax_logits(92), "pred_boxes": fractions(100)}, "coco80", "detr"),
        ({"logits": softmax_logits(3), "pred_boxes": fractions(100)}, names(2), "detr"),
        ({"dets": fractions(), "labels": logits(91)}, "coco80", "rfdetr"),
        ({"dets": fractions(), "labels": logits(3), "masks": np.zeros((1, 300, 8, 8), np.float32)}, names(3), "rfdetr"),
        ({"a": fractions(), "b": logits(80)}, "coco80", "detr-sigmoid"),
        ({"a": fractions(), "b": 1 / (1 + np.exp(-logits(80)))}, "coco80", "detr-scores"),
        ({"a": fractions(100), "b": shares_with_nothing(81)}, "coco80", "detr-scores"),
        ({"out": np.concatenate((fractions(), 1 / (1 + np.exp(-logits(80)))), axis=2)}, "coco80", "rtdetr-ultralytics"),
        ({"boxes": corners(), "scores": SCORES, "labels": IDS}, "coco80", "nms"),
        ({"boxes": corners(px=False), "scores": SCORES, "labels": IDS}, "coco80", "nms-normalized"),
        ({"dets": np.dstack((corners(), SCORES)), "labels": IDS}, "coco80", "mmdet"),
        ({"output": ROWS}, "coco80", "yolov7-nms"),
        ({"found": ROWS}, "coco80", "yolov7-nms"),
        ({"found": ROWS[:, [0, 1, 2, 3, 4, 6, 5]]}, "coco80", "yolo-nas-flat"),
        ({"rows": ROWS[:, [5, 6, 1, 2, 3, 4]], "count": np.array([1], np.int32)}, "coco80", "paddle"),
        ({"n": np.array([[2]], np.int32), "b": corners(), "s": SCORES, "c": IDS}, "coco80", "efficient-nms"),
    ],
)
def test_outputs_and_names_of_classes_tell(
    model: Path, outputs: dict[str, NDArray[np.generic]], labels: str | tuple[str, ...], head: str
) -> None:
    write_tiny(model, [Output(name, np.asarray(value)) for name, value in outputs.items()])
    assert load(model, labels=labels).head == head


@pytest.mark.parametrize(
    ("outputs", "labels", "named"),
    [
        ({"logits": logits(80), "pred_boxes": fractions()}, None, ["detr-sigmoid with 80 classes", "coco80"]),
        ({"logits": logits(5), "pred_boxes": fractions()}, names(5), ["detr-sigmoid", "rfdetr", "--head"]),
        ({"boxes": corners(), "scores": SCORES, "labels": IDS}, None, ["head nms,", "--labels FILE"]),
        ({"boxes": corners() * 0, "scores": SCORES * 0, "labels": IDS}, "coco80", ["nms or nms-normalized"]),
        (
            {"logits": softmax_logits(92), "pred_boxes": fractions(100), "state": np.zeros((1, 300, 256), np.float32)},
            None,
            ["is of head detr with 91 classes beside nothing, and", "`--labels coco80`"],
        ),
        ({"dets": fractions(), "labels": logits(6)}, names(5), ["`ids: 0` or `ids: 1`", "model.yaml"]),
        ({"probs": np.zeros((0, 0), np.float32)}, None, ["all of its outputs are empty"]),
        ({"found": np.zeros((0, 7), np.float32)}, "coco80", ["yolov7-nms or yolo-nas-flat"]),
    ],
)
def test_doubt_names_the_right_head(
    model: Path, outputs: dict[str, NDArray[np.generic]], labels: str | tuple[str, ...] | None, named: list[str]
) -> None:
    open_rows = {name: (0,) if value.shape[0] == 0 else () for name, value in outputs.items()}
    write_tiny(model, [Output(name, value, open_rows[name]) for name, value in outputs.items()])
    with pytest.raises(BackendError) as caught:
        load(model, labels=labels)
    for part in named:
        assert part in str(caught.value)


def test_rfdetr_of_ones_own_classes_counts_as_it_is_told(model: Path) -> None:
    write_tiny(model, [Output("dets", fractions()), Output("labels", logits(6))])
    for ids in (0, 1):
        spec = load(model, labels=names(5), ids=ids)
        assert (spec.head, spec.ids, spec.columns) == ("rfdetr", tuple(range(ids, ids + 5)), 6)
        assert load(model, labels=names(5), ids=ids, head="rfdetr").ids == spec.ids
    with pytest.raises(BackendError, match="`ids: 0` or `ids: 1`"):
        load(model, labels=names(5), head="rfdetr")


def test_coco_of_91_ids_is_renumbered(model: Path) -> None:
    write_tiny(model, [Output("dets", fractions()), Output("labels", logits(91))])
    assert load(model, labels="coco80").ids == COCO91


@pytest.mark.parametrize(
    ("outputs", "looks"),
    [
        ({"logits": logits(80), "pred_boxes": fractions()}, (ColorOrder.RGB, Fit.STRETCH, (0, 0, 0))),
        ({"dets": fractions(), "labels": logits(91)}, (ColorOrder.RGB, Fit.STRETCH, IMAGENET)),
        ({"dets": np.dstack((corners(), SCORES)), "labels": IDS}, (ColorOrder.RGB, Fit.LETTERBOX_TOPLEFT, IMAGENET)),
        ({"output": ROWS}, (ColorOrder.RGB, Fit.LETTERBOX, (0, 0, 0))),
    ],
)
def test_each_head_brings_its_look(
    model: Path, outputs: dict[str, NDArray[np.generic]], looks: tuple[ColorOrder, Fit, tuple[float, ...]]
) -> None:
    write_tiny(model, [Output(name, value) for name, value in outputs.items()])
    look = load(model, labels="coco80").input
    assert (look.color, look.fit, look.mean) == looks
    assert look.scale == pytest.approx(1 / 255)


def test_rtdetr_is_told_width_then_height(model: Path) -> None:
    """Its name, and many snippets, say height first; its own code multiplies x by the first number."""
    outputs = [Output("labels", IDS), Output("boxes", corners(rows=100)), Output("scores", SCORES)]
    write_tiny(model, outputs, shape=(1, 3, 384, 640), extras=[("orig_target_sizes", INT64)])
    spec = load(model, labels="coco80")
    assert (spec.head, spec.input.hw) == ("rtdetr", (384, 640))
    (values,) = extra_values(spec.input, 1).values()
    assert (values.tolist(), values.dtype.name) == ([[640, 384]], "int64")
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    session.run(None, {"images": np.zeros((1, 3, 384, 640), np.float32), "orig_target_sizes": values})


@pytest.mark.parametrize(("axes", "filled"), [((64, 64), (64, 64)), (("h", "w"), (384, 640))])
def test_detr_is_told_that_all_is_picture(
    tmp_path: Path, model: Path, axes: tuple[int | str, ...], filled: tuple[int, int]
) -> None:
    plain = tmp_path / "plain.onnx"
    write_tiny(
        plain, [Output("logits", softmax_logits(92)), Output("pred_boxes", fractions(100))], shape=(1, 3, 384, 640)
    )
    known = onnx.load(str(plain))
    known.graph.input.append(onnx.helper.make_tensor_value_info("pixel_mask", INT64, [1, *axes]))
    onnx.save(known, str(model))
    spec = load(model, labels="coco80")
    (mask,) = extra_values(spec.input, 1).values()
    assert (spec.head, mask.shape, mask.dtype.name) == ("detr", (1, *filled), "int64")
    assert mask.min() == mask.max() == 1
    known.graph.input[1].CopyFrom(onnx.helper.make_tensor_value_info("pixel_mask", INT64, [1, 64]))
    onnx.save(known, str(model))
    with pytest.raises(BackendError, match=r"pixel_mask \[1, 64\] is not a mask"):
        load(model, labels="coco80")


def test_paddle_is_told_that_nothing_was_scaled(model: Path) -> None:
    rows = [Output("rows", ROWS[:, [5, 6, 1, 2, 3, 4]], (0,)), Output("count", np.array([1], np.int32))]
    write_tiny(model, rows, shape=(1, 3, 320, 640), extras=[("im_shape", FLOAT), ("scale_factor", FLOAT)])
    spec = load(model, labels="coco80")
    told = {name: values.tolist() for name, values in extra_values(spec.input, 1).items()}
    assert (spec.head, told) == ("paddle", {"im_shape": [[320, 640]], "scale_factor": [[1, 1]]})


@pytest.mark.parametrize("outputs", [{"output": ROWS}, {"boxes": corners()[0], "labels": IDS[0]}])
def test_pictures_that_outputs_do_not_tell_apart_come_one_by_one(
    model: Path, outputs: dict[str, NDArray[np.generic]]
) -> None:
    if "boxes" in outputs:
        outputs = outputs | {"boxes": np.hstack((corners()[0], SCORES[0][:, None]))}
    write_tiny(model, [Output(n, v, (0,)) for n, v in outputs.items()], shape=("batch", 3, 640, 640))
    assert load(model, labels="coco80").input.max_batch == 1


def test_a_transposed_v8_is_no_rtdetr(model: Path) -> None:
    """At 160x120 px, width first, stride 8 gives 300 cells: as many rows as RT-DETR has queries."""
    rng = np.random.default_rng(4)
    scores = rng.random((1, 300, 80)).astype(np.float32) * np.float32(0.2)
    px = np.tile(np.array([80, 60, 40, 30], np.float32), (1, 300, 1))
    for boxes, head in ((px, "v8"), (fractions(), "rtdetr-ultralytics")):
        write_tiny(model, [Output("output0", np.concatenate((boxes, scores), axis=2))], shape=(1, 3, 120, 160))
        assert load(model, labels="coco80").head == head


def test_metadata_of_ultralytics_is_enough(model: Path) -> None:
    rows = np.concatenate((fractions(), np.full((1, 300, 80), 0.01, np.float32)), axis=2)
    metadata = {"names": str(dict(enumerate(names(80)))), "stride": "32", "imgsz": "[640, 640]", "task": "detect"}
    spec = load(write_tiny(model, [Output("output0", rows)], metadata=metadata))
    assert (spec.head, spec.decided_by, spec.input.fit) == ("rtdetr-ultralytics", "metadata", Fit.STRETCH)


def test_a_class_first_and_a_class_last_are_told_where_both_may_be(model: Path) -> None:
    last = np.zeros((1, 300, 6), np.float32)
    last[0, 0] = [100.5, 120, 300, 400, 0.75, 3]
    for rows, head in ((last, "end2end"), (last[..., [5, 4, 0, 1, 2, 3]], "paddle")):
        write_tiny(model, [Output("rows", rows)], extras=[("im_shape", FLOAT), ("scale_factor", FLOAT)])
        assert load(model, labels="coco80").head == head
    write_tiny(model, [Output("rows", last[..., [5, 4, 0, 1, 2, 3]])])
    assert load(model, labels="coco80").head == "paddle"
    write_tiny(model, [Output("rows", last)])
    assert load(model, labels="coco80").head == "end2end"


def test_boxes_of_several_strides_are_no_queries(model: Path) -> None:
    """SCRFD's coarsest stride has 800 rows of a score and a box, as many as a DETR might."""
    outputs = [
        Output(f"{kind}{n}", np.full((1, n, width), 0.3, np.float32))
        for n in (12800, 3200, 800)
        for kind, width in (("score", 1), ("box", 4))
    ]
    with pytest.raises(BackendError) as caught:
        load(write_tiny(model, outputs))
    assert "detr" not in str(caught.value).partition("fits its output")[2]
    assert "detr-scores with" not in str(caught.value)


def test_a_head_that_the_outputs_can_not_be_is_the_users_error(model: Path) -> None:
    write_tiny(model, [Output("logits", logits(80)), Output("pred_boxes", fractions())])
    with pytest.raises(ConfigError, match=r"is not of head rtdetr: that needs boxes \[B, K, 4\]"):
        load(model, labels="coco80", head="rtdetr")
