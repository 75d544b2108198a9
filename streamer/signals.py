"""SIGINT and SIGTERM: the first asks for an orderly end, the second leaves at once."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# `timeout`, `uv run`, `npm` and others send one signal to the process and to its group: it arrives twice.
_SAME_S = 0.5


class Signals:
    """Listens from the start: a signal may come before there is anything to end. Main thread."""

    def __init__(self, leave: Callable[[], None], *, now: Callable[[], float] = time.monotonic) -> None:
        """Begin to listen.

        Args:
            leave: called at the second signal.
            now: s, monotonic.
        """
        self._leave = leave
        self._now = now
        self._first_s: float | None = None
        self._request_stop: Callable[[], None] | None = None
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._heard)

    def tell(self, request_stop: Callable[[], None]) -> None:
        """Name what ends the run; called at once if the signal has come."""
        self._request_stop = request_stop
        if self._first_s is not None:
            request_stop()

    def _heard(self, _number: int, _frame: FrameType | None) -> None:
        if self._first_s is None:
            self._first_s = self._now()
            if self._request_stop is not None:
                self._request_stop()
        elif self._now() - self._first_s >= _SAME_S:
            self._leave()
