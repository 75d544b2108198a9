"""A network in f16, but for its tail: see `tail.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from onnx import TensorProto
from onnxruntime.transformers.float16 import convert_float_to_float16

from .tail import name_nodes, reads, tail_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamer.infer.spec import InputSpec

Model = Any  # onnx's ModelProto has no stubs
Node = Any


def to_f16(model: Model, spec: InputSpec) -> Model:
    """Return the network in f16: its picture too, if nothing of the tail reads it; its tail and its outputs in f32.

    The converter casts around each node that it leaves alone, so that a row of them would pass its numbers on in f16:
    the tail is taken off before, and put on again behind.

    Raises:
        ValueError: a tensor between the two has no type that can be told.
    """
    typed = onnx.shape_inference.infer_shapes(model)
    graph = typed.graph
    name_nodes(graph)
    inside = tail_of(graph).nodes
    tail = [_copy(node) for node in graph.node if node.name in inside]
    trunk = [node for node in graph.node if node.name not in inside]
    if not trunk:  # nothing that computes: it is f32 throughout
        return typed
    wanted = _read_by(tail) | {port.name for port in graph.output}
    _add_constants(trunk, tail)
    own = _own_weights(graph, trunk, tail)
    half = _converted(typed, trunk, wanted=wanted, picture=None if spec.name in _read_by(tail) else spec.name)
    return _joined(typed, half, tail, own, picture=spec.name)


def _converted(typed: Model, trunk: list[Node], *, wanted: set[str], picture: str | None) -> Model:
    """Convert the trunk; what is wanted of it comes out as it was."""
    needed = _read_by(trunk)
    made = {name for node in trunk for name in node.output if name}
    ports = {port.name: port for port in (*typed.graph.value_info, *typed.graph.output)}
    missing = sorted(name for name in made & wanted if name not in ports)
    if missing:
        raise ValueError(f"the type of {missing[0]} can't be told")
    part = onnx.ModelProto()
    part.CopyFrom(typed)
    for field in ("node", "input", "output", "initializer", "value_info"):
        part.graph.ClearField(field)
    part.graph.node.extend(trunk)
    part.graph.input.extend(port for port in typed.graph.input if port.name in needed)
    part.graph.output.extend(ports[name] for name in sorted(made & wanted))
    part.graph.initializer.extend(tensor for tensor in typed.graph.initializer if tensor.name in needed)
    part.graph.value_info.extend(info for info in typed.graph.value_info if info.name in made - wanted)
    kept = [port.name for port in (*part.graph.input, *part.graph.output) if port.name != picture]
    return convert_float_to_float16(part, keep_io_types=kept, disable_shape_infer=True)


def _joined(typed: Model, half: Model, tail: list[Node], weights: list[Any], *, picture: str) -> Model:
    """Put the tail behind the converted trunk; inputs and outputs in the order of the model."""
    made = onnx.ModelProto()
    made.CopyFrom(half)
    given = {port.name: port for port in half.graph.input}
    made.graph.ClearField("input")
    made.graph.input.extend(given.get(port.name, port) if port.name == picture else port for port in typed.graph.input)
    made.graph.ClearField("output")
    made.graph.output.extend(typed.graph.output)
    made.graph.ClearField("node")
    made.graph.node.extend(_sorted([*half.graph.node, *tail]))
    made.graph.initializer.extend(weights)
    made.graph.ClearField("value_info")  # types of before; TensorRT infers its own
    return made


def _sorted(nodes: list[Node]) -> list[Node]:
    """Return the nodes so that each stands behind what it reads, which the converter does not see to."""
    makers = {name: node for node in nodes for name in node.output if name}
    begun: set[int] = set()
    placed: set[int] = set()
    ordered: list[Node] = []
    for last in nodes:
        waiting = [last]
        while waiting:
            node = waiting[-1]
            if id(node) not in begun:
                begun.add(id(node))
                before = (makers[name] for name in reads(node) if name in makers)
                waiting.extend(maker for maker in before if id(maker) not in begun)
                continue
            waiting.pop()
            if id(node) not in placed:
                placed.add(id(node))
                ordered.append(node)
    return ordered


def _add_constants(trunk: list[Node], tail: list[Node]) -> None:
    """Give the trunk its own copy of each constant that both read; the tail's gets another name."""
    wanted = _read_by(trunk)
    renamed = {}
    for node in list(tail):
        shared = [name for name in node.output if name in wanted]
        if node.op_type == "Constant" and shared:
            trunk.insert(0, _copy(node))
            renamed[shared[0]] = f"{shared[0]}/f32"
            node.name = f"{node.name}/f32"
            node.output[0] = renamed[shared[0]]
    _rename(tail, renamed)


def _own_weights(graph: Any, trunk: list[Node], tail: list[Node]) -> list[Any]:  # noqa: ANN401  a GraphProto
    """Return the weights that the tail reads; those that the trunk reads too under another name."""
    in_trunk, in_tail = _read_by(trunk), _read_by(tail)
    own, renamed = [], {}
    for tensor in graph.initializer:
        if tensor.name not in in_tail:
            continue
        copy = TensorProto()
        copy.CopyFrom(tensor)
        if tensor.name in in_trunk:
            copy.name = renamed[tensor.name] = f"{tensor.name}/f32"
        own.append(copy)
    _rename(tail, renamed)
    return own


def _rename(nodes: Iterable[Node], names: Mapping[str, str]) -> None:
    """Give tensors that are read other names, also where a body (If, Loop) takes them from outside."""
    for node in nodes:
        for index, name in enumerate(node.input):
            if name in names:
                node.input[index] = names[name]
        for attribute in node.attribute:
            for body in (attribute.g, *attribute.graphs):
                _rename(body.node, names)


def _read_by(nodes: Iterable[Node]) -> set[str]:
    return {name for node in nodes for name in reads(node)}


def _copy(node: Node) -> Node:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
