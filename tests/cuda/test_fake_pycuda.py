"""The fake of pycuda: each of its rules, broken once. Order, memory, contexts."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drills import NON_BLOCKING, in_thread, pushed_driver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from nvidia import FakeGpu


@pytest.fixture
def cuda(fake_gpu: FakeGpu) -> Iterator[ModuleType]:
    """The fake's `pycuda.driver`, with a context pushed."""
    assert fake_gpu
    with pushed_driver() as driver:
        yield driver


# Order: what a stream is asked for happens later, in order.


def test_a_result_is_there_only_after_waiting(cuda: ModuleType) -> None:
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(16)
    source, target = cuda.pagelocked_empty(4, np.float32), cuda.pagelocked_empty(4, np.float32)
    source[:], target[:] = 7, 0
    cuda.memcpy_htod_async(int(memory), source, stream)
    cuda.memcpy_dtoh_async(target, int(memory), stream)
    assert (target == 0).all()
    stream.synchronize()
    assert (target == 7).all()
    memory.free()


def test_a_source_changed_too_early_is_what_arrives(cuda: ModuleType) -> None:
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(4)
    source, target = cuda.pagelocked_empty(4, np.uint8), cuda.pagelocked_empty(4, np.uint8)
    source[:] = 1
    cuda.memcpy_htod_async(int(memory), source, stream)
    source[:] = 2
    cuda.memcpy_dtoh_async(target, int(memory), stream)
    stream.synchronize()
    assert (target == 2).all()
    memory.free()


def test_an_event_is_first_seen_unfinished(cuda: ModuleType) -> None:
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(4)
    source = cuda.pagelocked_empty(4, np.uint8)
    assert cuda.Event().query(), "never recorded counts as done"
    cuda.memcpy_htod_async(int(memory), source, stream)
    event = cuda.Event().record(stream)
    assert not event.query()
    assert event.query()
    memory.free()


