"""A precision put into the ONNX file: what computes in it, what does not, and how far the answers move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from engine_nets import answers, converted, random_yolo, run_small, scene, small_net, types_of
from engine_values import EXTRA, input_of, shapes
from onnx import TensorProto, helper, numpy_helper
from randomnet import sample_picture

from streamer.core.errors import BackendError
from streamer.infer.agreement import agreement
from streamer.infer.backends.batch import Normaliser
from streamer.infer.engine.precision import convert, converter, fix_axes, load_graph, weight_files
from streamer.infer.engine.tail import tail_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.infer.spec import InputSpec

__all__ = ["scene"]


def test_f32_is_the_file_itself(tmp_path: Path) -> None:
    assert converted(shapes(), "f32", tmp_path) == shapes().path
    assert list(tmp_path.iterdir()) == []
    assert converter("f32") is None


def test_f16_gives_the_same_answers_from_half_the_bytes(scene: NDArray[np.uint8], tmp_path: Path) -> None:
    path = converted(shapes(), "f16", tmp_path)
    seen = agreement(answers(shapes().path, shapes(), scene), answers(path, shapes(), scene), threshold=0.5)
    assert seen.boxes >= 50
    assert (seen.share, seen.score_off < 0.002) == (1.0, True)
    assert path.stat().st_size < 0.6 * shapes().path.stat().st_size
    assert onnxruntime.__version__ in str(converter("f16"))


def test_the_picture_goes_in_as_f16_and_everything_comes_out_as_f32(tmp_path: Path) -> None:
    types = types_of(converted(shapes(), "f16", tmp_path))
    assert types["images"] == TensorProto.FLOAT16
    assert types["output0"] == TensorProto.FLOAT


def test_all_large_layers_compute_in_f16_and_the_tail_in_nothing_less_than_f32(tmp_path: Path) -> None:
    path = converted(random_yolo(tmp_path, size=64), "f16", tmp_path)
    model, types = onnx.load(str(path)), types_of(path)
    tail = tail_of(model.graph)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv" and node.name not in tail.nodes]
    assert len(convolutions) > 60
    assert {types[name] for node in convolutions for name in node.input} == {TensorProto.FLOAT16}
    inside = [node for node in model.graph.node if node.name in tail.nodes]
    assert {"Softmax", "Concat", "Sigmoid"} <= {node.op_type for node in inside}
    # It begins with the casts behind the last layers; between its nodes nothing is in f16.
    made = {types[name] for node in inside for name in node.output if name in types}
    assert TensorProto.FLOAT16 not in made


def test_far_to_the_right_a_box_in_f16_is_where_it_is_in_f32(tmp_path: Path) -> None:
    """From 512 px on a coordinate in f16 has steps of half a pixel: the arithmetic of boxes must not be in it."""
    spec = random_yolo(tmp_path, size=640)
    picture = sample_picture(640)[None]
    exact = answers(spec.path, spec, picture)
    half = answers(converted(spec, "f16", tmp_path), spec, picture)
    seen = agreement(exact, half, threshold=0.3)
    assert seen.boxes > 20
    assert seen.share == 1.0
    assert any(float(box[2]) % 0.5 for box in half[0].boxes if box[2] > 512)


def test_the_same_model_gives_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, two = (converted(shapes(), "f16", tmp_path / name) for name in "ab")
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.parametrize(
    ("dtype", "shape", "spec"),
    [
        (TensorProto.FLOAT, (1, 3, 6, 8), input_of(hw=(6, 8), max_batch=1, extras=(EXTRA,))),
        (TensorProto.FLOAT, ("n", 6, 8, 3), input_of(hw=(6, 8), layout="nhwc", extras=(EXTRA,))),
        (TensorProto.UINT8, (1, 3, 6, 8), input_of(hw=(6, 8), max_batch=1, dtype="uint8", scale=1.0, extras=(EXTRA,))),
    ],
)
@pytest.mark.parametrize("precision", ["f16", "int8"])
def test_every_kind_of_input_is_brought_over(
    tmp_path: Path, dtype: int, shape: tuple[object, ...], spec: InputSpec, precision: str
) -> None:
    path = small_net(tmp_path / "small.onnx", dtype=dtype, shape=shape)
    canvases = np.random.default_rng(2).integers(0, 256, (4, 6, 8, 3), np.uint8)
    made = convert(path, precision, spec=spec, calibration=canvases, folder=tmp_path)
    picture = Normaliser(spec)(canvases[:1])
    exact, other = run_small(path, picture), run_small(made, picture)
    assert np.abs(other - exact).max() <= (0.005 if precision == "f16" else 0.05) * np.abs(exact).max()
    types = types_of(made)
    expected = {TensorProto.UINT8: TensorProto.UINT8, TensorProto.FLOAT: TensorProto.FLOAT16}[dtype]
    assert types["images"] == expected
    assert types["orig_target_sizes"] == TensorProto.INT64
    assert types["out"] == TensorProto.FLOAT


def test_open_sizes_are_decided_and_the_batch_stays_open(tmp_path: Path) -> None:
    path = small_net(tmp_path / "open.onnx", shape=("n", 3, "h", "w"))
    spec = input_of(hw=(6, 8), extras=(EXTRA,))
    made = convert(path, "f32", spec=spec, calibration=None, folder=tmp_path)
    assert made != path
    inputs = {port.name: port for port in onnx.load(str(made)).graph.input}
    axes = [axis.dim_value or axis.dim_param for axis in inputs["images"].type.tensor_type.shape.dim]
    assert axes == ["n", 3, 6, 8]
    picture = Normaliser(spec)(np.full((1, 6, 8, 3), 9, np.uint8))
    assert np.array_equal(run_small(made, picture), run_small(path, picture))


def test_a_batch_that_is_open_in_name_only_is_one(tmp_path: Path) -> None:
    model = load_graph(small_net(tmp_path / "one.onnx", shape=("n", 3, 6, 8)))
    assert fix_axes(model, input_of(hw=(6, 8), max_batch=1, extras=(EXTRA,)))
    assert [port.type.tensor_type.shape.dim[0].dim_value for port in model.graph.input] == [1, 1]


def test_what_was_made_is_read_and_not_rewritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime 1.31 ends the process when it rewrites some transformers in f16, such as torchvision's."""
    levels = []
    opening = onnxruntime.InferenceSession

    def opened(path: str, options: onnxruntime.SessionOptions, **more: object) -> onnxruntime.InferenceSession:
        levels.append(options.graph_optimization_level)
        return opening(path, options, **more)

    monkeypatch.setattr(onnxruntime, "InferenceSession", opened)
    converted(shapes(), "f16", tmp_path)
    assert levels == [onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL]


