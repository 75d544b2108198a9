"""The machine behind the fake: one GPU or several, their memory, streams and faults, and each thread's contexts.

A test sets faults here and reads what was done; code under test never sees this module.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from . import _errors as e
from ._memory import Block, Memory
from ._streams import GLOBAL, Capture, StreamState, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass
class DeviceFacts:
    """What the driver tells of a GPU."""

    name: str = "NVIDIA GeForce RTX 4090"
    compute_capability: tuple[int, int] = (8, 9)
    multiprocessors: int = 128
    memory_bytes: int = 24 << 30
    integrated: bool = False


class ContextStack(list[Any]):
    """One thread's pushed contexts. A thread that ends with one pushed aborts a process with the real pycuda."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine
        self._thread = threading.current_thread().name

    def __del__(self) -> None:
        if self:
            self._machine.violations.append(f"thread {self._thread} ended with a context pushed: pycuda aborts there")


class Machine:
    """All state. One for each time that the fake is imported."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.devices = [DeviceFacts()]
        self.driver_version = 13000  # as cuDriverGetVersion says it
        self.memory = Memory()
        self.streams: dict[int, StreamState] = {}
        self._handles = count(0x7F0000001000, 0x100)
        self.default = self.streams[0] = StreamState(self, 0, 0)
        self.contexts: dict[int, int] = {}  # device -> how often its primary context was retained
        self.graphs: dict[int, list[Work]] = {}
        self.executables: dict[int, list[Work]] = {}
        self.primary_flags = 0  # of the primary contexts
        self.reserved: dict[int, int] = {}  # memory without an address: handle -> bytes
        self._thread = threading.local()
        # What was done wrong where CUDA or pycuda would only warn, leak or abort. The fixture fails a test for it.
        self.violations: list[str] = []
        # What a test may look at.
        self.launches: list[str] = []  # kernels, in the order in which they ran
        self.synchronous_copies = 0  # asynchronous in name, but from or to memory that is not page-locked
        self.graph_launches = 0
        self.kernels: Callable[..., None] | None = None  # (name, grid, block, arguments); None: the host's build
        self.compile_log = ""  # not empty: NVRTC refuses, with this log
        self.compilations = 0
        # Faults.
        self.out_of_memory_after: int | None = None  # bytes that may be live at once
        self.fail_launch: str | None = None  # a kernel that fails, when its turn comes
        self.fail_capture = False
        self.going = threading.Event()
        self.going.set()
        self._broken: int | None = None

    def hang(self) -> None:
        """From now on no queued work is done: whoever waits for it waits."""
        self.going.clear()

    def release(self) -> None:
        self.going.set()

    def lose_device(self) -> None:
        """As when a GPU falls off the bus: every call fails from now on, but those that free."""
        self._break(e.UNKNOWN)

    def break_with(self, error: BaseException) -> None:
        self._break(error.code_ if isinstance(error, e.Error) else e.LAUNCH_FAILED)

    def _break(self, code: int) -> None:
        """What is queued will never be done, and nothing that it used is in use any more."""
        with self.lock:
            self._broken = code
            for stream in self.streams.values():
                for work in stream.queue:
                    for block in work.blocks:
                        block.users -= 1
                stream.queue.clear()

    @property
    def broken(self) -> int | None:
        """The code that every call gives, once something has failed on the device."""
        return self._broken

    def check_alive(self, routine: str) -> None:
        if self._broken is not None:
            raise e.failed(routine, self._broken)

    @property
    def stack(self) -> ContextStack:
        stack: ContextStack | None = getattr(self._thread, "stack", None)
        if stack is None:
            stack = self._thread.stack = ContextStack(self)
        return stack

    def current(self, routine: str) -> Any:  # noqa: ANN401  a Context; driver.py declares it
        """Return this thread's context.

        Raises:
            LogicError: none is pushed, or the device is lost.
        """
        self.check_alive(routine)
        if not self.stack:
            raise e.failed(routine, e.INVALID_CONTEXT, f"no context is pushed in {threading.current_thread().name}")
        return self.stack[-1]

    def allocate(self, routine: str, kind: str, nbytes: int, owner: str = "code under test") -> Block:
        with self.lock:
            self.refuse_while_capturing(routine)
            if nbytes <= 0:
                raise e.failed(routine, e.INVALID_VALUE, f"{nbytes} bytes")
            if kind == "device":
                self.require_room(routine, nbytes)
            return self.memory.add(kind, nbytes, owner)

    def require_room(self, routine: str, nbytes: int) -> None:
        used = self.used_bytes()
        limit = self.out_of_memory_after
        if nbytes > self.devices[0].memory_bytes - used or (limit is not None and used + nbytes > limit):
            raise e.failed(routine, e.OUT_OF_MEMORY)

    def used_bytes(self) -> int:
        return sum(b.nbytes for b in self.memory.live("device")) + sum(self.reserved.values())

    def free(self, routine: str, block: Block) -> None:
        with self.lock:
            self.refuse_while_capturing(routine)
            if block.users:
                self.violations.append(f"{block.nbytes} bytes were freed while {block.users} queued works use them")
                raise e.failed(routine, e.INVALID_VALUE, "the memory is still in use on a stream")
            self.memory.end(block)

    def handle(self) -> int:
        return next(self._handles)

    def open_stream(self, flags: int) -> StreamState:
        with self.lock:
            stream = StreamState(self, self.handle(), flags)
            self.streams[stream.handle] = stream
            return stream

    def stream(self, routine: str, handle: int) -> StreamState:
        """Raises: LogicError: no stream has this handle, or it was destroyed."""
        found = self.streams.get(handle)
        if found is None:
            raise e.failed(routine, e.INVALID_HANDLE, f"{handle:#x} is no stream")
        found.require_alive(routine)
        return found

    def destroy_stream(self, stream: StreamState) -> None:
        with self.lock:
            if stream.queue:
                self.violations.append(f"a stream was destroyed with {len(stream.queue)} works not done")
            stream.alive = False

    def refuse_while_capturing(self, routine: str) -> None:
        """What may not be called while this thread captures (or any thread, in GLOBAL mode) spoils the capture."""
        for capture in self._captures():
            if capture.mode == GLOBAL or capture.thread == threading.get_ident():
                capture.invalid = True
                raise e.failed(routine, e.CAPTURE_UNSUPPORTED)

    def refuse_on_captured(self, routine: str, stream: StreamState) -> None:
        if stream.capture is not None:
            stream.capture.invalid = True
            raise e.failed(routine, e.CAPTURE_UNSUPPORTED)

    def _captures(self) -> Iterable[Capture]:
        return {id(s.capture): s.capture for s in self.streams.values() if s.capture is not None}.values()

    def leaks(self) -> list[str]:
        """Return what the code under test has not given back."""
        of_ours = [b for b in self.memory.live() if b.owner == "code under test"]
        left = [f"{b.nbytes} bytes of {b.kind} memory" for b in of_ours]
        left += [f"{n} bytes of reserved memory" for n in self.reserved.values()]
        left += [f"stream {s.handle:#x}" for s in self.streams.values() if s.alive and s is not self.default]
        left += [f"graph {g:#x}" for g in (*self.graphs, *self.executables)]
        return left


machine = Machine()
