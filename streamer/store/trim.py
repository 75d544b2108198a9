"""The store's bounds: what goes first when it grows too large or too old."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .database import OUTBOX_TABLES

if TYPE_CHECKING:
    import sqlite3

_CHUNK = 200  # rows a step; a step is far below the 5 % between the bound and the target
_LIMIT_S = 0.05  # of steps in one transaction, which hold the events thread up; the rest goes a second later
_TARGET = 0.95  # of the bound, so that trimming is not needed again at once
_FOREVER_NS = 1 << 62
# A machine without a clock of its own starts in 1970: what it stored then is not old when it learns the time.
_SANE_NS = 1_577_836_800 * 1_000_000_000  # 2020-01-01

# A decision is history only, and there are many more of them than events: it goes first. Oldest first.
_DELETE_DECISIONS = "DELETE FROM decisions WHERE id IN (SELECT id FROM decisions ORDER BY id LIMIT :limit)"
_DELETE_OLD_DECISIONS = """
DELETE FROM decisions WHERE id IN (
    SELECT id FROM decisions WHERE decided > :after AND decided < :before ORDER BY decided LIMIT :limit)
"""
# A delivered event is history only: it goes before anything that a receiver still waits for. Oldest first.
_DELETE_DELIVERED = """
DELETE FROM events WHERE id IN (
    SELECT id FROM events AS e WHERE ended > :after AND ended < :before
        AND NOT EXISTS (SELECT 1 FROM outbox WHERE event = e.id)
        AND NOT EXISTS (SELECT 1 FROM updates WHERE event = e.id)
    ORDER BY changed LIMIT :limit)
"""
_DELETE_UPDATES = "DELETE FROM updates WHERE id IN (SELECT id FROM updates ORDER BY id LIMIT :limit)"
_OLDEST_WAITING = "SELECT DISTINCT event FROM (SELECT event FROM outbox ORDER BY id LIMIT ?)"
_AGED_WAITING = """
SELECT DISTINCT event FROM (SELECT event FROM outbox UNION ALL SELECT event FROM updates)
JOIN events ON events.id = event WHERE ended > ? AND ended < ?
"""

# Drops that nobody waits for: a line in the log, no warning.
HISTORY_CAUSES = frozenset({"history_age", "history_size", "decision_age", "decision_size"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much the store keeps."""

    max_bytes: int
    max_age_s: float


def used_bytes(db: sqlite3.Connection) -> int:
    """Return the size of the pages that hold something."""
    (pages,) = db.execute("PRAGMA page_count").fetchone()
    (free,) = db.execute("PRAGMA freelist_count").fetchone()
    (size,) = db.execute("PRAGMA page_size").fetchone()
    return int((pages - free) * size)


def trim_age(db: sqlite3.Connection, bounds: Bounds, *, utc_ns: int) -> Counter[str]:
    """Drop what is too old. Runs within the caller's transaction.

    Returns:
        What was dropped, by cause: `decision_age`, `history_age` (events that were delivered), `event_age` (undelivered
        messages).
    """
    before_ns = utc_ns - round(bounds.max_age_s * 1e9)
    dropped: Counter[str] = Counter()
    dropped["event_age"] = _delete_events(db, db.execute(_AGED_WAITING, (_SANE_NS, before_ns)).fetchall())
    dropped["history_age"] = db.execute(
        _DELETE_DELIVERED, {"after": _SANE_NS, "before": before_ns, "limit": -1}
    ).rowcount
    dropped["decision_age"] = _drop_old_decisions(db, before_ns)
    return +dropped


def trim_size(db: sqlite3.Connection, bounds: Bounds) -> Counter[str]:
    """Drop what is too much. Runs within the caller's transaction.

    Returns:
        What was dropped, by cause: `decision_size`, `history_size` (events that were delivered), `update_size`
        (undelivered update messages), `event_size` (undelivered messages of whole events).
    """
    dropped: Counter[str] = Counter()
    for cause, step in _STEPS.items():
        until_s = time.monotonic() + _LIMIT_S  # anew for each: a long look for nothing must not be all that is done
        count = _CHUNK
        while count >= _CHUNK:  # fewer: that was the last of them, and to look through all events again takes long
            if used_bytes(db) <= bounds.max_bytes * _TARGET:
                return +dropped
            count = step(db)
            dropped[cause] += count
            if count and time.monotonic() >= until_s:
                return +dropped
    return +dropped


def _drop_old_decisions(db: sqlite3.Connection, before_ns: int) -> int:
    """Drop decisions that are too old, for as long as one transaction may take; the rest goes a minute later."""
    until_s = time.monotonic() + _LIMIT_S
    dropped, count = 0, _CHUNK
    while count >= _CHUNK and (not dropped or time.monotonic() < until_s):
        values = {"after": _SANE_NS, "before": before_ns, "limit": _CHUNK}
        count = db.execute(_DELETE_OLD_DECISIONS, values).rowcount
        dropped += count
    return dropped


def _drop_decisions(db: sqlite3.Connection) -> int:
    return db.execute(_DELETE_DECISIONS, {"limit": _CHUNK}).rowcount


def _drop_history(db: sqlite3.Connection) -> int:
    return db.execute(_DELETE_DELIVERED, {"after": -1, "before": _FOREVER_NS, "limit": _CHUNK}).rowcount


def _drop_updates(db: sqlite3.Connection) -> int:
    return db.execute(_DELETE_UPDATES, {"limit": _CHUNK}).rowcount


def _drop_events(db: sqlite3.Connection) -> int:
    return _delete_events(db, db.execute(_OLDEST_WAITING, (_CHUNK,)).fetchall())


# What goes, in this order: the next only when nothing of the one before is left.
_STEPS = {
    "decision_size": _drop_decisions,
    "history_size": _drop_history,
    "update_size": _drop_updates,
    "event_size": _drop_events,
}


def _delete_events(db: sqlite3.Connection, ids: list[tuple[str]]) -> int:
    deleted = 0
    for table in OUTBOX_TABLES:
        delete = f"DELETE FROM {table} WHERE event = ?"  # noqa: S608  own names
        deleted += sum(db.execute(delete, row).rowcount for row in ids)
    # An open event stays in the history: its end is still to come, and a crash must find it.
    db.executemany("DELETE FROM events WHERE id = ? AND ended IS NOT NULL", ids)
    return deleted
