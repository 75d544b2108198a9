"""Where a network's features end and its arithmetic begins: what is behind its last weighted layers.

There the boxes are put together: in f16 a coordinate above 512 px has steps of half a pixel, and in 8 bits a score has
steps of a hundredth. It costs next to nothing, so it stays in f32, whatever the rest is computed in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
_MOVES = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Identity", "Cast")

Node = Any  # onnx's NodeProto has no stubs
Graph = Any


@dataclass(frozen=True, slots=True)
class Tail:
    """Names of nodes; `name_nodes` has given each its own."""

    nodes: frozenset[str]  # everything between the last weighted layers and the outputs
    last_layers: frozenset[str]  # the weighted layers whose numbers the outputs are made of


def name_nodes(graph: Graph) -> None:
    """Give each node of a graph a name of its own."""
    taken: set[str] = set()
    for number, node in enumerate(graph.node):
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}/{number}/streamer"
        taken.add(node.name)


def tail_of(graph: Graph) -> Tail:
    """Follow the outputs back to the last weighted layers.

    What the features need as well does not belong to the tail; a constant does, and has to be copied.
    """
    makers = {name: node for node in graph.node for name in node.output if name}
    nodes: dict[str, Node] = {}
    last: set[str] = set()
    wanted = [port.name for port in graph.output]
    while wanted:
        node = makers.get(wanted.pop())
        if node is None or node.name in nodes:
            continue
        if node.op_type in WEIGHTED and not _sums_bins(node, makers):
            last.add(node.name)
            continue
        nodes[node.name] = node
        wanted.extend(reads(node))
    return Tail(frozenset(_closed(graph, nodes)), frozenset(last))


def reads(node: Node) -> Iterator[str]:
    """Yield the names of the tensors that a node reads, those that its bodies (If, Loop) take from outside included."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for body in (attribute.g, *attribute.graphs):
            for inner in body.node:
                yield from reads(inner)
            yield from (port.name for port in body.output)  # a body may pass on what lies outside


def _sums_bins(node: Node, makers: dict[str, Node]) -> bool:
    """Whether a convolution only takes the mean over a distribution (YOLOv8's DFL), as its fixed weights 0..15 say."""
    before = makers.get(node.input[0])
    while before is not None and before.op_type in _MOVES:
        before = makers.get(before.input[0])
    return before is not None and before.op_type == "Softmax"


def _closed(graph: Graph, nodes: dict[str, Node]) -> set[str]:
    """Leave out the nodes, but for constants, whose numbers a node outside reads too."""
    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in reads(node):
            readers.setdefault(name, []).append(node.name)
    inside = set(nodes)
    while True:
        shared = {
            name
            for name in inside
            if nodes[name].op_type != "Constant"
            and any(reader not in inside for output in nodes[name].output for reader in readers.get(output, ()))
        }
        if not shared:
            return inside
        inside -= shared
