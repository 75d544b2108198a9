"""Streams, events and captures: work runs in order, and as late as CUDA may run it."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import _errors as e

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._machine import Machine
    from ._memory import Block, Range

NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
THREAD_LOCAL, GLOBAL = 1, 0  # capture modes


@dataclass(eq=False)
class Work:
    """One thing a stream does."""

    name: str
    run: Callable[[], None]
    uses: tuple[Range, ...] = ()
    owner: object = None  # kept alive until it has run
    blocks: tuple[Block, ...] = ()


@dataclass(eq=False)
class Capture:
    """What is being recorded, on one stream and those that joined it."""

    origin: StreamState
    mode: int
    thread: int
    works: list[Work] = field(default_factory=list)
    invalid: bool = False
    unjoined: dict[StreamState, int] = field(default_factory=dict)  # joined stream -> works of its own so far


@dataclass(eq=False)
class Mark:
    """A moment of a stream: what an event holds."""

    stream: StreamState
    count: int
    capture: Capture | None


class StreamState:
    """One stream: its queue, and what is captured on it."""

    def __init__(self, machine: Machine, handle: int, flags: int) -> None:
        self.machine = machine
        self.handle = handle
        self.flags = flags
        self.alive = True
        self.queue: deque[Work] = deque()
        self.enqueued = 0
        self.done = 0
        self.capture: Capture | None = None

    def enqueue(self, routine: str, work: Work) -> None:
        """Queue work, or record it when capturing."""
        machine = self.machine
        with machine.lock:
            machine.check_alive(routine)
            self.require_alive(routine)
            if self.capture is not None:
                self._record(routine, work)
                return
            self._order_with_default(routine)
            work.blocks = tuple(machine.memory.require(routine, a, n) for a, n in work.uses)
            for block in work.blocks:
                block.users += 1
            self.queue.append(work)
            self.enqueued += 1

    def _record(self, routine: str, work: Work) -> None:
        capture = self.capture
        assert capture is not None
        if capture.invalid:
            raise e.failed(routine, e.CAPTURE_INVALIDATED)
        for address, nbytes in work.uses:
            self.machine.memory.require(routine, address, nbytes)
        capture.works.append(work)
        if self is not capture.origin:
            capture.unjoined[self] = capture.unjoined.get(self, 0) + 1

    def _order_with_default(self, routine: str) -> None:
        """The legacy default stream and blocking streams wait for each other; non-blocking ones do not."""
        default = self.machine.default
        if self is default:
            for other in self.machine.streams.values():
                if other is self or other.flags & NON_BLOCKING:
                    continue
                if other.capture is not None:
                    raise e.failed(routine, e.CAPTURE_IMPLICIT)
                self._append_wait(Mark(other, other.enqueued, None))
        elif not self.flags & NON_BLOCKING:
            self._append_wait(Mark(default, default.enqueued, None))

    def _append_wait(self, mark: Mark) -> None:
        if mark.stream.done >= mark.count:
            return
        self.queue.append(Work("wait", lambda: mark.stream.run_until(mark.count)))
        self.enqueued += 1

    def wait_for(self, routine: str, mark: Mark | None) -> None:
        """Let what follows wait for a mark; a captured mark draws this stream into its capture."""
        with self.machine.lock:
            self.require_alive(routine)
            if mark is None:
                return  # an event that was never recorded counts as done
            if mark.capture is not None:
                self._join(routine, mark)
            elif self.capture is not None:
                self.capture.invalid = True
                raise e.failed(routine, e.CAPTURE_ISOLATION)
            else:
                self._append_wait(mark)

    def _join(self, routine: str, mark: Mark) -> None:
        capture = mark.capture
        assert capture is not None
        if capture.origin.capture is not capture or capture.invalid:
            raise e.failed(routine, e.CAPTURE_INVALIDATED)
        if self.capture not in (None, capture):
            raise e.failed(routine, e.CAPTURE_ISOLATION)
        if self.capture is None:
            self.capture = capture
            capture.unjoined.setdefault(self, 0)
        if mark.count >= capture.unjoined.get(mark.stream, 0):
            capture.unjoined.pop(mark.stream, None)

    def mark(self) -> Mark:
        with self.machine.lock:
            if self.capture is not None:
                return Mark(self, self.capture.unjoined.get(self, 0), self.capture)
            self._order_with_default("cuEventRecord")
            return Mark(self, self.enqueued, None)

    def run_until(self, count: int) -> None:
        """Do the work up to a count. What fails stays failed for the rest of the process, as on a GPU.

        Blocks on: `Machine.hang`, until `release`.
        """
        self.machine.going.wait()
        with self.machine.lock:
            while self.done < count and self.queue:
                self.machine.check_alive("cuStreamSynchronize")
                work = self.queue.popleft()
                self.done += 1
                for block in work.blocks:
                    block.users -= 1
                try:
                    work.run()
                except BaseException as exc:
                    self.machine.break_with(exc)
                    raise

    def require_alive(self, routine: str) -> None:
        if not self.alive:
            raise e.failed(routine, e.INVALID_HANDLE, "the stream was destroyed")

    def begin_capture(self, mode: int) -> int:
        with self.machine.lock:
            if self is self.machine.default:
                return e.CAPTURE_UNSUPPORTED
            if self.capture is not None:
                return e.INVALID_VALUE
            self.capture = Capture(self, mode, threading.get_ident())
            return e.SUCCESS

    def end_capture(self) -> tuple[int, list[Work]]:
        """Return (CUresult, what was recorded)."""
        with self.machine.lock:
            capture = self.capture
            if capture is None or capture.origin is not self:
                return e.CAPTURE_UNMATCHED, []
            if capture.mode != 2 and capture.thread != threading.get_ident():  # 2 = RELAXED
                return e.CAPTURE_WRONG_THREAD, []
            unjoined = [s for s, works in capture.unjoined.items() if s is not self and works >= 0]
            for stream in self.machine.streams.values():
                if stream.capture is capture:
                    stream.capture = None
            if capture.invalid:
                return e.CAPTURE_INVALIDATED, []
            if unjoined:
                return e.CAPTURE_UNJOINED, []
            return e.SUCCESS, capture.works
