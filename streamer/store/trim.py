"""The store's bounds: what goes first when it grows too large or too old."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .database import OUTBOX_TABLES
from .rows import BROKER, Drop

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

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
# A sink that is away must not cost another its messages: they go from the one with most of them, oldest first.
_FULLEST = "SELECT sink FROM {table} GROUP BY sink ORDER BY count(*) DESC"
_DELETE_UPDATES = "DELETE FROM updates WHERE id IN (SELECT id FROM updates WHERE sink = ? ORDER BY id LIMIT ?)"
_OLDEST_WAITING = """
SELECT DISTINCT event, sink FROM (SELECT event, sink FROM outbox WHERE sink = ? ORDER BY id LIMIT ?)
"""
_AGED_WAITING = """
SELECT DISTINCT event, sink FROM (SELECT event, sink FROM outbox UNION ALL SELECT event, sink FROM updates)
JOIN events ON events.id = event WHERE ended > ? AND ended < ?
"""
# An open event stays in the history: its end is still to come, and a crash must find it.
_DELETE_UNWANTED = """
DELETE FROM events WHERE id = ? AND ended IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM outbox WHERE event = events.id)
    AND NOT EXISTS (SELECT 1 FROM updates WHERE event = events.id)
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


def trim_age(db: sqlite3.Connection, bounds: Bounds, *, utc_ns: int) -> Counter[Drop]:
    """Drop what is too old. Runs within the caller's transaction.

    Returns:
        What was dropped, by cause: `decision_age`, `history_age` (events that were delivered), `event_age` (undelivered
        messages).
    """
    before_ns = utc_ns - round(bounds.max_age_s * 1e9)
    dropped: Counter[Drop] = Counter()
    for sink, count in _delete_events(db, db.execute(_AGED_WAITING, (_SANE_NS, before_ns)).fetchall()).items():
        dropped[Drop("event_age", sink)] = count
    dropped[Drop("history_age")] = db.execute(
        _DELETE_DELIVERED, {"after": _SANE_NS, "before": before_ns, "limit": -1}
    ).rowcount
    dropped[Drop("decision_age")] = _drop_old_decisions(db, before_ns)
    return +dropped


def trim_size(db: sqlite3.Connection, bounds: Bounds) -> Counter[Drop]:
    """Drop what is too much. Runs within the caller's transaction.

    Returns:
        What was dropped, by cause: `decision_size`, `history_size` (events that were delivered), `update_size`
        (undelivered update messages), `event_size` (undelivered messages of whole events).
    """
    dropped: Counter[Drop] = Counter()
    for cause, steps in _STEPS.items():
        until_s = time.monotonic() + _LIMIT_S  # anew for each: a long look for nothing must not be all that is done
        left = steps(db)
        while used_bytes(db) > bounds.max_bytes * _TARGET:
            step = next(left, None)
            if step is None:
                break
            for sink, count in step.items():
                dropped[Drop(cause, sink)] += count
            if step and time.monotonic() >= until_s:
                return +dropped
        else:
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


def _drop_decisions(db: sqlite3.Connection) -> Iterator[Counter[str]]:
    return _until_last(lambda: db.execute(_DELETE_DECISIONS, {"limit": _CHUNK}).rowcount)


def _drop_history(db: sqlite3.Connection) -> Iterator[Counter[str]]:
    values = {"after": -1, "before": _FOREVER_NS, "limit": _CHUNK}
    return _until_last(lambda: db.execute(_DELETE_DELIVERED, values).rowcount)


def _drop_updates(db: sqlite3.Connection) -> Iterator[Counter[str]]:
    for (sink,) in db.execute(_FULLEST.format(table="updates")).fetchall():
        yield from _until_last(lambda sink=sink: db.execute(_DELETE_UPDATES, (sink, _CHUNK)).rowcount, sink)  # type: ignore[misc]


def _drop_events(db: sqlite3.Connection) -> Iterator[Counter[str]]:
    for (sink,) in db.execute(_FULLEST.format(table="outbox")).fetchall():
        while oldest := db.execute(_OLDEST_WAITING, (sink, _CHUNK)).fetchall():
            yield _delete_events(db, oldest)


def _until_last(drop: Callable[[], int], sink: str = BROKER) -> Iterator[Counter[str]]:
    """Drop a chunk at a time; a chunk that is not full was the last, and to look through all again takes long."""
    count = _CHUNK
    while count >= _CHUNK:
        count = drop()
        yield Counter({sink: count} if count else {})


# What goes, a step at a time, by whose it was. In this order: the next only when nothing of the one before is left.
_STEPS: dict[str, Callable[[sqlite3.Connection], Iterator[Counter[str]]]] = {
    "decision_size": _drop_decisions,
    "history_size": _drop_history,
    "update_size": _drop_updates,
    "event_size": _drop_events,
}


def _delete_events(db: sqlite3.Connection, waiting: list[tuple[str, str]]) -> Counter[str]:
    """Drop what sinks wait for of events, given as (event, sink); return how many messages of each sink's."""
    deleted: Counter[str] = Counter()
    for table in OUTBOX_TABLES:
        delete = f"DELETE FROM {table} WHERE event = ? AND +sink = ?"  # noqa: S608  own names; +: by the index of events
        for event, sink in waiting:
            deleted[sink] += db.execute(delete, (event, sink)).rowcount
    db.executemany(_DELETE_UNWANTED, [(event,) for event, _ in waiting])
    return deleted
