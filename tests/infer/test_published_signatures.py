"""The catalogue's detectors, by the inputs and outputs that their publishers state: each sidecar fits its network.

The networks are stand-ins with the published names, types and shapes; what they answer is empty. The real files are not
needed for it, and a sidecar whose head, labels or size contradict its network is found before anybody has pulled it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from onnx import TensorProto, checker, helper, numpy_helper, save_model

from streamer.infer.catalogue import open_catalogue
from streamer.infer.recognise import load_spec

if TYPE_CHECKING:
    from pathlib import Path

F, U8, I32, I64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64
Port = tuple[str, int, list[object]]


def cells(side: int, *strides: int) -> int:
    return sum(math.ceil(side / stride) ** 2 for stride in strides)


def yolox(side: int) -> tuple[list[Port], list[Port]]:
    return [("images", F, [1, 3, side, side])], [("output", F, [1, cells(side, 8, 16, 32), 85])]


def detr(side: object, classes: int) -> tuple[list[Port], list[Port]]:
    sides = [side, side] if isinstance(side, int) else ["height", "width"]
    outputs: list[Port] = [("logits", F, ["batch_size", 300, classes]), ("pred_boxes", F, ["batch_size", 300, 4])]
    return [("pixel_values", F, ["batch_size", 3, *sides])], outputs


def tensorflow(name: str) -> tuple[list[Port], list[Port]]:
    count, batch = "Resize__num", "unk__1"
    outputs: list[Port] = [("detection_boxes", F, [batch, count, 4]), ("detection_classes", F, [batch, count])]
    outputs += [("detection_scores", F, [batch, count]), ("num_detections", F, [batch])]
    return [(name, U8, [batch, "h", "w", 3])], outputs


def rcnn(*names: str) -> tuple[list[Port], list[Port]]:
    boxes, labels, scores = names[:3]
    outputs: list[Port] = [(boxes, F, ["n", 4]), (labels, I64, ["n"]), (scores, F, ["n"])]
    return [("image", F, [3, "height", "width"])], outputs + [(name, F, ["n", 1, 28, 28]) for name in names[3:]]


def yolov3(indices: list[object], kind: int) -> tuple[list[Port], list[Port]]:
    inputs: list[Port] = [("input_1", F, ["N", 3, "M", "O"]), ("image_shape", F, ["N", 2])]
    return inputs, [("boxes", F, [1, "n", 4]), ("scores", F, [1, 80, "n"]), ("indices", kind, indices)]


def retinanet() -> tuple[list[Port], list[Port]]:
    sides = [(math.ceil(480 / stride), math.ceil(640 / stride)) for stride in (8, 16, 32, 64, 128)]
    outputs: list[Port] = [(f"score_{i}", F, [1, 720, *hw]) for i, hw in enumerate(sides)]
    return [("input", F, [1, 3, 480, 640])], outputs + [(f"box_{i}", F, [1, 36, *hw]) for i, hw in enumerate(sides)]


NANODET: list[Port] = [
    ("792", F, [1, cells(416, 8), 80]),
    ("814", F, [1, cells(416, 16), 80]),
    ("836", F, [1, cells(416, 32), 80]),
    ("795", F, [1, cells(416, 8), 32]),
    ("817", F, [1, cells(416, 16), 32]),
    ("839", F, [1, cells(416, 32), 32]),
]
PUBLISHED: dict[str, tuple[list[Port], list[Port]]] = {
    "yolox-nano": yolox(416),
    "yolox-tiny": yolox(416),
    "yolox-s": yolox(640),
    "yolox-m": yolox(640),
    "yolox-x": yolox(640),
    "nanodet-m-416": ([("input.1", F, [1, 3, 416, 416])], NANODET),
    **{f"dfine-{size}": detr("any", 80) for size in "nsml"},
    "rtdetr-r18": detr("any", 80),
    "rtdetrv2-s": detr("any", 80),
    "rfdetr-nano": detr(384, 91),
    "ssd-mobilenet-v1": tensorflow("inputs"),
    "ssd-mobilenet-v1-10": tensorflow("image_tensor:0"),
    "ssd-resnet34": (
        [("image", F, [1, 3, 1200, 1200])],
        [("bboxes", F, [1, "n", 4]), ("labels", I64, [1, "n"]), ("scores", F, [1, "n"])],
    ),
    "faster-rcnn-r50": rcnn("6379", "6381", "6383"),
    "mask-rcnn-r50": rcnn("6568", "6570", "6572", "6887"),
    "yolov3": yolov3(["k", 3], I32),
    "tiny-yolov3": yolov3([1, "k", 3], I32),
    "yolov4": (
        [("input_1:0", F, ["unk", 416, 416, 3])],
        [(f"Identity{n}:0", F, ["unk", side, side, 3, 85]) for n, side in (("", 52), ("_1", 26), ("_2", 13))],
    ),
    "tiny-yolov2-voc": ([("image", F, ["None", 3, 416, 416])], [("grid", F, ["None", 125, 13, 13])]),
    "yolov2": ([("input.1", F, [1, 3, 416, 416])], [("218", F, [1, 425, 13, 13])]),
    "retinanet-r101": retinanet(),
}


def stand_in(path: Path, inputs: list[Port], outputs: list[Port]) -> Path:
    """Write a network with these inputs and outputs; open axes are 1 long."""
    nodes, constants = [], []
    for number, (name, kind, shape) in enumerate(outputs):
        lengths = np.array([axis if isinstance(axis, int) else 1 for axis in shape], np.int64)
        constants.append(numpy_helper.from_array(lengths, f"shape{number}"))
        zero = helper.make_tensor("zero", kind, [1], [0])
        nodes.append(helper.make_node("ConstantOfShape", [f"shape{number}"], [name], value=zero))
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info(*port) for port in inputs],
        [helper.make_tensor_value_info(*port) for port in outputs],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    checker.check_model(model)
    save_model(model, str(path))
    return path


DETECTORS = [name for name in open_catalogue({}).names() if open_catalogue({}).entry(name).sidecar.task == "detect"]


OURS = ("doorway", "pcb-defects", "shapes")  # their weights ship, and are tested


@pytest.mark.parametrize("name", [name for name in DETECTORS if name not in OURS])
def test_the_sidecar_fits_the_network_that_is_published(name: str, tmp_path: Path) -> None:
    entry = open_catalogue({}).entry(name)
    said = entry.sidecar.options(entry.path.parent)
    spec = load_spec(str(stand_in(tmp_path / f"{name}.onnx", *PUBLISHED[name])), options=said)
    assert (spec.head, spec.labels) == (said.head, said.labels)
    if said.size is not None:
        assert spec.input.hw == ((said.size, said.size) if isinstance(said.size, int) else said.size)
    if spec.columns == 91 or said.ids == "coco91":
        assert spec.ids is not None
        assert (spec.ids[0], spec.ids[-1]) == (1, 90)
