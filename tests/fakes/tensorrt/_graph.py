"""What an ONNX graph says to TensorRT: its tensors, its layers as the inspector shows them, what it refuses."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import onnx
from onnx import TensorProto, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Iterator

# ONNX element type -> (TensorRT's name, as the inspector of 11 and late 10 spells it, as early 10 spells it)
TYPES: dict[int, tuple[str, str, str]] = {
    TensorProto.FLOAT: ("FLOAT", "Float", "FP32"),
    TensorProto.FLOAT16: ("HALF", "Half", "FP16"),
    TensorProto.BFLOAT16: ("BF16", "BFloat16", "BF16"),
    TensorProto.INT8: ("INT8", "Int8", "INT8"),
    TensorProto.INT32: ("INT32", "Int32", "INT32"),
    TensorProto.INT64: ("INT64", "Int64", "INT64"),
    TensorProto.BOOL: ("BOOL", "Bool", "BOOL"),
    TensorProto.UINT8: ("UINT8", "UInt8", "UINT8"),
    TensorProto.DOUBLE: ("FLOAT", "Float", "FP32"),  # the parser makes float32 of it, and warns
}
FUSES_QUANTIZATION = ("Conv", "ConvTranspose", "Gemm", "MatMul")
DATA_DEPENDENT = ("NonZero", "NonMaxSuppression", "Unique", "Compress")


@dataclass(frozen=True, kw_only=True)
class Tensor:
    """A tensor of the network's border, or one that the inspector shows. -1: not known before it runs."""

    name: str
    dtype: str  # a member of DataType
    shape: tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class Layer:
    """One layer, as the inspector shows it."""

    name: str
    kind: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    weights: str | None  # a member of DataType

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why the parser can't take a node."""

    node: int
    name: str
    operator: str
    code: str
    reason: str


