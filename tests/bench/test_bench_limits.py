"""What inference alone measures, each in this process: a child does nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml
from tiny_classifier import write_classifier
from trt_engines import store_engine

from streamer.bench.limits import InferJob, infer
from streamer.core.errors import BackendError
from streamer.infer.recognise import load_spec

if TYPE_CHECKING:
    from pathlib import Path

    from nvidia import FakeGpu


def job(folder: Path, backend: str) -> InferJob:
    tree = {
        "mqtt": {"url": "embedded"},
        "models": {"net": {"model": "shapes"}},
        "cameras": {"scene": {"source": "synthetic:shapes", "detect": {"model": "net"}}},
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump(tree))
    return InferJob(
        config=str(config), model="net", task="detect", backend=backend, precision="f32", latency=True,
        max_batch=2, batches=(1, 2), seconds=0.2,
    )  # fmt: skip


def test_on_the_cpu_the_better_batch_counts(tmp_path: Path) -> None:
    found = infer(job(tmp_path, "onnxruntime"))
    assert found["batch"] in (1, 2)
    assert found["per_s"] > 0
    assert "batch_ms" not in found


def test_a_classifier_is_one_here_too(tmp_path: Path) -> None:
    path = write_classifier(tmp_path / "c.onnx", shape=("N", 3, 32, 32))
    said = {"task": "classify", "labels": ["red", "green", "blue"], "look": "ultralytics"}
    tree = {
        "mqtt": {"url": "embedded"},
        "models": {"net": {"model": str(path), **said}},
        "cameras": {"scene": {"source": "synthetic:shapes", "classify": [{"name": "view", "model": "net"}]}},
    }
    (tmp_path / "looks.yaml").write_text(yaml.safe_dump(tree))
    found = infer(replace(job(tmp_path, "onnxruntime"), config=str(tmp_path / "looks.yaml"), task="classify"))
    assert found["per_s"] > 0


@pytest.mark.timeout(60)
def test_an_engine_also_has_a_time_of_its_own(
    tmp_path: Path, fake_gpu: FakeGpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fake_gpu.machine.devices
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BackendError, match="models build"):
        infer(job(tmp_path, "tensorrt"))
    store_engine(tmp_path / "cache", load_spec("shapes"))
    found = infer(job(tmp_path, "tensorrt"))
    assert 0 < found["batch_ms"] < 10_000
