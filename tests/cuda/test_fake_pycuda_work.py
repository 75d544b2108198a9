"""The fake of pycuda: each of its rules, broken once. Kernels, captures, devices."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drills import KERNEL, NON_BLOCKING, begin_capture, end_capture, in_thread, load_add, pushed_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from nvidia import FakeGpu


@pytest.fixture
def cuda(fake_gpu: FakeGpu) -> Iterator[ModuleType]:
    """The fake's `pycuda.driver`, with a context pushed."""
    assert fake_gpu
    with pushed_driver() as driver:
        yield driver


# Kernels: typed arguments, live pointers, names that are there.


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
    assert begin_capture(stream) == 0
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
    assert begin_capture(stream) == 0
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

    assert begin_capture(stream) == 0
    assert in_thread(allocate) is None
    assert end_capture(stream) == 0
    assert begin_capture(stream, mode=0) == 0  # GLOBAL: not even other threads
    assert "not permitted when stream is capturing" in str(in_thread(allocate))
    assert end_capture(stream) == 901


def test_a_capture_takes_other_streams_in_by_events_and_wants_them_back(cuda: ModuleType, fake_gpu: FakeGpu) -> None:
    one, two, memory = cuda.Stream(NON_BLOCKING), cuda.Stream(NON_BLOCKING), cuda.mem_alloc(4)
    host, outside = cuda.pagelocked_empty(4, np.uint8), cuda.Event().record(two)
    assert begin_capture(one) == 0
    two.wait_for_event(cuda.Event().record(one))
    cuda.memcpy_htod_async(int(memory), host, two)
    assert end_capture(one) == 904, "two was not joined"
    assert begin_capture(one) == 0
    two.wait_for_event(cuda.Event().record(one))
    cuda.memcpy_htod_async(int(memory), host, two)
    back = cuda.Event().record(two)
    one.wait_for_event(back)
    assert end_capture(one) == 0
    with pytest.raises(cuda.LogicError, match="last recorded in a capturing stream"):
        back.query()
    assert begin_capture(one) == 0
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

    assert begin_capture(stream) == 0
    assert begin_capture(stream) == 1
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
