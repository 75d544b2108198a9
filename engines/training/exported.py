"""A detector as it is shipped: ONNX in the layout of YOLOv8, boxes decoded."""

# ruff: noqa: INP001  a script and its parts, no package: weights are trained seldom and never at run time
from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import onnx
import torch
from shapes_network import centres, flat
from torch import Tensor, nn

if TYPE_CHECKING:
    from pathlib import Path


class Detector(Protocol):
    """Gives class logits (B, C, h, w) and log extents (B, 4, h, w), in strides, for each stride."""

    classes: int
    strides: tuple[int, ...]

    def __call__(self, x: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return both, for (B, 3, H, W)."""


class Exported(nn.Module):
    """The network as it is shipped: pixels 0..1 in, cx cy w h in px and class scores out."""

    def __init__(self, network: Detector, hw: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.hw = hw
        points, steps = centres(hw, network.strides)
        self.register_buffer("points", points.T[None])  # (1, 2, A)
        self.register_buffer("steps", steps[None, None])  # (1, 1, A)

    def forward(self, images: Tensor) -> Tensor:
        """Return (B, 4 + C, A) for (B, 3, H, W)."""
        logits, extents = flat(self.network(images), self.network.classes, self.hw, self.network.strides)
        reach = torch.exp(extents) * self.steps
        before, after = reach[:, :2], reach[:, 2:]
        middle = self.points + (after - before) * 0.5
        return torch.cat((middle, before + after, torch.sigmoid(logits)), 1)


def export(network: Detector, path: Path, *, hw: tuple[int, int], kinds: tuple[str, ...], what: str) -> None:
    """Write the network as ONNX, with the metadata that Ultralytics' exporter would write.

    Args:
        network: whose weights are shipped.
        path: of the file.
        hw: the size of its input, px.
        kinds: names of its classes.
        what: it is, in a few words.
    """
    shipped = Exported(network, hw).eval()
    torch.onnx.export(
        shipped,
        (torch.zeros(1, 3, *hw),),
        str(path),
        input_names=["images"],
        output_names=["output0"],
        opset_version=13,
        dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
        dynamo=False,
    )
    model = onnx.load(str(path))
    facts = {
        "description": what,
        "author": "Streamer",
        "license": "Apache-2.0",
        "task": "detect",
        "stride": str(max(network.strides)),
        "batch": "1",
        "imgsz": str(list(hw)),
        "names": str(dict(enumerate(kinds))),
    }
    onnx.helper.set_model_props(model, facts)
    _name_weights_directly(model)
    for dim, size in zip(
        model.graph.output[0].type.tensor_type.shape.dim[1:], (4 + len(kinds), shipped.points.shape[2]), strict=True
    ):
        dim.dim_value = size
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))


def _name_weights_directly(model: onnx.ModelProto) -> None:
    """Take out the Identity nodes by which the exporter shares the head's weights between the strides."""
    weights = {tensor.name for tensor in model.graph.initializer}
    copies = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Identity" and n.input[0] in weights}
    kept = [node for node in model.graph.node if node.output[0] not in copies]
    for node in kept:
        for i, name in enumerate(node.input):
            node.input[i] = copies.get(name, name)
    del model.graph.node[:]
    model.graph.node.extend(kept)
