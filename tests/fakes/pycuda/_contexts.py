"""Devices and contexts: a context is pushed in each thread that uses it, and popped before that thread ends."""

from __future__ import annotations

import warnings
import weakref
from enum import IntEnum
from itertools import count
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from . import _errors as e
from ._machine import machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


class device_attribute(IntEnum):  # noqa: N801  pycuda's name
    """CUdevice_attribute, the ones that are used."""

    MULTIPROCESSOR_COUNT = 16
    INTEGRATED = 18
    COMPUTE_CAPABILITY_MAJOR = 75
    COMPUTE_CAPABILITY_MINOR = 76


def init(flags: int = 0) -> None:
    machine.check_alive("cuInit")
    if flags:
        raise e.failed("cuInit", e.INVALID_VALUE)
    if not machine.devices:
        raise e.failed("cuInit", e.NO_DEVICE)


def get_driver_version() -> int:
    return machine.driver_version


class Device:
    """One GPU."""

    def __init__(self, ordinal: int) -> None:
        if not 0 <= ordinal < len(machine.devices):
            raise e.failed("cuDeviceGet", e.INVALID_DEVICE)
        self._ordinal = ordinal
        self._facts = machine.devices[ordinal]

    @staticmethod
    def count() -> int:
        return len(machine.devices)

    def name(self) -> str:
        return self._facts.name

    def compute_capability(self) -> tuple[int, int]:
        return self._facts.compute_capability

    def total_memory(self) -> int:
        return self._facts.memory_bytes

    def get_attribute(self, attr: device_attribute) -> int:
        return {
            device_attribute.MULTIPROCESSOR_COUNT: self._facts.multiprocessors,
            device_attribute.INTEGRATED: int(self._facts.integrated),
            device_attribute.COMPUTE_CAPABILITY_MAJOR: self._facts.compute_capability[0],
            device_attribute.COMPUTE_CAPABILITY_MINOR: self._facts.compute_capability[1],
        }[attr]

    def retain_primary_context(self) -> Context:
        machine.check_alive("cuDevicePrimaryCtxRetain")
        with machine.lock:
            times = machine.contexts[self._ordinal] = machine.contexts.get(self._ordinal, 0) + 1
        if times > 1:
            machine.violations.append(
                "the primary context was retained twice: what one object made, the other can't free"
            )
        return Context(self._ordinal)


class Context:
    """One object of the primary context. Objects are told apart, though the handle is the same."""

    def __init__(self, ordinal: int) -> None:
        self.ordinal_ = ordinal

    @property
    def handle(self) -> int:
        return 0x55000000 + self.ordinal_

    def push(self) -> None:
        machine.stack.append(self)

    @staticmethod
    def pop() -> None:
        if not machine.stack:
            raise e.failed("context::pop", e.INVALID_CONTEXT, "cannot pop non-current context")
        machine.stack.pop()

    @staticmethod
    def get_current() -> Context | None:
        return machine.stack[-1] if machine.stack else None

    @staticmethod
    def get_device() -> Device:
        current: Context = machine.current("cuCtxGetDevice")
        return Device(current.ordinal_)

    @staticmethod
    def synchronize() -> None:
        machine.current("cuCtxSynchronize")
        machine.refuse_while_capturing("cuCtxSynchronize")
        for stream in list(machine.streams.values()):
            stream.run_until(stream.enqueued)


# What Python's collector sees of an object of C++: nothing. An instance of a plain class would be finalised together
# with the ring it is in, before its owner's own `__del__` could push the context. An array is not tracked: it ends with
# its last reference, and what is bound to its end happens then, as the end of one of pycuda's objects does.
Handle: TypeAlias = "NDArray[np.int64]"

_owned: dict[int, tuple[str, Context, Callable[[], None]]] = {}  # handle -> what it is, its context, what frees it
_numbers = count(1)


def own(what: str, acquire: Callable[[], Callable[[], None]]) -> Handle:
    """Make something in the current context; `acquire` makes it and returns what frees it."""
    ward: Context = machine.current("explicit_context_dependent")
    release = acquire()
    number = next(_numbers)
    _owned[number] = what, ward, release
    handle = np.array(number)
    weakref.finalize(handle, _end, number).atexit = False
    return handle


def end(handle: Handle) -> bool:
    """Free what a handle stands for; return whether there was something left to free.

    It is freed only where the very object of its context is on top. Elsewhere pycuda warns and leaks; it lets the
    thread that made the context off, and this does not, for who that was is luck.
    """
    return _end(int(handle))


def _end(number: int) -> bool:
    entry = _owned.pop(number, None)
    if entry is None:
        return False
    what, ward, release = entry
    if machine.stack and machine.stack[-1] is ward:
        release()
        return True
    machine.violations.append(f"{what} was freed in a thread where its context is not current: pycuda leaks it")
    warnings.warn(f"{what} in out-of-thread context could not be cleaned up", UserWarning, stacklevel=4)
    return True
