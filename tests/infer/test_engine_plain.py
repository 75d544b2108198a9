"""Networks in unusual spellings: brought to f16 and 8 bits all the same, and never to what TensorRT refuses."""

from __future__ import annotations

import errno
import os
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from engine_nets import opened
from engine_values import input_of
from onnx import TensorProto, helper, numpy_helper

from streamer.core.errors import BackendError
from streamer.infer.engine.plain import check_eight_bits, nodes_of
from streamer.infer.engine.precision import convert

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

HW = (16, 24)
SPEC = input_of(hw=HW, max_batch=1)
node = helper.make_node


def tensor(name: str, value: object, dtype: type = np.float32) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(value, dtype), name)


def net(
    middle: Sequence[onnx.NodeProto], weights: Sequence[onnx.TensorProto] = (), *, opset: int = 17
) -> onnx.ModelProto:
    """Conv -> what is in the middle, from `a` to `x` -> Conv -> Sigmoid."""
    rng = np.random.default_rng(4)
    shapes = {"w0": (8, 3, 3, 3), "w1": (8, 8, 3, 3), "w2": (6, 8, 1, 1)}
    own = [tensor(name, rng.standard_normal(shape) * 0.2) for name, shape in shapes.items()]
    nodes = [
        node("Conv", ["images", "w0"], ["c0"], pads=[1] * 4),
        node("Relu", ["c0"], ["r0"]),
        node("Conv", ["r0", "w1"], ["c1"], pads=[1] * 4),
        node("Relu", ["c1"], ["a"]),
        *middle,
        node("Conv", ["x", "w2"], ["y"]),
        node("Sigmoid", ["y"], ["out"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, *HW])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
        [*own, *weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run(path: Path, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    session = opened(path)
    (given,) = session.get_inputs()
    fed = picture.astype(np.float16 if given.type == "tensor(float16)" else np.float32)
    (out,) = session.run(None, {"images": fed})
    return np.asarray(out, np.float32)


def branches() -> onnx.ModelProto:
    def branch(name: str, *nodes: onnx.NodeProto, weights: Sequence[onnx.TensorProto] = ()) -> onnx.GraphProto:
        told = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph(list(nodes), name, [], [told], list(weights))

    rng = np.random.default_rng(5)
    inner = branch(
        "t",
        node("Conv", ["a", "wi"], ["u"]),
        node("Constant", [], ["k"], value_float=0.5),
        node("Mul", ["u", "k"], ["t"]),
        weights=[tensor("wi", rng.standard_normal((8, 8, 1, 1)))],
    )
    middle = [
        node("ReduceMax", ["a"], ["most"], keepdims=0),
        node("Greater", ["most", "floor"], ["bright"]),
        node("If", ["bright"], ["x"], then_branch=inner, else_branch=branch("e", node("Identity", ["a"], ["e"]))),
    ]
    return net(middle, [tensor("floor", -1.0)])


def weights_as_inputs() -> onnx.ModelProto:
    model = net([node("Identity", ["a"], ["x"])], opset=12)
    ports = [helper.make_tensor_value_info(w.name, TensorProto.FLOAT, list(w.dims)) for w in model.graph.initializer]
    model.graph.input.extend(ports)
    model.ir_version = 3  # in which they had to be
    return model


def function() -> onnx.ModelProto:
    body = [node("Constant", [], ["k"], value_floats=[0.5]), node("Mul", ["X", "k"], ["Y"])]
    model = net([node("Halve", ["a"], ["x"], domain="own")])
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(helper.make_function("own", "Halve", ["X"], ["Y"], body, [helper.make_opsetid("", 17)]))
    return model


def loop() -> onnx.ModelProto:
    body = helper.make_graph(
        [node("Mul", ["v", "k"], ["w"]), node("Identity", ["on"], ["still"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("v", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("w", TensorProto.FLOAT, None),
        ],
    )
    weights = [tensor("k", 0.5), tensor("n", 3, np.int64), tensor("yes", True, np.bool_)]
    return net([node("Loop", ["n", "yes", "a"], ["x"], body=body)], weights)


def resized() -> onnx.ModelProto:
    """By scales that the network works out itself, as old exporters wrote it."""
    middle = [
        node("Shape", ["a"], ["shape"]),
        node("Cast", ["shape"], ["floats"], to=TensorProto.FLOAT),
        node("Div", ["target", "floats"], ["scales"]),
        node("Resize", ["a", "roi", "scales"], ["x"], mode="nearest"),
    ]
    return net(middle, [tensor("target", [1, 8, 32, 48]), tensor("roi", [])], opset=11)


def casts() -> onnx.ModelProto:
    middle = [
        node("Cast", ["a"], ["whole"], to=TensorProto.INT64),
        node("Cast", ["whole"], ["floats"], to=TensorProto.FLOAT),
        node("Cast", ["a"], ["doubles"], to=TensorProto.DOUBLE),
        node("Cast", ["doubles"], ["again"], to=TensorProto.FLOAT),
        node("Sub", ["again", "floats"], ["x"]),
    ]
    return net(middle)


def eight_bits(*, zero: int = 0, kind: type = np.int8, opset: int = 13, scale: float = 0.05) -> onnx.ModelProto:
    middle = [
        node("QuantizeLinear", ["a", "scale", "zero"], ["q"]),
        node("DequantizeLinear", ["q", "scale", "zero"], ["x"]),
    ]
    return net(middle, [tensor("scale", scale), tensor("zero", zero, kind)], opset=opset)


def dead_channels() -> onnx.ModelProto:
    """Of a layer's channels one is zero, one nearly: the scales of their weights must stay above zero."""
    model = net([node("Identity", ["a"], ["x"])])
    (weights,) = (w for w in model.graph.initializer if w.name == "w1")
    values = numpy_helper.to_array(weights).copy()
    values[0] = 0
    values[1] *= 1e-12
    weights.CopyFrom(numpy_helper.from_array(values, "w1"))
    return model


@pytest.mark.parametrize("precision", ["f16", "int8"])
@pytest.mark.parametrize(
    "made",
    [branches, weights_as_inputs, function, loop, resized, casts, eight_bits, dead_channels],
    ids=lambda made: made.__name__,
)
def test_every_spelling_is_brought_over(made: Callable[[], Any], precision: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(made(), str(path))
    rng = np.random.default_rng(6)
    canvases = rng.integers(0, 256, (4, *HW, 3), np.uint8)
    brought = convert(path, precision, spec=SPEC, calibration=canvases, folder=tmp_path)
    picture = np.float32(canvases[:1].transpose(0, 3, 1, 2) / 255)
    away = np.abs(run(brought, picture) - run(path, picture))
    assert away.max() < (0.02 if precision == "f16" else 0.1) or made is casts  # which rounds to whole numbers
    assert away.mean() < 0.02
    written = onnx.load(str(brought))
    check_eight_bits(written)
    weights = {w.name for w in written.graph.initializer}
    makers = {name: n for n in nodes_of(written.graph) for name in n.output}
    for layer in (n for n in nodes_of(written.graph) if n.op_type == "Conv"):
        source = makers.get(layer.input[1])
        assert source is None or source.op_type == "DequantizeLinear"  # weights, and no cast of them
    assert not weights & {port.name for port in written.graph.input}


@pytest.mark.parametrize("precision", ["f32", "f16", "int8"])
@pytest.mark.parametrize(
    ("model", "said"),
    [
        (eight_bits(zero=100, kind=np.uint8), "is uint8"),
        (eight_bits(zero=3), "is not around zero"),
        (eight_bits(scale=0.0), "has a scale that is not positive"),
    ],
    ids=["uint8", "asymmetric", "scale"],
)
def test_8_bits_that_tensorrt_does_not_take_are_refused_before_it_reads_them(
    model: onnx.ModelProto, said: str, precision: str, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(model, str(path))
    canvases = np.random.default_rng(6).integers(0, 256, (2, *HW, 3), np.uint8)
    with pytest.raises(BackendError, match=rf"8-bit layers are not as TensorRT takes them \(Quant.*{said}\): give it"):
        convert(path, precision, spec=SPEC, calibration=canvases, folder=tmp_path)


def test_a_bias_in_32_bits_is_refused(tmp_path: Path) -> None:
    middle = [node("DequantizeLinear", ["bias", "scale"], ["b"]), node("Add", ["a", "b"], ["x"])]
    weights = [tensor("bias", np.ones((1, 8, 1, 1)), np.int32), tensor("scale", 0.01)]
    path = tmp_path / "net.onnx"
    onnx.save(net(middle, weights, opset=13), str(path))
    with pytest.raises(BackendError, match=r"\(DequantizeLinear 'b' reads int32\)"):
        convert(path, "f32", spec=SPEC, calibration=None, folder=tmp_path)


def test_a_file_that_a_full_disk_has_cut_off_is_not_taken_for_a_broken_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the quantiser writes in native code is cut off without a word."""
    path = tmp_path / "net.onnx"
    onnx.save(net([node("Identity", ["a"], ["x"])]), str(path))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: usage._replace(free=0))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        convert(path, "int8", spec=SPEC, calibration=np.zeros((0, *HW, 3), np.uint8), folder=tmp_path)
