"""A sink that keeps what it is given: for tests, and for runs without a broker."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from .base import places

if TYPE_CHECKING:
    from collections.abc import Callable

    from .base import Message


class MemorySink:
    """Connected from the start. Answers at once, or when told to."""

    def __init__(self, *, window: int = 100, answers: bool = True) -> None:
        """Make a connected sink.

        Args:
            window: how many messages may wait for an answer.
            answers: whether each message is taken at once; else `answer` does it.
        """
        self._lock = threading.Lock()  # guards all below
        self._window = window
        self._answers = answers
        self._number: int | None = 0
        self._numbers = 0
        self._open: list[Callable[[str | None], None]] = []
        self._sent: list[Message] = []
        self.refuse: Callable[[Message], str | None] = lambda _message: None  # a reason refuses a message

    @property
    def sent(self) -> list[Message]:
        """Every message that was handed over, in order."""
        with self._lock:
            return list(self._sent)

    def send(self, message: Message, on_done: Callable[[str | None], None]) -> bool:
        """Keep a message."""
        refusal = self.refuse(message)
        with self._lock:
            if self._number is None or len(self._open) >= places(message, self._window):
                return False
            self._sent.append(message)
            if not self._answers:
                self._open.append(on_done)
                return True
        on_done(refusal)
        return True

    def connection(self) -> int | None:
        """Return the number of the connection, None after `lose`."""
        with self._lock:
            return self._number

    def answer(self, reason: str | None = None) -> int:
        """Answer everything that waits; return how many that was."""
        with self._lock:
            waiting, self._open = self._open, []
        for on_done in waiting:
            on_done(reason)
        return len(waiting)

    def lose(self) -> None:
        """Break the connection: what waits is never answered."""
        with self._lock:
            self._number = None
            self._open = []

    def connect(self) -> None:
        """Begin a new connection."""
        with self._lock:
            self._numbers += 1
            self._number = self._numbers
            self._open = []

    def close(self) -> None:
        """Take nothing more."""
        self.lose()
