"""At most so many frames a second."""

from __future__ import annotations

from streamer.core.clock import NS_PER_S


class Cadence:
    """Choose frames so that their mean rate is at most `fps`; 0 chooses each.

    Due times lie on a grid, so that jitter in the time stamps does not lower the rate.
    """

    def __init__(self, fps: float) -> None:
        self._period_ns = round(NS_PER_S / fps) if fps > 0 else 0
        self._due_ns: int | None = None

    def takes(self, captured_ns: int) -> bool:
        """Whether the frame captured then is to be looked at."""
        if self._period_ns == 0:
            return True
        if self._due_ns is not None and self._due_ns - self._period_ns <= captured_ns < self._due_ns:
            return False
        due_ns = captured_ns if self._due_ns is None else self._due_ns
        # More than a period off the grid, either way: the stream paused or its clock jumped. Begin anew.
        if not due_ns <= captured_ns < due_ns + self._period_ns:
            due_ns = captured_ns
        self._due_ns = due_ns + self._period_ns
        return True
