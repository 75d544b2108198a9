"""8 bits by explicit Q/DQ: as TensorRT takes it, measured on real frames, and no coarser than it may be."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from engine_nets import answers, converted, scene, small_net, types_of
from engine_values import EXTRA, input_of, shapes
from onnx import TensorProto, numpy_helper

from streamer.core.errors import BackendError
from streamer.infer.agreement import agreement
from streamer.infer.engine.precision import convert
from streamer.infer.engine.tail import name_nodes, tail_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["scene"]


def test_int8_gives_the_same_answers_by_scales_of_real_frames(scene: NDArray[np.uint8], tmp_path: Path) -> None:
    measured: list[int] = []
    path = convert(
        shapes().path, "int8", spec=shapes().input, calibration=scene[::2], folder=tmp_path, measured=measured.append
    )
    assert measured == list(range(1, len(scene[::2]) + 1))
    seen = agreement(answers(shapes().path, shapes(), scene), answers(path, shapes(), scene), threshold=0.5)
    assert seen.boxes >= 50
    assert seen.share >= 0.95  # the promise is the proof's to keep; versions of ONNX Runtime differ by a box or two
    assert seen.score_off < 0.05


def test_int8_stands_in_the_file_as_tensorrt_takes_it(scene: NDArray[np.uint8], tmp_path: Path) -> None:
    graph = onnx.load(str(converted(shapes(), "int8", tmp_path, scene[:4]))).graph
    count = Counter(node.op_type for node in graph.node)
    assert count["QuantizeLinear"] == count["DequantizeLinear"] > 10
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = weights[node.input[2]]
            assert zero.dtype == np.int8  # no 32-bit bias
            assert not zero.any()  # symmetric
    makers = {name: node for node in graph.node for name in node.output}
    quantised = [
        node
        for node in graph.node
        if node.op_type == "Conv" and getattr(makers.get(node.input[0]), "op_type", "") == "DequantizeLinear"
    ]
    assert len(quantised) > 5
    for node in quantised:
        assert makers[node.input[1]].op_type == "DequantizeLinear"
        scales = weights[makers[node.input[1]].input[1]]
        assert scales.size > 1  # one a channel
    name_nodes(graph)
    assert not {node.name for node in quantised} & tail_of(graph).last_layers


def test_int8_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        BackendError, match=r"shapes\.onnx: can't be brought to int8 \(.*\); precision f32 needs no chan"
    ):
        converted(shapes(), "int8", tmp_path, np.zeros((0, 192, 320, 3), np.uint8))


def test_an_old_opset_is_raised_for_int8(tmp_path: Path) -> None:
    path = small_net(tmp_path / "old.onnx", opset=11, shape=(1, 3, 6, 8))
    canvases = np.random.default_rng(2).integers(0, 256, (4, 6, 8, 3), np.uint8)
    spec = input_of(hw=(6, 8), max_batch=1, extras=(EXTRA,))
    made = convert(path, "int8", spec=spec, calibration=canvases, folder=tmp_path)
    assert onnx.load(str(made)).opset_import[0].version == 19


def test_a_model_that_can_not_be_raised_stays_f32_between_its_8_bits_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_model: object, opset: int) -> None:
        raise RuntimeError(f"no way to {opset}")

    monkeypatch.setattr(onnx.version_converter, "convert_version", refuse)
    path = small_net(tmp_path / "old.onnx", opset=17, shape=(1, 3, 6, 8))
    canvases = np.random.default_rng(2).integers(0, 256, (4, 6, 8, 3), np.uint8)
    spec = input_of(hw=(6, 8), max_batch=1, extras=(EXTRA,))
    made = convert(path, "int8", spec=spec, calibration=canvases, folder=tmp_path)
    assert "can't be raised from opset 17 to 19 (no way to 19)" in caplog.text
    assert types_of(made)["images"] == TensorProto.FLOAT
