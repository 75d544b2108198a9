"""Networks for the tests of precisions, and what they answer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime

# It puts its own folder on sys.path when it is first imported, which a fixture that restores sys.path would take away.
import onnxruntime.transformers
import pytest
from engine_values import shapes
from onnx import TensorProto, helper, numpy_helper
from randomnet import make_random_yolo

from streamer.capture.base import Delivery, SourceSpec
from streamer.capture.open import open_source
from streamer.core.frame import Picture
from streamer.infer.backends.batch import Normaliser
from streamer.infer.engine.frames import spread_canvases
from streamer.infer.engine.precision import convert
from streamer.infer.heads import open_head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.infer.heads import Candidates
    from streamer.infer.spec import ModelSpec

_NUMPY = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@pytest.fixture(scope="module")
def scene() -> NDArray[np.uint8]:
    """Return what the shapes' network sees of the drawn scene."""
    spec = SourceSpec(camera="drawn", url="synthetic:shapes?seed=3&pace=fast", delivery=Delivery.EVERY)

    def pictures() -> Iterator[Picture]:
        source = open_source(spec, stopping=lambda: False, dropped=lambda _cause, _count: None)
        for number in range(96):
            picture = source.read().picture
            if number % 3 == 0 and isinstance(picture, Picture):
                yield picture
        source.close()

    return spread_canvases(pictures(), shapes().input)


def opened(path: Path) -> onnxruntime.InferenceSession:
    """Open a file as it stands: ONNX Runtime's own rewriting of Q/DQ in f16 computes wrong numbers."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def answers(path: Path, spec: ModelSpec, canvases: NDArray[np.uint8]) -> list[Candidates]:
    session = opened(path)
    (given,) = session.get_inputs()
    normalise = Normaliser(replace(spec.input, dtype="float32"))
    head, found = open_head(spec), []
    for canvas in canvases:
        fed = {given.name: normalise(canvas[None]).astype(_NUMPY[given.type])}
        outputs = session.run(list(spec.output_names), fed)
        assert all(output.dtype == np.float32 for output in outputs)
        found += head(outputs, 0.2, 0.5)
    return found


def types_of(path: Path) -> dict[str, int]:
    """Return the element type of every tensor."""
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)), strict_mode=True)
    ports = (*model.graph.input, *model.graph.output, *model.graph.value_info)
    return {p.name: p.type.tensor_type.elem_type for p in ports} | {
        t.name: t.data_type for t in model.graph.initializer
    }


def random_yolo(folder: Path, *, size: int) -> ModelSpec:
    path = folder / "yolo.onnx"
    make_random_yolo(path, size=size, classes=2, boxes=30)
    seen = replace(shapes().input, hw=(size, size), max_batch=1)
    return replace(shapes(), path=path, input=seen, labels=("a", "b"), columns=None)


def converted(spec: ModelSpec, precision: str, folder: Path, canvases: NDArray[np.uint8] | None = None) -> Path:
    return convert(spec.path, precision, spec=spec.input, calibration=canvases, folder=folder)


def small_net(path: Path, *, opset: int = 17, dtype: int = TensorProto.FLOAT, shape: tuple[object, ...]) -> Path:
    """Write Conv -> Relu -> Conv -> a scaled sum, whose constant both halves read."""
    rng = np.random.default_rng(1)
    weights = [
        numpy_helper.from_array(rng.standard_normal((4, 3, 1, 1)).astype(np.float32), "w0"),
        numpy_helper.from_array(rng.standard_normal((4, 4, 1, 1)).astype(np.float32), "w1"),
    ]
    half = helper.make_tensor("half", TensorProto.FLOAT, [], [0.1])
    nodes = [helper.make_node("Constant", [], ["c"], value=half)]
    given = "images"
    if dtype != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [given], ["f"], to=TensorProto.FLOAT))
        given = "f"
    if shape[-1] == 3:
        nodes.append(helper.make_node("Transpose", [given], ["t"], perm=[0, 3, 1, 2]))
        given = "t"
    nodes += [
        helper.make_node("Conv", [given, "w0"], ["a"]),
        helper.make_node("Mul", ["a", "c"], ["scaled"]),
        helper.make_node("Conv", ["scaled", "w1"], ["b"]),
        helper.make_node("Mul", ["b", "c"], ["d"]),
        helper.make_node("Cast", ["orig_target_sizes"], ["sizes"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["sizes"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["d", "largest"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [
            helper.make_tensor_value_info("images", dtype, list(shape)),
            helper.make_tensor_value_info("orig_target_sizes", TensorProto.INT64, ["n", 2]),
        ],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        weights,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), str(path))
    return path


def run_small(path: Path, picture: NDArray[Any]) -> NDArray[np.float32]:
    session = opened(path)
    wanted = {port.name: port.type for port in session.get_inputs()}["images"]
    fed = picture.astype(_NUMPY.get(wanted, picture.dtype))
    (out,) = session.run(None, {"images": fed, "orig_target_sizes": np.array([[8, 6]], np.int64)})
    return np.asarray(out, np.float32)
