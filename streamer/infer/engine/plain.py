"""A network in the plain spelling that the converters know, and that TensorRT takes.

The same network can be written in several ways. The converters of ONNX Runtime know the most common one: they pass over
numbers that stand in an attribute, cast weights that could be given as inputs, and do not look into functions.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import onnx
import onnx.inliner
from onnx import TensorProto, numpy_helper

from streamer.core.errors import BackendError

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)

LEAST_8BIT_OPSET, HALF_8BIT_OPSET = 13, 19  # for a scale a channel; for scales in f16
_WEIGHTS_APART_IR = 4  # from this version of the format on, weights need not be inputs too
_SPELLED = {
    "value_float": TensorProto.FLOAT,
    "value_floats": TensorProto.FLOAT,
    "value_int": TensorProto.INT64,
    "value_ints": TensorProto.INT64,
}
_EIGHT_BITS = ("QuantizeLinear", "DequantizeLinear")
Model = Any  # onnx's ModelProto has no stubs
Node = Any


def plain(model: Model) -> Model:
    """Return the network with its functions inlined, its weights no inputs, and its constants tensors."""
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    weights = {tensor.name for tensor in model.graph.initializer}
    given = [port for port in model.graph.input if port.name not in weights]
    if len(given) < len(model.graph.input):
        del model.graph.input[:]
        model.graph.input.extend(given)
        model.ir_version = max(model.ir_version, _WEIGHTS_APART_IR)
    for node in nodes_of(model.graph):
        if node.op_type == "Constant":
            _spell_out(node)
    return model


def raised(model: Model) -> Model:
    """Return the model in an opset in which 8 bits stand beside f16, or at least have a scale for each channel."""
    if opset_of(model) >= HALF_8BIT_OPSET:
        return model
    try:
        made = onnx.version_converter.convert_version(model, HALF_8BIT_OPSET)
        onnx.checker.check_model(made)
        onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True)
    except Exception as exc:  # noqa: BLE001  its errors share no other base class
        why = str(exc).strip().partition("\n")[0][:200]
        _log.warning(
            "int8: the model can't be raised from opset %d to %d (%s); what is between its 8-bit layers stays f32, "
            "which is slower: export it with that opset",
            opset_of(model),
            HALF_8BIT_OPSET,
            why,
        )
    else:
        return made
    if opset_of(model) >= LEAST_8BIT_OPSET:
        return model
    return onnx.version_converter.convert_version(model, LEAST_8BIT_OPSET)


def opset_of(model: Model) -> int:
    """Return the version of ONNX's operators that a model is written in."""
    versions = (int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return next(versions, HALF_8BIT_OPSET)


def has_eight_bits(model: Model) -> bool:
    """Whether a network has been brought to 8 bits already."""
    return any(node.op_type in _EIGHT_BITS for node in nodes_of(model.graph))


def check_eight_bits(model: Model) -> None:
    """Check that the 8-bit layers of a network, if it has any, are of the kind that TensorRT takes.

    Raises:
        BackendError: they are not: signed numbers around zero, a positive scale, biases in floating point.
    """
    known = _constants(model.graph)
    for node in nodes_of(model.graph):
        wrong = _wrong_with(node, known) if node.op_type in _EIGHT_BITS else None
        if wrong is not None:
            raise BackendError(
                f"its 8-bit layers are not as TensorRT takes them ({node.op_type} {node.output[0]!r} {wrong}): "
                "give it the model as it was before, precision int8 brings it to 8 bits"
            )


def nodes_of(graph: Any) -> Iterator[Node]:  # noqa: ANN401  a GraphProto
    """Yield the nodes of a graph and of the bodies (If, Loop) in it."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                yield from nodes_of(body)


def _wrong_with(node: Node, known: dict[str, Any]) -> str | None:
    """Say what is wrong with a Q or DQ node, or None. What the network computes itself is TensorRT's to judge."""
    scale = known.get(node.input[1])
    if scale is not None and not (numpy_helper.to_array(scale) > 0).all():
        return "has a scale that is not positive"
    data = known.get(node.input[0])
    if (
        data is not None
        and node.op_type == "DequantizeLinear"
        and data.data_type in (TensorProto.INT32, TensorProto.UINT8)
    ):
        return f"reads {TensorProto.DataType.Name(data.data_type).lower()}"
    zero = known.get(node.input[2]) if len(node.input) > 2 else None  # data, scale, zero point
    if zero is None:
        return None
    if zero.data_type in (TensorProto.UINT8, TensorProto.INT32, TensorProto.INT16, TensorProto.UINT16):
        return f"is {TensorProto.DataType.Name(zero.data_type).lower()}"
    return "is not around zero" if zero.data_type == TensorProto.INT8 and numpy_helper.to_array(zero).any() else None


def _constants(graph: Any) -> dict[str, Any]:  # noqa: ANN401  a GraphProto
    known = {tensor.name: tensor for tensor in graph.initializer}
    for node in nodes_of(graph):
        if node.op_type == "Constant":
            known.update((node.output[0], attribute.t) for attribute in node.attribute if attribute.name == "value")
    return known


def _spell_out(node: Node) -> None:
    """Give a constant that stands in an attribute of its own as a tensor."""
    for attribute in list(node.attribute):
        kind = _SPELLED.get(attribute.name)
        if kind is None:
            continue
        one = attribute.name in ("value_float", "value_int")
        numbers = attribute.floats or attribute.ints
        if one:
            numbers = [attribute.f if kind == TensorProto.FLOAT else attribute.i]
        shape = [] if one else [len(numbers)]
        del node.attribute[:]
        node.attribute.append(onnx.helper.make_attribute("value", onnx.helper.make_tensor("", kind, shape, numbers)))
