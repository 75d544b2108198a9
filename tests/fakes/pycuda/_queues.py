"""Streams and events, as pycuda wraps them."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

from . import _errors as e
from ._contexts import own
from ._machine import machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._streams import Mark, StreamState


class event_flags(IntEnum):  # noqa: N801  pycuda's name
    """CUevent_flags."""

    DEFAULT = 0
    BLOCKING_SYNC = 1
    DISABLE_TIMING = 2
    INTERPROCESS = 4


class Stream:
    """A queue of work."""

    def __init__(self, flags: int = 0) -> None:
        self._handle = own("stream", lambda: self._acquire(flags))

    def _acquire(self, flags: int) -> Callable[[], None]:
        machine.refuse_while_capturing("cuStreamCreate")
        state = self.state_ = machine.open_stream(flags)
        return lambda: machine.destroy_stream(state)

    @property
    def handle(self) -> int:
        return self.state_.handle

    def synchronize(self) -> None:
        state = state_of(self, "cuStreamSynchronize")
        machine.refuse_on_captured("cuStreamSynchronize", state)
        machine.refuse_while_capturing("cuStreamSynchronize")
        state.run_until(state.enqueued)

    def is_done(self) -> bool:
        state = state_of(self, "cuStreamQuery")
        machine.refuse_on_captured("cuStreamQuery", state)
        machine.refuse_while_capturing("cuStreamQuery")
        return _looked_at(state, state.enqueued)

    def wait_for_event(self, evt: Event) -> None:
        state_of(self, "cuStreamWaitEvent").wait_for("cuStreamWaitEvent", evt.mark_)


class Event:
    """A moment of a stream."""

    def __init__(self, flags: int = 0) -> None:
        self.mark_: Mark | None = None
        self._handle = own("event", lambda: _nothing)
        self._timing = not int(flags) & event_flags.DISABLE_TIMING

    def record(self, stream: Stream | None = None) -> Event:
        self.mark_ = state_of(stream, "cuEventRecord").mark()
        return self

    def query(self) -> bool:
        mark = self._waited("cuEventQuery")
        return mark is None or _looked_at(mark.stream, mark.count)

    def synchronize(self) -> Event:
        mark = self._waited("cuEventSynchronize")
        if mark is not None:
            mark.stream.run_until(mark.count)
        return self

    def time_since(self, start: Event) -> float:
        if not self._timing or not start._timing:
            raise e.failed("cuEventElapsedTime", e.INVALID_HANDLE)
        return 0.001

    def _waited(self, routine: str) -> Mark | None:
        machine.current(routine)
        machine.refuse_while_capturing(routine)
        if self.mark_ is not None and self.mark_.capture is not None:
            raise e.failed(routine, e.CAPTURED_EVENT)
        return self.mark_


def state_of(stream: Stream | None, routine: str) -> StreamState:
    """The stream behind what was handed over, None being the legacy default stream; a context must be current."""
    machine.current(routine)
    if stream is None:
        return machine.default
    if not isinstance(stream, Stream):
        raise TypeError("No registered converter was able to produce a C++ rvalue of type pycuda::stream")
    stream.state_.require_alive(routine)
    return stream.state_


def _nothing() -> None:
    """An event holds nothing that a test could miss."""


def _looked_at(state: StreamState, count: int) -> bool:
    """What a query answers: work that was waiting is seen unfinished once, and done the next time."""
    if state.done >= count:
        machine.check_alive("cuEventQuery")
        return True
    if machine.going.is_set():
        state.run_until(count)
    return False