def test_streams_wait_for_each_other_only_where_told(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    one, two, memory = cuda.Stream(NON_BLOCKING), cuda.Stream(NON_BLOCKING), cuda.mem_alloc(4)
    source, early, late = (cuda.pagelocked_empty(4, np.uint8) for _ in range(3))
    source[:] = 9
    cuda.memcpy_htod_async(int(memory), source, one)
    cuda.memcpy_dtoh_async(early, int(memory), two)
    two.synchronize()
    assert (early == 0xCD).all(), "what fresh memory holds"
    two.wait_for_event(cuda.Event().record(one))
    cuda.memcpy_dtoh_async(late, int(memory), two)
    two.synchronize()
    assert (late == 9).all()
    assert fake_gpu.machine.synchronous_copies == 0
    memory.free()


def test_a_decoders_picture_comes_with_the_default_stream(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    pointer = fake_gpu.surface(np.arange(8, dtype=np.uint8))
    stream, early, late = cuda.Stream(NON_BLOCKING), cuda.pagelocked_empty(8, np.uint8), np.empty(8, np.uint8)
    cuda.memcpy_dtoh_async(early, pointer, stream)
    stream.synchronize()
    assert (early == 0xCD).all()
    stream.wait_for_event(cuda.Event().record())
    cuda.memcpy_dtoh_async(late, pointer, stream)
    assert (late == np.arange(8)).all(), "and a copy to memory that is not page-locked is done at once"
    assert fake_gpu.machine.synchronous_copies == 1


def test_rows_are_copied_by_their_pitches(cuda: ModuleType) -> None:
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(64)
    source, target = cuda.pagelocked_empty((3, 8), np.uint8), cuda.pagelocked_empty((3, 16), np.uint8)
    source[:], target[:] = np.arange(24).reshape(3, 8), 0
    copy = cuda.Memcpy2D()
    copy.set_src_host(source)
    copy.set_dst_device(int(memory))
    copy.src_pitch, copy.dst_pitch, copy.width_in_bytes, copy.height = 8, 16, 5, 3
    copy(stream)
    cuda.memcpy_dtoh_async(target.reshape(-1)[:37], int(memory), stream)
    stream.synchronize()
    assert (target[:, :5] == source[:, :5]).all()
    assert (target[0, 5:] == 0xCD).all()
    with pytest.raises(AttributeError):
        copy.width = 5
    memory.free()


# Memory: live, long enough, freed once, with its context.


def test_use_after_free_is_found(cuda: ModuleType) -> None:
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(16)
    address = int(memory)
    memory.free()
    with pytest.raises(cuda.LogicError, match="used after it was freed"):
        cuda.memcpy_dtoh_async(cuda.pagelocked_empty(16, np.uint8), address, stream)


def test_a_copy_beyond_the_end_is_found(cuda: ModuleType) -> None:
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(16)
    with pytest.raises(cuda.LogicError, match=r"17 bytes at .* where 16 are allocated"):
        cuda.memcpy_dtoh_async(cuda.pagelocked_empty(17, np.uint8), int(memory), stream)
    with pytest.raises(cuda.LogicError, match="is no device or pinned memory"):
        cuda.memcpy_dtoh_async(cuda.pagelocked_empty(1, np.uint8), 4096, stream)
    memory.free()


def test_memory_in_use_is_not_freed(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    stream, memory, source = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(16), cuda.pagelocked_empty(16, np.uint8)
    cuda.memcpy_htod_async(int(memory), source, stream)
    with pytest.raises(cuda.LogicError, match="still in use on a stream"):
        memory.free()
    assert fake_gpu.forgive() == ["16 bytes were freed while 1 queued works use them"]
    stream.synchronize()
    fake_gpu.abandon()


def test_a_double_free_is_found(cuda: ModuleType) -> None:
    memory = cuda.mem_alloc(16)
    memory.free()
    with pytest.raises(cuda.LogicError, match=r"device_allocation::free failed: invalid resource handle"):
        memory.free()


def test_a_leak_is_found(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    memory = cuda.mem_alloc(48)
    context = cuda.Context.get_current()
    assert fake_gpu.wrong() == ["left: 48 bytes of device memory", "1 contexts are still pushed in the test's thread"]
    context.push()
    memory.free()
    assert fake_gpu.machine.leaks() == []


def test_too_little_memory_is_said(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    fake_gpu.machine.out_of_memory_after = 100
    memory = cuda.mem_alloc(64)
    assert cuda.mem_get_info()[0] == 36
    with pytest.raises(cuda.MemoryError, match="cuMemAlloc failed: out of memory"):
        cuda.mem_alloc(64)
    memory.free()
    with pytest.raises(cuda.LogicError, match="invalid argument"):
        cuda.mem_alloc(0)
    with pytest.raises(TypeError):
        cuda.mem_alloc(np.int64(4))


def test_pinned_memory_lives_as_long_as_a_view_of_it(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    view = cuda.pagelocked_empty((4, 4), np.float32)[1:, 1:]
    gc.collect()
    assert fake_gpu.machine.leaks() == ["64 bytes of pinned memory"]
    assert view.shape == (3, 3)
    del view
    assert fake_gpu.machine.leaks() == []


def test_the_collector_does_not_finalise_what_stands_for_an_object_of_c(cuda: ModuleType) -> None:
    class Owner:
        """Frees what it holds with the context current, wherever it ends."""

        def __init__(self) -> None:
            self.ring, self.context, self.event = self, cuda.Context.get_current(), cuda.Event()

        def __del__(self) -> None:
            self.context.push()
            del self.event
            cuda.Context.pop()

    assert not gc.is_tracked(cuda.Event()._handle)

    gc.disable()  # the ring is found in the other thread
    try:
        Owner()
        assert in_thread(lambda: None if gc.collect() else pytest.fail("no ring was found")) is None
    finally:
        gc.enable()


# Contexts: pushed in each thread that calls, popped before it ends, one object for all.


def test_nothing_works_without_a_context(cuda: ModuleType) -> None:
    stream, memory, event = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(4), cuda.Event()
    host = np.empty(4, np.uint8)
    for call in (
        lambda: cuda.mem_alloc(4),
        lambda: cuda.memcpy_htod(int(memory), host),
        cuda.Stream,
        lambda: event.record(stream),
        stream.synchronize,
        event.query,
    ):
        raised = in_thread(call)
        assert isinstance(raised, cuda.LogicError), raised
        assert "no context is pushed in worker" in str(raised)
    memory.free()


def test_a_free_without_the_context_leaks(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    memory = cuda.mem_alloc(4)
    raised = in_thread(memory.free)
    assert isinstance(raised, UserWarning)  # the tests' settings make errors of warnings
    assert "out-of-thread context could not be cleaned up" in str(raised)
    assert "pycuda leaks it" in fake_gpu.forgive()[0]
    assert fake_gpu.machine.leaks() == ["4 bytes of device memory"]
    fake_gpu.abandon()


def test_another_object_of_the_same_context_is_another_context(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    memory = cuda.mem_alloc(4)
    second = cuda.Device(0).retain_primary_context()
    assert "retained twice" in fake_gpu.forgive()[0]
    second.push()
    with pytest.raises(UserWarning, match="could not be cleaned up"):
        memory.free()
    cuda.Context.pop()
    fake_gpu.forgive()
    fake_gpu.abandon()


def test_a_thread_that_ends_with_a_context_pushed_is_found(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    assert in_thread(cuda.Context.get_current().push) is None
    gc.collect()
    assert fake_gpu.forgive() == ["thread worker ended with a context pushed: pycuda aborts there"]


def test_a_pop_too_many_is_said(cuda: ModuleType) -> None:
    raised = in_thread(cuda.Context.pop)
    assert "cannot pop non-current context" in str(raised)
