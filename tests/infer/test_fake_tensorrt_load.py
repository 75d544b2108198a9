"""The fake TensorRT is judged: what it loads, what that costs, and what can go wrong at a test's wish."""

# ruff: noqa: ANN401  the fake's module and its classes belong to the import of each test

from __future__ import annotations

import ctypes
import gc
import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fake_engines import Fake, Running, parse, pictures, plan_of, write_doubling, write_finding, write_half

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nvidia import FakeGpu


@pytest.fixture
def fake(fake_gpu: FakeGpu) -> Iterator[Fake]:  # noqa: ARG001  it is what makes the fake be found
    fake = Fake()
    with fake.current():
        yield fake


@pytest.fixture
def running(fake: Fake, tmp_path: Path) -> Iterator[Running]:
    running = Running(fake, plan_of(fake.trt, fake.logger, write_doubling(tmp_path / "m.onnx")))
    yield running
    running.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda plan: plan[:-1], "not complete"),
        (lambda plan: plan[:200] + bytes([plan[200] ^ 1]) + plan[201:], "damaged"),
        (lambda _plan: b"", "magicTag"),
    ],
)
def test_a_damaged_plan_is_refused(fake: Fake, tmp_path: Path, change: Any, said: str) -> None:
    plan = plan_of(fake.trt, fake.logger, write_half(tmp_path / "m.onnx"))
    assert fake.trt.Runtime(fake.logger).deserialize_cuda_engine(change(plan)) is None
    assert said in fake.said[-1]


def test_a_plan_of_another_version_or_gpu_is_refused(fake: Fake, fake_gpu: FakeGpu, tmp_path: Path) -> None:
    plan = plan_of(fake.trt, fake.logger, write_half(tmp_path / "m.onnx"))
    fake_gpu.machine.devices[0].compute_capability = (8, 7)
    assert fake.trt.Runtime(fake.logger).deserialize_cuda_engine(plan) is None
    assert "incompatible device" in fake.said[-1]
    fake_gpu.machine.devices[0].compute_capability = (8, 9)
    fake.set(version="11.4.1.1")
    assert fake.trt.Runtime(fake.logger).deserialize_cuda_engine(plan) is None
    assert "version" in fake.said[-1]


def test_engine_and_context_take_gpu_memory_and_give_it_back(fake: Fake, fake_gpu: FakeGpu, tmp_path: Path) -> None:
    plan = plan_of(fake.trt, fake.logger, write_half(tmp_path / "m.onnx"))
    fake.set(engine_bytes=1000, context_bytes=500)
    runtime = fake.trt.Runtime(fake.logger)
    fake_gpu.machine.out_of_memory_after = 999
    assert runtime.deserialize_cuda_engine(plan) is None
    assert "OutOfMemory" in fake.said[-1]
    fake_gpu.machine.out_of_memory_after = 1499
    engine = runtime.deserialize_cuda_engine(plan)
    assert engine.create_execution_context() is None
    fake_gpu.machine.out_of_memory_after = None
    context = engine.create_execution_context()
    assert fake_gpu.machine.used_bytes() == 1500
    del context, engine
    gc.collect()
    assert fake_gpu.machine.used_bytes() == 0


def test_a_run_fails_with_its_reason_in_the_logger(running: Running, fake: Fake, fake_gpu: FakeGpu) -> None:
    running.bind(1)
    fake.set(execute_fails="out of memory")
    assert not running.context.execute_async_v3(running.stream.handle)
    assert "out of memory" in fake.said[-1]
    fake.set()
    fake_gpu.machine.lose_device()
    assert not running.context.execute_async_v3(running.stream.handle)
    fake_gpu.machine._broken = None


def test_noise_is_added_to_the_precision_that_it_is_meant_for(fake: Fake, tmp_path: Path) -> None:
    computed = importlib.import_module("tensorrt._compute")
    decode = importlib.import_module("tensorrt._plan").decode
    for write, noisy in ((write_half, True), (write_doubling, False)):
        plan = decode(plan_of(fake.trt, fake.logger, write(tmp_path / "m.onnx")))
        fake.set(noise=(("f16", 0.5),))
        found = computed.compute(plan, {"images": pictures(1)})["doubled"]
        assert np.array_equal(found, 2 * pictures(1)) != noisy
        fake.set()


