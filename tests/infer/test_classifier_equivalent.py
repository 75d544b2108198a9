"""A real classifier in another form, other colours, normalisation, layout and logits, gives the same answers."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_classifier import ask

from streamer.infer.recognise import SpecOptions, load_spec
from streamer.infer.spec import Task
from streamer.pixels.convert import picture_of_bgr
from streamer.stills import load_picture

if TYPE_CHECKING:
    from pathlib import Path

SIDECAR = """
task: classify
labels: imagenet1000
color: rgb
scale: 1/255
mean: [0.485, 0.456, 0.406]
std: [0.229, 0.224, 0.225]
fit: crop
"""
CAFFE = SpecOptions(labels="imagenet1000", color="bgr", mean=(104, 117, 123))
NORMALISED = {  # undone inside: x * std + mean, times 255, to BGR, less Caffe's mean
    "std": np.array([0.229, 0.224, 0.225], np.float32),
    "mean": np.array([0.485, 0.456, 0.406], np.float32),
    "most": np.float32(255),
    "to_bgr": np.array([2, 1, 0], np.int64),
    "caffe": np.array([104, 117, 123], np.float32),
}


def write_other_form(path: Path, original: Path) -> Path:
    """Write SqueezeNet as a network of TensorFlow's: channels last, ImageNet's mean and std, logits."""
    graph = onnx.load(str(original)).graph
    body, last = list(graph.node)[:-1], graph.node[-1]
    assert last.op_type == "Softmax"
    before = [
        helper.make_node("Mul", ["pixels", "std"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], ["shares"]),
        helper.make_node("Mul", ["shares", "most"], ["rgb"]),
        helper.make_node("Gather", ["rgb", "to_bgr"], ["bgr"], axis=3),
        helper.make_node("Sub", ["bgr", "caffe"], ["less"]),
        helper.make_node("Transpose", ["less"], [graph.input[0].name], perm=[0, 3, 1, 2]),
    ]
    after = [helper.make_node("Identity", [last.input[0]], ["logits"])]
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in NORMALISED.items()]
    other = helper.make_graph(
        [*before, *body, *after],
        "other",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", 227, 227, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1000])],
        [*graph.initializer, *constants],
    )
    onnx.save(helper.make_model(other, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    path.with_suffix(".yaml").write_text(SIDECAR)
    return path


@pytest.mark.parametrize(
    "backend",
    [
        pytest.param(kind, marks=pytest.mark.skipif(importlib.util.find_spec(kind) is None, reason=f"needs {kind}"))
        for kind in ("onnxruntime", "openvino")
    ],
)
def test_another_form_gives_the_same_answers(shared_data: Path, tmp_path: Path, backend: str) -> None:
    original = shared_data / "models" / "squeezenet1_1.onnx"
    spec = load_spec(str(original), options=CAFFE, task=Task.CLASSIFY)
    other = load_spec(str(write_other_form(tmp_path / "other.onnx", original)), task=Task.CLASSIFY)
    assert (other.input.layout, other.decided_by) == ("nhwc", "sidecar")
    names = ("goldfish", "parrot", "cat_720p", "polar_bear", "granny_smith_1")
    pictures = [picture_of_bgr(load_picture(shared_data / "images" / f"{name}.jpg")) for name in names]
    for wanted, found in zip(ask(spec, pictures), ask(other, pictures, backend), strict=True):
        assert found.class_ids[0] == wanted.class_ids[0]
        assert found.scores[:5] == pytest.approx(wanted.scores[:5], abs=1e-3)
