"""The GPU, as the fake of pycuda gives it: memory, streams, contexts. The only file that knows that fake."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pycuda import hook
from pycuda._errors import Error as CudaError
from pycuda._errors import MemoryError as CudaMemoryError
from pycuda._machine import machine

from ._names import Misuse

if TYPE_CHECKING:
    from pycuda._machine import DeviceFacts

__all__ = [
    "CudaError",
    "CudaMemoryError",
    "drain",
    "facts",
    "free_bytes",
    "hook",
    "is_lost",
    "misused",
    "require_alive",
    "require_context",
    "require_stream",
    "violated",
]


def misused(message: str) -> NoReturn:
    """Raise what no code may do, and have the fixture fail the test even where somebody swallows it."""
    machine.violations.append(f"tensorrt: {message}")
    raise Misuse(message)


def violated(message: str) -> None:
    """Have the fixture fail the test: for what is found where nothing can be raised."""
    machine.violations.append(f"tensorrt: {message}")


def require_context(doing: str) -> None:
    """A CUDA context must be current in this thread.

    Raises:
        Misuse: none is: TensorRT would take device 0's primary context by itself.
    """
    if not hook.has_context():
        misused(f"{doing} without a CUDA context in this thread: TensorRT would take device 0's by itself")


def require_stream(handle: int) -> bool:
    """Return whether this stream is being captured.

    Raises:
        Misuse: there is no such stream, or it is closed.
    """
    try:
        return hook.capturing(handle)
    except CudaError as exc:
        misused(f"stream {handle:#x}: {exc}")


def require_alive() -> None:
    """Raises: CudaError: the GPU is lost."""
    machine.check_alive("cuCtxGetDevice")


def is_lost() -> bool:
    """Whether the GPU fails every call."""
    return machine._broken is not None


def facts() -> DeviceFacts:
    """Return the facts of this thread's GPU."""
    return hook.device_facts()


def free_bytes() -> int:
    """Return how much GPU memory is left."""
    return max(0, facts().memory_bytes - machine.used_bytes())


def drain(handle: int) -> None:
    """Do all that is queued on a stream."""
    stream = machine.stream("cuStreamSynchronize", handle)
    stream.run_until(stream.enqueued)
