"""Devices and contexts: a context is pushed in each thread that uses it, and popped before that thread ends."""

from __future__ import annotations

import warnings
from enum import IntEnum

from . import _errors as e
from ._machine import machine


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


class ContextDependent:
    """What remembers the context it was made in, and can be freed only where that is on top.

    The real pycuda lets the thread that made the context off; the fake does not, for who that was is luck.
    """

    def __init__(self) -> None:
        self._ward: Context = machine.current("explicit_context_dependent")

    def _may_free(self, what: str) -> bool:
        """Warn and leak, as pycuda does, where the context is not the one that is current."""
        if machine.stack and machine.stack[-1] is self._ward:
            return True
        machine.violations.append(f"{what} was freed in a thread where its context is not current: pycuda leaks it")
        warnings.warn(f"{what} in out-of-thread context could not be cleaned up", UserWarning, stacklevel=3)
        return False
