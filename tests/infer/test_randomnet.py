from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
from randomnet import make_random_yolo, sample_picture

from streamer.infer.heads.v8 import V8Head

if TYPE_CHECKING:
    from pathlib import Path


def test_it_costs_what_yolo11n_costs_and_always_finds_as_much(tmp_path: Path) -> None:
    path = tmp_path / "random.onnx"
    parameters = make_random_yolo(path, size=320)
    assert 2.5e6 < parameters < 2.75e6  # YOLO11n: 2.62 M
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    head = V8Head(80)
    for picture in [*(sample_picture(320, seed) for seed in range(4)), np.zeros((320, 320, 3), np.uint8)]:
        pixels = picture[None].transpose(0, 3, 1, 2).astype(np.float32) / 255
        (output,) = session.run(None, {"images": pixels})
        assert output.shape == (1, 84, 2100)
        assert 10 <= len(head([output], 0.25, 0.5)[0]) <= 16


def test_it_is_the_same_each_time(tmp_path: Path) -> None:
    make_random_yolo(tmp_path / "one.onnx", size=64, classes=3)
    make_random_yolo(tmp_path / "two.onnx", size=64, classes=3)
    assert (tmp_path / "one.onnx").read_bytes() == (tmp_path / "two.onnx").read_bytes()
