"""`streamer check` says beforehand what `run` would not start with."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper
from tiny_classifier import write_classifier

from streamer.check import check
from streamer.infer.recognise import load_spec

if TYPE_CHECKING:
    from pathlib import Path

SIDECAR = "head: v8\nlabels: [cup/mug, Traffic Light, 'C#']\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network with three classes; what it answers is of no interest."""
    path = tmp_path / "net.onnx"
    image = helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 640, 640])
    output = helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 7, 8400])
    shape = helper.make_node(
        "Constant", [], ["shape"], value=helper.make_tensor("shape", TensorProto.INT64, [3], [1, 7, 8400])
    )
    zeros = helper.make_node("ConstantOfShape", ["shape"], ["output0"])
    graph = helper.make_graph([shape, zeros], "net", [image], [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path


def said_of(
    folder: Path, *, model: str = "./net.onnx", detect: str = "", more: str = "", after: str = ""
) -> tuple[int, list[str]]:
    """Check a configuration; return the exit code, and the problems without the file's name."""
    config = folder / "config.yaml"
    config.write_text(
        f"""
models:
  net:
    model: {model}
    {more}
cameras:
  yard:
    source: rtsp://192.0.2.1/x
    detect: {{model: net{detect}}}
    {after}
"""
    )
    out = io.StringIO()
    code = check(config, probe=False, out=out)
    return code, [line.removeprefix(f"{config}:") for line in out.getvalue().splitlines()]


def test_an_unusable_model_is_three_and_told_with_its_line(tmp_path: Path, model: Path) -> None:
    code, (line,) = said_of(tmp_path)  # nobody says the names of its classes
    assert code == 3
    assert line.startswith("4: models.net.model: ")
    model.write_bytes(model.read_bytes()[:40])
    code, (line,) = said_of(tmp_path)
    assert code == 3
    assert line.startswith("4: models.net.model: ")


def test_a_model_that_is_not_there_is_told_once(tmp_path: Path, model: Path) -> None:
    model.unlink()
    code, (line,) = said_of(tmp_path)
    assert code == 2
    assert line.startswith("4: models.net.model: there is no file ")


def test_a_wrong_configuration_is_two_whatever_its_models_are(tmp_path: Path, model: Path) -> None:
    model.write_bytes(b"")
    code, lines = said_of(tmp_path, more="sha256: abc")
    assert (code, len(lines)) == (2, 1)


def test_weights_that_are_not_here_yet_are_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path / "cache"))
    assert said_of(tmp_path, model="yolox-nano") == (0, [])
    assert "not here yet; `streamer models pull yolox-nano` fetches them" in capsys.readouterr().err


def test_a_class_that_no_topic_can_hold_needs_an_alias(tmp_path: Path, model: Path) -> None:
    model.with_suffix(".yaml").write_text(SIDECAR)
    code, (line,) = said_of(tmp_path)
    assert code == 2
    assert line.startswith("9: cameras.yard.detect.model: the model's class 'cup/mug' holds / + or #")
    code, (line,) = said_of(tmp_path, detect=", classes: {Cup/Mug: 0.5, traffic_light: 0.5}")
    assert code == 2
    assert line.startswith("9: cameras.yard.detect.classes.")
    assert said_of(tmp_path, detect=", classes: {traffic light: 0.5}") == (0, [])

    model.with_suffix(".yaml").write_text(SIDECAR + "aliases: {Cup/Mug: Mug, c#: c sharp}\n")
    assert said_of(tmp_path) == (0, [])
    spec = load_spec(str(model))
    assert spec.labels == ("cup/mug", "Traffic Light", "C#")
    assert spec.topic_levels == ("mug", "traffic_light", "c_sharp")


@pytest.mark.parametrize(
    ("aliases", "message"),
    [
        ("{mugg: mug}", "aliases: 'mugg' is no class of the model"),
        ("{cup/mug: traffic light}", "aliases: 'traffic light' would stand for two classes"),
    ],
)
def test_an_alias_for_nothing_or_for_two_is_told(tmp_path: Path, model: Path, aliases: str, message: str) -> None:
    model.with_suffix(".yaml").write_text(SIDECAR + f"aliases: {aliases}\n")
    code, (line,) = said_of(tmp_path)
    assert code == 3
    assert message in line


