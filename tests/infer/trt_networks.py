"""Small networks whose answers are made of their pixels, in the layouts of detectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SIDE = 160  # px of the square input; its cells of strides 8, 16 and 32 are 525
CHANNELS = 6  # v8: a box and two classes; v5 and YOLOX: a box, an objectness, one class
_VALUES = SIDE * SIDE * 3 // CHANNELS  # for each channel


def write_rows(path: Path, *, anchors: int, anchor_major: bool, power: float = 12.0, batch: int | str = "b") -> Path:
    """Write a network that makes boxes and scores of its pixels: (B, 6, A), or (B, A, 6) anchor-major.

    Args:
        path: of the file.
        anchors: A.
        anchor_major: whether an anchor's numbers lie together.
        power: of the scores, which are levels of 0..1 before: the greater, the fewer are high.
        batch: of the input, an open one by default.
    """
    assert anchors <= _VALUES
    exponents = np.array([1, 1, 1, 1, power, power], np.float32).reshape(1, CHANNELS, 1)
    factors = np.array([SIDE, SIDE, 40, 40, 1, 1], np.float32).reshape(1, CHANNELS, 1)
    nodes = [
        helper.make_node("Reshape", ["images", "shape"], ["channels"]),
        helper.make_node("Slice", ["channels", "first", "last", "axis"], ["some"]),
        helper.make_node("Pow", ["some", "exponents"], ["raised"]),
        helper.make_node("Mul", ["raised", "factors"], ["rows" if anchor_major else "out"]),
    ]
    shape = [batch, CHANNELS, anchors]
    if anchor_major:
        nodes.append(helper.make_node("Transpose", ["rows"], ["out"], perm=[0, 2, 1]))
        shape = [batch, anchors, CHANNELS]
    constants: dict[str, NDArray[Any]] = {
        "shape": np.array([0, CHANNELS, _VALUES], np.int64),
        "first": np.array([0], np.int64),
        "last": np.array([anchors], np.int64),
        "axis": np.array([2], np.int64),
        "exponents": exponents,
        "factors": factors,
    }
    return _save(path, nodes, [batch, 3, SIDE, SIDE], {"out": (TensorProto.FLOAT, shape)}, constants)


def write_kinds(path: Path, hw: tuple[int, int]) -> Path:
    """Write a network with one output of each kind of number: the sum of its pixels, whole, and a half of it."""
    kinds = {"i64": TensorProto.INT64, "i32": TensorProto.INT32, "f16": TensorProto.FLOAT16}
    nodes = [helper.make_node("ReduceSum", ["images", "axes"], ["sum"], keepdims=0)]
    nodes += [helper.make_node("Cast", ["sum"], [name], to=kind) for name, kind in kinds.items()]
    outputs = {name: (kind, [1]) for name, kind in kinds.items()}
    return _save(path, nodes, [1, 3, *hw], outputs, {"axes": np.array([1, 2, 3], np.int64)})


def write_bright(path: Path, hw: tuple[int, int], batch: int | str = 1) -> Path:
    """Write a network that lists where its pixels are above 0.5: how many rows that are, only the pixels decide."""
    nodes = [
        helper.make_node("Greater", ["images", "half"], ["above"]),
        helper.make_node("NonZero", ["above"], ["columns"]),
        helper.make_node("Transpose", ["columns"], ["out"], perm=[1, 0]),
        helper.make_node("ReduceMax", ["images"], ["most"], axes=[1, 2, 3], keepdims=0),
    ]
    outputs: dict[str, tuple[int, Sequence[int | str]]] = {
        "out": (TensorProto.INT64, ["n", 4]),
        "most": (TensorProto.FLOAT, [batch]),
    }
    return _save(path, nodes, [batch, 3, *hw], outputs, {"half": np.array(0.5, np.float32)})


def _save(
    path: Path,
    nodes: list[onnx.NodeProto],
    shape: Sequence[int | str],
    outputs: Mapping[str, tuple[int, Sequence[int | str]]],
    constants: Mapping[str, NDArray[Any]],
) -> Path:
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, kind, own) for name, (kind, own) in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(path))
    return path
