"""Messages that the disk would not take: kept in bounded memory, and sent from there."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

from .rows import Drop

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .rows import Record

_OVERHEAD_BYTES = 2_000  # of a record in Python, beside its payload; a round figure on the safe side


class HeldRecords:
    """Records in order of their ids, between the thread that stores and those that send."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()  # guards all below
        self._records: dict[int, Record] = {}
        self._sent: set[int] = set()  # delivered, and kept for the history only
        self._taken: set[int] = set()  # the receiver has them, but perhaps not for good
        self._nbytes = 0

    def add(self, records: Iterable[Record]) -> Counter[Drop]:
        """Append records; when memory is full those of the sink with most go: its oldest updates, then its oldest.

        Returns:
            The undelivered messages that were dropped: `update_memory` and `event_memory`.
        """
        dropped: Counter[Drop] = Counter()
        with self._lock:
            for record in records:
                self._records[record.row_id] = record
                self._nbytes += _size(record)
            while self._nbytes > self._max_bytes and self._records:
                victim = self._victim_locked()
                if victim.row_id not in self._sent:
                    dropped[Drop("update_memory" if victim.is_update else "event_memory", victim.sink)] += 1
                self._remove_locked(victim.row_id)
        return dropped

    def after(self, row_id: int, limit: int, sink: str) -> list[Record]:
        """Return a sink's first undelivered records behind `row_id`."""
        with self._lock:
            if not self._records:
                return []
            found = [r for i, r in self._records.items() if i > row_id and r.sink == sink and i not in self._sent]
        return found[:limit]

    def waiting(self, sink: str) -> int:
        """Return how many records of a sink are not delivered."""
        with self._lock:
            return sum(1 for i, record in self._records.items() if record.sink == sink and i not in self._sent)

    def taken(self, row_ids: Iterable[int]) -> None:
        """Note that the receiver has these, but that the next run repeats them if the disk takes them before."""
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

    def _victim_locked(self) -> Record:
        if self._sent:
            return self._records[min(self._sent)]
        ((fullest, _),) = Counter(record.sink for record in self._records.values()).most_common(1)
        its = [record for record in self._records.values() if record.sink == fullest]
        return next((record for record in its if record.is_update), its[0])

    def _remove_locked(self, row_id: int) -> None:
        self._nbytes -= _size(self._records.pop(row_id))
        self._sent.discard(row_id)
        self._taken.discard(row_id)


def _size(record: Record) -> int:
    return len(record.payload) + _OVERHEAD_BYTES
