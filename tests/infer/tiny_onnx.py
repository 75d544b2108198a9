"""Tiny ONNX files that answer with numbers given beforehand, whatever they are shown, or nearly so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """One output and its numbers, in their own dtype."""

    name: str
    value: NDArray[np.generic]
    open_axes: tuple[int, ...] = ()  # their lengths can't be told before the network has run


def write_tiny(
    path: Path,
    outputs: Sequence[Output],
    *,
    shape: Sequence[int | str] = (1, 3, 640, 640),
    dtype: int = TensorProto.FLOAT,
    extras: Sequence[tuple[str, int]] = (),
    metadata: Mapping[str, str] | None = None,
    looks: bool = False,
) -> Path:
    """Write a network.

    Args:
        path: of the file.
        outputs: what it answers.
        shape: of its input `images`; a text is an open axis.
        dtype: ONNX's number of its input's type.
        extras: name and type of inputs beside the picture, [1, 2] each.
        metadata: what it says of itself.
        looks: whether its answers, numbers with a fraction, are all 0 for a picture of one grey.
    """
    nodes: list[Any] = []
    if looks:
        nodes += [
            helper.make_node("ReduceMax", ["images"], ["most"], axes=[2, 3]),
            helper.make_node("ReduceMin", ["images"], ["least"], axes=[2, 3]),
            helper.make_node("Sub", ["most", "least"], ["contrast"]),
            helper.make_node("ReduceMax", ["contrast"], ["strongest"], keepdims=0),
            helper.make_node("Sign", ["strongest"], ["something"]),
        ]
    ports = []
    for output in outputs:
        tensor = f"{output.name}/value"
        nodes.append(_constant(tensor, output.value))
        for axis in output.open_axes:
            all_of_it = np.ones(output.value.shape[axis], bool)
            nodes.append(_constant(f"{tensor}/all", all_of_it))
            nodes.append(helper.make_node("Compress", [tensor, f"{tensor}/all"], [f"{tensor}/{axis}"], axis=axis))
            tensor = f"{tensor}/{axis}"
        if looks and output.value.dtype == np.float32:
            nodes.append(helper.make_node("Mul", [tensor, "something"], [f"{output.name}/seen"]))
            tensor = f"{output.name}/seen"
        nodes.append(helper.make_node("Identity", [tensor], [output.name]))
        lengths = [f"{output.name}{i}" if i in output.open_axes else n for i, n in enumerate(output.value.shape)]
        ports.append(helper.make_tensor_value_info(output.name, _type(output.value), lengths))
    inputs = [helper.make_tensor_value_info("images", dtype, list(shape))]
    inputs += [helper.make_tensor_value_info(name, kind, [1, 2]) for name, kind in extras]
    graph = helper.make_graph(nodes, "tiny", inputs, ports)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if metadata:
        helper.set_model_props(model, dict(metadata))
    onnx.save(model, str(path))
    return path


def _constant(name: str, value: NDArray[np.generic]) -> Any:  # noqa: ANN401  onnx's own type
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.ascontiguousarray(value)))


def _type(value: NDArray[np.generic]) -> int:
    return int(helper.np_dtype_to_tensor_dtype(value.dtype))
