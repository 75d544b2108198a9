"""One execution context: shapes, addresses, and running. Not for two threads at once."""

from __future__ import annotations

import contextlib
import threading
import weakref
from typing import TYPE_CHECKING

import numpy as np

from ._base import Handle
from ._compute import compute, output_shapes
from ._device import CudaError, drain, hook, misused, require_context, require_stream, violated
from ._dims import Dims, ShapeLike, nptype, volume
from ._enums import DataType
from ._faults import faults
from ._interfaces import ILogger, IOutputAllocator, error
from ._running import SHARED, Running, ended, read, require_memory, write, writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._engine import ICudaEngine

ALIGNMENT = 256


class IExecutionContext(Handle):
    __slots__ = (
        "_addresses",
        "_allocators",
        "_device_memory",
        "_engine",
        "_lock",
        "_logger",
        "_managed",
        "_profile",
        "_ran",
        "_running",
        "_shapes",
        "debug_sync",
        "enqueue_emits_profile",
        "name",
        "nvtx_verbosity",
        "persistent_cache_limit",
    )

    def __init__(self, engine: ICudaEngine, logger: ILogger, *, managed: bool = False) -> None:
        self._engine = engine
        self._managed = managed  # the caller gives the memory of the activations
        self._device_memory: tuple[int, int] | None = None
        self._logger = logger
        self._lock = threading.Lock()
        self._profile = 0
        self._shapes: dict[str, tuple[int, ...]] = {
            t.name: t.shape for t in engine._plan.inputs if t.shape is not None and -1 not in t.shape
        }
        self._addresses: dict[str, int] = {}
        self._allocators: dict[str, IOutputAllocator] = {}
        self._ran: tuple[tuple[str, tuple[int, ...]], ...] | None = None  # the shapes of the last plain enqueue
        self._running = Running()
        weakref.finalize(self, ended, self._running)
        self.name = ""
        self.debug_sync = False

    @property
    def engine(self) -> ICudaEngine:
        return self._engine

    @property
    def active_optimization_profile(self) -> int:
        return self._profile

    @property
    def all_binding_shapes_specified(self) -> bool:
        return not self._unset()

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        with self._one_thread():
            require_stream(stream_handle)
            if not 0 <= profile_index < len(self._engine._plan.profiles):
                raise RuntimeError(f"profile {profile_index} of {len(self._engine._plan.profiles)}")
            self._profile = profile_index
            self._shapes = {n: s for n, s in self._shapes.items() if -1 not in (self._engine._tensor(n).shape or (-1,))}
            self._ran = None
            return True

    def set_input_shape(self, name: str, shape: ShapeLike) -> bool:
        with self._one_thread():
            if name not in self._engine._inputs():
                return self._said(f"{name} is no input")
            wanted = tuple(int(length) for length in shape)
            low, _opt, high = self._engine._plan.profiles[self._profile][name]
            inside = len(wanted) == len(low) and all(a <= w <= b for a, w, b in zip(low, wanted, high, strict=True))
            if not inside:
                return self._said(f"{name}: {wanted} is not in the profile's {low} to {high}")
            self._shapes[name] = wanted
            return True

    def infer_shapes(self) -> list[str]:
        with self._one_thread():
            return self._unset()

    def get_tensor_shape(self, name: str) -> Dims:
        with self._one_thread():
            known = self._engine._tensor(name)
            if name in self._engine._inputs():
                return Dims(self._shapes.get(name, known.shape or ()))
            return Dims(self._output_shapes().get(name, known.shape or ()))

    def get_tensor_strides(self, name: str) -> Dims:
        shape = tuple(self.get_tensor_shape(name))
        return Dims(tuple(volume(shape[axis + 1 :]) for axis in range(len(shape))))

    def get_max_output_size(self, name: str) -> int:
        shape = tuple(self.get_tensor_shape(name))
        return -1 if -1 in shape else volume(shape) * self._itemsize(name)

    def set_device_memory(self, memory: int, size: int) -> None:
        with self._one_thread():
            if not self._managed:
                misused("set_device_memory on a context that has memory of its own")
            if size < self._engine.device_memory_size_v2 or memory % ALIGNMENT:
                misused(f"{size} bytes at {memory:#x}: {self._engine.device_memory_size_v2}, aligned, are needed")
            self._device_memory = (memory, size)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        with self._one_thread():
            if name not in self._engine._tensors:
                return self._said(f"{name} is no tensor")
            if not isinstance(memory, int):
                raise TypeError("incompatible function arguments: memory is an int")
            if memory % ALIGNMENT:
                misused(f"the address of {name} is not aligned to {ALIGNMENT} bytes")
            self._addresses[name] = memory
            return True

    def get_tensor_address(self, name: str) -> int:
        return self._addresses.get(name, 0)

    def set_output_allocator(self, name: str, output_allocator: IOutputAllocator) -> bool:
        with self._one_thread():
            if name in self._engine._inputs() or name not in self._engine._tensors:
                return self._said(f"{name} is no output")
            self._allocators[name] = output_allocator
            return True

    def get_output_allocator(self, name: str) -> IOutputAllocator | None:
        return self._allocators.get(name)

    def execute_async_v3(self, stream_handle: int) -> bool:
        with self._one_thread():
            require_context("execute_async_v3")
            if stream_handle == 0:
                misused("execute_async_v3 on the default stream: TensorRT adds synchronisations to it")
            capturing = require_stream(stream_handle)
            if self._running.count and stream_handle != self._running.stream:
                misused("a context's last run goes on in another stream: both would use one scratch memory")
            wrong = self._not_ready(capturing=capturing) or self._not_enqueued(stream_handle, capturing=capturing)
            if wrong is None:
                return True
            if capturing:
                hook.invalidate_capture(stream_handle)
            return self._said(wrong)

    def _not_enqueued(self, stream: int, *, capturing: bool) -> str | None:
        """Enqueue; return why that failed, or None."""
        try:
            self._enqueue(stream, capturing=capturing)
        except CudaError as exc:
            return f"Error Code 1: Cuda Runtime ({exc})"
        return None

    def _not_ready(self, *, capturing: bool) -> str | None:
        """Return why this can't be enqueued now, or None."""
        return faults().execute_fails or self._not_bound() or (self._not_capturable() if capturing else None)

    def _not_bound(self) -> str | None:
        plan = self._engine._plan
        if self._managed and self._device_memory is None:
            return "the context is USER_MANAGED and was given no device memory"
        if self._unset():
            return f"the shapes of {self._unset()} are not set"
        for name in self._engine._tensors:
            if not self._addresses.get(name) and name not in self._allocators:
                return f"neither address nor allocator is set for tensor {name}"
        if plan.data_dependent and not set(plan.data_dependent) <= set(self._allocators):
            return f"{plan.data_dependent} need an output allocator: their shapes are known only after the run"
        return None

    def _not_capturable(self) -> str | None:
        if faults().not_capturable or self._engine._plan.data_dependent:
            return "Error Code 1: Cuda Runtime (operation not permitted when stream is capturing)"
        if self._ran != self._key():
            return "the first enqueue of these shapes allocates: operation not permitted when stream is capturing"
        return None

    def _enqueue(self, stream: int, *, capturing: bool) -> None:
        inputs = {n: (self._addresses[n], s, self._dtype(n)) for n, s in self._shapes.items()}
        if self._engine._plan.data_dependent:
            self._run_and_allocate(stream, inputs)
            return
        shapes = self._output_shapes()
        outputs = {n: (self._addresses[n], shapes[n], self._dtype(n)) for n in shapes}
        uses = [(at, volume(s) * np.dtype(t).itemsize) for at, s, t in (*inputs.values(), *outputs.values())]
        if self._device_memory is not None:
            uses.append(self._device_memory)
            SHARED.claim(self._device_memory[0], self._running, stream)
        for pointer, nbytes in uses:
            require_memory(pointer, nbytes)
        plan, running, alive = self._engine._plan, self._running, weakref.ref(self)

        def work() -> None:
            if alive() is None:
                violated("a graph ran after the execution context that it was captured from was destroyed")
            results = compute(plan, {n: read(*where) for n, where in inputs.items()})
            for name, where in outputs.items():
                write(where[0], results[name])
            if not capturing:
                running.count -= 1

        hook.enqueue(stream, work, uses)
        if not capturing:
            running.count += 1
            running.stream = stream
            self._ran = self._key()

    def _run_and_allocate(self, stream: int, inputs: dict[str, tuple[int, tuple[int, ...], type[np.generic]]]) -> None:
        """Outputs of unknown size: the real enqueue waits for the sizes too, then asks for memory."""
        drain(stream)
        results = compute(self._engine._plan, {n: read(*where) for n, where in inputs.items()})
        for name, value in results.items():
            allocator = self._allocators.get(name)
            at = self._addresses.get(name, 0)
            if allocator is not None:
                at = allocator.reallocate_output_async(name, at, value.nbytes, ALIGNMENT, stream)
                allocator.notify_shape(name, Dims(value.shape))
            require_memory(at, value.nbytes)
            hook.enqueue(stream, writer(at, value), [(at, value.nbytes)])

    def _output_shapes(self) -> dict[str, tuple[int, ...]]:
        if self._unset():
            return {}
        return output_shapes(self._engine._plan, self._shapes)

    def _unset(self) -> list[str]:
        return [t.name for t in self._engine._plan.inputs if t.name not in self._shapes]

    def _key(self) -> tuple[tuple[str, tuple[int, ...]], ...]:
        return tuple(sorted(self._shapes.items()))

    def _dtype(self, name: str) -> type[np.generic]:
        return nptype(DataType[self._engine._tensor(name).dtype])

    def _itemsize(self, name: str) -> int:
        return np.dtype(self._dtype(name)).itemsize

    def _said(self, message: str) -> bool:
        error(self._logger, f"IExecutionContext: Error Code 3: API Usage Error ({message})")
        return False

    @contextlib.contextmanager
    def _one_thread(self) -> Iterator[None]:
        if not self._lock.acquire(blocking=False):
            misused("two threads use one execution context at once")
        try:
            yield
        finally:
            self._lock.release()
