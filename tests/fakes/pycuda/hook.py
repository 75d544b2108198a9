"""What a fake runtime that works on the fake GPU's memory and streams needs: the fake tensorrt imports this only."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _errors as e
from ._machine import DeviceFacts, machine
from ._streams import Work

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray


class Reservation:
    """Device memory without an address: weights, activations."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def free(self) -> None:
        """Give it back. Idempotent."""
        machine.reserved.pop(self._handle, None)


def device_facts() -> DeviceFacts:
    """The facts of the current context's device; of the first device where no context is current."""
    return machine.devices[machine.stack[-1].ordinal_ if machine.stack else 0]


def has_context() -> bool:
    """Whether a context is current in this thread."""
    return bool(machine.stack)


def memory(pointer: int, nbytes: int) -> NDArray[np.uint8]:
    """Return a writable view of live device memory.

    Raises:
        LogicError: it is unknown, was freed, or is too short.
    """
    machine.memory.require("device memory", pointer, nbytes, kinds=("device",))
    return machine.memory.view("device memory", pointer, nbytes)


def capturing(stream_handle: int) -> bool:
    """Whether work on the stream is recorded.

    Raises:
        LogicError: there is no such stream, or it was destroyed.
    """
    return machine.stream("cuStreamIsCapturing", stream_handle).capture is not None


def invalidate_capture(stream_handle: int) -> None:
    """Spoil what was recorded: the end of the capture then says so."""
    capture = machine.stream("cuStreamIsCapturing", stream_handle).capture
    if capture is not None:
        capture.invalid = True


def enqueue(
    stream_handle: int, work: Callable[[], None], uses: Sequence[tuple[int, int]], owner: object = None
) -> None:
    """Queue work in the stream's order, or record it while that is capturing.

    Args:
        stream_handle: of the stream; the context must be current.
        work: run later, in whichever thread waits for the stream.
        uses: (pointer, bytes) of device memory that it reads or writes: may not be freed before it has run.
        owner: is kept alive until then.

    Raises:
        LogicError: no context, no such stream, no such memory.
    """
    machine.current("enqueue")
    machine.stream("enqueue", stream_handle).enqueue("enqueue", Work("runtime", work, tuple(uses), owner))


def reserve(nbytes: int) -> Reservation:
    """Take device memory that has no address.

    Raises:
        MemoryError: pycuda's, where not enough is left.
    """
    with machine.lock:
        if nbytes < 0:
            raise e.failed("cuMemAlloc", e.INVALID_VALUE)
        machine.refuse_while_capturing("cuMemAlloc")
        machine.require_room("cuMemAlloc", nbytes)
        handle = machine.handle()
        machine.reserved[handle] = nbytes
        return Reservation(handle)


def free_bytes() -> int:
    """Return the memory that is left on the current context's device."""
    facts, limit = device_facts(), machine.out_of_memory_after
    total = facts.memory_bytes if limit is None else min(facts.memory_bytes, limit)
    return max(0, total - machine.used_bytes())


def drain(stream_handle: int) -> None:
    """Do all that is queued on a stream, as a call that waits for it would."""
    machine.current("cuStreamSynchronize")
    stream = machine.stream("cuStreamSynchronize", stream_handle)
    machine.refuse_on_captured("cuStreamSynchronize", stream)
    stream.run_until(stream.enqueued)
