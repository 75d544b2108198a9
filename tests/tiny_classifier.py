"""Tiny classifiers that really look: each score is a weighted sum of the picture's mean colour."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

STRENGTH = 4.0  # logit of a channel that is full, where the others are empty


def write_classifier(
    path: Path,
    *,
    classes: int = 3,
    last: Sequence[str] = (),
    shape: Sequence[int | str] = (1, 3, 32, 32),
    nhwc: bool = False,
    as_maps: bool = False,
    axes: int = 2,
    rows: int | str | None = None,
    keys: Sequence[str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a network whose class c answers to channel c of 3 (the fourth and later ones to nothing).

    Args:
        path: of the file.
        classes: how many scores.
        last: operations after the matrix product, such as Softmax; `Share` is x / sum(x) of exp(x).
        shape: of the input; a text is an open axis.
        nhwc: whether channels come last.
        as_maps: whether the output is [B, C, 1, 1].
        axes: of the output if it is no map: 1 for [C], 2 for [B, C].
        rows: the batch axis of the output; None: that of the input.
        keys: the output is a mapping from these to scores, and a text names the best.
        metadata: what it says of itself.
    """
    nodes: list[Any] = [] if not nhwc else [helper.make_node("Transpose", ["images"], ["nchw"], perm=[0, 3, 1, 2])]
    nodes += [
        helper.make_node("GlobalAveragePool", ["nchw" if nhwc else "images"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weights"], ["product"]),
    ]
    tensor = "product"
    for operation in last:
        nodes += _last(operation, tensor)
        tensor = f"{tensor}/{operation}"
    weights = np.zeros((3, classes), np.float32)
    weights[range(min(3, classes)), range(min(3, classes))] = STRENGTH
    constants = [numpy_helper.from_array(weights, "weights")]
    batch = shape[0] if rows is None else rows
    if keys is not None:
        nodes.append(helper.make_node("ZipMap", [tensor], ["loss"], domain="ai.onnx.ml", classlabels_strings=keys))
        kind = helper.make_map_type_proto(TensorProto.STRING, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
        outputs = [helper.make_value_info("loss", helper.make_sequence_type_proto(kind))]
    else:
        lengths = [batch, classes, 1, 1] if as_maps else [classes] if axes == 1 else [batch, classes]
        wanted = np.array([0, classes, 1, 1] if as_maps else [classes] if axes == 1 else [0, classes], np.int64)
        constants.append(numpy_helper.from_array(wanted, "lengths"))
        nodes.append(helper.make_node("Reshape", [tensor, "lengths"], ["scores"]))
        outputs = [helper.make_tensor_value_info("scores", TensorProto.FLOAT, lengths)]
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, list(shape))
    graph = helper.make_graph(nodes, "tiny", [given], outputs, constants)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    if metadata:
        helper.set_model_props(model, dict(metadata))
    onnx.save(model, str(path))
    return path


def _last(operation: str, tensor: str) -> list[Any]:
    after = f"{tensor}/{operation}"
    if operation != "Share":
        return [helper.make_node(operation, [tensor], [after])]
    return [
        helper.make_node("Exp", [tensor], [f"{after}/exp"]),
        helper.make_node("ReduceSum", [f"{after}/exp"], [f"{after}/sum"]),
        helper.make_node("Div", [f"{after}/exp", f"{after}/sum"], [after]),
    ]


def write_layers(path: Path, *, hw: int = 32, last: Sequence[str] = ("Softmax",)) -> Path:
    """Write a network of several convolutions that tells red, green and blue apart: [N, 3, hw, hw] to [N, 3].

    The layers between are near the identity, so that it does what `write_classifier` does, by more arithmetic.
    """
    rng = np.random.default_rng(4)
    nodes, constants, tensor, channels = [], [], "images", 3
    for number, wider in enumerate((8, 8, 8)):
        weights = rng.normal(0, 0.02, (wider, channels, 3, 3)).astype(np.float32)
        weights[range(3), range(3), 1, 1] += 1
        constants.append(numpy_helper.from_array(weights, f"w{number}"))
        nodes += [
            helper.make_node("Conv", [tensor, f"w{number}"], [f"c{number}"], pads=[1, 1, 1, 1]),
            helper.make_node("Relu", [f"c{number}"], [f"r{number}"]),
        ]
        tensor, channels = f"r{number}", wider
    weights = np.zeros((3, channels, 1, 1), np.float32)
    weights[range(3), range(3)] = STRENGTH
    constants.append(numpy_helper.from_array(weights, "classes"))
    nodes += [
        helper.make_node("Conv", [tensor, "classes"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
    ]
    tensor = "flat"
    for operation in last:
        nodes += _last(operation, tensor)
        tensor = f"{tensor}/{operation}"
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, hw, hw])
    outputs = [helper.make_tensor_value_info(tensor, TensorProto.FLOAT, ["N", 3])]
    graph = helper.make_graph(nodes, "layers", [given], outputs, constants)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))
    return path
