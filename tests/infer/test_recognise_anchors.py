"""Files of the anchored YOLOs as they come: what is understood without help, and what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import TensorProto
from tiny_onnx import Output, write_tiny

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.catalogue import Catalogue
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.recognise.metadata import read_metadata
from streamer.infer.spec import ColorOrder, Fit, ModelSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

RNG = np.random.default_rng(11)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def load(path: Path, **said: Any) -> ModelSpec:  # noqa: ANN401  any option
    return load_spec(str(path), options=SpecOptions(**said), catalogue=Catalogue((), path.parent))


def logits(*shape: int) -> NDArray[np.float32]:
    """Return numbers of a network that sees nothing: boxes near 0, scores far below."""
    values = RNG.normal(-6, 1, shape).astype(np.float32)
    if shape[-1] > 5:
        values[..., :4] += 6
    return values


def maps(*, channels: int = 255, sides: Sequence[int] = (13, 26, 52), open_axes: tuple[int, ...] = ()) -> list[Output]:
    return [Output(f"out{n}", flat(channels, n), open_axes) for n in sides]


def flat(channels: int, side: int, anchors: int = 3) -> NDArray[np.float32]:
    """Return (1, channels, side, side)."""
    split = logits(1, anchors, side, side, channels // anchors)
    return np.ascontiguousarray(split.transpose(0, 1, 4, 2, 3).reshape(1, channels, side, side))


NCHW = (1, 3, 416, 416)


def test_darknets_maps_name_all_whose_anchors_they_may_have(model: Path) -> None:
    write_tiny(model, maps(), shape=NCHW)
    with pytest.raises(BackendError) as caught:
        load(model, labels="coco80")
    for head in ("v5-raw", "v7-raw", "yolov3", "yolov4", "--head "):
        assert head in str(caught.value)
    spec = load(model, labels="coco80", head="yolov3")
    assert spec.output_names == ("out52", "out26", "out13")
    assert (spec.input.color, spec.input.fit, spec.input.pad) == (ColorOrder.RGB, Fit.LETTERBOX, 128)
    assert spec.input.scale == pytest.approx(1 / 255)
    assert load(model, labels="coco80", head="yolov4").input.fit is Fit.STRETCH


def test_maps_of_open_sizes_are_told_by_their_number(model: Path) -> None:
    write_tiny(model, maps(open_axes=(2, 3)), shape=(1, 3, "height", "width"))
    with pytest.raises(BackendError, match="yolov3 with 80 classes"):
        load(model, labels="coco80", size=416)
    assert load(model, labels="coco80", head="yolov3").input.hw == (416, 416)  # Darknet's own size


def test_ultralytics_maps_come_with_names(model: Path) -> None:
    """`--train` leaves the maps; the names say whose they are."""
    names = {i: f"class {i}" for i in range(80)}
    outputs = [Output(f"out{n}", logits(1, 3, n, n, 85)) for n in (52, 26, 13)]
    spec = load(write_tiny(model, outputs, shape=NCHW, metadata={"names": str(names)}))
    assert (spec.head, spec.decided_by) == ("v5-raw", "metadata")


def test_a_layout_that_lacks_a_step_is_found_in_spite_of_its_names(model: Path) -> None:
    names = {i: f"class {i}" for i in range(80)}
    rows = logits(1, 84, 3549)
    rows[:, :4] = 200
    spec = load(write_tiny(model, [Output("output0", rows)], shape=NCHW, metadata={"names": str(names)}))
    assert (spec.head, spec.decided_by) == ("v8-logits", "probe")


def test_what_nothing_fits_says_why_of_all(model: Path) -> None:
    rows = np.full((1, 84, 3549), -200, np.float32)
    write_tiny(model, [Output("output0", rows)], shape=NCHW)
    with pytest.raises(BackendError, match=r"on a real picture, v8: its scores .*; v8-logits: its widths"):
        load(model, labels="coco80")


def test_names_of_another_number_are_still_told(model: Path) -> None:
    write_tiny(model, maps(), shape=NCHW)
    with pytest.raises(ConfigError, match=r"gives 2 class names, .* of head .*yolov3 with 80 classes"):
        load(model, labels=("a", "b"))


def test_the_model_zoos_yolov4_needs_names_only(model: Path) -> None:
    outputs = []
    for i, n in enumerate((52, 26, 13)):
        value = logits(1, n, n, 3, 85)
        value[..., 4:] = 0.01
        outputs.append(Output(f"Identity_{i}:0", value))
    spec = load(write_tiny(model, outputs, shape=(1, 416, 416, 3)), labels="coco80")
    assert (spec.head, spec.input.layout, spec.input.pad) == ("yolov4-zoo", "nhwc", 128)


def zoo_yolov3(index_shape: tuple[int, ...]) -> list[Output]:
    boxes = np.sort(RNG.random((1, 10647, 2, 2)) * 416, axis=-2).reshape(1, 10647, 4).astype(np.float32)
    scores = (RNG.random((1, 80, 10647)) * 0.1).astype(np.float32)
    chosen = np.zeros(index_shape, np.int32)
    axis = len(index_shape) - 2
    return [
        Output("yolonms_layer_1", boxes, (1,)),
        Output("yolonms_layer_1:1", scores, (2,)),
        Output("yolonms_layer_1:2", chosen, (axis,)),
    ]


@pytest.mark.parametrize("index_shape", [(4, 3), (1, 4, 3)])
def test_the_model_zoos_yolov3_needs_names_only(model: Path, index_shape: tuple[int, ...]) -> None:
    shape = (1, 3, "height", "width")
    write_tiny(model, zoo_yolov3(index_shape), shape=shape, extras=[("image_shape", TensorProto.FLOAT)])
    spec = load(model, labels="coco80")
    assert (spec.head, spec.input.hw, spec.input.max_batch) == ("yolov3-nms", (416, 416), 1)
    assert [extra.row for extra in spec.input.extras] == [(416, 416)]


def test_pytorch_yolov4_needs_names_only(model: Path) -> None:
    boxes = RNG.random((1, 10647, 1, 4)).astype(np.float32)
    confidences = (RNG.random((1, 10647, 80)) * 0.1).astype(np.float32)
    write_tiny(model, [Output("boxes", boxes), Output("confs", confidences)], shape=NCHW)
    assert load(model, labels="coco80").head == "yolov4-boxes"


AZURE = {"Image.BitmapPixelFormat": "Bgr8", "Image.NominalPixelRange": "NominalRange_0_255"}


def test_azures_export_says_what_it_wants_to_see(model: Path) -> None:
    outputs = [Output("model_outputs0", flat(35, 13, anchors=5))]
    spec = load(write_tiny(model, outputs, shape=NCHW, metadata=AZURE), labels=("a", "b"))
    assert (spec.head, spec.input.color, spec.input.scale) == ("azure", ColorOrder.BGR, 1.0)
    assert (spec.input.fit, spec.input.mean, spec.input.std) == (Fit.STRETCH, (0, 0, 0), (1, 1, 1))
    assert load(model, labels=("a", "b"), color="rgb", scale=1 / 255).input.color is ColorOrder.RGB
    spec = load(write_tiny(model, outputs, shape=NCHW), labels=("a", "b"))
    assert spec.input.color is ColorOrder.RGB
    assert spec.input.scale == pytest.approx(1 / 255)


@pytest.mark.parametrize(
    ("said", "scale", "mean"),
    [
        ("NominalRange_0_255", 1.0, 0.0),
        ("normalized_0_1", 1 / 255, 0.0),
        ("Normalized_1_1", 2 / 255, 1.0),
        (" NominalRange_16_235 ", 219 / 255, -16.0),
        ("something", None, None),
    ],
)
def test_the_range_of_pixels_is_read(said: str, scale: float | None, mean: float | None) -> None:
    options = read_metadata({"Image.NominalPixelRange": said}).options
    assert (options.scale, options.mean, options.std) == (scale, mean, None if scale is None else 1.0)
    assert options.color is None


@pytest.mark.parametrize(("said", "color"), [("Rgb8", "rgb"), ("BGR8", "bgr"), ("Gray8", None), ("", None)])
def test_the_order_of_channels_is_read(said: str, color: str | None) -> None:
    assert read_metadata({"Image.BitmapPixelFormat": said}).options.color == color


def test_yolov2_names_its_kinds(model: Path) -> None:
    write_tiny(model, [Output("218", flat(425, 13, anchors=5))], shape=NCHW)
    with pytest.raises(
        BackendError, match=r"may be of head yolov2 with 80 classes or yolov2-voc .* or yolov2-tiny-voc"
    ):
        load(model, labels="coco80")
    assert load(model, labels="coco80", head="yolov2").input.scale == pytest.approx(1 / 255)
    tiny = load(write_tiny(model, [Output("grid", flat(125, 13, anchors=5))], shape=NCHW),
                labels=tuple(map(str, range(20))), head="yolov2-tiny-voc")  # fmt: skip
    assert tiny.input.scale == 1.0  # it divides by 255 itself


def test_anchors_of_a_head_that_has_none_are_refused(tmp_path: Path) -> None:
    path = write_tiny(tmp_path / "model.onnx", [Output("output0", np.zeros((1, 84, 8400), np.float32))])
    with pytest.raises(ConfigError, match="anchors: head v8 has none"):
        load_spec(str(path), options=SpecOptions(labels="coco80", anchors=((10, 13),)))
