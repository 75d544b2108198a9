"""Captured work: recorded on one stream, launched as one, and a stream that stays usable when it can't be."""

from __future__ import annotations

import gc
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from streamer.core.errors import BackendError
from streamer.cuda.open import open_gpu

if TYPE_CHECKING:
    from collections.abc import Callable

    from nvidia import FakeGpu

    from streamer.cuda.gpu import Gpu, Memory, Stream


@pytest.fixture
def gpu(fake_gpu: FakeGpu) -> Gpu:
    assert fake_gpu
    return open_gpu()


class Doubled:
    """Work that copies in and out again."""

    def __init__(self, gpu: Gpu, stream: Stream) -> None:
        self.memory: Memory = gpu.allocate(4)
        self.source, self.target = gpu.pinned(4, np.uint8), gpu.pinned(4, np.uint8)
        self.source[:], self.target[:] = 1, 0
        self._stream = stream

    def __call__(self) -> None:
        self._stream.copy_in(self.memory.pointer, self.source)
        self._stream.copy_out(self.target, self.memory.pointer)


def test_what_is_captured_is_done_at_each_launch(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    with closing(gpu.open_stream()) as stream:
        work = Doubled(gpu, stream)
        with closing(stream.capture(work)) as graph:
            stream.synchronize()
            assert (work.target == 0).all(), "captured, not done"
            for value in (5, 6):
                work.source[:] = value
                graph.launch(stream)
                stream.synchronize()
                assert (work.target == value).all()
    assert fake_gpu.machine.graph_launches == 2
    work.memory.free()


def test_a_graph_runs_in_the_order_of_the_stream_it_is_launched_on(gpu: Gpu) -> None:
    with closing(gpu.open_stream()) as stream, closing(gpu.open_stream()) as other:
        work, late = Doubled(gpu, stream), gpu.pinned(4, np.uint8)
        with closing(stream.capture(work)) as graph:
            graph.launch(other)
            other.copy_out(late, work.memory.pointer)
            other.synchronize()
    assert (late == 1).all()
    work.memory.free()


def test_a_graph_takes_in_another_stream_between_two_events(gpu: Gpu) -> None:
    with closing(gpu.open_stream()) as stream, closing(gpu.open_stream()) as helper:
        work = Doubled(gpu, helper)

        def forked() -> None:
            helper.after(stream.record())
            work()
            stream.after(helper.record())

        with closing(stream.capture(forked)) as graph:
            graph.launch(stream)
            stream.synchronize()
    assert (work.target == 1).all()
    work.memory.free()


@pytest.mark.parametrize("fault", ["waits", "allocates", "raises", "driver", "unpinned", "default"])
def test_what_can_not_be_captured_leaves_the_stream_usable(gpu: Gpu, fake_gpu: FakeGpu, fault: str) -> None:
    with closing(gpu.open_stream()) as stream:
        work = Doubled(gpu, stream)

        def raises() -> None:
            work()
            raise KeyError

        faulty: dict[str, Callable[[], Any]] = {
            "waits": lambda: stream.record().wait(),
            "allocates": lambda: gpu.allocate(4),
            "raises": raises,
            "driver": work,
            "unpinned": lambda: stream.copy_in(work.memory.pointer, np.zeros(4, np.uint8)),
            "default": stream.after_default,
        }
        fake_gpu.machine.fail_capture = fault == "driver"
        with pytest.raises(KeyError if fault == "raises" else BackendError):
            stream.capture(faulty[fault])
        fake_gpu.machine.fail_capture = False
        assert gc.isenabled()
        work()
        stream.synchronize()
        assert (work.target == 1).all()
        stream.capture(work).close()
    work.memory.free()


def test_the_reason_is_told(gpu: Gpu, fake_gpu: FakeGpu) -> None:
    with closing(gpu.open_stream()) as stream:
        work = Doubled(gpu, stream)
        fake_gpu.machine.fail_capture = True
        with pytest.raises(
            BackendError, match="can't be captured: operation failed due to a previous error during cap"
        ):
            stream.capture(work)
    work.memory.free()


def test_another_thread_may_allocate_and_wait_meanwhile(gpu: Gpu) -> None:
    reached, allocated = threading.Event(), threading.Event()

    def neighbour() -> None:
        assert reached.wait(5.0)
        with closing(gpu.open_stream()) as own:
            memory = gpu.allocate(64)
            own.copy_in(memory.pointer, np.zeros(64, np.uint8))
            own.synchronize()
            memory.free()
        allocated.set()

    thread = threading.Thread(target=neighbour)
    thread.start()
    with closing(gpu.open_stream()) as stream:
        work = Doubled(gpu, stream)

        def slow() -> None:
            work()
            reached.set()
            assert allocated.wait(5.0)

        stream.capture(slow).close()
    thread.join(5.0)
    work.memory.free()


def test_the_collector_does_not_free_memory_while_a_graph_is_captured(gpu: Gpu) -> None:
    with closing(gpu.open_stream()) as stream:
        work = Doubled(gpu, stream)
        seen: list[bool] = []

        def captured() -> None:
            ring: list[Any] = [gpu_memory]
            ring.append(ring)
            seen.append(gc.isenabled())
            ring.extend([] for _ in range(3000))  # would set off a collection
            work()

        gpu_memory = gpu.allocate(4)
        stream.capture(captured).close()
        assert seen == [False]
        gpu_memory.free()
    work.memory.free()


def test_a_capture_collects_nothing(gpu: Gpu, monkeypatch: pytest.MonkeyPatch) -> None:
    """A whole collection would hold up every thread of the process, for each batch size of each slot."""
    collections: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: collections.append(1))
    with closing(gpu.open_stream()) as stream:
        work = Doubled(gpu, stream)
        stream.capture(work).close()
    assert not collections
    assert gc.isenabled()
    work.memory.free()


def test_a_closed_graph_refuses_and_closes_once(gpu: Gpu) -> None:
    with closing(gpu.open_stream()) as stream:
        work = Doubled(gpu, stream)
        graph = stream.capture(work)
        closer = threading.Thread(target=graph.close)  # any thread may
        closer.start()
        closer.join(5.0)
        graph.close()
        with pytest.raises(BackendError, match="this graph of the GPU is closed"):
            graph.launch(stream)
    work.memory.free()
