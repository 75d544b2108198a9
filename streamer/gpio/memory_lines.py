"""Lines that are not there: for tests, and for dry runs on a machine without GPIO."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from streamer.core.errors import GpioError

if TYPE_CHECKING:
    from collections.abc import Callable


class MemoryInput:
    """An input whose edges a test makes. Any thread makes them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # guards the rest
        self._edges_ns: list[int] = []
        self._failure: str | None = None
        self.closed = False

    def edge(self, at_ns: int) -> None:
        """Let an edge come that happened at `at_ns` (monotonic)."""
        with self._changed:
            self._edges_ns.append(at_ns)
            self._changed.notify_all()

    def fail(self, reason: str) -> None:
        """Let the line be gone."""
        with self._changed:
            self._failure = reason
            self._changed.notify_all()

    def wait(self, timeout_s: float) -> list[int]:
        """Wait for edges, really `timeout_s` if none come."""
        with self._changed:
            self._changed.wait_for(lambda: self._edges_ns or self._failure is not None, timeout_s)
            if self._failure is not None:
                raise GpioError(self._failure)
            edges_ns, self._edges_ns = self._edges_ns, []
        return edges_ns

    def close(self) -> None:
        """Take note of it."""
        self.closed = True


class MemoryOutput:
    """An output that keeps what it was told."""

    def __init__(self, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        """Open it.

        Args:
            now_ns: the monotonic clock.
        """
        self._now_ns = now_ns
        self.told: list[tuple[int, bool]] = [(now_ns(), False)]  # when, and whether active; inactive when opened
        self.failure: str | None = None  # set: the line can't be driven
        self.closed = False

    @property
    def active(self) -> bool:
        """What the line shows now."""
        return self.told[-1][1]

    def set(self, *, active: bool) -> None:
        """Keep when the line was driven, and how."""
        if self.failure is not None:
            raise GpioError(self.failure)
        self.told.append((self._now_ns(), active))

    def close(self) -> None:
        """End inactive."""
        if not self.closed and self.active and self.failure is None:
            self.set(active=False)
        self.closed = True
