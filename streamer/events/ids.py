"""Ids of events: UUIDv7 (RFC 9562), which sort by the time they were made."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING
from uuid import UUID

from streamer.core.clock import NS_PER_MS

if TYPE_CHECKING:
    from collections.abc import Callable

_RANDOM_BITS = 74  # all that version, variant and the 48-bit time leave


class EventIds:
    """Makes ids that rise strictly within a process, also when the wall clock stands still or goes back.

    Python has `uuid.uuid7` from 3.14 on; we support 3.10. Owned by one thread.
    """

    def __init__(self, random_bits: Callable[[int], int] = secrets.randbits) -> None:
        self._random_bits = random_bits
        self._unix_ms = -1
        self._tail = 0

    def __call__(self, utc_ns: int) -> str:
        """Return the next id for a moment, ns since 1970."""
        unix_ms = utc_ns // NS_PER_MS
        if unix_ms > self._unix_ms:
            self._unix_ms, self._tail = unix_ms, self._random_bits(_RANDOM_BITS)
        else:  # RFC 9562, 6.2, method 2: the random part counts on; when it overflows, so does the time
            self._tail += 1 + self._random_bits(32)
            if self._tail >> _RANDOM_BITS:
                self._unix_ms, self._tail = self._unix_ms + 1, self._random_bits(_RANDOM_BITS - 1)
        high, low = self._tail >> 62, self._tail & ((1 << 62) - 1)
        return str(UUID(int=self._unix_ms << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low))
