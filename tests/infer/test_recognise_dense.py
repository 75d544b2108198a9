"""SSD, R-CNN, NanoDet and their kin as files: what is understood with class names alone, and what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto
from tiny_onnx import Output, write_tiny

from streamer.core.errors import BackendError
from streamer.infer.catalogue import Catalogue
from streamer.infer.heads.numbering import COCO91
from streamer.infer.recognise import load_spec
from streamer.infer.spec import ColorOrder, Fit, SpecOptions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.infer.spec import ModelSpec

SHAPE = (1, 3, 320, 320)
BOX = (0.2, 0.1, 0.6, 0.9)  # y first or x first: it ends behind its beginning


def load(path: Path, **said: Any) -> ModelSpec:  # noqa: ANN401  any option
    return load_spec(str(path), options=SpecOptions(**said), catalogue=Catalogue((), path.parent))


def floats(*shape: int, value: float = 0.0) -> NDArray[np.float32]:
    return np.full(shape, value, np.float32)


def boxes(*shape: int, size: float = 1.0) -> NDArray[np.float32]:
    return np.full((*shape, 4), np.array(BOX) * size, np.float32)


def tensorflow(prefix: str = "detection_") -> list[Output]:
    return [
        Output(f"{prefix}boxes:0", boxes(1, 100)),
        Output(f"{prefix}classes:0", floats(1, 100, value=1)),
        Output(f"{prefix}scores:0", floats(1, 100, value=0.9)),
        Output("num_detections:0", floats(1, value=2)),
    ]


def torchvision(label: int = 1) -> list[Output]:
    return [
        Output("boxes", boxes(3, size=300), open_axes=(0,)),
        Output("labels", np.full(3, label), open_axes=(0,)),
        Output("scores", floats(3, value=0.9), open_axes=(0,)),
    ]


def two(rows: int, classes: int, *, size: float, score: float) -> list[Output]:
    return [Output("a", boxes(1, rows, size=size)), Output("b", floats(1, rows, classes, value=score))]


def test_tensorflow_takes_bytes_of_any_size_and_has_cocos_own_ids(tmp_path: Path) -> None:
    shape = ("batch", "height", "width", 3)
    path = write_tiny(tmp_path / "tf.onnx", tensorflow(), shape=shape, dtype=TensorProto.UINT8)
    spec = load(path, labels="coco80")
    assert (spec.head, spec.ids, spec.input.hw) == ("ssd-tf", COCO91, (640, 640))
    assert (spec.input.dtype, spec.input.layout, spec.input.scale) == ("uint8", "nhwc", 1.0)
    assert (spec.input.color, spec.input.fit) == (ColorOrder.RGB, Fit.STRETCH)
    assert load(path, labels=("cat", "dog")).ids == (1, 2)
    with pytest.raises(BackendError, match=r"is of head ssd-tf, .*such as `--labels coco80`"):
        load(path)


def test_torchvision_counts_from_one_or_as_coco_does(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tv.onnx", torchvision(), shape=SHAPE)
    spec = load(path, labels="coco80")
    assert (spec.head, spec.ids, spec.input.max_batch) == ("torchvision", COCO91, 1)
    assert load(path, labels=("cat", "dog")).ids == (1, 2)
    assert load(path, labels=("cat", "dog"), ids=0).ids == (0, 1)


@pytest.mark.parametrize("first", ["__background__", "__background", "Background", "unlabeled"])
def test_a_list_of_names_that_begins_with_the_background_counts_it(tmp_path: Path, first: str) -> None:
    path = write_tiny(tmp_path / "tv.onnx", torchvision(), shape=SHAPE)
    for count in (3, 81, 91):
        names = (first, *(f"class {i}" for i in range(1, count)))
        assert load(path, labels=names).ids == tuple(range(count))
    path = write_tiny(tmp_path / "ssd.onnx", two(2000, 3, size=1, score=1 / 3), shape=SHAPE)
    assert load(path, labels=(first, "a", "b")).ids is None  # as the network counts


def test_what_shows_class_0_is_no_torchvision(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "tv.onnx", torchvision(label=0), shape=SHAPE)
    with pytest.raises(BackendError, match="torchvision: it shows class 0, which should be the background"):
        load(path, labels="coco80")


def test_a_single_picture_leaves_a_doubt_between_torchvision_and_the_zoo(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "rcnn.onnx", torchvision(), shape=(3, "height", "width"))
    with pytest.raises(BackendError, match="torchvision or faster-rcnn-zoo"):
        load(path, labels="coco80")
    zoo = load(path, labels="coco80", head="faster-rcnn-zoo")
    assert (zoo.ids, zoo.input.hw, zoo.input.color) == (tuple(range(1, 81)), (800, 1344), ColorOrder.BGR)
    assert load(path, labels="coco80", head="torchvision").ids == COCO91


@pytest.mark.parametrize(
    ("outputs", "labels", "head"),
    [
        (two(2000, 3, size=1, score=1 / 3), ("a", "b"), "ssd"),
        (two(2100, 81, size=1, score=1 / 81), "coco80", "ssd"),
        (two(2100, 3, size=1, score=1 / 3), ("a", "b"), "ssd"),
        ([Output("o", np.concatenate((floats(1, 5, 1), floats(1, 5, 2, value=1), boxes(1, 5)), 2)[None])],
         ("a", "b"), "detection-output"),
        ([Output("o", floats(1, 85, 20, 20, value=0.1))], "coco80", "fastestdet"),
        ([Output("o", floats(1, 2125, 112))], "coco80", "nanodet-plus"),
        ([Output("a", boxes(1, 2100, size=300)), Output("b", floats(1, 80, 2100))], "coco80", "ppyoloe"),
    ],
)  # fmt: skip
def test_shapes_and_numbers_decide(
    tmp_path: Path, outputs: Sequence[Output], labels: str | tuple[str, ...], head: str
) -> None:
    path = write_tiny(tmp_path / "model.onnx", outputs, shape=SHAPE)
    assert load(path, labels=labels).head == head
    with pytest.raises(BackendError, match=rf"\b{head}\b"):
        load(path)


def test_the_same_two_outputs_may_want_two_looks(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "model.onnx", two(2100, 80, size=300, score=0.1), shape=SHAPE)
    with pytest.raises(BackendError, match="yolo-nas with 80 classes or damo-yolo with 80 classes"):
        load(path, labels="coco80")
    assert load(path, labels="coco80", head="damo-yolo").input.scale == 1.0


def test_a_named_head_takes_the_outputs_in_the_order_that_the_trial_allows(tmp_path: Path) -> None:
    scores = floats(1, 2000, 4, value=0.25)
    for outputs in (
        [Output("a", scores), Output("b", boxes(1, 2000))],
        [Output("a", boxes(1, 2000)), Output("b", scores)],
    ):
        path = write_tiny(tmp_path / "model.onnx", outputs, shape=SHAPE)
        spec = load(path, head="ssd", labels=("x", "y", "z"))
        assert spec.output_names == (("a", "b") if outputs[0].value is scores else ("b", "a"))


def maps(channels: int) -> list[Output]:
    rng = np.random.default_rng(3)
    logits = (rng.normal(-9, 1, (1, channels, n, n)).astype(np.float32) for n in (40, 20, 10))
    return [Output(f"map{i}", one) for i, one in enumerate(logits)]


def test_maps_of_144_channels_are_v8s_and_not_anchored(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "model.onnx", maps(144), shape=SHAPE)
    assert load(path, labels="coco80").head == "v8-raw"
    write_tiny(path, maps(255), shape=SHAPE)
    with pytest.raises(BackendError) as caught:
        load(path, labels="coco80")
    assert "v8-raw" not in str(caught.value)


def test_detection_output_counts_from_one(tmp_path: Path) -> None:
    rows = np.concatenate((floats(5, 1), floats(5, 2, value=1), boxes(5)), axis=1)
    path = write_tiny(tmp_path / "model.onnx", [Output("out", rows[None, None], open_axes=(2,))], shape=SHAPE)
    spec = load(path, labels="coco80")
    assert (spec.ids, spec.input.max_batch) == (tuple(range(1, 81)), 1)
    assert load(path, labels="coco80", ids="coco91").ids == COCO91
    assert (spec.input.mean, spec.input.std) == ((127.5,) * 3, (127.5,) * 3)


def test_outputs_that_do_not_tell_pictures_apart_need_an_export_for_one(tmp_path: Path) -> None:
    rows = np.concatenate((floats(5, 1), floats(5, 2, value=1), boxes(5)), axis=1)
    path = write_tiny(tmp_path / "model.onnx", [Output("out", rows[None, None])], shape=(4, *SHAPE[1:]))
    for head in (None, "detection-output"):
        with pytest.raises(BackendError, match="exported for 4 pictures at once, which"):
            load(path, head=head, labels="coco80")
