"""Copies. One from or to memory that is not page-locked is done at once, whatever its name says."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from . import _errors as e
from ._machine import machine
from ._queues import Stream, state_of
from ._streams import Work

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from ._allocations import DeviceAllocation
    from ._memory import Range
    from ._streams import StreamState

Pointer: TypeAlias = "int | DeviceAllocation"


def memcpy_htod(dest: Pointer, src: Any) -> None:  # noqa: ANN401  anything with a buffer
    _copy(machine.default, "cuMemcpyHtoD", _in(dest, src), at_once=True)


def memcpy_htod_async(dest: Pointer, src: Any, stream: Stream | None = None) -> None:  # noqa: ANN401
    state = state_of(stream, "cuMemcpyHtoDAsync")
    _copy(state, "cuMemcpyHtoDAsync", _in(dest, src), at_once=not _pinned(_buffer(src)))


def memcpy_dtoh(dest: Any, src: Pointer) -> None:  # noqa: ANN401
    _copy(machine.default, "cuMemcpyDtoH", _out(dest, src), at_once=True)


def memcpy_dtoh_async(dest: Any, src: Pointer, stream: Stream | None = None) -> None:  # noqa: ANN401
    state = state_of(stream, "cuMemcpyDtoHAsync")
    _copy(state, "cuMemcpyDtoHAsync", _out(dest, src), at_once=not _pinned(_buffer(dest)))


def memcpy_dtod_async(dest: Pointer, src: Pointer, size: int, stream: Stream | None = None) -> None:
    state = state_of(stream, "cuMemcpyDtoDAsync")
    target, source = int(dest), int(src)

    def run() -> None:
        view = machine.memory.view
        view("cuMemcpyDtoDAsync", target, size)[:] = view("cuMemcpyDtoDAsync", source, size)

    _copy(state, "cuMemcpyDtoDAsync", Work("copy", run, ((target, size), (source, size))), at_once=False)


def _copy(state: StreamState, routine: str, work: Work, *, at_once: bool) -> None:
    machine.current(routine)
    if at_once:
        machine.refuse_on_captured(routine, state)
        machine.refuse_while_capturing(routine)
        if routine.endswith("Async"):
            machine.synchronous_copies += 1
    state.enqueue(routine, work)
    if at_once:
        state.run_until(state.enqueued)


def _buffer(array: Any) -> NDArray[np.uint8]:  # noqa: ANN401
    """The bytes of a contiguous array, not copied."""
    whole: NDArray[Any] = array if isinstance(array, np.ndarray) else np.frombuffer(array, np.uint8)
    if not whole.flags.c_contiguous:
        raise ValueError("ndarray is not contiguous")
    return whole.reshape(-1).view(np.uint8)


def _pinned(array: NDArray[np.uint8]) -> bool:
    return machine.memory.is_pinned(array.ctypes.data, array.nbytes)


def _ranges(array: NDArray[np.uint8], pointer: int) -> tuple[Range, ...]:
    return ((pointer, array.nbytes), *(((array.ctypes.data, array.nbytes),) if _pinned(array) else ()))


def _in(dest: Pointer, src: Any) -> Work:  # noqa: ANN401
    source, target = _buffer(src), _address(dest)

    def run() -> None:
        machine.memory.view("cuMemcpyHtoDAsync", target, source.nbytes)[:] = source

    return Work("copy in", run, _ranges(source, target))


def _out(dest: Any, src: Pointer) -> Work:  # noqa: ANN401
    target, source = _buffer(dest), _address(src)
    if not target.flags.writeable:
        raise BufferError("Object is not writable.")

    def run() -> None:
        target[:] = machine.memory.view("cuMemcpyDtoHAsync", source, target.nbytes)

    return Work("copy out", run, _ranges(target, source))


def _address(pointer: Pointer) -> int:
    if isinstance(pointer, np.generic) or not hasattr(pointer, "__index__"):
        raise TypeError("Python argument types in pycuda._driver.memcpy did not match C++ signature")
    return int(pointer)


class Memcpy2D:
    """A copy of rows that lie `pitch` bytes apart."""

    __slots__ = (
        "_dst", "_src", "dst_pitch", "dst_x_in_bytes", "dst_y", "height",
        "src_pitch", "src_x_in_bytes", "src_y", "width_in_bytes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.src_pitch = self.dst_pitch = self.width_in_bytes = self.height = 0
        self.src_x_in_bytes = self.src_y = self.dst_x_in_bytes = self.dst_y = 0
        self._src: tuple[int, bool] | None = None  # (address, on the device)
        self._dst: tuple[int, bool] | None = None

    def set_src_host(self, buffer: NDArray[Any]) -> None:
        self._src = (buffer.ctypes.data, False)

    def set_src_device(self, devptr: int) -> None:
        self._src = (_address(devptr), True)

    def set_dst_host(self, buffer: NDArray[Any]) -> None:
        self._dst = (buffer.ctypes.data, False)

    def set_dst_device(self, devptr: int) -> None:
        self._dst = (_address(devptr), True)

    def __call__(self, stream: Stream) -> None:
        routine = "cuMemcpy2DAsync"
        state = state_of(stream, routine)
        if self._src is None or self._dst is None or self.width_in_bytes > min(self.src_pitch, self.dst_pitch):
            raise e.failed(routine, e.INVALID_VALUE)
        source = self._src[0] + self.src_y * self.src_pitch + self.src_x_in_bytes
        target = self._dst[0] + self.dst_y * self.dst_pitch + self.dst_x_in_bytes
        uses, at_once = [], False
        for at, pitch, on_device in ((source, self.src_pitch, self._src[1]), (target, self.dst_pitch, self._dst[1])):
            nbytes = (self.height - 1) * pitch + self.width_in_bytes
            if on_device or machine.memory.is_pinned(at, nbytes):
                uses.append((at, nbytes))
            else:
                at_once = True
        _copy(state, routine, Work("copy rows", self._rows(source, target), tuple(uses)), at_once=at_once)

    def _rows(self, source: int, target: int) -> Callable[[], None]:
        width, height, from_pitch, to_pitch = self.width_in_bytes, self.height, self.src_pitch, self.dst_pitch

        def run() -> None:
            for row in range(height):
                ctypes.memmove(target + row * to_pitch, source + row * from_pitch, width)

        return run
