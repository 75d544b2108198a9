"""Device memory and page-locked arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import _errors as e
from ._contexts import end, own
from ._machine import machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import DTypeLike, NDArray


class host_alloc_flags:  # noqa: N801  pycuda's name
    """CU_MEMHOSTALLOC_*."""

    PORTABLE = 1
    DEVICEMAP = 2
    WRITECOMBINED = 4


class _Allocation:
    """A block that is freed once, with its context current."""

    def __init__(self, what: str, routine: str, kind: str, nbytes: int) -> None:
        self._what = what
        self._handle = own(what, lambda: self._acquire(routine, kind, nbytes))

    def _acquire(self, routine: str, kind: str, nbytes: int) -> Callable[[], None]:
        block = self._block = machine.allocate(routine, kind, nbytes)
        return lambda: machine.free("cuMemFree", block)

    def free(self) -> None:
        if not end(self._handle):
            raise e.failed(f"{self._what}::free", e.INVALID_HANDLE)


class DeviceAllocation(_Allocation):
    """Memory on the device."""

    def __init__(self, nbytes: int) -> None:
        super().__init__("device_allocation", "cuMemAlloc", "device", nbytes)

    def __int__(self) -> int:
        return self._block.base

    __index__ = __int__


class PagelockedHostAllocation(_Allocation):
    """Memory of the host that a GPU copies by itself."""

    def __init__(self, nbytes: int) -> None:
        super().__init__("pagelocked_host_allocation", "cuMemHostAlloc", "pinned", nbytes)

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """What lets numpy hold this object as an array's `base`, as pycuda's arrays do."""
        return {"shape": (self._block.nbytes,), "typestr": "|u1", "data": (self._block.base, False), "version": 3}


def mem_alloc(nbytes: int) -> DeviceAllocation:
    if type(nbytes) is not int:
        raise TypeError("Python argument types in pycuda._driver.mem_alloc did not match C++ signature")
    return DeviceAllocation(nbytes)


def mem_get_info() -> tuple[int, int]:
    machine.current("cuMemGetInfo")
    total = machine.devices[0].memory_bytes
    limit = total if machine.out_of_memory_after is None else min(total, machine.out_of_memory_after)
    return max(0, limit - machine.used_bytes()), total


def pagelocked_empty(
    shape: int | tuple[int, ...], dtype: DTypeLike, order: str = "C", mem_flags: int = 0
) -> NDArray[Any]:
    if order != "C" or mem_flags & ~7:
        raise e.failed("numpy_empty", e.INVALID_VALUE, "unrecognized order specifier")
    kind = np.dtype(dtype)
    nbytes = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
    array: NDArray[Any] = np.asarray(PagelockedHostAllocation(nbytes)).view(kind).reshape(shape)
    return array
