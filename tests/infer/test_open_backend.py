from __future__ import annotations

import importlib.util
import platform
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from streamer.core.errors import BackendError
from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.open import ANY_CPU, choose, faster_precision, on_cpu, open_backend, runtime_version
from streamer.infer.recognise.onnx_file import read_facts
from streamer.infer.spec import ColorOrder, Fit, InputSpec

if TYPE_CHECKING:
    from pathlib import Path

SPEC = InputSpec(
    name="images",
    hw=(8, 8),
    color=ColorOrder.RGB,
    scale=1 / 255,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    fit=Fit.STRETCH,
    pad=0,
    layout="nchw",
    dtype="float32",
    max_batch=1,
)
OPTIONS = BackendOptions(precision="f32", latency=True, threads=1, on_ready=lambda: None)
RUNTIMES = [
    pytest.param(kind, marks=pytest.mark.skipif(importlib.util.find_spec(kind) is None, reason=f"needs {kind}"))
    for kind in ("onnxruntime", "openvino")
]


def network(path: Path, *, inputs: tuple[str, ...] = ("images",), op: str = "Relu", domain: str = "") -> Path:
    nodes = [helper.make_node(op, [inputs[0]], ["out"], domain=domain)]
    nodes += [helper.make_node("Identity", [name], [f"{name}_out"]) for name in inputs[1:]]
    outputs = ["out", *(f"{name}_out" for name in inputs[1:])]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 8, 8]) for name in outputs],
    )
    opsets = [helper.make_opsetid("", 13), *([helper.make_opsetid(domain, 1)] if domain else [])]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


def refused(kind: str, path: Path, *, spec: InputSpec = SPEC, outputs: tuple[str, ...] = ("out",)) -> str:
    with pytest.raises(BackendError) as caught:
        open_backend(kind, str(path), input_spec=spec, output_names=outputs, options=OPTIONS)
    said = str(caught.value)
    assert "\n" not in said
    return said


@pytest.mark.parametrize("kind", RUNTIMES)
class TestEachRuntime:
    def test_a_model_that_it_can_run(self, kind: str, tmp_path: Path) -> None:
        path = network(tmp_path / "small.onnx")
        backend = open_backend(kind, str(path), input_spec=SPEC, output_names=("out",), options=OPTIONS)
        (output,) = backend.collect(backend.submit(np.full((1, 8, 8, 3), 255, np.uint8)))
        np.testing.assert_allclose(output, 1.0, atol=1e-6)
        backend.close()
        np.testing.assert_allclose(output, 1.0, atol=1e-6)  # the memory outlives its owner's end

    def test_a_file_that_is_not_there(self, kind: str, tmp_path: Path) -> None:
        assert refused(kind, tmp_path / "gone.onnx").startswith("gone.onnx: ")

    def test_a_file_that_is_no_model(self, kind: str, tmp_path: Path) -> None:
        path = tmp_path / "text.onnx"
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
        assert refused(kind, path).startswith("text.onnx: ")

    def test_an_operator_it_does_not_know(self, kind: str, tmp_path: Path) -> None:
        path = network(tmp_path / "odd.onnx", op="EfficientNMS", domain="trt")
        assert refused(kind, path).startswith("odd.onnx: ")

    def test_more_inputs_than_pixels(self, kind: str, tmp_path: Path) -> None:
        path = network(tmp_path / "two.onnx", inputs=("images", "sizes"))
        assert refused(kind, path) == "two.onnx: expected the one input 'images', it has images, sizes"

    def test_an_output_it_does_not_have(self, kind: str, tmp_path: Path) -> None:
        path = network(tmp_path / "small.onnx")
        assert refused(kind, path, outputs=("out", "more")) == "small.onnx: it has no output more"

    def test_an_input_of_another_shape(self, kind: str, tmp_path: Path) -> None:
        path, spec = network(tmp_path / "small.onnx"), replace(SPEC, hw=(16, 16))
        try:  # ONNX Runtime takes the file's word and refuses the batch, OpenVINO may reshape the network
            backend = open_backend(kind, str(path), input_spec=spec, output_names=("out",), options=OPTIONS)
        except BackendError as exc:
            assert "small.onnx" in str(exc)  # noqa: PT017  either is right
            return
        ticket = backend.submit(np.zeros((1, 16, 16, 3), np.uint8))
        if kind == "onnxruntime":
            with pytest.raises(BackendError, match=r"small\.onnx: ONNX Runtime failed"):
                backend.collect(ticket)
        else:
            assert backend.collect(ticket)[0].shape == (1, 3, 16, 16)
        backend.close()

    @pytest.mark.parametrize(
        ("spec", "said"),
        [
            (replace(SPEC, dtype="int64"), "dtype int64 is not supported"),
            (replace(SPEC, layout="chwn"), "layout 'chwn' is not supported"),
            (replace(SPEC, dtype="uint8"), "takes whole numbers"),
        ],
    )
    def test_a_spec_that_can_not_be_fed(self, kind: str, tmp_path: Path, spec: InputSpec, said: str) -> None:
        assert said in refused(kind, network(tmp_path / "small.onnx"), spec=spec)

    @pytest.mark.parametrize("precision", ["f16", "int8"])
    def test_a_precision_it_can_not_compute_in(self, kind: str, tmp_path: Path, precision: str) -> None:
        path = network(tmp_path / "small.onnx")
        options = replace(OPTIONS, precision=precision)
        with pytest.raises(BackendError, match=f"precision: {kind} computes in .*not {precision}"):
            open_backend(kind, str(path), input_spec=SPEC, output_names=("out",), options=options)