def strict(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with the type and shape of every tensor that can be told.

    Raises:
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: types that don't fit, as a strongly typed
            network refuses them.
    """
    onnx.checker.check_model(model)
    return onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def _tensor(info: onnx.ValueInfoProto) -> Tensor:
    of = info.type.tensor_type
    shape = None
    if of.HasField("shape"):
        shape = tuple(d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else -1 for d in of.shape.dim)
    return Tensor(name=info.name, dtype=TYPES[of.elem_type][0], shape=shape)


def inputs_of(graph: onnx.GraphProto) -> list[Tensor]:
    """Return the inputs that are no weights."""
    weights = {w.name for w in graph.initializer}
    return [_tensor(info) for info in graph.input if info.name not in weights]


def outputs_of(graph: onnx.GraphProto) -> list[Tensor]:
    """Return the outputs."""
    return [_tensor(info) for info in graph.output]


def data_dependent(graph: onnx.GraphProto) -> set[str]:
    """Return the outputs whose shape is known only once it has run: those behind a node such as NonZero."""
    marked: set[str] = set()
    for node in graph.node:  # in topological order
        if node.op_type in DATA_DEPENDENT or (marked & set(node.input) and node.op_type not in {"TopK", "ReduceMax"}):
            marked |= set(node.output)
    return marked & {info.name for info in graph.output}


def refusals(graph: onnx.GraphProto, *, also: tuple[str, ...] = ()) -> Iterator[Refusal]:
    """Yield what TensorRT's parser refuses of a valid graph; `also` are operators refused at a test's wish."""
    weights = {w.name: w for w in graph.initializer}
    uint8_inputs = {t.name for t in inputs_of(graph) if t.dtype == "UINT8"}
    for index, node in enumerate(graph.node):
        reason, code = _refused(node, weights=weights, uint8_inputs=uint8_inputs, also=also)
        if reason:
            yield Refusal(node=index, name=node.name, operator=node.op_type, code=code, reason=reason)


def _refused(
    node: onnx.NodeProto, *, weights: dict[str, TensorProto], uint8_inputs: set[str], also: tuple[str, ...]
) -> tuple[str, str]:
    if node.op_type in also or node.domain not in {"", "ai.onnx"}:
        return "Plugin not found, are the plugin name, version, and namespace correct?", "UNSUPPORTED_NODE"
    if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
        return _quantization_refused(node, weights), "INVALID_NODE"
    if node.op_type != "Cast" and uint8_inputs & set(node.input):
        return "a UINT8 network input must be cast before it is used", "UNSUPPORTED_NODE_DATATYPE"
    return "", ""


def _quantization_refused(node: onnx.NodeProto, weights: dict[str, TensorProto]) -> str:
    quantized = weights.get(node.input[0])
    if quantized is not None and quantized.data_type == TensorProto.INT32:
        return "DequantizeLinear of an int32 tensor (a bias) is not supported"
    zero = weights.get(node.input[2]) if len(node.input) > 2 else None
    if zero is None:
        return ""
    if zero.data_type == TensorProto.UINT8:
        return "UINT8 quantization is not supported"
    if numpy_helper.to_array(zero).any():
        return "Non-zero zero point is not supported"
    return ""


def layers_of(model: onnx.ModelProto) -> list[Layer]:
    """Return the layers of a model with inferred types; quantised weights and inputs are fused into what uses them."""
    graph = model.graph
    known = {i.name: _tensor(i) for i in [*graph.value_info, *graph.input, *graph.output] if _typed(i)}
    weights = {w.name: TYPES[w.data_type][0] for w in graph.initializer if w.data_type in TYPES}
    made_by = {name: node for node in graph.node for name in node.output}
    found, fused = [], set()
    for index, node in enumerate(graph.node):
        if node.op_type == "Constant":
            continue
        layer = _layer(node, index, known=known, weights=weights)
        if node.op_type in FUSES_QUANTIZATION and _dequantized(node.input[0], made_by):
            layer, gone = _fused(layer, node, made_by=made_by, known=known, weights=weights)
            fused |= gone
        found.append(layer)
    return [layer for layer in found if layer.name not in fused]


def _typed(info: onnx.ValueInfoProto) -> bool:
    return info.type.HasField("tensor_type") and info.type.tensor_type.elem_type in TYPES


def _name(node: onnx.NodeProto, index: int) -> str:
    return node.name or f"{node.op_type}_{index}"


def _layer(node: onnx.NodeProto, index: int, *, known: dict[str, Tensor], weights: dict[str, str]) -> Layer:
    return Layer(
        name=_name(node, index),
        kind=node.op_type,
        inputs=tuple(known[name] for name in node.input if name in known and name not in weights),
        outputs=tuple(known[name] for name in node.output if name in known),
        weights=next((weights[name] for name in node.input[1:] if name in weights), None),
    )


def _dequantized(name: str, made_by: dict[str, onnx.NodeProto]) -> bool:
    return name in made_by and made_by[name].op_type == "DequantizeLinear"


def _fused(
    layer: Layer,
    node: onnx.NodeProto,
    *,
    made_by: dict[str, onnx.NodeProto],
    known: dict[str, Tensor],
    weights: dict[str, str],
) -> tuple[Layer, set[str]]:
    """Return the layer as one that reads int8, and the names of the dequantising layers that are now within it."""
    gone = {made_by[name].name for name in node.input if _dequantized(name, made_by) and made_by[name].name}
    source = made_by[node.input[0]].input[0]
    inputs = (known[source], *layer.inputs[1:]) if source in known else layer.inputs
    inputs = tuple(t for t in inputs if t.name in {source, node.input[0]} or not _dequantized(t.name, made_by))
    quantized = next(
        (
            weights[made_by[n].input[0]]
            for n in node.input[1:]
            if _dequantized(n, made_by) and made_by[n].input[0] in weights
        ),
        None,
    )
    return replace(layer, inputs=inputs, weights=quantized or layer.weights), gone
