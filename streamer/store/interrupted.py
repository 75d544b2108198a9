"""Events that a crash left open, ended at their last sighting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.event import EventType

from .database import INSERT_ROW
from .rows import BROKER

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from .wanted import Receivers

_END = "UPDATE events SET ended = ?, end_reason = 'interrupted', seq = seq + 1, payload = ?, changed = ? WHERE id = ?"


def end_open(
    db: sqlite3.Connection,
    end: Callable[[bytes, int], bytes],
    *,
    take_id: Callable[[], int],
    receivers: Receivers,
) -> int:
    """End every open event, within the caller's transaction; return how many that were.

    Args:
        db: the store's connection.
        end: from the last payload and the time of the last sighting (ns since 1970) to the payload of the end.
        take_id: gives ids for rows of the outbox.
        receivers: who may want the messages.
    """
    insert = INSERT_ROW.format(table="outbox")
    rows = db.execute(
        "SELECT id, camera, rule, payload, last_seen FROM events WHERE ended IS NULL ORDER BY changed"
    ).fetchall()
    for event_id, camera, rule, last_payload, last_seen in rows:
        payload = end(last_payload, last_seen)
        ids = {sink: take_id() for sink in receivers.of(camera, rule, EventType.END)}
        values = [(row_id, event_id, f"{camera}/event", payload, receivers.qos, sink) for sink, row_id in ids.items()]
        db.executemany(insert, values)
        db.execute(_END, (last_seen, payload, ids[BROKER], event_id))
    return len(rows)
