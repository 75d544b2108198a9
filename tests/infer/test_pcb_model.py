"""The shipped detector of circuit-board defects: what its sidecar says, what it costs, what it finds."""

from __future__ import annotations

import hashlib
from contextlib import closing
from math import prod
from pathlib import Path
from typing import Any

import onnx
import pytest
import yaml

from streamer.board_reports import Found
from streamer.capture.scenes.boards import KINDS, Boards
from streamer.infer.model import open_model
from streamer.infer.recognise import SpecOptions, load_spec
from streamer.pixels.convert import picture_of_bgr
from streamer.tally import match

ENGINES = Path(__file__).resolve().parents[2] / "engines"
WEIGHTS = ENGINES / "pcb-defects.onnx"
SCORE = 0.5
BOARDS = 60


@pytest.fixture(scope="module")
def sidecar() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ENGINES / "pcb-defects.yaml").read_text())
    return loaded


@pytest.fixture(scope="module")
def network() -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(onnx.load(str(WEIGHTS)))


def test_the_sidecar_is_that_of_the_file(sidecar: dict[str, Any]) -> None:
    data = WEIGHTS.read_bytes()
    assert (sidecar["bytes"], sidecar["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert tuple(sidecar["labels"]) == KINDS
    assert len(data) < 4_000_000
    assert sidecar["measured"].keys() == {"DeepPCB test, 500 pictures", *KINDS}


def test_it_is_small(network: onnx.ModelProto) -> None:
    weights = {tensor.name: tensor.dims for tensor in network.graph.initializer}
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*network.graph.value_info, *network.graph.output]
    }
    convolutions = [node for node in network.graph.node if node.op_type == "Conv"]
    flop = sum(2 * prod(weights[node.input[1]]) * prod(shapes[node.output[0]][2:]) for node in convolutions)
    assert sum(prod(dims) for dims in weights.values()) < 1_000_000
    assert 1e9 < flop < 4e9


def test_it_says_what_it_is(network: onnx.ModelProto) -> None:
    said = {entry.key: entry.value for entry in network.metadata_props}
    assert yaml.safe_load(said["names"]) == dict(enumerate(KINDS))
    assert (said["task"], said["license"], said["imgsz"]) == ("detect", "Apache-2.0", "[640, 640]")
    assert network.opset_import[0].version == 13


def test_it_finds_drawn_defects_and_none_on_good_boards(seed: int) -> None:
    spec = load_spec("pcb-defects", options=SpecOptions())
    model = open_model(
        spec, backend="onnxruntime", precision="f32", latency=True, floor=SCORE, iou=0.5, on_ready=lambda: None
    )
    scene = Boards(seed, 640, 640)
    drawn: list[str] = []
    hit: list[str] = []
    good = rejected = 0
    with closing(model):
        for index in range(BOARDS):
            (found,) = model.collect(model.submit([picture_of_bgr(scene.at(index / 2).bgr)]))
            defects = scene.truth(index)
            right, _ = match([Found(kind=KINDS[d.class_id], score=d.score, box=d.box) for d in found], defects)
            drawn += [defect.kind for defect in defects]
            hit += right
            good += not defects
            rejected += not defects and bool(len(found))
    said = f"{len(hit)} of {len(drawn)} defects found, {rejected} of {good} good boards rejected"
    assert len(drawn) > BOARDS / 2, said
    assert len(hit) >= 0.85 * len(drawn), said  # tests/measure/boards.py says what it is: more than 0.95
    assert rejected <= 0.1 * good, said
