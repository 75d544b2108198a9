"""Models as they come: what is understood without help, what needs help, and what is said then."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tiny_onnx import Output, write_tiny

from streamer.core.errors import BackendError, ConfigError
from streamer.infer.catalogue import Catalogue
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.recognise.metadata import read_metadata
from streamer.infer.spec import ColorOrder, Fit, ModelSpec, Task

Dim = int | str
NOTHING = Catalogue((), Path("nowhere"))
NAMES = {i: f"class {i}" for i in range(80)}
ULTRALYTICS = {"names": str(NAMES), "stride": "32", "imgsz": "[640, 640]", "task": "detect", "batch": "1"}


def write(
    path: Path,
    *outputs: tuple[Dim, ...],
    metadata: dict[str, str] | None = None,
    shape: tuple[Dim, ...] = (1, 3, 640, 640),
    dtype: int = TensorProto.FLOAT,
    inputs: int = 1,
) -> Path:
    """Write a tiny network with one input of `shape` and zeros of the given shapes as outputs."""
    ins = [helper.make_tensor_value_info(f"images{i or ''}", dtype, shape) for i in range(inputs)]
    outs = [helper.make_tensor_value_info(f"output{i}", TensorProto.FLOAT, dims) for i, dims in enumerate(outputs)]
    nodes = []
    if any(isinstance(n, str) for dims in outputs for n in dims):
        nodes += [  # a size that no shape inference can foresee
            helper.make_node("ReduceMax", ["images"], ["brightest"], keepdims=0),
            helper.make_node("NonZero", ["brightest"], ["found"]),  # one place, if the picture is not black
            helper.make_node("Shape", ["found"], ["found_shape"]),
            helper.make_node("Gather", ["found_shape", "one"], ["open"]),
        ]
    nodes.insert(0, constant("one", [1]))
    for i, dims in enumerate(outputs):
        parts = [f"dim{i}_{axis}" if isinstance(n, int) else "open" for axis, n in enumerate(dims)]
        nodes += [constant(part, [n]) for part, n in zip(parts, dims, strict=True) if isinstance(n, int)]
        nodes.append(helper.make_node("Concat", parts, [f"shape{i}"], axis=0))
        nodes.append(helper.make_node("ConstantOfShape", [f"shape{i}"], [f"output{i}"]))
    return save(path, helper.make_graph(nodes, "tiny", ins, outs), metadata)


def constant(name: str, values: list[int]) -> Any:  # noqa: ANN401  onnx's own type
    return helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(np.array(values, np.int64)))


def save(path: Path, graph: Any, metadata: dict[str, str] | None = None, *domains: str) -> Path:  # noqa: ANN401  onnx's own type
    opsets = [helper.make_opsetid("", 13), *(helper.make_opsetid(domain, 1) for domain in domains)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    if metadata:
        helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def load(path: Path, **said: Any) -> ModelSpec:  # noqa: ANN401  any option
    return load_spec(str(path), options=SpecOptions(**said), catalogue=NOTHING)


@pytest.mark.parametrize(
    ("output", "extra", "head", "decided_by"),
    [
        ((1, 84, 8400), {}, "v8", "metadata"),
        ((1, 8400, 84), {}, "v8", "metadata"),
        ((1, 25200, 85), {}, "v5", "metadata"),
        ((1, 8400, 85), {}, "v5", "metadata"),
        ((1, 300, 6), {"end2end": "True"}, "end2end", "metadata"),
        ((1, 300, 6), {"args": "{'nms': True, 'half': False}"}, "end2end", "metadata"),
        ((1, 84, 8400), {"end2end": "False"}, "v8", "metadata"),
        ((1, 84, 34000), {}, "v8", "metadata"),  # with stride 4
        ((1, 84, "anchors"), {}, "v8", "metadata"),
    ],
)
def test_ultralytics_needs_no_help(
    model: Path, output: tuple[Dim, ...], extra: dict[str, str], head: str, decided_by: str
) -> None:
    spec = load(write(model, output, metadata=ULTRALYTICS | extra))
    assert (spec.head, spec.decided_by, spec.task) == (head, decided_by, Task.DETECT)
    assert spec.labels == tuple(NAMES.values())
    assert spec.name == "model"
    assert spec.digest == f"sha256:{hashlib.sha256(model.read_bytes()).hexdigest()}"
    assert spec.output_names == ("output0",)
    assert (spec.input.color, spec.input.fit, spec.input.pad) == (ColorOrder.RGB, Fit.LETTERBOX, 114)
    assert spec.input.scale == pytest.approx(1 / 255)
    assert (spec.input.name, spec.input.hw, spec.input.max_batch) == ("images", (640, 640), 1)


@pytest.mark.parametrize(
    ("output", "head"),
    [((1, 84, 8400), "v8"), ((1, 8400, 84), "v8"), ((1, 25200, 85), "v5"), ((1, 300, 6), "end2end")],
)
def test_shapes_decide_once_the_classes_are_known(model: Path, output: tuple[int, ...], head: str) -> None:
    spec = load(write(model, output), labels="coco80")
    assert (spec.head, spec.decided_by) == (head, "shapes")


def test_old_yolov5_gives_its_raw_maps_too(model: Path) -> None:
    maps = [(1, 3, 640 // s, 640 // s, 85) for s in (8, 16, 32)]
    spec = load(write(model, (1, 25200, 85), *maps, metadata={"names": str(list(NAMES.values())), "stride": "32"}))
    assert (spec.head, spec.output_names) == ("v5", ("output0",))


@pytest.mark.parametrize("head", ["yolox", "yolox-decoded"])
def test_yolox_brings_its_own_look(model: Path, head: str) -> None:
    spec = load(write(model, (1, 8400, 85)), head=head, labels="coco80")
    assert (spec.head, spec.decided_by) == (head, "options")
    look = spec.input
    assert (look.color, look.scale, look.fit, look.pad) == (ColorOrder.BGR, 1.0, Fit.LETTERBOX_TOPLEFT, 114)


def test_options_replace_each_part_of_the_look(model: Path) -> None:
    spec = load(
        write(model, (1, 8400, 85)),
        head="yolox", labels="coco80", color="rgb", scale=1 / 255, mean=(0.1, 0.2, 0.3), std=0.5, fit="stretch", pad=0,
    )  # fmt: skip
    look = spec.input
    assert (look.color, look.fit, look.pad) == (ColorOrder.RGB, Fit.STRETCH, 0)
    assert (look.scale, look.mean, look.std) == (1 / 255, (0.1, 0.2, 0.3), (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("output", "labels", "named"),
    [
        ((1, 8400, 85), None, ["yolox ", "yolox-decoded", "v5", "v8 with 81", "--head yolox --labels coco80"]),
        ((1, 8400, 85), "coco80", ["yolox ", "yolox-decoded", "v5", "`--head yolox`", "`head:`", "model.yaml"]),
        ((1, 84, 8400), None, ["v8 with 80", "--labels coco80", "`labels:`"]),
        ((1, 7, 8400), None, ["v8 with 3", "--labels FILE"]),
        ((1, 300, 6), None, ["end2end", "--labels FILE"]),
    ],
)
def test_doubt_names_the_candidates_and_how_to_choose(
    model: Path, output: tuple[int, ...], labels: str | None, named: list[str]
) -> None:
    with pytest.raises(BackendError) as caught:
        load(write(model, output), labels=labels)
    for part in [*named, str(list(output))]:
        assert part in str(caught.value)


def test_two_readings_of_two_classes_are_told(model: Path) -> None:
    # [1, 525, 6] of 160x160: two classes transposed, or final boxes.
    with pytest.raises(BackendError, match="v8 with 2 classes or end2end"):
        load(write(model, (1, 525, 6), shape=(1, 3, 160, 160)), labels=("a", "b"))


@pytest.mark.parametrize(
    ("output", "metadata", "said", "message"),
    [
        ((1, 84, 8400), {}, {"labels": ("a", "b", "c")}, "3 class names, .* v8 with 80 classes"),
        (
            (1, 84, 8400),
            {},
            {"head": "v5", "labels": "coco80"},
            "80 class names, .* is of head v5 with 8395",
        ),
        (
            (1, 84, 3549),
            {},
            {"head": "yolox", "labels": "coco80"},
            "needs .* with a row for each cell.*1, 84, 3549",
        ),
        ((1, 3549, 85), {}, {"head": "yolox", "labels": "coco80"}, "is not of head yolox.* 640x640 .*3549"),
        ((1, 84, 8400), {}, {"head": "end2end", "labels": "coco80"}, "needs .B, K, 6."),
        ((1, 84, 8400), {}, {"head": "v8", "labels": "coco80", "size": 416}, "416 x 416, its input is 640 x 640"),
        ((1, 84, 8400), {}, {"head": "v9"}, "'v9' is not known; allowed are v8, yolox, yolox-decoded"),
        ((1, 84, 8400), ULTRALYTICS, {"color": "gbr"}, "'gbr' is not known; allowed are rgb, bgr"),
        ((1, 84, 8400), ULTRALYTICS, {"fit": "pad"}, "allowed are letterbox, letterbox-topleft, stretch, crop"),
        ((1, 84, 8400), ULTRALYTICS, {"scale": 0.0}, "scale: 0.0 is not allowed"),
        ((1, 84, 8400), ULTRALYTICS, {"std": 0.0}, "std: 0 is not allowed"),
        ((1, 84, 8400), ULTRALYTICS, {"mean": (1, 2)}, "mean: .* one for each channel"),
        ((1, 84, 8400), ULTRALYTICS, {"pad": 256}, "pad: 256"),
        ((1, 84, 8400), ULTRALYTICS, {"task": "segment"}, "task 'segment'; allowed is detect"),
    ],
)
def test_an_option_that_contradicts_the_model_is_the_users_error(
    model: Path, output: tuple[int, ...], metadata: dict[str, str], said: dict[str, Any], message: str
) -> None:
    write(model, output, metadata=metadata)
    with pytest.raises(ConfigError, match=message):
        load(model, **said)


@pytest.mark.parametrize(
    ("output", "metadata", "message"),
    [
        ((1, 60, 8400), ULTRALYTICS, "80 class names, .* v8 with 56 classes"),
        ((1, 84, 3549), ULTRALYTICS, r"no head .* fits its output output0 \[1, 84, 3549\] at an input of 640x640"),
        ((1, 300, 6), ULTRALYTICS | {"end2end": "False"}, "80 class names, .* rtdetr-ultralytics with 2 classes"),
        ((1, 116, 8400), ULTRALYTICS | {"task": "segment"}, "its metadata says task 'segment'; allowed is detect"),
        ((1, 80), ULTRALYTICS | {"task": "classify"}, "is a classifier"),
        ((1, 1000), {}, "looks like a classifier"),
        ((1, 84, 8400), {"names": "{0: 'a', 2: 'b'}"}, "2 names whose ids are not 0 to 1"),
        ((1, 84, 8400), {"names": "__import__('os').getcwd()"}, "`names` can't be read"),
    ],
)
def test_a_model_that_contradicts_itself_says_both_numbers(
    model: Path, output: tuple[int, ...], metadata: dict[str, str], message: str
) -> None:
    write(model, output, metadata=metadata)
    with pytest.raises(BackendError, match=message):
        load(model)


@pytest.mark.parametrize(
    ("shape", "dtype", "layout", "numpy_dtype", "scale"),
    [
        ((1, 3, 384, 640), TensorProto.FLOAT, "nchw", "float32", 1 / 255),
        ((1, "channels", 384, 640), TensorProto.FLOAT, "nchw", "float32", 1 / 255),
        ((1, 384, 640, 3), TensorProto.FLOAT, "nhwc", "float32", 1 / 255),
        ((1, 3, 384, 640), TensorProto.FLOAT16, "nchw", "float16", 1 / 255),
        ((1, 384, 640, 3), TensorProto.UINT8, "nhwc", "uint8", 1.0),
    ],
)
def test_inputs_of_every_kind_are_seen(
    model: Path, shape: tuple[int, ...], dtype: int, layout: str, numpy_dtype: str, scale: float
) -> None:
    spec = load(write(model, (1, 84, 5040), shape=shape, dtype=dtype), labels="coco80")
    assert (spec.input.layout, spec.input.dtype, spec.input.hw) == (layout, numpy_dtype, (384, 640))
    assert spec.input.scale == pytest.approx(scale)


def test_bytes_are_taken_as_they_are(model: Path) -> None:
    write(model, (1, 84, 8400), dtype=TensorProto.UINT8)
    with pytest.raises(ConfigError, match="takes 8-bit pixels as they are"):
        load(model, labels="coco80", scale=1 / 255)


def test_open_sizes_come_from_options_then_metadata_then_the_default(model: Path) -> None:
    shape = ("batch", 3, "height", "width")
    write(model, ("batch", 84, "anchors"), shape=shape, metadata=ULTRALYTICS | {"imgsz": "[384, 640]"})
    assert load(model).input.hw == (384, 640)
    assert load(model).input.max_batch == 8
    assert load(model, size=320).input.hw == (320, 320)
    assert load(model, size=(320, 416)).input.hw == (320, 416)
    with pytest.raises(ConfigError, match="333 x 333; allowed are multiples of 32"):
        load(model, size=333)
    write(model, ("batch", 84, "anchors"), shape=shape)
    assert load(model, labels="coco80").input.hw == (640, 640)


def test_an_open_batch_is_used_only_where_the_output_follows(model: Path) -> None:
    write(model, ("batch", 84, 8400), shape=("batch", 3, 640, 640))
    assert load(model, labels="coco80").input.max_batch == 8
    write(model, (1, 84, 8400), shape=("batch", 3, 640, 640))
    assert load(model, labels="coco80").input.max_batch == 1


def test_a_fixed_batch_is_kept(model: Path) -> None:
    spec = load(write(model, (4, 84, 8400), shape=(4, 3, 640, 640)), labels="coco80")
    assert (spec.input.max_batch, spec.input.fixed_batch) == (4, True)


def test_a_picture_without_a_batch_is_taken_alone(model: Path) -> None:
    spec = load(write(model, (1, 84, 8400), shape=(3, 640, 640)), labels="coco80")
    assert (spec.input.max_batch, spec.input.batched, spec.input.layout) == (1, False, "nchw")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": 2}, "has 2 inputs"),
        ({"shape": (1, 1, 640, 640)}, "no batch of pictures with three channels"),
        ({"shape": (640, 640)}, "no batch of pictures with three channels"),
        ({"shape": (65, 3, 640, 640)}, "for 65 pictures at once"),
        ({"dtype": TensorProto.INT64}, "its input is int64"),
    ],
)
def test_inputs_that_are_no_pictures_are_refused(model: Path, changes: dict[str, Any], message: str) -> None:
    write(model, (1, 84, 8400), **changes)
    with pytest.raises(BackendError, match=message):
        load(model, labels="coco80")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "git-lfs pointer"),
        (b"\n<!DOCTYPE html><html></html>", "web page"),
        (b"PK\x03\x04archive", "archive"),
        (b"no model at all", "no ONNX file, or its download was cut off"),
    ],
)
def test_files_that_are_no_models_are_told_apart(model: Path, content: bytes, message: str) -> None:
    model.write_bytes(content)
    with pytest.raises(BackendError, match=message) as caught:
        load(model)
    assert str(model) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_off_model_is_said_to_be(model: Path) -> None:
    whole = write(model, (1, 84, 8400), metadata=ULTRALYTICS).read_bytes()
    for kept in (len(whole) // 3, len(whole) - 20):
        model.write_bytes(whole[:kept])
        with pytest.raises(BackendError, match="cut off"):
            load(model)


def test_weights_that_lie_elsewhere_and_are_missing_are_named(model: Path) -> None:
    value = onnx.numpy_helper.from_array(np.zeros((64, 64), np.float32), "weights")
    value.ClearField("raw_data")
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="weights.bin")
    x = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 64, 64))
    y = helper.make_tensor_value_info("output0", TensorProto.FLOAT, (1, 3, 64, 64))
    node = helper.make_node("MatMul", ["images", "weights"], ["output0"])
    save(model, helper.make_graph([node], "g", [x], [y], initializer=[value]))
    with pytest.raises(BackendError, match=r"weights is missing beside it or cut off .*weights\.bin"):
        load(model)


def test_operators_of_tensorrt_are_named(model: Path) -> None:
    x = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 64, 64))
    y = helper.make_tensor_value_info("num_dets", TensorProto.INT32, (1, 1))
    for domain in ("TRT", ""):
        node = helper.make_node("EfficientNMS_TRT", ["images"], ["num_dets"], domain=domain)
        save(model, helper.make_graph([node], "g", [x], [y]), None, *([domain] if domain else []))
        with pytest.raises(BackendError, match="only TensorRT can run"):
            load(model)


def test_outputs_that_are_no_numbers_are_refused(model: Path) -> None:
    x = helper.make_tensor_value_info("images", TensorProto.FLOAT, (1, 3, 64, 64))
    text = helper.make_tensor_value_info("classLabel", TensorProto.STRING, (1,))
    node = helper.make_node(
        "Constant", [], ["classLabel"], value=helper.make_tensor("t", TensorProto.STRING, [1], [b"a"])
    )
    save(model, helper.make_graph([node], "g", [x], [text]))
    with pytest.raises(BackendError, match=r"classLabel is .*string.*; only numbers"):
        load(model)
    listed = helper.make_tensor_sequence_value_info("loss", TensorProto.FLOAT, None)
    node = helper.make_node("SequenceConstruct", ["images"], ["loss"])
    save(model, helper.make_graph([node], "g", [x], [listed]))
    with pytest.raises(BackendError, match=r"loss is .*seq.*; only numbers"):
        load(model)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("missing.onnx", "there is no file missing.onnx"),
        ("missing.yaml", "missing.yaml: can't be read"),
        ("models/yolo.pt", "export the model to ONNX"),
        ("yolo11n", "not in the catalogue"),
        ("", "is no file name"),
        ("a\0.onnx", "is no file name"),
        ("x" * 300 + ".onnx", "is no file name"),
        ("x/" * 3000 + "x.onnx", "can't be read (File name too long)"),
        ("x/" * 3000 + "x.yaml", "can't be read (File name too long)"),
        ("x/" * 3000 + "x", "is no .onnx or .yaml file"),
    ],
)
def test_names_that_lead_nowhere_are_the_users_error(named: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load_spec(named, catalogue=NOTHING)


@pytest.mark.parametrize("named", ["x.onnx", "x.yaml", "x"])
def test_a_folder_that_may_not_be_entered_is_the_users_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """By the calls it makes, since the superuser may enter any folder."""
    locked = tmp_path / "locked"

    def refused(call: Any) -> Any:  # noqa: ANN401  any of the file system's calls
        def asked(path: Any, *more: Any, **options: Any) -> Any:  # noqa: ANN401
            if str(path).startswith(str(locked)):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return call(path, *more, **options)

        return asked

    monkeypatch.setattr(os, "stat", refused(os.stat))
    monkeypatch.setattr(io, "open", refused(io.open))
    with pytest.raises(ConfigError, match=re.escape(str(locked))):
        load_spec(str(locked / named), catalogue=NOTHING)


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        load(tmp_path / "x.onnx")


def test_a_sidecar_beside_the_file_is_trusted_before_metadata(model: Path) -> None:
    write(model, (1, 8400, 85), metadata=ULTRALYTICS)
    model.with_suffix(".yaml").write_text("head: yolox\nlabels: coco80\n")
    spec = load(model)
    assert (spec.head, spec.decided_by, spec.labels[0]) == ("yolox", "sidecar", "person")
    assert load(model, head="v5").head == "v5"


def test_a_sidecar_can_be_named_itself(model: Path) -> None:
    write(model, (1, 8400, 85))
    sidecar = model.with_name("parcels.yaml")
    sidecar.write_text("file: model.onnx\nhead: yolox\nlabels: coco80\nlayout: nchw\n")
    spec = load(sidecar)
    assert (spec.name, spec.path, spec.head) == ("parcels", model, "yolox")


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (f"sha256: {'0' * 64}", BackendError, "should be 0000"),
        ("layout: nhwc", BackendError, "'nhwc' is not the file's nchw"),
        ("file: other.onnx", ConfigError, "'other.onnx' is not model.onnx"),
        ("size: 416", BackendError, "416 x 416, its input is 640 x 640"),
        ("labels: [a]", BackendError, "1 class names, .* v8 with 80 classes"),
    ],
)
def test_a_sidecar_that_tells_of_another_file_is_refused(
    model: Path, text: str, error: type[Exception], message: str
) -> None:
    write(model, (1, 84, 8400), metadata=ULTRALYTICS)
    model.with_suffix(".yaml").write_text(text)
    with pytest.raises(error, match=message):
        load(model)


def test_the_catalogue_knows_a_file_by_name_and_by_checksum(tmp_path: Path, model: Path) -> None:
    write(model, (1, 8400, 85))
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    engines = tmp_path / "engines"
    engines.mkdir()
    (engines / "small.yaml").write_text(f"file: small.onnx\nhead: yolox\nlabels: coco80\nsha256: {digest}\n")
    catalogue = Catalogue((engines,), tmp_path / "cache")
    by_checksum = load_spec(str(model), catalogue=catalogue)
    assert (by_checksum.name, by_checksum.head, by_checksum.decided_by) == ("model", "yolox", "catalogue")
    catalogue.cache.mkdir()
    weights = catalogue.cache / "small.onnx"
    weights.write_bytes(model.read_bytes())
    by_name = load_spec("small", catalogue=catalogue)
    assert (by_name.name, by_name.path, by_name.decided_by) == ("small", weights, "catalogue")
    write(weights, (1, 8400, 85), metadata={"changed": "yes"})
    with pytest.raises(BackendError, match=f"be {digest}; so says .*; `streamer models pull small` gets it anew"):
        load_spec("small", catalogue=catalogue)


@pytest.mark.parametrize(
    "names", ["{", "[" * 10_000, "('a'", "{'x': 1}", "42", "[]", "{}", "'abc'", "{0: 'a'}" * 3, "1" * 2_000_000, "\0"]
)
def test_metadata_that_is_no_list_of_names_is_told(names: str) -> None:
    said = read_metadata({"names": names, "imgsz": names, "args": names, "end2end": names})
    assert said.names is None
    assert said.trouble
    assert said.end2end is None


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["a", ""], "of id 1: a class name must be printable"),
        (["a\nb", "c"], "of id 0: a class name must be printable"),
        (["a", "b\x1b[31m"], "of id 1: a class name must be printable"),
        (["a", "b" * 100_000], "of id 1: a class name has at most 200 characters, not 100000"),
    ],
)
def test_names_in_metadata_are_held_to_what_holds_for_files(names: list[str], said: str) -> None:
    read = read_metadata({"names": repr(names)})
    assert read.names is None
    assert said in (read.trouble or "")


def test_classes_that_would_share_a_topic_are_refused(model: Path) -> None:
    write(model, (1, 7, 8400), metadata={"names": "['Traffic light', 'dog', 'traffic_Light']"})
    with pytest.raises(BackendError, match="the classes 'Traffic light' and 'traffic_Light' would share the topic"):
        load_spec(str(model))
    with pytest.raises(ConfigError, match="would share the topic dog"):
        load_spec(str(model), options=SpecOptions(labels=["dog", "cat", "Dog"]))
    write(model, (1, 7, 8400), metadata={"names": "['???', 'dog', '???']"})
    assert load_spec(str(model)).labels == ("???", "dog", "???")


@pytest.mark.parametrize(
    "names", ["{0: 'a', 1: 'b'}", "['a', 'b']", "('a', 'b')", '{"0": "a", "1": "b"}', "{1:'b',0:'a'}"]
)
def test_names_are_read_in_every_spelling(names: str) -> None:
    assert read_metadata({"names": names}).names == ("a", "b")


@pytest.mark.parametrize(
    ("file", "head", "output"),
    [
        ("yolox_nano_v8layout", "v8", "output0"),
        ("yolox_nano_v5layout", "v5", "output0"),
        ("yolox_nano_end2end", "end2end", "output0"),
    ],
)
def test_the_real_models_need_no_help(shared_data: Path, file: str, head: str, output: str) -> None:
    spec = load_spec(str(shared_data / "models" / f"{file}.onnx"))
    assert (spec.head, spec.output_names, spec.input.hw, len(spec.labels)) == (head, (output,), (416, 416), 80)


def test_the_real_yolox_asks_and_is_then_understood(shared_data: Path) -> None:
    path = str(shared_data / "models" / "yolox_nano_416.onnx")
    with pytest.raises(BackendError, match=r"is of head yolox with 80 classes, .*such as `--labels coco80`"):
        load_spec(path)
    assert load_spec(path, options=SpecOptions(head="yolox", labels="coco80")).decided_by == "options"


def test_a_classifier_is_not_taken_for_a_detector(shared_data: Path) -> None:
    with pytest.raises(BackendError, match="looks like a classifier"):
        load_spec(str(shared_data / "models" / "squeezenet1_1.onnx"))


def test_a_size_in_metadata_speaks_of_the_training(model: Path) -> None:
    write(model, (1, 84, 8400), metadata=ULTRALYTICS | {"imgsz": "[416, 416]"})
    assert load(model).input.hw == (640, 640)  # the file's own axes are facts
    shape = (1, 3, "height", "width")
    write(model, (1, 84, "anchors"), shape=shape, metadata=ULTRALYTICS | {"imgsz": "[416, 416]"})
    assert load(model, size=320).input.hw == (320, 320)


@pytest.mark.parametrize(
    ("output", "shape", "message"),
    [
        ((1, 84, 0), (1, 3, 640, 640), "all of its outputs are empty"),
        ((1, 84, 8400), (1, 3, 0, 0), "its input images is empty"),
        ((1, 84, 8400), (1, 3, 100_000, 100_000), "pictures of 100000x100000; allowed are 16384 px a side"),
    ],
)
def test_what_can_hold_nothing_or_far_too_much_is_refused(
    model: Path, output: tuple[int, ...], shape: tuple[int, ...], message: str
) -> None:
    write(model, output, shape=shape)
    with pytest.raises(BackendError, match=message):
        load(model, labels="coco80")


@pytest.mark.parametrize(("ir", "opset"), [(99, 13), (8, 99)])
def test_a_file_from_the_future_is_told_in_words(model: Path, ir: int, opset: int) -> None:
    made = onnx.load(str(write(model, (1, 84, 8400))))
    made.ir_version, made.opset_import[0].version = ir, opset
    onnx.save(made, str(model))
    with pytest.raises(BackendError, match=r"made for a newer ONNX than .*; export it with a lower opset$"):
        load(model)


def test_axes_that_the_file_leaves_open_are_told_by_a_run(model: Path) -> None:
    value = np.zeros((1, 84, 8400), np.float32)
    write_tiny(model, [Output("output0", value, open_axes=(0, 1, 2))])
    with pytest.raises(BackendError, match=r"output0 \[1, 84, 8400\] is of head v8 with 80 classes, and the names"):
        load(model)
    assert (load(model, labels="coco80").head, load(model, labels="coco80").columns) == ("v8", 80)
    assert load(model, labels="coco80", head="v8").columns == 80
