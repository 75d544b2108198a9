"""The fake of pycuda: each of its rules, broken once."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from nvidia import FakeGpu

NON_BLOCKING = 1
KERNEL = b'extern "C" __global__ void __launch_bounds__(32) add(int* values, int more) {}\n'


@pytest.fixture
def cuda(fake_gpu: FakeGpu) -> Iterator[ModuleType]:
    """The fake's `pycuda.driver`, with a context pushed."""
    assert fake_gpu
    from pycuda import driver  # noqa: PLC0415  there only while the fixture is

    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    yield driver
    gc.collect()  # what an exception's traceback still holds goes while the context is current
    driver.Context.pop()


def in_thread(work: Callable[[], None]) -> BaseException | None:
    """Run in a thread of its own and return what it raised."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as exc:  # noqa: BLE001  handed over
            raised.append(exc)

    thread = threading.Thread(target=run, name="worker")
    thread.start()
    thread.join(5.0)
    return raised[0] if raised else None


def begin_capture(cuda: ModuleType, stream: object, mode: int = 1) -> int:
    assert cuda
    handle = ctypes.c_void_p(stream.handle)  # type: ignore[attr-defined]
    return int(ctypes.CDLL("libcuda.so.1").cuStreamBeginCapture_v2(handle, ctypes.c_int(mode)))


def end_capture(stream: object) -> int:
    """End a capture, throw the graph away, and return the CUresult."""
    library, graph = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
    code = int(library.cuStreamEndCapture(ctypes.c_void_p(stream.handle), ctypes.byref(graph)))  # type: ignore[attr-defined]
    if graph.value:
        library.cuGraphDestroy(graph)
    return code


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


# Kernels: typed arguments, live pointers, names that are there.


def load_add(cuda: ModuleType, fake_gpu: FakeGpu) -> Callable[..., None]:
    """A kernel; a fixture would keep it beyond its context."""

    def run(name: str, grid: object, block: object, arguments: tuple[np.generic, ...]) -> None:
        assert (name, grid, block) == ("add", (1, 1, 1), (4, 1, 1))
        values = fake_gpu.machine.memory.view(name, int(arguments[0]), 16).view(np.int32)
        values += int(arguments[1])

    fake_gpu.machine.kernels = run
    kernel: Callable[..., None] = cuda.module_from_buffer(KERNEL).get_function("add")
    return kernel


def test_a_kernel_runs_when_its_turn_comes(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    add = load_add(cuda, fake_gpu)
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(16)
    host = cuda.pagelocked_empty(4, np.int32)
    host[:] = 1
    cuda.memcpy_htod_async(int(memory), host, stream)
    add(np.uintp(int(memory)), np.int32(5), grid=(1, 1), block=(4, 1, 1), stream=stream)
    assert fake_gpu.machine.launches == []
    cuda.memcpy_dtoh_async(host, int(memory), stream)
    stream.synchronize()
    assert host.tolist() == [6] * 4
    assert fake_gpu.machine.launches == ["add"]
    memory.free()


def test_a_kernels_arguments_have_widths(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    add = load_add(cuda, fake_gpu)
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(16)
    with pytest.raises(TypeError, match=r"invalid type on parameter #1 \(0-based\)"):
        add(np.uintp(int(memory)), 5, grid=(1, 1), block=(4, 1, 1), stream=stream)
    with pytest.raises(ValueError, match="must specify block size"):
        add(np.uintp(int(memory)), np.int32(5), stream=stream)
    with pytest.raises(ValueError, match="extra keyword arguments: streams"):
        add(np.uintp(int(memory)), np.int32(5), block=(4, 1, 1), streams=stream)
    with pytest.raises(cuda.LogicError, match="invalid argument"):
        add(np.uintp(int(memory)), np.int32(5), block=(2048, 1, 1), stream=stream)
    memory.free()


def test_a_kernel_gets_no_freed_pointer(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    add = load_add(cuda, fake_gpu)
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(16)
    address = int(memory)
    memory.free()
    with pytest.raises(cuda.LogicError, match="used after it was freed"):
        add(np.uintp(address), np.int32(5), block=(4, 1, 1), stream=stream)


def test_an_unknown_kernel_and_a_bad_image_are_said(cuda: ModuleType) -> None:
    with pytest.raises(cuda.LogicError, match="named symbol not found"):
        cuda.module_from_buffer(KERNEL).get_function("ad")
    with pytest.raises(cuda.LogicError, match="device kernel image is invalid"):
        cuda.module_from_buffer(b"nothing of the kind")


def test_a_failed_kernel_fails_whatever_follows(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    add = load_add(cuda, fake_gpu)
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(16)
    fake_gpu.machine.fail_launch = "add"
    add(np.uintp(int(memory)), np.int32(5), block=(4, 1, 1), stream=stream)
    with pytest.raises(cuda.LaunchError, match="unspecified launch failure"):
        stream.synchronize()
    with pytest.raises(cuda.LaunchError, match="unspecified launch failure"):
        cuda.mem_alloc(4)
    memory.free()


# Capture: recorded, not done; nothing that waits or allocates.


def test_captured_work_is_done_by_the_graph_alone(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    stream, memory, host = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(4), cuda.pagelocked_empty(4, np.uint8)
    host[:] = 3
    library, graph, executable = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p(), ctypes.c_void_p()
    assert begin_capture(cuda, stream) == 0
    cuda.memcpy_htod_async(int(memory), host, stream)
    assert library.cuStreamEndCapture(ctypes.c_void_p(stream.handle), ctypes.byref(graph)) == 0
    assert library.cuGraphInstantiateWithFlags(ctypes.byref(executable), graph, ctypes.c_ulonglong(0)) == 0
    assert library.cuGraphDestroy(graph) == 0
    stream.synchronize()
    assert (fake_gpu.read(int(memory), 4) == 0xCD).all()
    host[:] = 4
    assert library.cuGraphLaunch(executable, ctypes.c_void_p(stream.handle)) == 0
    stream.synchronize()
    assert (fake_gpu.read(int(memory), 4) == 4).all()
    assert any("graph" in leak for leak in fake_gpu.machine.leaks())
    memory.free()
    assert library.cuGraphLaunch(executable, ctypes.c_void_p(stream.handle)) == 700, "it uses what was freed"
    assert library.cuGraphExecDestroy(executable) == 0
    assert library.cuGraphExecDestroy(executable) == 1


@pytest.mark.parametrize("forbidden", ["wait", "query", "allocate", "free", "unpinned", "at once", "context", "load"])
def test_what_may_not_be_captured_spoils_it(cuda: ModuleType, forbidden: str) -> None:
    stream, memory, event = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(4), cuda.Event()
    calls: dict[str, Callable[[], object]] = {
        "wait": stream.synchronize,
        "query": event.query,
        "allocate": lambda: cuda.mem_alloc(4),
        "free": memory.free,
        "unpinned": lambda: cuda.memcpy_htod_async(int(memory), np.zeros(4, np.uint8), stream),
        "at once": lambda: cuda.memcpy_htod(int(memory), np.zeros(4, np.uint8)),
        "context": cuda.Context.synchronize,
        "load": lambda: cuda.module_from_buffer(KERNEL),
    }
    assert begin_capture(cuda, stream) == 0
    with pytest.raises(cuda.LogicError, match="not permitted when stream is capturing"):
        calls[forbidden]()
    assert end_capture(stream) == 901
    stream.synchronize()  # usable again
    if forbidden == "free":  # pycuda has let go of it all the same
        from pycuda._machine import machine  # noqa: PLC0415  there only while the fixture is

        machine.memory.end(machine.memory.live("device")[0])
    else:
        memory.free()


def test_other_threads_may_allocate_while_one_captures(cuda: ModuleType) -> None:
    stream, context = cuda.Stream(NON_BLOCKING), cuda.Context.get_current()

    def allocate() -> None:
        context.push()
        try:
            cuda.mem_alloc(4).free()
        finally:
            cuda.Context.pop()

    assert begin_capture(cuda, stream) == 0
    assert in_thread(allocate) is None
    assert end_capture(stream) == 0
    assert begin_capture(cuda, stream, mode=0) == 0  # GLOBAL: not even other threads
    assert "not permitted when stream is capturing" in str(in_thread(allocate))
    assert end_capture(stream) == 901


def test_a_capture_takes_other_streams_in_by_events_and_wants_them_back(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    one, two, memory = cuda.Stream(NON_BLOCKING), cuda.Stream(NON_BLOCKING), cuda.mem_alloc(4)
    host, outside = cuda.pagelocked_empty(4, np.uint8), cuda.Event().record(two)
    assert begin_capture(cuda, one) == 0
    two.wait_for_event(cuda.Event().record(one))
    cuda.memcpy_htod_async(int(memory), host, two)
    assert end_capture(one) == 904, "two was not joined"
    assert begin_capture(cuda, one) == 0
    two.wait_for_event(cuda.Event().record(one))
    cuda.memcpy_htod_async(int(memory), host, two)
    back = cuda.Event().record(two)
    one.wait_for_event(back)
    assert end_capture(one) == 0
    with pytest.raises(cuda.LogicError, match="last recorded in a capturing stream"):
        back.query()
    assert begin_capture(cuda, one) == 0
    with pytest.raises(cuda.LogicError, match="uncaptured work in another stream"):
        one.wait_for_event(outside)
    assert end_capture(one) == 901
    assert fake_gpu.machine.streams[two.handle].enqueued == 0, "nothing was done"
    memory.free()


def test_capture_ends_once_in_its_own_thread(cuda: ModuleType) -> None:
    stream, context = cuda.Stream(NON_BLOCKING), cuda.Context.get_current()
    codes: list[int] = []

    def end() -> None:
        context.push()
        codes.append(end_capture(stream))
        cuda.Context.pop()

    assert begin_capture(cuda, stream) == 0
    assert begin_capture(cuda, stream) == 1
    assert in_thread(end) is None
    assert codes == [908]
    assert end_capture(stream) == 0
    assert end_capture(stream) == 903


# Devices, and what a test may do to them.


def test_a_lost_device_fails_every_call_but_those_that_free(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    stream, memory = cuda.Stream(NON_BLOCKING), cuda.mem_alloc(4)
    cuda.memcpy_htod_async(int(memory), cuda.pagelocked_empty(4, np.uint8), stream)
    fake_gpu.machine.lose_device()
    with pytest.raises(cuda.Error, match=r"cuStreamSynchronize failed: unknown error"):
        stream.synchronize()
    with pytest.raises(cuda.Error, match="unknown error"):
        cuda.mem_alloc(4)
    memory.free()


def test_a_hung_device_keeps_who_waits(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    stream, context, came = cuda.Stream(NON_BLOCKING), cuda.Context.get_current(), threading.Event()
    fake_gpu.machine.hang()
    event = cuda.Event().record(stream)

    def wait() -> None:
        context.push()
        try:
            event.synchronize()
            came.set()
        finally:
            cuda.Context.pop()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    assert not came.wait(0.05)
    fake_gpu.machine.release()
    thread.join(5.0)
    assert came.is_set()


def test_there_may_be_no_device(fake_gpu: FakeGpu) -> None:
    fake_gpu.machine.devices.clear()
    from pycuda import driver  # noqa: PLC0415  there only while the fixture is

    with pytest.raises(driver.RuntimeError, match="no CUDA-capable device is detected"):
        driver.init()
    with pytest.raises(driver.LogicError, match="invalid device ordinal"):
        driver.Device(0)


def test_a_child_process_gets_the_fakes_too(fake_gpu: FakeGpu) -> None:
    words = (
        "import pycuda.driver as d, ctypes; d.init(); print(ctypes.CDLL('libcuda.so.1').cuInit(0), d.Device(0).name())"
    )
    done = subprocess.run(
        [sys.executable, "-c", words], env=fake_gpu.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == "0 NVIDIA GeForce RTX 4090\n"


def test_the_real_libraries_are_still_found(fake_gpu: FakeGpu) -> None:
    assert fake_gpu
    assert ctypes.CDLL(None).getpid() > 0