def test_an_output_of_unknown_length_comes_through_its_allocator(fake: Fake, tmp_path: Path) -> None:
    running = Running(fake, plan_of(fake.trt, fake.logger, write_finding(tmp_path / "m.onnx")))
    context, cuda = running.context, running.cuda
    context.set_tensor_address("images", int(running.source))
    assert tuple(context.get_tensor_shape("found")) == (1, -1)
    assert not context.execute_async_v3(running.stream.handle)
    assert "allocator" in fake.said[-1]

    class Grows(fake.trt.IOutputAllocator):  # type: ignore[name-defined, misc]  # of this test's import
        def __init__(self) -> None:
            super().__init__()
            self.memory: Any = None
            self.shape: tuple[int, ...] = ()

        def reallocate_output_async(self, tensor_name: str, memory: int, size: int, alignment: int, stream: int) -> int:  # noqa: ARG002  as TensorRT calls it
            self.memory = cuda.mem_alloc(size)
            return int(self.memory)

        def notify_shape(self, tensor_name: str, shape: Any) -> None:  # noqa: ARG002  as TensorRT calls it
            self.shape = tuple(shape)

    grows = Grows()
    context.set_output_allocator("found", grows)
    running.put(np.array([0, 1, 0, 1], np.float32))
    assert context.execute_async_v3(running.stream.handle)
    running.stream.synchronize()
    found = np.empty(grows.shape, np.int64)
    cuda.memcpy_dtoh(found, grows.memory)
    assert found.tolist() == [[1, 3]]
    grows.memory = None
    del context
    running.close()


def test_contexts_may_be_given_one_memory_if_they_take_turns(fake: Fake, fake_gpu: FakeGpu, tmp_path: Path) -> None:
    plan = plan_of(fake.trt, fake.logger, write_doubling(tmp_path / "m.onnx"))
    running = Running(fake, plan)
    needed = running.engine.device_memory_size_v2
    memory = running.cuda.mem_alloc(needed)
    managed = fake.trt.ExecutionContextAllocationStrategy.USER_MANAGED
    second, other = running.engine.create_execution_context(managed), running.cuda.Stream(1)
    with pytest.raises(fake.Misuse, match="memory of its own"):
        running.context.set_device_memory(int(memory), needed)
    running.context = running.engine.create_execution_context(managed)
    running.bind(1)
    running.put(pictures(1))
    assert not running.context.execute_async_v3(running.stream.handle)
    assert "no device memory" in fake.said[-1]
    with pytest.raises(fake.Misuse, match="are needed"):
        running.context.set_device_memory(int(memory), needed - 1)
    running.context.set_device_memory(int(memory), needed)
    assert running.context.execute_async_v3(running.stream.handle)
    first, running.context = running.context, second
    running.bind(1)
    second.set_device_memory(int(memory), needed)
    with pytest.raises(fake.Misuse, match="share their device memory"):
        second.execute_async_v3(other.handle)
    assert second.execute_async_v3(running.stream.handle)
    running.stream.synchronize()
    memory.free()
    with pytest.raises(fake.Misuse, match="freed"):
        first.execute_async_v3(running.stream.handle)
    del first, second, other
    running.close()
    assert len(fake_gpu.forgive()) == 4


def test_loading_while_a_stream_captures_fails_and_spoils_the_capture(fake: Fake, tmp_path: Path) -> None:
    plan = plan_of(fake.trt, fake.logger, write_half(tmp_path / "m.onnx"))
    stream = importlib.import_module("pycuda.driver").Stream(1)
    driver, graph = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
    assert driver.cuStreamBeginCapture_v2(ctypes.c_void_p(stream.handle), ctypes.c_int(1)) == 0
    assert fake.trt.Runtime(fake.logger).deserialize_cuda_engine(plan) is None
    assert "Cuda Runtime" in fake.said[-1]
    assert driver.cuStreamEndCapture(ctypes.c_void_p(stream.handle), ctypes.byref(graph)) == 901
    del stream


def test_an_output_whose_length_only_the_run_tells_is_marked(fake: Fake, tmp_path: Path) -> None:
    parsed = parse(fake.trt, fake.logger, write_finding(tmp_path / "m.onnx"))
    assert tuple(parsed.network.get_output(0).shape) == (1, -1)
    assert fake.trt.nptype(parsed.network.get_output(0).dtype) is np.int64
