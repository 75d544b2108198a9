"""The fake TensorRT is judged: what it computes, and each rule of running an engine, broken once."""

# ruff: noqa: ANN401  the fake's module and its classes belong to the import of each test

from __future__ import annotations

import ctypes
import gc
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fake_engines import SHAPE, Fake, Running, pictures, plan_of, write_doubling

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


@pytest.mark.parametrize("batch", [1, 3, 4])
def test_it_computes_a_batch_once_the_stream_gets_there(running: Running, batch: int) -> None:
    running.bind(batch)
    running.put(pictures(batch))
    before = running.got(batch)
    assert running.context.execute_async_v3(running.stream.handle)
    assert np.array_equal(running.got(batch), before, equal_nan=True), "read too early: what was there before"
    running.stream.synchronize()
    assert np.array_equal(running.got(batch), 2 * pictures(batch))


def test_the_engine_tells_its_tensors(running: Running, fake: Fake) -> None:
    engine, trt = running.engine, fake.trt
    assert [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)] == ["images", "doubled"]
    assert engine.get_tensor_mode("images") is trt.TensorIOMode.INPUT
    assert engine.get_tensor_mode("nothing") is trt.TensorIOMode.NONE
    assert tuple(engine.get_tensor_shape("doubled")) == (-1, *SHAPE)
    assert [tuple(s) for s in engine.get_tensor_profile_shape("images", 0)] == [(1, *SHAPE), (1, *SHAPE), (4, *SHAPE)]
    assert tuple(running.context.get_tensor_shape("doubled")) == (-1, *SHAPE)
    running.bind(3)
    assert tuple(running.context.get_tensor_shape("doubled")) == (3, *SHAPE)


@pytest.mark.parametrize("shape", [(5, *SHAPE), (0, *SHAPE), SHAPE])
def test_a_shape_outside_the_profile_is_refused(running: Running, fake: Fake, shape: tuple[int, ...]) -> None:
    assert not running.context.set_input_shape("images", shape)
    assert "profile" in fake.said[-1]


def test_what_is_not_set_can_not_run(running: Running, fake: Fake) -> None:
    assert running.context.infer_shapes() == ["images"]
    assert not running.context.execute_async_v3(running.stream.handle)
    assert "shapes" in fake.said[-1]
    running.context.set_input_shape("images", (1, *SHAPE))
    running.context.set_tensor_address("images", int(running.source))
    assert not running.context.execute_async_v3(running.stream.handle)
    assert "tensor doubled" in fake.said[-1]


def test_an_address_that_is_not_aligned_is_found(running: Running, fake: Fake, fake_gpu: FakeGpu) -> None:
    with pytest.raises(fake.Misuse, match="256"):
        running.context.set_tensor_address("images", int(running.source) + 16)
    assert fake_gpu.forgive()


def test_memory_that_is_freed_or_too_short_is_found(running: Running, fake: Fake, fake_gpu: FakeGpu) -> None:
    running.bind(1)
    small = running.cuda.mem_alloc(16)
    running.context.set_tensor_address("doubled", int(small))
    with pytest.raises(fake.Misuse, match="16 are allocated"):
        running.context.execute_async_v3(running.stream.handle)
    small.free()
    with pytest.raises(fake.Misuse, match="after it was freed"):
        running.context.execute_async_v3(running.stream.handle)
    assert fake_gpu.forgive()


def test_memory_in_use_can_not_be_freed(running: Running, fake_gpu: FakeGpu) -> None:
    running.bind(1)
    running.put(pictures(1))
    running.context.execute_async_v3(running.stream.handle)
    with pytest.raises(running.cuda.LogicError, match="in use"):
        fake_gpu.free_surface(int(running.target))
    assert fake_gpu.forgive()


def test_a_thread_without_the_cuda_context_is_found(running: Running, fake: Fake, fake_gpu: FakeGpu) -> None:
    running.bind(1)
    for call in (
        lambda: running.context.execute_async_v3(running.stream.handle),
        running.engine.create_execution_context,
        lambda: running.runtime.deserialize_cuda_engine(b""),
    ):
        assert "without a CUDA context" in _raised_elsewhere(call, fake.Misuse)
    assert len(fake_gpu.forgive()) == 3


def test_two_threads_in_one_execution_context_are_found(running: Running, fake: Fake, fake_gpu: FakeGpu) -> None:
    with running.context._one_thread():
        assert "two threads" in _raised_elsewhere(running.context.infer_shapes, fake.Misuse)
    assert fake_gpu.forgive()