@pytest.mark.skipif(importlib.util.find_spec("openvino") is None, reason="needs openvino")
@pytest.mark.parametrize("kind", ["auto", ANY_CPU])
def test_it_is_said_when_onnxruntime_takes_the_place_of_openvino(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr("streamer.infer.backends.open.platform.machine", lambda: "x86_64")
    path = network(tmp_path / "small.onnx", op="Inverse", domain="com.microsoft")  # ONNX Runtime's alone
    assert "small.onnx" in refused("openvino", path)
    backend = open_backend(kind, str(path), input_spec=SPEC, output_names=("out",), options=OPTIONS)
    assert backend.kind == "onnxruntime"
    backend.close()
    assert "onnxruntime takes its place" in caplog.text
    with pytest.raises(BackendError, match="OpenVINO can't load it"):
        open_backend(
            "auto", str(path), input_spec=SPEC, output_names=("out",), options=replace(OPTIONS, precision="bf16")
        )


def test_onnxruntime_refuses_bf16(tmp_path: Path) -> None:
    path = network(tmp_path / "small.onnx")
    options = replace(OPTIONS, precision="bf16")
    with pytest.raises(BackendError, match="f32 only"):
        open_backend("onnxruntime", str(path), input_spec=SPEC, output_names=("out",), options=options)


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="needs a machine without TensorRT")
def test_tensorrt_that_is_missing_says_how_to_get_it(tmp_path: Path) -> None:
    assert "tensorrt is not installed; " in refused("tensorrt", tmp_path / "x.onnx")


def test_what_is_no_runtime_at_all(tmp_path: Path) -> None:
    assert "allowed are auto, tensorrt, openvino, onnxruntime" in refused("caffe", tmp_path / "x.onnx")


@pytest.mark.parametrize(
    ("machine", "installed", "chosen"),
    [
        ("x86_64", True, "openvino"),
        ("AMD64", True, "openvino"),
        ("x86_64", False, "onnxruntime"),
        ("aarch64", True, "onnxruntime"),
    ],
)
def test_what_auto_means(
    monkeypatch: pytest.MonkeyPatch,
    machine: str,
    installed: bool,  # noqa: FBT001  a parameter
    chosen: str,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object() if installed else None)
    monkeypatch.setattr("streamer.cuda.open.has_gpu", lambda: False)
    assert choose("auto") == on_cpu() == chosen
    assert choose("onnxruntime") == "onnxruntime"


@pytest.mark.parametrize("missing", ["", "tensorrt", "pycuda"])
def test_auto_means_tensorrt_only_where_all_of_it_is_there(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr("streamer.cuda.open.has_gpu", lambda: True)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else object())
    assert choose("auto") == (on_cpu() if missing else "tensorrt")
    assert on_cpu() != "tensorrt"


def test_versions_and_faster_precisions() -> None:
    assert runtime_version("onnxruntime").count(".") >= 1
    assert runtime_version("tensorrt-of-tomorrow") == "none"
    assert faster_precision("onnxruntime") is None


def test_onnxruntime_sends_no_telemetry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    off: list[str] = []
    monkeypatch.setattr("onnxruntime.disable_telemetry_events", lambda: off.append("off"), raising=False)
    path = network(tmp_path / "small.onnx")
    read_facts(path)
    assert off == ["off"]
    open_backend("onnxruntime", str(path), input_spec=SPEC, output_names=("out",), options=OPTIONS).close()
    assert off == ["off", "off"]
