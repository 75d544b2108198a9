"""pycuda: contexts, memory, kernels; its streams are in `pycuda_stream`. No other file knows it.

pycuda keeps a stack of contexts for each thread, and frees what it has made only where the very object of the context
that was current then is on top. So the primary context is retained once, its object is shared by all threads, and
whatever ends here ends with it pushed. A thread that ends with a context pushed aborts the process: `current()` pops
what it has pushed, always.
"""

from __future__ import annotations

import ctypes
import logging
import math
import threading
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pycuda.driver as cuda

from streamer.core.errors import BackendError

from .driver import load_driver
from .gpu import look_for_gpus
from .pycuda_stream import PycudaStream

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from numpy.typing import DTypeLike, NDArray

    from .gpu import GpuInfo, Stream

_log = logging.getLogger(__name__)

_BLOCKING_SYNC = 4  # CU_CTX_SCHED_BLOCKING_SYNC: who waits sleeps; FFmpeg shares a primary context with no other flags
_MIB = 1 << 20
# What CUDA says once a context is beyond repair: every later call in this process fails too.
_FATAL = ("illegal", "launch failure", "unknown error", "uncorrectable", "unavailable", "misaligned", "hardware")


class _Held(threading.local):
    """What this thread has pushed, the top last."""

    def __init__(self) -> None:
        self.stack: list[PycudaGpu] = []


_held = _Held()


class _Current:
    """Pushes a GPU's context where it is not on top, and turns pycuda's errors into ours. Re-entrant, one a GPU."""

    __slots__ = ("_gpu",)

    def __init__(self, gpu: PycudaGpu) -> None:
        self._gpu = gpu

    def __enter__(self) -> None:
        stack = _held.stack
        if not stack or stack[-1] is not self._gpu:
            try:
                self._gpu.context.push()
            except cuda.Error as exc:
                raise self._gpu.complaint(exc) from exc
        stack.append(self._gpu)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack = _held.stack
        stack.pop()
        if not stack or stack[-1] is not self._gpu:
            cuda.Context.pop()
        if isinstance(error, cuda.Error):
            # Without its traceback: who keeps the error must not keep objects of pycuda's beyond their context.
            del trace
            raise self._gpu.complaint(error) from error.with_traceback(None)


class PycudaMemory:
    """As `gpu.Memory`."""

    def __init__(self, gpu: PycudaGpu, nbytes: int) -> None:
        self._gpu = gpu
        self._allocation: cuda.DeviceAllocation | None = None
        self.nbytes = nbytes
        self._allocation = cuda.mem_alloc(max(1, nbytes))
        self.pointer = int(self._allocation)

    def free(self) -> None:
        """Give it back. Idempotent."""
        allocation, self._allocation = self._allocation, None
        if allocation is not None:
            with self._gpu.current():
                allocation.free()

    def __del__(self) -> None:
        self.free()


class _PinnedOwner:
    """What a page-locked array holds on to: pycuda's array, let go of with the context current, in whatever thread."""

    def __init__(self, gpu: PycudaGpu, array: NDArray[np.uint8]) -> None:
        self._gpu = gpu
        self._array: NDArray[np.uint8] | None = array
        self.__array_interface__ = array.__array_interface__

    def __del__(self) -> None:
        with self._gpu.current():
            self._array = None


class PycudaKernels:
    """As `gpu.Kernels`."""

    def __init__(self, gpu: PycudaGpu, module: cuda.Module) -> None:
        self._gpu = gpu
        self._module = module
        self._functions: dict[str, cuda.Function] = {}

    def __del__(self) -> None:
        with self._gpu.current():
            self._functions.clear()
            del self._module

    def launch(
        self,
        name: str,
        *,
        grid: tuple[int, int, int],
        block: tuple[int, int, int],
        stream: Stream,
        arguments: Sequence[np.generic],
    ) -> None:
        """Queue a kernel."""
        own = cast("PycudaStream", stream)  # one process has one kind of GPU
        with self._gpu.current():
            self._function(name)(*arguments, grid=grid, block=block, stream=own.open_raw())

    def _function(self, name: str) -> cuda.Function:
        function = self._functions.get(name)
        if function is None:
            function = self._functions[name] = self._module.get_function(name)
        return function


