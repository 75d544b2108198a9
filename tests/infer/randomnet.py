"""A network of YOLO11n's shape with random weights: what a real one costs, without anybody's weights.

About 2.6 M parameters and 6.5 GFLOP at 640, output `output0` [1, 4 + classes, anchors] in the v8 layout. Whatever the
picture, about as many boxes as asked for pass score and NMS: the class logits stand mostly on a fixed prior, which
favours a few anchors of a grid, and only a little on what the layers say; the boxes' sides likewise.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_STRIDES = (8, 16, 32)
_BINS = 16  # of each side's distance distribution
_SPREAD = 0.6  # standard deviation before each activation: small enough that rounding does not grow from layer to layer
_LOW = -20.0  # logit of what is not seen
_SAY = 0.05  # of that, what the last layers keep: noise on another picture must not decide what passes


class _Graph:
    """Nodes and weights; each node is run on the picture as it is added, so that each convolution can be normalised.

    Methods take names of tensors and return the name of their output.
    """

    def __init__(self, picture: NDArray[np.uint8], seed: int) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []
        self.parameters = 0
        self.values: dict[str, NDArray[Any]] = {
            "images": np.ascontiguousarray(picture.transpose(2, 0, 1)[None].astype(np.float32) / 255)
        }
        self._rng = np.random.default_rng(seed)
        self._count = 0

    def constant(self, value: NDArray[Any], name: str = "") -> str:
        name = name or f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        self.values[name] = value
        return name

    def op(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:  # noqa: ANN401  onnx is untyped; a name, or several
        names = [f"{kind.lower()}{self._count}_{i}" for i in range(outputs)]
        self._count += 1
        node = helper.make_node(kind, list(inputs), names, **attributes)
        self.nodes.append(node)
        self.values.update(zip(names, _run(node, {n: self.values[n] for n in inputs if n}), strict=True))
        return names[0] if outputs == 1 else names

    def conv(
        self,
        x: str,
        c_in: int,
        c_out: int,
        *,
        k: int = 1,
        s: int = 1,
        groups: int = 1,
        act: bool = True,
        gain: float = 1.0,
    ) -> str:
        """Add a convolution whose outputs have mean 0 a channel and `_SPREAD`, as batch-norm leaves them."""
        shape = (c_out, c_in // groups, k, k)
        weight = self._rng.standard_normal(shape).astype(np.float32)
        form: dict[str, Any] = {"kernel_shape": [k, k], "strides": [s, s], "pads": [k // 2] * 4, "group": groups}
        (raw,) = _run(helper.make_node("Conv", ["x", "w"], ["y"], **form), {"x": self.values[x], "w": weight})
        std = float(raw.std(axis=(0, 2, 3)).mean() + 1e-3) / (_SPREAD * gain)
        bias = -raw.mean(axis=(0, 2, 3)) / std
        self.parameters += weight.size + bias.size
        names = self.constant(weight / np.float32(std)), self.constant(bias.astype(np.float32))
        out: str = self.op("Conv", x, *names, **form)
        return self.op("Mul", out, self.op("Sigmoid", out)) if act else out

    def bottleneck(self, x: str, c: int, hidden: int) -> str:
        y = self.conv(self.conv(x, c, hidden, k=3), hidden, c, k=3)
        return self.op("Add", x, y)  # type: ignore[no-any-return]

    def c3k(self, x: str, c: int) -> str:
        a, b = self.conv(x, c, c // 2), self.conv(x, c, c // 2)
        for _ in range(2):
            a = self.bottleneck(a, c // 2, c // 2)
        return self.conv(self.op("Concat", a, b, axis=1), c, c)

    def c3k2(self, x: str, c_in: int, c_out: int, *, deep: bool = False, e: float = 0.5) -> str:
        c = int(c_out * e)
        a, b = self.op("Split", self.conv(x, c_in, 2 * c), outputs=2, axis=1)
        y = self.c3k(b, c) if deep else self.bottleneck(b, c, c // 2)
        return self.conv(self.op("Concat", a, b, y, axis=1), 3 * c, c_out)

    def sppf(self, x: str, c: int) -> str:
        levels = [self.conv(x, c, c // 2)]
        for _ in range(3):
            levels.append(self.op("MaxPool", levels[-1], kernel_shape=[5, 5], strides=[1, 1], pads=[2] * 4))
        return self.conv(self.op("Concat", *levels, axis=1), 2 * c, c)

    def attention(self, x: str, c: int, area: int) -> str:
        heads, key, value = 2, c // 4, c // 2
        shape = self.constant(np.array([1, heads, 2 * key + value, area], np.int64))
        qkv = self.op("Reshape", self.conv(x, c, 2 * c, act=False), shape)
        parts = self.constant(np.array([key, key, value], np.int64))
        q, k, v = self.op("Split", qkv, parts, outputs=3, axis=2)
        scores = self.op("MatMul", self.op("Transpose", q, perm=[0, 1, 3, 2]), k)
        scores = self.op("Softmax", self.op("Mul", scores, self.constant(np.array([key**-0.5], np.float32))), axis=-1)
        mixed = self.op("MatMul", v, self.op("Transpose", scores, perm=[0, 1, 3, 2]))
        side = round(area**0.5)
        back = self.constant(np.array([1, c, side, side], np.int64))
        place = self.conv(self.op("Reshape", v, back), c, c, k=3, groups=c, act=False)
        return self.conv(self.op("Add", self.op("Reshape", mixed, back), place), c, c, act=False)

    def c2psa(self, x: str, c: int, area: int) -> str:
        a, b = self.op("Split", self.conv(x, c, c), outputs=2, axis=1)
        b = self.op("Add", b, self.attention(b, c // 2, area))
        b = self.op("Add", b, self.conv(self.conv(b, c // 2, c), c, c // 2, act=False))
        return self.conv(self.op("Concat", a, b, axis=1), c, c)


def _run(node: onnx.NodeProto, inputs: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    kinds = {n: helper.np_dtype_to_tensor_dtype(v.dtype) for n, v in inputs.items()}
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(n, kinds[n], v.shape) for n, v in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in node.output],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, inputs))


def _backbone_and_neck(g: _Graph, x: str, size: int) -> list[tuple[str, int]]:
    x = g.conv(g.conv(x, 3, 16, k=3, s=2), 16, 32, k=3, s=2)
    p3 = g.c3k2(g.conv(g.c3k2(x, 32, 64, e=0.25), 64, 64, k=3, s=2), 64, 128, e=0.25)
    p4 = g.c3k2(g.conv(p3, 128, 128, k=3, s=2), 128, 128, deep=True)
    p5 = g.c3k2(g.conv(p4, 128, 256, k=3, s=2), 256, 256, deep=True)
    p5 = g.c2psa(g.sppf(p5, 256), 256, (size // 32) ** 2)
    twice = g.constant(np.array([1, 1, 2, 2], np.float32))
    nearest: dict[str, Any] = {
        "mode": "nearest",
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    up = g.op("Resize", p5, "", twice, **nearest)
    n4 = g.c3k2(g.op("Concat", up, p4, axis=1), 384, 128)
    up = g.op("Resize", n4, "", twice, **nearest)
    n3 = g.c3k2(g.op("Concat", up, p3, axis=1), 256, 64)
    n4 = g.c3k2(g.op("Concat", g.conv(n3, 64, 64, k=3, s=2), n4, axis=1), 192, 128)
    n5 = g.c3k2(g.op("Concat", g.conv(n4, 128, 128, k=3, s=2), p5, axis=1), 384, 256, deep=True)
    return [(n3, 64), (n4, 128), (n5, 256)]


def _detect(g: _Graph, levels: list[tuple[str, int]], size: int, *, classes: int, spots: int) -> None:
    wide = max(64, min(classes, 100))
    sides, scores = [], []
    for x, c in levels:
        box = g.conv(g.conv(g.conv(x, c, 64, k=3), 64, 64, k=3), 64, 4 * _BINS, act=False, gain=_SAY)
        y = g.conv(g.conv(x, c, c, k=3, groups=c), c, wide)
        y = g.conv(g.conv(g.conv(y, wide, wide, k=3, groups=wide), wide, wide), wide, classes, act=False, gain=_SAY)
        sides.append(g.op("Reshape", box, g.constant(np.array([1, 4 * _BINS, -1], np.int64))))
        scores.append(g.op("Reshape", y, g.constant(np.array([1, classes, -1], np.int64))))
    cells = [size // s for s in _STRIDES]
    anchors = sum(n * n for n in cells)
    distances = g.op("Reshape", g.op("Concat", *sides, axis=2), g.constant(np.array([1, 4, _BINS, anchors], np.int64)))
    distances = g.op("Transpose", distances, perm=[0, 2, 1, 3])
    spread = g.op("Softmax", distances, axis=1)
    bins = g.constant(np.arange(_BINS, dtype=np.float32).reshape(1, _BINS, 1, 1))
    expected = g.op("Conv", spread, bins, kernel_shape=[1, 1])
    ltrb = g.op("Reshape", expected, g.constant(np.array([1, 4, anchors], np.int64)))
    left_top, right_bottom = g.op("Split", ltrb, outputs=2, axis=1)
    centres = np.concatenate([np.stack(np.meshgrid(np.arange(n), np.arange(n)), 0).reshape(2, -1) for n in cells], 1)
    centre = g.constant((centres + 0.5).astype(np.float32)[None])
    first, last = g.op("Sub", centre, left_top), g.op("Add", centre, right_bottom)
    middle = g.op("Mul", g.op("Add", first, last), g.constant(np.array([0.5], np.float32)))
    boxes = g.op("Concat", middle, g.op("Sub", last, first), axis=1)
    strides = np.concatenate([np.full(n * n, s, np.float32) for n, s in zip(cells, _STRIDES, strict=True)])
    boxes = g.op("Mul", boxes, g.constant(strides.reshape(1, 1, -1)))
    logits = g.op("Concat", *scores, axis=2)
    likely = g.op("Sigmoid", g.op("Add", logits, g.constant(_prior(cells, classes, spots))))
    g.nodes.append(helper.make_node("Concat", [boxes, likely], ["output0"], axis=1))


def _prior(cells: list[int], classes: int, spots: int) -> NDArray[np.float32]:
    """Return (1, classes, anchors) logits: low, but for three neighbours at each of `spots` places of the finest grid.

    The neighbours are of one class and their boxes overlap, so that NMS has something to do.
    """
    side, anchors = cells[0], sum(n * n for n in cells)
    prior = np.full((1, classes, anchors), _LOW, np.float32)
    columns = max(1, round((spots * 1.5) ** 0.5))
    rows = -(-spots // columns)
    for spot in range(spots):
        row, column = divmod(spot, columns)
        y, x = int((row + 0.5) * side / rows), int((column + 0.5) * side / columns)
        for step, score in ((0, 0.8), (-1, 0.6), (1, 0.4)):
            prior[0, spot % classes, y * side + min(max(x + step, 0), side - 1)] = np.log(score / (1 - score))
    return prior


def make_random_yolo(
    path: Path,
    *,
    size: int = 640,
    classes: int = 80,
    boxes: int = 12,
    picture: NDArray[np.uint8] | None = None,
    seed: int = 13,
) -> int:
    """Write the network and return its number of parameters.

    Args:
        path: the .onnx to write.
        size: side of the square input, px, a multiple of 32.
        classes: how many classes it answers.
        boxes: about how many pass a score of 0.25 and NMS at IoU 0.5, on any picture.
        picture: (size, size, 3) RGB, what the layers are normalised on; None: noise with a few rectangles.
        seed: of the weights.
    """
    g = _Graph(sample_picture(size) if picture is None else picture, seed)
    _detect(g, _backbone_and_neck(g, "images", size), size, classes=classes, spots=boxes)
    anchors = sum((size // s) ** 2 for s in _STRIDES)
    graph = helper.make_graph(
        g.nodes,
        "random-yolo",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, size, size])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 4 + classes, anchors])],
        g.weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(
        model,
        {
            "names": str({i: f"class{i}" for i in range(classes)}),
            "stride": "32",
            "task": "detect",
            "imgsz": str([size, size]),
        },
    )
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return g.parameters


def sample_picture(size: int, seed: int = 5) -> NDArray[np.uint8]:
    """Return a (size, size, 3) picture of noise and rectangles, always the same for a seed."""
    rng = np.random.default_rng(seed)
    picture = cv2.resize(rng.integers(0, 256, (size // 16, size // 16, 3), dtype=np.uint8), (size, size))
    for _ in range(12):
        x, y = rng.integers(0, size - size // 8, 2)
        w, h = rng.integers(size // 16, size // 4, 2)
        picture[y : y + h, x : x + w] = rng.integers(0, 256, 3)
    return np.ascontiguousarray(picture, dtype=np.uint8)
