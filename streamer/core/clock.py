"""Time as an argument: the system's clocks, and one that tests own."""

from __future__ import annotations

import threading
import time
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class Clock(Protocol):
    """The clocks and the wait that the pipeline uses."""

    def monotonic_ns(self) -> int:
        """Return the monotonic clock, ns; for every duration."""

    def utc_ns(self) -> int:
        """Return the wall clock, ns since 1970; for people and payloads only."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until `event` is set or `timeout_s` has passed; True if it was set."""


_AT_ONCE_NS = NS_PER_MS // 20  # two clocks were read so soon one after the other: nothing came between


def utc_offset_ns(clock: Clock) -> int:
    """Return the wall clock less the monotonic one, ns; read again if the thread was held up between, twice at most."""
    offset_ns, least_ns = 0, None
    for _ in range(3):
        before_ns = clock.monotonic_ns()
        utc_ns = clock.utc_ns()
        took_ns = clock.monotonic_ns() - before_ns
        if least_ns is None or took_ns < least_ns:
            offset_ns, least_ns = utc_ns - before_ns - took_ns // 2, took_ns
        if took_ns <= _AT_ONCE_NS:
            break
    return offset_ns


class SystemClock:
    """The machine's own clocks."""

    def monotonic_ns(self) -> int:
        """Return `time.monotonic_ns()`."""
        return time.monotonic_ns()

    def utc_ns(self) -> int:
        """Return `time.time_ns()`."""
        return time.time_ns()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait on the event for at most `timeout_s`."""
        return event.wait(max(0.0, timeout_s))


class FakeClock:
    """A clock that moves only when a test (or a wait on it) moves it. Thread-safe."""

    def __init__(self, monotonic_ns: int = 1_000 * NS_PER_S, utc_ns: int = 1_700_000_000 * NS_PER_S) -> None:
        self._lock = threading.Lock()  # guards the two times
        self._monotonic_ns = monotonic_ns
        self._utc_ns = utc_ns

    def monotonic_ns(self) -> int:
        """Return the fake monotonic time, ns."""
        with self._lock:
            return self._monotonic_ns

    def utc_ns(self) -> int:
        """Return the fake wall time, ns."""
        with self._lock:
            return self._utc_ns

    def advance(self, seconds: float) -> None:
        """Move both clocks forward."""
        step_ns = round(seconds * NS_PER_S)
        with self._lock:
            self._monotonic_ns += step_ns
            self._utc_ns += step_ns

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Advance by `timeout_s` at once, unless the event is set already."""
        if event.is_set():
            return True
        self.advance(max(0.0, timeout_s))
        return event.is_set()
