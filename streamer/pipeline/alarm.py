"""What must be looked at by a person, as a state of each camera: `<camera>/alarm`."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING

from streamer.events.payload import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.clock import Clock

NO_ALARM = b"null"


class Alarms:
    """The alarms of all cameras. Of several of one camera the one that has stood longest is shown. Any thread."""

    def __init__(self, states: Callable[[str, bytes], None], clock: Clock) -> None:
        """Store the parts.

        Args:
            states: sets a retained topic; any thread, never waits.
            clock: tells since when.
        """
        self._states = states
        self._clock = clock
        self._lock = threading.Lock()  # guards the next two
        self._standing: dict[tuple[str, str], bytes] = {}  # camera and part -> payload, the oldest first
        self._version = 0

    def part(self, camera: str, name: str, *, source: str = "gpio") -> Callable[[str | None], None]:
        """Return what one part of a camera is to call with the reason for an alarm, and with None when it is over.

        Args:
            camera: whose topic it is.
            name: of the part: two parts of one camera have alarms of their own.
            source: the payload's `source`.
        """

        def tell(reason: str | None) -> None:
            since_utc_ns = self._clock.utc_ns()
            with self._lock:
                self._standing.pop((camera, name), None)
                if reason is not None:
                    self._standing[camera, name] = _encode(source, reason, since_utc_ns)
                self._version += 1
            self._show(camera)

        return tell

    def _show(self, camera: str) -> None:
        """Set a camera's topic: again if another thread has changed something meanwhile, so that the newest stays."""
        while True:
            with self._lock:
                version = self._version
                standing = [payload for (of, _), payload in self._standing.items() if of == camera]
            self._states(f"{camera}/alarm", standing[0] if standing else NO_ALARM)
            with self._lock:
                if version == self._version:
                    return


def _encode(source: str, reason: str, since_utc_ns: int) -> bytes:
    said = {"source": source, "reason": reason, "since": rfc3339(since_utc_ns)}
    return json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode()