def test_weights_beside_the_model_come_along(tmp_path: Path) -> None:
    plain = small_net(tmp_path / "small.onnx", shape=(1, 3, 6, 8))
    beside = tmp_path / "beside.onnx"
    onnx.save(onnx.load(str(plain)), str(beside), save_as_external_data=True, location="w.bin", size_threshold=0)
    assert weight_files(beside) == ["w.bin"]
    assert weight_files(plain) == []
    spec = input_of(hw=(6, 8), max_batch=1, extras=(EXTRA,))
    (tmp_path / "out").mkdir()
    made = convert(beside, "f16", spec=spec, calibration=None, folder=tmp_path / "out")
    picture = Normaliser(spec)(np.full((1, 6, 8, 3), 200, np.uint8))
    assert np.allclose(run_small(made, picture), run_small(plain, picture), rtol=5e-3)


@pytest.mark.parametrize("content", [b"", b"no model"])
def test_a_file_that_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"x\.onnx: c"):
        convert(path, "f16", spec=shapes().input, calibration=None, folder=tmp_path)


def test_what_nothing_is_known_of_can_not_be_brought_over(tmp_path: Path) -> None:
    """An operator of a vendor's between features and boxes: the type of what it answers can't be told."""
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["images", "w"], ["a"]),
            helper.make_node("Riddle", ["a"], ["b"], domain="vendor"),
            helper.make_node("Conv", ["b", "w"], ["c"]),
            helper.make_node("Add", ["c", "b"], ["d"]),
            helper.make_node("Identity", ["d"], ["out"]),
        ],
        "riddle",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 6, 8])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("vendor", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(tmp_path / "r.onnx"))
    with pytest.raises(BackendError, match=r"r\.onnx: can't be brought to f16 \("):
        convert(tmp_path / "r.onnx", "f16", spec=input_of(hw=(6, 8)), calibration=None, folder=tmp_path)