@pytest.mark.parametrize(
    ("more", "problems"),
    [
        ("{backend: onnxruntime, precision: bf16}", 1),
        ("{backend: onnxruntime, precision: f32}", 0),
        ("{backend: openvino, precision: bf16}", 0),
        ("{backend: openvino, precision: f16}", 1),
        ("{backend: onnxruntime, precision: int8}", 1),
        ("{backend: tensorrt, precision: bf16}", 1),
        ("{backend: tensorrt, precision: f16}", 0),
        ("{backend: tensorrt, precision: int8}", 0),
        ("{backend: tensorrt, build: before, device: 1}", 0),
    ],
)
def test_a_precision_that_a_run_could_not_use_is_a_problem(
    tmp_path: Path, model: Path, more: str, problems: int
) -> None:
    model.with_suffix(".yaml").write_text(SIDECAR.replace("cup/", "").replace("C#", "C"))
    lines = "\n    ".join(more.strip("{}").split(", "))
    code, said = said_of(tmp_path, more=lines)
    assert (code, len(said)) == (2 if problems else 0, problems)
    assert all(".net.precision: " in line for line in said)


@pytest.mark.parametrize(("chosen", "problems"), [("onnxruntime", 1), ("openvino", 1), ("tensorrt", 0)])
def test_a_precision_for_gpus_is_a_problem_where_auto_finds_none(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, problems: int
) -> None:
    monkeypatch.setattr("streamer.check.choose", lambda kind: chosen if kind == "auto" else kind)
    model.with_suffix(".yaml").write_text(SIDECAR.replace("cup/", "").replace("C#", "C"))
    code, said = said_of(tmp_path, more="precision: f16")
    assert (code, len(said)) == (2 if problems else 0, problems)
    assert all("allowed with it: auto, f32" in line and "`streamer doctor`" in line for line in said)


@pytest.mark.parametrize(("form", "problems"), [("json", 0), ("cbor", 1)])
def test_a_feed_in_a_form_whose_library_is_not_here_is_a_problem(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, form: str, problems: int
) -> None:
    monkeypatch.setitem(sys.modules, "cbor2", None)  # as if it were not installed
    model.with_suffix(".yaml").write_text("head: v8\nlabels: [cup, traffic light, disc]\n")
    code, lines = said_of(tmp_path, after=f"publish_detections:\n      format: {form}")
    said = '11: cameras.yard.publish_detections.format: cbor needs cbor2: pip install "streamer[cbor]"'
    assert (code, lines) == ((2, [said]) if problems else (0, []))


@pytest.mark.parametrize(("task", "refused"), [("sigmoid", True), ("softmax", False)])
def test_a_verdict_on_objects_needs_a_model_that_gives_each_one_class(
    tmp_path: Path, model: Path, task: str, *, refused: bool
) -> None:
    """A multi-label model may see a stamp and, less clearly, a crack: the stamp alone would be the object's label."""
    assert model.exists()
    write_classifier(tmp_path / "marks.onnx")
    config = tmp_path / "config.yaml"
    config.write_text(
        f"""
models:
  net: {{model: net.onnx, head: v8, labels: [cup, board, lamp]}}
  marks: {{model: marks.onnx, task: classify, labels: [stamp, crack, stain], look: ultralytics, activation: {task}}}
cameras:
  belt:
    source: rtsp://192.0.2.1/x
    detect: {{model: net}}
    lines: {{gate: {{from: [0, 0.5], to: [1, 0.5]}}}}
    classify:
      - {{name: mark, model: marks, of: {{class: board}}}}
    events:
      - {{name: there, class: board, labels: {{mark: stamp}}}}
      - name: bad
        labels: {{mark: crack}}
        decide: {{deadline: 1s, trigger: {{line: gate, class: board}}}}
"""
    )
    out = io.StringIO()
    code = check(config, probe=False, out=out)
    assert code == (2 if refused else 0), out.getvalue()
    assert ("events.1.labels.mark: is of a multi-label model" in out.getvalue()) is refused
