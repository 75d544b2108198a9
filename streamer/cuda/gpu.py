"""What a GPU is to the rest of Streamer: facts, memory, streams, kernels. One file behind it talks to pycuda.

A GPU has more members than a protocol should: it is a device, and these are its services. Each is small for itself.
Every method pushes the GPU's context where it is not current in the calling thread, and says what failed as a
BackendError; so any thread may call any of them, but two threads never work on one stream at a time.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from streamer.core.errors import BackendError

from .driver import Driver, load_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import DTypeLike, NDArray

# CUdevice_attribute
_MULTIPROCESSOR_COUNT, _INTEGRATED, _CAPABILITY_MAJOR, _CAPABILITY_MINOR = 16, 18, 75, 76


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuInfo:
    """One GPU, as its driver describes it."""

    index: int
    name: str
    compute_capability: tuple[int, int]
    multiprocessors: int
    memory_bytes: int
    cuda_version: tuple[int, int]  # the newest CUDA that the driver knows
    integrated: bool  # shares the memory of the CPU, as on a Jetson


class Memory(Protocol):
    """A piece of device memory; `pointer` is a multiple of 256."""

    pointer: int
    nbytes: int

    def free(self) -> None:
        """Give it back. Idempotent. Nothing queued may still use it."""


class Event(Protocol):
    """A moment of a stream: all that was queued before `Stream.record`."""

    def done(self) -> bool:
        """Whether that moment has come. Does not wait."""

    def wait(self) -> None:
        """Wait for it, without using the CPU.

        Blocks on: the device, without a limit: a caller that needs one waits in a thread that may be left behind.

        Raises:
            BackendError: what was queued has failed.
        """


class Graph(Protocol):
    """Captured work that is launched as one."""

    def launch(self, stream: Stream) -> None:
        """Queue it. The memory that it reads and writes is the same each time."""

    def close(self) -> None:
        """Free it. Idempotent. No launch may be unfinished."""


class Stream(Protocol):
    """A queue of work on the device, used by one thread at a time. It does not wait for the legacy default stream."""

    handle: int  # for runtimes that queue work of their own

    def copy_in(self, target: int, source: NDArray[Any]) -> None:
        """Queue a copy of a C-contiguous array to the device.

        From `Gpu.pinned` memory it is asynchronous, and the array stays as it is until it is done; from any other it
        is done before this returns, and can't be captured.
        """

    def copy_out(self, target: NDArray[Any], source: int) -> None:
        """Queue a copy from the device into a C-contiguous array, as `copy_in`."""

    def copy_rows(
        self,
        target: int | NDArray[Any],
        target_pitch: int,
        source: int | NDArray[Any],
        source_pitch: int,
        width_bytes: int,
        rows: int,
    ) -> None:
        """Queue a copy of rows that lie a pitch apart (bytes). An array stands for memory of the host."""

    def after(self, event: Event) -> None:
        """Let what is queued from now on wait, on the device, for an event of any stream."""

    def after_default(self) -> None:
        """The same for all that the legacy default stream has queued: FFmpeg's decoders work there."""

    def record(self) -> Event:
        """Mark this moment."""

    def synchronize(self) -> None:
        """Wait for all that is queued, without using the CPU; as `Event.wait`."""

    def capture(self, work: Callable[[], None]) -> Graph:
        """Record what `work` queues on this stream, without doing it.

        Everything allocates on its first run: run `work` once for real before. What it uses stays where it is.

        Raises:
            BackendError: it can't be captured. The stream can be used as before.
        """

    def close(self) -> None:
        """Free it. Idempotent. Nothing may be queued on it."""


class Kernels(Protocol):
    """A loaded image of kernels."""

    def launch(
        self,
        name: str,
        *,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        stream: Stream,
        arguments: Sequence[np.generic],
    ) -> None:
        """Queue a kernel. Arguments have the widths of its parameters: np.uintp, np.int32, np.float32.

        Raises:
            BackendError: there is no such kernel, or it can't be launched.
            TypeError: an argument is a plain number.
        """


class Gpu(Protocol):
    """One GPU, shared by all threads of the process; see `open.open_gpu`."""

    info: GpuInfo

    def current(self) -> AbstractContextManager[None]:
        """Make its context current in this thread, for runtimes that expect it to be; re-entrant."""

    def free_bytes(self) -> int:
        """Return the device memory that nobody has taken."""

    def allocate(self, nbytes: int) -> Memory:
        """Take device memory; what it holds is arbitrary.

        Raises:
            BackendError: not so much is left.
        """

    def pinned(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return a page-locked array of the host; what it holds is arbitrary. It is freed with its last view.

        Raises:
            BackendError: not so much can be locked.
        """

    def open_stream(self) -> Stream:
        """Return a new stream."""

    def load(self, image: bytes) -> Kernels:
        """Load a PTX or cubin image, once: the same image gives the same kernels. They stay loaded.

        Raises:
            BackendError: the driver refuses the image.
        """


def look_for_gpus() -> list[GpuInfo]:
    """Return the GPUs that the driver offers, none without a driver. Needs no pycuda and makes no context."""
    try:
        driver = load_driver()
        driver.call("cuInit", ctypes.c_uint(0))
    except BackendError:
        return []
    return [_info(driver, index) for index in range(_number(driver, "cuDeviceGetCount"))]


def _info(driver: Driver, index: int) -> GpuInfo:
    device = ctypes.c_int(_number(driver, "cuDeviceGet", ctypes.c_int(index)))
    name = ctypes.create_string_buffer(256)
    driver.call("cuDeviceGetName", name, ctypes.c_int(len(name)), device)
    nbytes = ctypes.c_size_t()
    driver.call("cuDeviceTotalMem_v2", ctypes.byref(nbytes), device)
    facts = [
        _number(driver, "cuDeviceGetAttribute", ctypes.c_int(attribute), device)
        for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR, _MULTIPROCESSOR_COUNT, _INTEGRATED)
    ]
    return GpuInfo(
        index=index,
        name=name.value.decode("utf-8", "replace"),
        compute_capability=(facts[0], facts[1]),
        multiprocessors=facts[2],
        memory_bytes=int(nbytes.value),
        cuda_version=version_of(_number(driver, "cuDriverGetVersion")),
        integrated=bool(facts[3]),
    )


def _number(driver: Driver, name: str, *arguments: Any) -> int:  # noqa: ANN401  ctypes values
    """Call what puts a number into its first argument."""
    value = ctypes.c_int()
    driver.call(name, ctypes.byref(value), *arguments)
    return value.value


def version_of(number: int) -> tuple[int, int]:
    """Return (major, minor) of what cuDriverGetVersion answers: 12060 is CUDA 12.6."""
    return number // 1000, number % 1000 // 10
