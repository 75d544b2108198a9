"""`streamer check --probe` opens what a run would begin with."""

from __future__ import annotations

import importlib.util
import io
from typing import TYPE_CHECKING

import pytest
import yaml

from streamer.check import check
from streamer.core.errors import LostReason, SourceError

if TYPE_CHECKING:
    from pathlib import Path

    from nvidia import FakeGpu

    from streamer.capture.base import SourceSpec


def probed(folder: Path, **model: object) -> tuple[int, list[str]]:
    tree = {
        "mqtt": {"url": "embedded"},
        "models": {"net": {"model": "shapes", **model}},
        "cameras": {"scene": {"source": "synthetic:shapes?seconds=1&pace=fast", "detect": {"model": "net"}}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(tree))
    out = io.StringIO()
    return check(folder / "config.yaml", probe=True, out=out), out.getvalue().splitlines()


def test_a_model_and_a_camera_are_opened(tmp_path: Path) -> None:
    code, (model, camera) = probed(tmp_path, backend="onnxruntime")
    assert code == 0
    assert model == "model net: shapes on onnxruntime f32, 320x192, 5 classes"
    assert camera.startswith("camera scene: 640x360, first picture after ")


def test_an_engine_that_is_missing_is_announced_and_not_built(
    tmp_path: Path, fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path / "cache"))
    code, (model, _) = probed(tmp_path, backend="tensorrt")
    assert code == 0
    assert "on onnxruntime f32, " in model
    assert model.endswith("; `run` builds and proves an engine, until then it stays so")
    code, (model, _) = probed(tmp_path, backend="tensorrt", build="never")
    assert code == 3
    assert "no engine of shapes" in model
    code, (model, _) = probed(tmp_path, backend="tensorrt", device=1)
    assert code == 3
    assert "GPU 1 is not here; there is one, 0" in model
    fake_gpu.machine.devices.clear()
    code, (model, _) = probed(tmp_path, backend="tensorrt")
    assert code == 3


def test_a_camera_is_decoded_where_the_run_would_decode_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[SourceSpec] = []

    def opened(spec: SourceSpec, **_: object) -> None:
        asked.append(spec)
        raise SourceError(LostReason.CODEC, "no")

    monkeypatch.setattr("streamer.probe.open_source", opened)
    tree = {
        "mqtt": {"url": "embedded"},
        "models": {"net": {"model": "shapes", "backend": "onnxruntime", "device": 2}},
        "cameras": {
            name: {"source": "rtsp://192.0.2.1/x", "decode": decode, "detect": {"model": "net"}}
            for name, decode in (("a", "gpu"), ("b", "auto"))
        },
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(tree))
    assert check(tmp_path / "config.yaml", probe=True, out=io.StringIO()) == 2
    assert {spec.camera: spec.hardware for spec in asked} == {"a": 2, "b": None}


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="needs a machine without TensorRT")
def test_without_tensorrt_it_is_said_how_to_get_it(tmp_path: Path) -> None:
    code, (model, _) = probed(tmp_path, backend="tensorrt")
    assert code == 3
    assert "tensorrt is not installed; " in model
    assert "streamer[tensorrt]" in model
