"""The per-frame feed: messages of the moment, sent now or never.

An answer of the sink comes in any thread; `wake` wakes the publish thread.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.clock import Clock
    from streamer.publish.base import Message, Sink


_MOST_BYTES = 32 << 20  # of payloads that wait, as pictures of events are among them


class _Fed(NamedTuple):
    message: Message
    deadline_ns: int | None

    @property
    def nbytes(self) -> int:
        return len(self.message.payload)


class FeedLane:
    """Messages of the moment: sent now or dropped and counted."""

    def __init__(self, sink: Sink, *, clock: Clock, capacity: int, wake: Callable[[], None]) -> None:
        self._sink = sink
        self._clock = clock
        self._capacity = capacity
        self._wake = wake
        self._lock = threading.Lock()  # guards the next four
        self._waiting: deque[_Fed] = deque()  # any thread puts, the publish thread takes
        self._nbytes = 0  # of those
        self.open = False  # whether there is a connection
        self.dropped = {"disconnected": 0, "full": 0, "connection_lost": 0, "too_old": 0}
        self._next: _Fed | None = None  # taken, and the sink had no room
        self.sent = 0

    def put(self, message: Message, deadline_ns: int | None = None) -> bool:
        """Offer a message. The oldest makes room: an old answer is worse than none. Any thread.

        Args:
            message: what to send.
            deadline_ns: the moment (monotonic) from which on it is too old to be sent.
        """
        with self._lock:
            if not self.open:
                self.dropped["disconnected"] += 1
                return False
            fed = _Fed(message, deadline_ns)
            self._waiting.append(fed)
            self._nbytes += fed.nbytes
            while len(self._waiting) > self._capacity or (self._nbytes > _MOST_BYTES and len(self._waiting) > 1):
                self._pop_locked()
                self.dropped["full"] += 1
        self._wake()
        return True

    def start_over(self, *, connected: bool) -> None:
        """Drop what waited for a connection that is gone."""
        with self._lock:
            self.dropped["connection_lost"] += len(self._waiting) + (self._next is not None)
            self._waiting.clear()
            self._nbytes = 0
            self._next = None
            self.open = connected

    def send(self) -> None:
        """Hand over as many messages as the sink takes."""
        while True:
            if self._next is None:
                with self._lock:
                    self._next = self._pop_locked() if self._waiting else None
            if self._next is None:
                return
            if self._late(self._next):
                with self._lock:
                    self.dropped["too_old"] += 1
            elif self._sink.send(self._next.message, self._on_done):
                self.sent += 1
            else:
                return
            self._next = None

    def idle(self) -> bool:
        """Whether nothing waits."""
        return self._next is None and not self._waiting

    def _pop_locked(self) -> _Fed:
        fed = self._waiting.popleft()
        self._nbytes -= fed.nbytes
        return fed

    def _late(self, fed: _Fed) -> bool:
        return fed.deadline_ns is not None and self._clock.monotonic_ns() >= fed.deadline_ns

    def _on_done(self, _refusal: str | None) -> None:
        if self._next is not None:  # there was no room; now there is
            self._wake()
