"""What the tests of the GPU room and of its fake share."""

from __future__ import annotations

import ctypes
import gc
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from nvidia import FakeGpu

NON_BLOCKING = 1
KERNEL = b'extern "C" __global__ void __launch_bounds__(32) add(int* values, int more) {}\n'


@contextmanager
def pushed_driver() -> Iterator[ModuleType]:
    """The fake's `pycuda.driver`, with a context pushed; the fixture `fake_gpu` is there."""
    from pycuda import driver  # noqa: PLC0415  there only while the fixture is

    driver.init()
    context = driver.Device(0).retain_primary_context()
    context.push()
    yield driver
    gc.collect()  # what an exception's traceback still holds goes while the context is current
    driver.Context.pop()


def in_thread(work: Callable[[], object]) -> BaseException | None:
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


def begin_capture(stream: object, mode: int = 1) -> int:
    handle = ctypes.c_void_p(stream.handle)  # type: ignore[attr-defined]
    return int(ctypes.CDLL("libcuda.so.1").cuStreamBeginCapture_v2(handle, ctypes.c_int(mode)))


def end_capture(stream: object) -> int:
    """End a capture, throw the graph away, and return the CUresult."""
    library, graph = ctypes.CDLL("libcuda.so.1"), ctypes.c_void_p()
    code = int(library.cuStreamEndCapture(ctypes.c_void_p(stream.handle), ctypes.byref(graph)))  # type: ignore[attr-defined]
    if graph.value:
        library.cuGraphDestroy(graph)
    return code


def load_add(cuda: ModuleType, fake_gpu: FakeGpu) -> Callable[..., None]:
    """A kernel; a fixture would keep it beyond its context."""

    def run(name: str, grid: object, block: object, arguments: tuple[np.generic, ...]) -> None:
        assert (name, grid, block) == ("add", (1, 1, 1), (4, 1, 1))
        values = fake_gpu.machine.memory.view(name, int(arguments[0]), 16).view(np.int32)
        values += int(arguments[1])

    fake_gpu.machine.kernels = run
    kernel: Callable[..., None] = cuda.module_from_buffer(KERNEL).get_function("add")
    return kernel
