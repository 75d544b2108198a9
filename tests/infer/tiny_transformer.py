"""A small vision transformer, ViT's or DINOv2's with a head, that tells red, green and blue apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_SIDE, _PATCH, _WIDTH, _HEADS = 32, 8, 12, 2
_TOKENS = (_SIDE // _PATCH) ** 2
_CLASSES = 3
_STRENGTH = 6.0


class _Graph:
    """Collects nodes and weights."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401  as ONNX has them
        name = f"{operation}/{len(self.nodes)}"
        self.nodes.append(helper.make_node(operation, list(inputs), [name], **attributes))
        return name

    def weight(self, values: NDArray[Any]) -> str:
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def shape(self, *lengths: int) -> str:
        return self.weight(np.array(lengths, np.int64))


def write_transformer(path: Path, *, dino: bool = False) -> Path:
    """Write patches, a class token, one block of attention and a perceptron, a norm and a head; logits come out.

    The numbers are drawn once, but for the path from the colours to the head, which is the identity.

    Args:
        path: of the file, [N, 3, 32, 32] to `logits` [N, 3].
        dino: the head sees the class token beside the mean of the patches, as DINOv2's does; and each branch has a
            scale of its own.
    """
    graph, rng = _Graph(), np.random.default_rng(9)
    tokens = _tokens(graph, rng)
    for branch in (_attention, _perceptron):
        changed = branch(graph, rng, _norm(graph, tokens))
        if dino:
            changed = graph.add("Mul", changed, graph.weight(np.full(_WIDTH, 0.5, np.float32)))
        tokens = graph.add("Add", tokens, changed)
    tokens = _norm(graph, tokens)
    first = graph.add("Gather", tokens, graph.weight(np.array(0, np.int64)), axis=1)
    seen = first
    if dino:
        patches = graph.add("Slice", tokens, graph.shape(1), graph.shape(_TOKENS + 1), graph.shape(1))
        seen = graph.add("Concat", first, graph.add("ReduceMean", patches, axes=[1], keepdims=0), axis=-1)
    head = np.zeros((2 * _WIDTH if dino else _WIDTH, _CLASSES), np.float32)
    for start in range(0, len(head), _WIDTH):
        head[range(start, start + _CLASSES), range(_CLASSES)] = _STRENGTH
    graph.nodes.append(helper.make_node("Gemm", [seen, graph.weight(head)], ["logits"]))
    given = helper.make_tensor_value_info("pixel_values", TensorProto.FLOAT, ["N", 3, _SIDE, _SIDE])
    answer = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", _CLASSES])
    made = helper.make_graph(graph.nodes, "transformer", [given], [answer], graph.weights)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def _tokens(graph: _Graph, rng: np.random.Generator) -> str:
    """Return the class token and one for each patch, (N, T + 1, W), with their places."""
    kernel = rng.normal(0, 0.002, (_WIDTH, 3, _PATCH, _PATCH)).astype(np.float32)
    kernel[range(3), range(3)] += 1 / _PATCH**2
    patches = graph.add("Conv", "pixel_values", graph.weight(kernel), strides=[_PATCH, _PATCH])
    rows = graph.add("Transpose", graph.add("Reshape", patches, graph.shape(0, _WIDTH, _TOKENS)), perm=[0, 2, 1])
    class_token = graph.weight(rng.normal(0, 0.02, (1, 1, _WIDTH)).astype(np.float32))
    batch = graph.add("Slice", graph.add("Shape", "pixel_values"), graph.shape(0), graph.shape(1))
    many = graph.add("Expand", class_token, graph.add("Concat", batch, graph.shape(1, _WIDTH), axis=0))
    places = graph.weight(rng.normal(0, 0.02, (1, _TOKENS + 1, _WIDTH)).astype(np.float32))
    return graph.add("Add", graph.add("Concat", many, rows, axis=1), places)


def _norm(graph: _Graph, tokens: str) -> str:
    ones, zeros = (graph.weight(np.full(_WIDTH, value, np.float32)) for value in (1, 0))
    return graph.add("LayerNormalization", tokens, ones, zeros, axis=-1, epsilon=1e-6)


def _attention(graph: _Graph, rng: np.random.Generator, tokens: str) -> str:
    """Return what each token takes from all of them; the values are the tokens themselves."""

    def heads(weights: NDArray[np.float32], perm: list[int]) -> str:
        product = graph.add("MatMul", tokens, graph.weight(weights))
        split = graph.add("Reshape", product, graph.shape(0, _TOKENS + 1, _HEADS, _WIDTH // _HEADS))
        return graph.add("Transpose", split, perm=perm)

    drawn = [rng.normal(0, 0.3, (_WIDTH, _WIDTH)).astype(np.float32) for _ in range(2)]
    scores = graph.add("MatMul", heads(drawn[0], [0, 2, 1, 3]), heads(drawn[1], [0, 2, 3, 1]))
    scale = graph.weight(np.array((_WIDTH // _HEADS) ** -0.5, np.float32))
    shares = graph.add("Softmax", graph.add("Mul", scores, scale), axis=-1)
    taken = graph.add("MatMul", shares, heads(np.eye(_WIDTH, dtype=np.float32), [0, 2, 1, 3]))
    joined = graph.add("Reshape", graph.add("Transpose", taken, perm=[0, 2, 1, 3]), graph.shape(0, -1, _WIDTH))
    return graph.add("MatMul", joined, graph.weight(np.eye(_WIDTH, dtype=np.float32)))


def _perceptron(graph: _Graph, rng: np.random.Generator, tokens: str) -> str:
    wide, back = (
        graph.weight(rng.normal(0, 0.05, shape).astype(np.float32))
        for shape in ((_WIDTH, 4 * _WIDTH), (4 * _WIDTH, _WIDTH))
    )
    hidden = graph.add("MatMul", tokens, wide)
    root = graph.weight(np.array(2**-0.5, np.float32))
    half = graph.add("Mul", hidden, graph.weight(np.array(0.5, np.float32)))
    one = graph.add("Add", graph.add("Erf", graph.add("Mul", hidden, root)), graph.weight(np.array(1, np.float32)))
    return graph.add("MatMul", graph.add("Mul", half, one), back)  # GELU, as exporters spell it out
