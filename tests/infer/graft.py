"""A real network whose answer, input and dtype are rewritten to those of another family: same weights, same boxes.

It is grown on YOLOX-nano in the layout of v8, (1, 84, 3549) px, which takes RGB, 0 to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, version_converter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from streamer.infer.heads.family import Look

SIDE = 416  # px
ROWS, CLASSES = 3549, 80
LEVELS = ((8, 52), (16, 26), (32, 13))  # stride, cells a side


class Graft:
    """One file on its way."""

    def __init__(self, source: Path) -> None:
        self._model = version_converter.convert_version(onnx.load(str(source)), 13)
        self._graph = self._model.graph
        del self._model.metadata_props[:]  # no names: nothing tells but shapes and numbers
        self._made = 0
        rows = self.add("Transpose", "output0", perm=[0, 2, 1])
        self.xywh, self.scores = self.split(rows, 2, [4, CLASSES])  # (1, 3549, 4) px and (1, 3549, 80)

    @property
    def xyxy(self) -> str:
        """Corners, (1, 3549, 4) px."""
        centre, size = self.split(self.xywh, 2, [2, 2])
        half = self.add("Mul", size, self.const([0.5]))
        return self.add("Concat", self.add("Sub", centre, half), self.add("Add", centre, half), axis=2)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401  whatever ONNX takes
        """Append a node of one output and return that."""
        return self.many(kind, *inputs, outputs=1, **attributes)[0]

    def many(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:  # noqa: ANN401  as `add`
        """Append a node of several outputs."""
        names = [f"graft{self._made + i}" for i in range(outputs)]
        self._made += outputs
        self._graph.node.append(helper.make_node(kind, list(inputs), names, **attributes))
        return names

    def const(self, value: Any, dtype: Any = np.float32) -> str:  # noqa: ANN401  whatever numpy takes
        """Return a constant."""
        name = f"graft{self._made}"
        self._made += 1
        self._graph.initializer.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def split(self, tensor: str, axis: int, lengths: Sequence[int]) -> list[str]:
        """Cut a tensor along an axis."""
        lengths_in = self.const(lengths, np.int64)
        return self.many("Split", tensor, lengths_in, outputs=len(lengths), axis=axis)

    def cast(self, tensor: str, to: int) -> str:
        """Return it in another dtype."""
        return self.add("Cast", tensor, to=to)

    def reshape(self, tensor: str, *shape: int) -> str:
        """Return it in another shape."""
        return self.add("Reshape", tensor, self.const(shape, np.int64))

    def logits(self, scores: str) -> str:
        """Undo a sigmoid."""
        low, high = self.const(1e-6), self.const(1 - 1e-6)
        sure = self.add("Clip", scores, low, high)
        return self.add("Log", self.add("Div", sure, self.add("Sub", self.const([1.0]), sure)))

    def best(self, count: int = 100) -> tuple[str, str, str]:
        """Suppress inside; return corners (count, 4) px, scores (count,) and classes (count,) int64, best first.

        What is empty has a score of 0.
        """
        by_class = self.add("Transpose", self.scores, perm=[0, 2, 1])
        limit, iou, floor = self.const([300], np.int64), self.const([0.5]), self.const([0.05])
        picked = self.add("NonMaxSuppression", self.xyxy, by_class, limit, iou, floor)  # (n, 3) batch, class, row
        _, ids, rows = self.split(picked, 1, [1, 1, 1])
        score = self.add("GatherND", self.add("Squeeze", self.scores, self.const([0], np.int64)),
                         self.add("Concat", rows, ids, axis=1))  # fmt: skip
        padding = self.const([0, count], np.int64)
        score = self.add("Pad", score, padding)
        top, order = self.many("TopK", score, self.const([count], np.int64), outputs=2)
        pad_rows = self.const([0, 0, count, 0], np.int64)
        boxes = self.add("Gather", self.add("Squeeze", self.xyxy, self.const([0], np.int64)), self.reshape(rows, -1))
        boxes = self.add("Gather", self.add("Pad", boxes, pad_rows), order)
        classes = self.add("Gather", self.add("Pad", self.reshape(ids, -1), padding), order)
        return boxes, top, classes

    def told(self, name: str, dtype: int, *axes: int) -> str:
        """Add an input beside the picture, (1, 2) or of the axes given."""
        self._graph.input.append(helper.make_tensor_value_info(name, dtype, [1, *(axes or (2,))]))
        return name

    def finish(self, path: Path, outputs: Mapping[str, str]) -> Path:
        """Write the file with these outputs, name to tensor."""
        del self._graph.output[:]
        for name, tensor in outputs.items():
            self._graph.node.append(helper.make_node("Identity", [tensor], [name]))
            self._graph.output.append(onnx.ValueInfoProto(name=name))
        onnx.save(onnx.shape_inference.infer_shapes(self._model), str(path))
        return path

    def fed_by(self, look: Look, *, layout: str = "nchw", dtype: int = TensorProto.FLOAT) -> Graft:
        """Let the input take what a family's networks are shown."""
        old = self._graph.input[0]
        batched = layout != "chw"
        axes = {"nchw": [1, 3, SIDE, SIDE], "nhwc": [1, SIDE, SIDE, 3], "chw": [3, SIDE, SIDE]}[layout]
        scale = 1.0 if dtype == TensorProto.UINT8 else look.scale
        names: list[str] = ["pixels"]
        nodes: list[Any] = []

        def then(kind: str, *more: str, **attributes: Any) -> None:  # noqa: ANN401  as `add`
            names.append(f"{old.name}/{len(names)}")
            nodes.append(helper.make_node(kind, [names[-2], *more], [names[-1]], **attributes))

        then("Cast", to=TensorProto.FLOAT)
        if not batched:
            then("Unsqueeze", self.const([0], np.int64))
        if layout == "nhwc":
            then("Transpose", perm=[0, 3, 1, 2])
        if dtype != TensorProto.UINT8:
            then("Mul", self.const(_channels(look.std)))
            then("Add", self.const(_channels(look.mean)))
        then("Mul", self.const([1 / scale / 255]))
        if look.color.value == "bgr":
            then("Gather", self.const([2, 1, 0], np.int64), axis=1)
        nodes.append(helper.make_node("Identity", [names[-1]], [old.name]))
        for node in reversed(nodes):
            self._graph.node.insert(0, node)
        self._graph.input.remove(old)
        self._graph.input.append(helper.make_tensor_value_info("pixels", dtype, axes))
        return self


def _channels(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(1, 3, 1, 1)
