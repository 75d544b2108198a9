"""Events that a crash left open, ended at their last sighting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .database import INSERT_ROW

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

_END = "UPDATE events SET ended = ?, end_reason = 'interrupted', seq = seq + 1, payload = ?, changed = ? WHERE id = ?"


def end_open(
    db: sqlite3.Connection, end: Callable[[bytes, int], bytes], *, take_id: Callable[[], int], qos: int
) -> int:
    """End every open event, within the caller's transaction; return how many that were.

    Args:
        db: the store's connection.
        end: from the last payload and the time of the last sighting (ns since 1970) to the payload of the end.
        take_id: gives ids for rows of the outbox.
        qos: of the messages.
    """
    rows = db.execute(
        "SELECT id, camera, payload, last_seen FROM events WHERE ended IS NULL ORDER BY changed"
    ).fetchall()
    for event_id, camera, last_payload, last_seen in rows:
        row_id, payload = take_id(), end(last_payload, last_seen)
        db.execute(INSERT_ROW.format(table="outbox"), (row_id, event_id, f"{camera}/event", payload, qos))
        db.execute(_END, (last_seen, payload, row_id, event_id))
    return len(rows)
