"""A stand-in for `streamer.cuda.gpu.Gpu` that computes at once on the host, with the kernels compiled for it.

It has no rules: those are the fake pycuda's. What it shows is the arithmetic, and that nothing is written beside the
memory that was asked for: behind and before each piece lie bytes that `close` looks at. With `guarded`, memory ends
where the process may neither read nor write: who reads beyond it dies.
"""

from __future__ import annotations

import ctypes
import mmap
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from host_kernels import host_library

if TYPE_CHECKING:
    from collections.abc import Sequence

    from host_kernels import Size
    from numpy.typing import DTypeLike, NDArray

    from streamer.cuda.gpu import Gpu, Stream


_ALIGNED = 256  # bytes, as cuMemAlloc
_WATCHED = 256  # bytes before and behind each piece
_MARK = 0xA5


class HostMemory:
    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self._bytes = np.full(nbytes + 2 * _WATCHED + _ALIGNED, _MARK, np.uint8)
        start = self._bytes.ctypes.data + _WATCHED
        self._at = _WATCHED + -start % _ALIGNED
        self.pointer = self._bytes.ctypes.data + self._at
        self.freed = False

    @property
    def values(self) -> NDArray[np.uint8]:
        return self._bytes[self._at : self._at + self.nbytes]

    def free(self) -> None:
        self.freed = True
        beside = self._bytes[: self._at], self._bytes[self._at + self.nbytes :]
        assert all((part == _MARK).all() for part in beside), "something was written beside the memory"


class GuardedMemory:
    """Ends at a page that can't be touched."""

    freed = False

    def __init__(self, nbytes: int) -> None:
        self.nbytes, page = nbytes, mmap.PAGESIZE
        room = -(-nbytes // page) * page
        self._map = mmap.mmap(-1, room + page)
        self._held = (ctypes.c_char * (room + page)).from_buffer(self._map)
        start = ctypes.addressof(self._held)
        libc = ctypes.CDLL(None, use_errno=True)
        assert libc.mprotect(ctypes.c_void_p(start + room), ctypes.c_size_t(page), 0) == 0
        self.pointer = start + room - nbytes
        self.values = np.frombuffer(self._map, np.uint8, nbytes, room - nbytes)

    def free(self) -> None:
        """The process ends before long."""


Piece = HostMemory | GuardedMemory


class HostStream:
    handle = 1

    def copy_in(self, target: int, source: NDArray[Any]) -> None:
        assert source.flags.c_contiguous
        ctypes.memmove(target, source.ctypes.data, source.nbytes)

    def copy_out(self, target: NDArray[Any], source: int) -> None:
        assert target.flags.c_contiguous
        ctypes.memmove(target.ctypes.data, source, target.nbytes)

    def record(self) -> SimpleNamespace:
        return SimpleNamespace(done=lambda: True, wait=lambda: None)

    def synchronize(self) -> None:
        pass


STREAM = cast("Stream", HostStream())


class HostLaunches:
    def __init__(self, *, backwards: bool) -> None:
        self._backwards = backwards

    def launch(
        self, name: str, *, grid: Size, block: Size, stream: HostStream, arguments: Sequence[np.generic]
    ) -> None:
        assert stream.handle
        host_library().launch(name, grid, block, arguments, backwards=self._backwards)


class HostGpu:
    def __init__(self, *, backwards: bool = False, guarded: bool = False) -> None:
        self.info = None
        self.memories: list[Piece] = []
        self._backwards, self._guarded = backwards, guarded

    @property
    def gpu(self) -> Gpu:
        """As what is tested takes it: it asks for no more than is here."""
        return cast("Gpu", self)

    def allocate(self, nbytes: int) -> Piece:
        memory: Piece = GuardedMemory(nbytes) if self._guarded else HostMemory(nbytes)
        self.memories.append(memory)
        return memory

    def put(self, values: NDArray[Any]) -> int:
        """Copy an array into memory of its own, and return its address."""
        memory = self.allocate(values.nbytes)
        memory.values[:] = np.ascontiguousarray(values).view(np.uint8).ravel()
        return int(memory.pointer)

    def read(self, pointer: int, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return a copy of what lies there."""
        values = np.empty(shape, dtype)
        ctypes.memmove(values.ctypes.data, pointer, values.nbytes)
        return values

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        return np.zeros(shape, dtype)

    def load(self, _image: bytes) -> HostLaunches:
        return HostLaunches(backwards=self._backwards)

    def close(self) -> None:
        for memory in self.memories:
            memory.free()
