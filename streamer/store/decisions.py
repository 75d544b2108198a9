"""A factory's decisions on their way into the store: history only, for they are sent before they are stored."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from streamer.core.decision import Decision

_INSERT = """
INSERT OR IGNORE INTO decisions (id, camera, number, item, verdict, reason, late, decided, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
MOST_KEPT = 20_000  # some 20 MB: a thousand seconds of 20 items a second, on a disk that takes nothing


class NotedDecisions:
    """Decisions that wait for the next commit, or for a disk that takes it again. Events thread only."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._rows: deque[tuple[object, ...]] = deque()
        self._most = most

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row_id: int, decision: Decision, payload: bytes, *, decided_utc_ns: int) -> int:
        """Note a decision; return how many old ones were dropped for it."""
        self._rows.append(
            (
                row_id,
                decision.camera,
                decision.number,
                decision.item,
                decision.verdict.value,
                decision.reason,
                int(decision.late),
                decided_utc_ns,
                payload,
            )
        )
        if len(self._rows) <= self._most:
            return 0
        self._rows.popleft()
        return 1

    def insert(self, db: sqlite3.Connection) -> None:
        """Put all of them into the caller's transaction; `forget` them once it is through."""
        db.executemany(_INSERT, self._rows)

    def forget(self) -> None:
        """Forget all of them: they are on the disk, or lost."""
        self._rows.clear()