def _raised_elsewhere(call: Any, kind: type[BaseException]) -> str:
    raised: list[str] = []

    def run() -> None:
        try:
            call()
        except kind as exc:
            raised.append(str(exc))

    other = threading.Thread(target=run)
    other.start()
    other.join(5)
    assert raised, "nothing was raised"
    return raised[0]


def test_a_stream_that_is_closed_or_the_default_is_found(running: Running, fake: Fake, fake_gpu: FakeGpu) -> None:
    running.bind(1)
    closed = running.cuda.Stream(1)
    handle = closed.handle
    del closed
    with pytest.raises(fake.Misuse, match="destroyed"):
        running.context.execute_async_v3(handle)
    with pytest.raises(fake.Misuse, match="default stream"):
        running.context.execute_async_v3(0)
    assert fake_gpu.forgive()


def test_one_context_in_two_streams_at_once_is_found(running: Running, fake: Fake, fake_gpu: FakeGpu) -> None:
    running.bind(1)
    running.put(pictures(1))
    second = running.cuda.Stream(1)
    assert running.context.execute_async_v3(running.stream.handle)
    with pytest.raises(fake.Misuse, match="another stream"):
        running.context.execute_async_v3(second.handle)
    running.stream.synchronize()
    assert running.context.execute_async_v3(second.handle)
    second.synchronize()
    assert fake_gpu.forgive()


def test_a_context_that_goes_while_it_runs_is_found(running: Running, fake_gpu: FakeGpu) -> None:
    running.bind(1)
    running.put(pictures(1))
    running.context.execute_async_v3(running.stream.handle)
    running.context = None
    gc.collect()
    assert "still queued" in fake_gpu.forgive()[0]
    running.stream.synchronize()
    assert fake_gpu.forgive()


class Graph:
    """A captured run, through the driver's own calls."""

    def __init__(self, running: Running) -> None:
        self._driver = ctypes.CDLL("libcuda.so.1")
        self._stream = ctypes.c_void_p(running.stream.handle)
        self._graph, self._made = ctypes.c_void_p(), ctypes.c_void_p()
        assert self._driver.cuStreamBeginCapture_v2(self._stream, ctypes.c_int(1)) == 0
        self.enqueued = running.context.execute_async_v3(running.stream.handle)
        self.ended = self._driver.cuStreamEndCapture(self._stream, ctypes.byref(self._graph))

    def launch(self) -> None:
        made = ctypes.byref(self._made)
        assert self._driver.cuGraphInstantiateWithFlags(made, self._graph, ctypes.c_ulonglong(0)) == 0
        assert self._driver.cuGraphLaunch(self._made, self._stream) == 0

    def close(self) -> None:
        if self._made:
            assert self._driver.cuGraphExecDestroy(self._made) == 0
        if self._graph:
            assert self._driver.cuGraphDestroy(self._graph) == 0


def test_a_captured_run_computes_when_its_graph_is_launched(running: Running) -> None:
    running.bind(2)
    running.put(pictures(2))
    running.context.execute_async_v3(running.stream.handle)
    running.stream.synchronize()
    graph = Graph(running)
    assert graph.enqueued
    running.put(pictures(2) + 1)
    graph.launch()
    running.stream.synchronize()
    assert np.array_equal(running.got(2), 2 * (pictures(2) + 1))
    graph.close()


def test_the_first_run_of_a_shape_can_not_be_captured(running: Running, fake: Fake) -> None:
    running.bind(2)
    running.put(pictures(2))
    running.context.execute_async_v3(running.stream.handle)
    running.stream.synchronize()
    running.bind(3)
    graph = Graph(running)
    assert not graph.enqueued
    assert graph.ended == 901
    assert "first enqueue" in fake.said[-1]


def test_an_engine_that_can_not_be_captured_spoils_the_capture(running: Running, fake: Fake) -> None:
    running.bind(1)
    running.put(pictures(1))
    running.context.execute_async_v3(running.stream.handle)
    running.stream.synchronize()
    fake.set(not_capturable=True)
    graph = Graph(running)
    assert (graph.enqueued, graph.ended) == (False, 901)


def test_a_graph_must_not_outlive_its_context(running: Running, fake_gpu: FakeGpu) -> None:
    running.bind(1)
    running.put(pictures(1))
    running.context.execute_async_v3(running.stream.handle)
    running.stream.synchronize()
    graph = Graph(running)
    running.context = None
    graph.launch()
    running.stream.synchronize()
    graph.close()
    assert "captured from was destroyed" in fake_gpu.forgive()[0]