class PycudaGpu:
    """As `gpu.Gpu`."""

    def __init__(self, info: GpuInfo, context: cuda.Context) -> None:
        self.info = info
        self.context = context
        self._current = _Current(self)
        self._kernels: dict[bytes, PycudaKernels] = {}

    def current(self) -> AbstractContextManager[None]:
        """Make its context current in this thread."""
        return self._current

    def free_bytes(self) -> int:
        """Return the device memory that nobody has taken."""
        with self._current:
            return int(cuda.mem_get_info()[0])

    def allocate(self, nbytes: int) -> PycudaMemory:
        """Take device memory."""
        with self._current:
            try:
                return PycudaMemory(self, int(nbytes))
            except cuda.MemoryError as exc:
                left = f"{nbytes / _MIB:.1f} MiB were wanted, {self.free_bytes() / _MIB:.1f} MiB are free"
                raise BackendError(f"{self} has no memory left: {left}") from exc

    def pinned(self, shape: int | tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return a page-locked array of the host."""
        kind = np.dtype(dtype)
        nbytes = math.prod((shape,) if isinstance(shape, int) else shape) * kind.itemsize
        with self._current:
            try:
                raw = cuda.pagelocked_empty(max(1, nbytes), np.uint8)
            except cuda.MemoryError as exc:
                raise BackendError(f"{self}: the host can't lock {nbytes / _MIB:.1f} MiB of memory for it") from exc
        owned: NDArray[np.uint8] = np.asarray(_PinnedOwner(self, raw))
        return owned[:nbytes].view(kind).reshape(shape)

    def open_stream(self) -> PycudaStream:
        """Return a new stream."""
        with self._current:
            return PycudaStream(self)

    def load(self, image: bytes) -> PycudaKernels:
        """Load an image, once."""
        known = self._kernels.get(image)
        if known is None:
            with self._current:
                known = self._kernels.setdefault(image, PycudaKernels(self, cuda.module_from_buffer(image)))
        return known

    def complaint(self, error: cuda.Error) -> BackendError:
        """Return what a user is told of an error of pycuda's."""
        said = str(error).split("\n", 1)[0].strip("\0 ")  # the driver's own compiler logs many lines
        if isinstance(error, cuda.MemoryError):
            return BackendError(f"{self} has no memory left ({said})")
        if any(word in said for word in _FATAL):
            return BackendError(
                f"{self} is lost to this process ({said}): it must be started again; "
                "`dmesg | grep -i xid` tells whether the card or its driver is at fault"
            )
        return BackendError(f"{self}: {said}")

    def __str__(self) -> str:
        return f"GPU {self.info.index} ({self.info.name})"


def open_pycuda(index: int) -> PycudaGpu:
    """Retain a GPU's primary context, once in a process: `open.open_gpu` sees to that.

    Raises:
        BackendError: there is no such GPU, or it can't be used.
    """
    try:
        cuda.init()
        gpus = look_for_gpus()
        if not 0 <= index < len(gpus):
            raise BackendError(f"GPU {index} is not there: this machine has {len(gpus)}, counted from 0")
        _let_waits_sleep(index)
        context = cuda.Device(index).retain_primary_context()
        # It outlives the interpreter: pycuda's destructor would detach it as if it were no primary context, which
        # fails, under threads and decoders that may still be at work.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(context))
        return PycudaGpu(gpus[index], context)
    except cuda.Error as exc:
        raise BackendError(f"GPU {index} can't be used: {exc}") from exc


def _let_waits_sleep(index: int) -> None:
    """Have the context's waits give up the CPU, as our own do anyhow: FFmpeg shares it only if it is so."""
    driver, device = load_driver(), ctypes.c_int()
    driver.call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(index))
    code = driver.code("cuDevicePrimaryCtxSetFlags_v2", device, ctypes.c_uint(_BLOCKING_SYNC))
    if code:
        _log.info("GPU %d: waits that are not ours may use a CPU core (%s)", index, driver.text(code))
