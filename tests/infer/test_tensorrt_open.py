"""Which engine is opened, and what is said when there is none, or one that can't be used."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from trt_engines import input_of, set_faults, spec_of, store_engine
from trt_networks import SIDE, write_rows

from streamer.core.errors import BackendError
from streamer.infer.backends.base import BackendOptions
from streamer.infer.backends.open import open_backend
from streamer.infer.backends.tensorrt import open_engine
from streamer.infer.backends.tensorrt.logger import Tail
from streamer.infer.backends.tensorrt.runtime import forget, load_runtime, logger, version

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from nvidia import FakeGpu

    from streamer.infer.backends.base import Backend
    from streamer.infer.spec import ModelSpec

OPTIONS = BackendOptions(precision="f32", latency=False, threads=0, on_ready=lambda: None)


@pytest.fixture
def spec(fake_gpu: FakeGpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModelSpec:
    del fake_gpu
    monkeypatch.setenv("STREAMER_CACHE", str(tmp_path))
    path = write_rows(tmp_path / "rows.onnx", anchors=525, anchor_major=False)
    return spec_of(path, input_of((SIDE, SIDE), 2), ("out",))


def opened(spec: ModelSpec, options: BackendOptions = OPTIONS) -> Backend:
    return open_backend("tensorrt", str(spec.path), input_spec=spec.input, output_names=("out",), options=options)


def test_without_an_engine_it_says_what_builds_one(spec: ModelSpec) -> None:
    with pytest.raises(
        BackendError, match=r"no engine of rows\.onnx in f32 .*`streamer models build .*rows\.onnx --precision f32`"
    ):
        opened(spec)


def test_an_engine_of_another_precision_tensorrt_or_model_is_none(spec: ModelSpec, tmp_path: Path) -> None:
    store_engine(tmp_path, spec)
    opened(spec).close()
    with pytest.raises(BackendError, match="in f16 for this GPU and TensorRT is built"):
        opened(spec, replace(OPTIONS, precision="f16"))
    write_rows(spec.path, anchors=600, anchor_major=False)
    with pytest.raises(BackendError, match=r"no engine of rows\.onnx"):
        opened(spec)


def test_a_smaller_batch_than_the_engines_will_do_and_a_larger_one_not(spec: ModelSpec, tmp_path: Path) -> None:
    store_engine(tmp_path, spec)
    one = replace(spec, input=replace(spec.input, max_batch=1))
    backend = opened(one)
    assert backend.collect(backend.submit(np.zeros((1, SIDE, SIDE, 3), np.uint8)))[0].shape == (1, 6, 525)
    backend.close()
    with pytest.raises(BackendError, match=r"no engine of rows\.onnx"):
        opened(replace(spec, input=replace(spec.input, max_batch=4)))


def test_a_precision_that_it_has_not_is_refused(spec: ModelSpec) -> None:
    with pytest.raises(BackendError, match="precision: tensorrt computes in f32, f16, int8, not bf16"):
        opened(spec, replace(OPTIONS, precision="bf16"))


@pytest.mark.parametrize("damage", ["tampered", "unreadable"])
def test_an_engine_that_can_not_be_read_is_set_aside(
    spec: ModelSpec, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    stored = store_engine(tmp_path, spec)
    if damage == "tampered":
        plan = bytearray(stored.plan_path.read_bytes())
        plan[len(plan) // 2] ^= 1
        stored.plan_path.write_bytes(plan)
    else:
        set_faults(version="10.16.1.11")  # its facts fit, but TensorRT says no
    with pytest.raises(BackendError, match=r"^rows: it can't be read and is set aside, build it anew") as caught:
        open_engine(stored, spec.input, spec.output_names, OPTIONS, name="rows")
    assert "\n" not in str(caught.value)
    assert "is set aside" in caplog.text
    assert not stored.plan_path.exists()
    with pytest.raises(BackendError, match=r"no engine of rows\.onnx"):
        opened(spec)


def test_short_memory_is_no_reason_to_set_an_engine_aside(spec: ModelSpec, tmp_path: Path, fake_gpu: FakeGpu) -> None:
    stored = store_engine(tmp_path, spec)
    fake_gpu.machine.out_of_memory_after = 100
    with pytest.raises(BackendError, match="memory is short"):
        opened(spec)
    assert stored.plan_path.exists()


def test_a_gpu_that_does_not_work_is_no_reason_to_set_an_engine_aside(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = store_engine(tmp_path, spec)
    trt = load_runtime()

    def refuse(runtime: object, plan: bytes) -> None:
        del runtime, plan
        logger().log(trt.ILogger.Severity.ERROR, "Error Code 1: Cuda Runtime (initialization error)")

    monkeypatch.setattr(trt.Runtime, "deserialize_cuda_engine", refuse)
    with pytest.raises(BackendError, match=r"rows\.onnx: TensorRT can't work on this GPU now: .*initialization error"):
        opened(spec)
    assert stored.plan_path.exists()


def test_a_missing_model_file_is_said(spec: ModelSpec, tmp_path: Path) -> None:
    missing = replace(spec, path=tmp_path / "gone.onnx")
    with pytest.raises(BackendError, match=r"gone\.onnx: can't be read"):
        opened(missing)


@pytest.mark.parametrize("spelled", ["8.6.1", "10.0.1", "10.2.0.19", "12.0.0.1"])
def test_a_tensorrt_that_we_do_not_know_is_refused(fake_gpu: FakeGpu, spelled: str) -> None:
    del fake_gpu
    import tensorrt  # noqa: PLC0415  the fixture's

    tensorrt.__version__ = spelled
    with pytest.raises(
        BackendError, match=rf"TensorRT {spelled} is not supported, it must be 10\.3\.0 or later, below 12"
    ):
        load_runtime()


def test_a_version_with_a_tail_is_read(fake_gpu: FakeGpu) -> None:
    del fake_gpu
    import tensorrt  # noqa: PLC0415  the fixture's

    tensorrt.__version__ = "10.14.1.48.post1"
    assert version() == (10, 14, 1)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ModuleNotFoundError("No module named 'tensorrt'"), "tensorrt is not installed; "),
        (ImportError("libnvinfer.so.10: cannot open shared object file\nmore"), r"can't be loaded here \(libnvinfer"),
    ],
)
def test_without_tensorrt_it_says_what_installs_it(
    monkeypatch: pytest.MonkeyPatch, error: ImportError, said: str
) -> None:
    class Finder:
        def find_spec(self, name: str, *_: Any) -> None:  # noqa: ANN401  importlib's
            if name == "tensorrt":
                raise error

    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    with pytest.raises(BackendError, match=rf"backend: .*{said}.*pip install") as caught:
        load_runtime()
    assert "\n" not in str(caught.value)


def test_one_logger_for_the_process_that_passes_a_warning_on_once(
    fake_gpu: FakeGpu, caplog: pytest.LogCaptureFixture
) -> None:
    del fake_gpu
    first = logger()
    assert logger() is first
    trt: ModuleType = load_runtime()
    mark = first.tail.mark()
    caplog.set_level(logging.INFO)
    for severity in (trt.ILogger.Severity.WARNING, trt.ILogger.Severity.WARNING, trt.ILogger.Severity.INFO):
        first.log(severity, "the fan\n  is loud")
    assert [r.getMessage() for r in caplog.records if "fan" in r.getMessage()] == ["TensorRT: the fan\n  is loud"]
    assert first.tail.since(mark) == "the fan is loud; the fan is loud"
    assert first.tail.since(first.tail.mark()) == "TensorRT gives no reason"
    forget()
    assert logger() is not first


def test_the_tail_is_bounded_and_tells_only_what_came_after_the_mark() -> None:
    tail = Tail()
    for i in range(100):
        assert tail.add(f"line {i}")
    mark = tail.mark()
    assert not tail.add("line 99")
    tail.add("the last")
    assert tail.since(mark) == "line 99; the last"
    assert list(tail)[-1] == "the last"
    assert len(list(tail)) == 64
    assert len(tail.since(0)) <= 400
