"""Messages that the disk would not take: kept in bounded memory, and sent from there."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .rows import Record

_OVERHEAD_BYTES = 2_000  # of a record in Python, beside its payload; a round figure on the safe side


class HeldRecords:
    """Records in order of their ids, between the thread that stores and the one that sends."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # guards all below
        self._records: dict[int, Record] = {}
        self._sent: set[int] = set()  # delivered, and kept for the history only
        self._taken: set[int] = set()  # the broker has them, but perhaps not for good
        self._nbytes = 0

    def add(self, records: Iterable[Record]) -> tuple[int, int]:
        """Append records; when memory is full the oldest updates go, then the oldest events.

        Returns:
            How many undelivered updates and how many other undelivered messages were dropped.
        """
        updates = others = 0
        with self._lock:
            for record in records:
                self._records[record.row_id] = record
                self._nbytes += _size(record)
            while self._nbytes > self._max_bytes and self._records:
                victim = self._victim_locked()
                delivered = victim in self._sent
                update = self._records[victim].is_update
                self._remove_locked(victim)
                updates += int(update and not delivered)
                others += int(not update and not delivered)
        return updates, others

    def after(self, row_id: int, limit: int) -> list[Record]:
        """Return the first undelivered records behind `row_id`."""
        with self._lock:
            if not self._records:
                return []
            found = [r for i, r in self._records.items() if i > row_id and i not in self._sent]
        return found[:limit]

    def waiting(self) -> int:
        """Return how many records are not delivered."""
        with self._lock:
            return len(self._records) - len(self._sent)

    def taken(self, row_ids: Iterable[int]) -> None:
        """Note that the broker has these, but that the next run repeats them if the disk takes them before."""
        with self._lock:
            self._taken.update(i for i in row_ids if i in self._records)

    def lost(self) -> int:
        """Return how many records nobody has if they are not stored."""
        with self._lock:
            return len(self._records.keys() - self._sent - self._taken)

    def delivered(self, row_ids: Iterable[int]) -> None:
        """Note that these need not be sent any more."""
        with self._lock:
            self._sent.update(i for i in row_ids if i in self._records)

    def all(self) -> tuple[list[Record], set[int]]:
        """Return every record, and the ids of those that are delivered."""
        with self._lock:
            return list(self._records.values()), set(self._sent)

    def remove(self, row_ids: Iterable[int]) -> None:
        """Forget records: they are on the disk now."""
        with self._lock:
            for row_id in row_ids:
                if row_id in self._records:
                    self._remove_locked(row_id)

    def _victim_locked(self) -> int:
        if self._sent:
            return min(self._sent)
        for row_id, record in self._records.items():
            if record.is_update:
                return row_id
        return next(iter(self._records))

    def _remove_locked(self, row_id: int) -> None:
        self._nbytes -= _size(self._records.pop(row_id))
        self._sent.discard(row_id)
        self._taken.discard(row_id)


def _size(record: Record) -> int:
    return len(record.payload) + _OVERHEAD_BYTES
