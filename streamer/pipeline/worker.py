"""A thread with a name, an end, and an exception that reaches whoever supervises it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from streamer.core.errors import ChannelClosed

if TYPE_CHECKING:
    from collections.abc import Callable


class Worker:
    """Run a loop in a thread of its own. `ChannelClosed` is a normal end."""

    def __init__(self, name: str, loop: Callable[[], None], *, at_end: Callable[[], None] = lambda: None) -> None:
        """Store the parts; `start` starts.

        Args:
            name: what the thread is called; shown when it is stuck.
            loop: the work.
            at_end: called in the thread when the loop has left, for whatever reason: closes its ends of channels.
        """
        self.name = name
        self.failure: BaseException | None = None
        self._loop = loop
        self._at_end = at_end
        self._left = False
        self._ended: Callable[[], None] = lambda: None
        # A daemon: a thread stuck in native code must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name=f"streamer-{name}", daemon=True)

    def start(self, ended: Callable[[], None] = lambda: None) -> None:
        """Start the thread; `ended` is called in it, last of all."""
        self._ended = ended
        self._thread.start()

    def alive(self) -> bool:
        """Whether the loop has not left yet."""
        return self._thread.ident is not None and not self._left

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; False if the thread is still alive after `timeout_s`."""
        if self._thread.ident is not None:
            self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop()
        except ChannelClosed:
            pass
        except BaseException as exc:  # noqa: BLE001  kept for the supervisor, which raises it
            self.failure = exc
        finally:
            self._at_end()
            self._left = True
            self._ended()
