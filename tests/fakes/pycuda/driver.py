"""The names of pycuda.driver that Streamer may use, with pycuda's own rules about contexts and threads.

Nothing stands here that pycuda lacks: `tests/cuda/test_fake_pycuda.py` says where each name comes from.
"""

from __future__ import annotations

from ._allocations import (
    DeviceAllocation,
    PagelockedHostAllocation,
    host_alloc_flags,
    mem_alloc,
    mem_get_info,
    pagelocked_empty,
)
from ._contexts import Context, Device, device_attribute, get_driver_version, init
from ._copies import Memcpy2D, memcpy_dtod_async, memcpy_dtoh, memcpy_dtoh_async, memcpy_htod, memcpy_htod_async
from ._errors import Error, LaunchError, LogicError, MemoryError, RuntimeError  # noqa: A004  pycuda's names
from ._kernels import Function, Module, module_from_buffer
from ._queues import Event, Stream, event_flags

__all__ = [
    "Context",
    "Device",
    "DeviceAllocation",
    "Error",
    "Event",
    "Function",
    "LaunchError",
    "LogicError",
    "Memcpy2D",
    "MemoryError",
    "Module",
    "PagelockedHostAllocation",
    "RuntimeError",
    "Stream",
    "device_attribute",
    "event_flags",
    "get_driver_version",
    "host_alloc_flags",
    "init",
    "mem_alloc",
    "mem_get_info",
    "memcpy_dtod_async",
    "memcpy_dtoh",
    "memcpy_dtoh_async",
    "memcpy_htod",
    "memcpy_htod_async",
    "module_from_buffer",
    "pagelocked_empty",
]
