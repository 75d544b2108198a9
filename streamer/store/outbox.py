"""What must still be sent: the side of the store that a sink's thread uses."""

from __future__ import annotations

import logging
import sqlite3
from typing import TYPE_CHECKING, Any

from .database import OUTBOX_TABLES, connect, is_damage, is_full
from .rows import BROKER, OutboxRow, ParkedRow

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .held import HeldRecords

log = logging.getLogger(__name__)

MOST_REFUSALS = 5  # the contract: a row that its receiver refuses five times is parked

_PENDING = "SELECT id, topic, payload, qos FROM {table} WHERE sink = ? AND id > ? AND NOT parked ORDER BY id LIMIT ?"
# Not `NOT parked`, which would read every payload: all of a sink are counted in an index, the parked have their own.
_WAITING = (
    "SELECT (SELECT count(*) FROM {table} WHERE sink = ?1) - (SELECT count(*) FROM {table} WHERE parked AND sink = ?1)"
)
_DELETE = "DELETE FROM {table} WHERE id = ?"
_REFUSE = "UPDATE {table} SET refusals = ?, reason = ?, parked = ? WHERE id = ?"


class Outbox:
    """One sink's rows, over a connection of its own to the store, for one thread. In the order of storing."""

    def __init__(self, path: Path, held: HeldRecords, *, sink: str = BROKER) -> None:
        """Store the parts; the connection opens at the first use.

        Args:
            path: the database file, which exists.
            held: the messages that are in memory since the disk would not take them.
            sink: whose rows.
        """
        self._path = path
        self._held = held
        self._sink = sink
        self._db: sqlite3.Connection | None = None
        self._unconfirmed: set[int] = set()  # delivered, but the disk would not take the deletion yet
        self._refusals: dict[int, int] = {}  # of this run; those on disk are added at the first refusal
        self._reported: str | None = None  # the last error that was logged
        self.unread = False  # whether the last `pending` could not look at the disk: what it gave is not all

    def pending(self, after_id: int, limit: int) -> list[OutboxRow]:
        """Return the first undelivered rows behind `after_id`, in order.

        Of a disk that can't be read, those in memory, which must go out although it may never be readable again;
        `unread` says so.
        """
        # Memory before disk: a record that moves to the disk between the two is seen twice, never not at all.
        rows = {r.row_id: (r.row_id, r.topic, r.payload, r.qos) for r in self._held.after(after_id, limit, self._sink)}
        stored = self._rows(_PENDING, (self._sink, after_id, limit + len(self._unconfirmed)))
        self.unread = stored is None
        rows.update((row[0], row) for row in stored or () if row[0] not in self._unconfirmed)
        return [
            OutboxRow(id=row_id, topic=topic, payload=payload, qos=qos)
            for row_id, topic, payload, qos in sorted(rows.values())[:limit]
        ]

    def confirm(self, row_ids: Iterable[int]) -> None:
        """Take delivered rows out, in one transaction. A disk that refuses is asked again at the next call."""
        self._unconfirmed.update(row_ids)
        if not self._unconfirmed:
            return
        ids = sorted(self._unconfirmed)
        self._held.delivered(ids)
        if self._write(_DELETE, [(i,) for i in ids]):
            self._unconfirmed.difference_update(ids)

    def leave(self, row_ids: Iterable[int]) -> None:
        """Leave rows that the broker has taken just now to the next run: this one ends before they are safe there."""
        self._held.taken(row_ids)

    def refuse(self, row_id: int, reason: str) -> bool:
        """Count a refusal.

        Returns:
            Whether the row is parked now: it was refused too often, and the others go on without it.
        """
        if row_id not in self._refusals:
            known = self._rows("SELECT refusals FROM {table} WHERE id = ?", (row_id,))
            self._refusals[row_id] = known[0][0] if known else 0
        self._refusals[row_id] += 1
        count = self._refusals[row_id]
        parked = count >= MOST_REFUSALS
        self._write(_REFUSE, [(count, reason, parked, row_id)])
        if parked:
            del self._refusals[row_id]
            self._held.delivered([row_id])
            named = self._rows("SELECT event, topic FROM {table} WHERE id = ?", (row_id,))
            event, topic = named[0] if named else ("?", "?")
            whose = "" if self._sink == BROKER else f"sink {self._sink}: "
            log.error("%sevent %s parked: %s was refused %d times (%s)", whose, event, topic, count, reason)
        return parked

    def undelivered(self) -> int | None:
        """Return how many rows wait for their delivery; parked ones do not count. None: the disk can't be read now."""
        waiting = self._rows(_WAITING, (self._sink,))
        if waiting is None:
            return None
        count = sum(int(number) for (number,) in waiting)
        if self._unconfirmed:
            in_memory = {record.row_id for record in self._held.all()[0]}
            count -= len(self._unconfirmed - in_memory)
        return count + self._held.waiting(self._sink)

    def parked(self) -> list[ParkedRow]:
        """Return the rows that were refused too often."""
        query = "SELECT id, event, topic, refusals, reason FROM {table} WHERE parked AND sink = ?"
        rows = self._rows(query, (self._sink,))
        return [ParkedRow(id=i, event=e, topic=t, refusals=n, reason=r) for i, e, t, n, r in sorted(rows or ())]

    def retained(self) -> set[str]:
        """Return every topic under which the broker holds a retained message of ours, from this and earlier runs."""
        return {topic for (topic,) in self._rows("SELECT topic FROM retained") or ()}

    def remember_retained(self, topics: Iterable[str]) -> None:
        """Note topics, before a retained message is sent under them."""
        self._write("INSERT OR IGNORE INTO retained (topic) VALUES (?)", [(topic,) for topic in topics])

    def forget_retained(self, topics: Iterable[str]) -> None:
        """Strike topics whose retained message the broker has cleared."""
        self._write("DELETE FROM retained WHERE topic = ?", [(topic,) for topic in topics])

    def close(self) -> None:
        """Close the connection. Idempotent."""
        if self._db is not None:
            self._db.close()
            self._db = None

    def _connection(self) -> sqlite3.Connection:
        if self._db is None:
            # A deletion that a power cut undoes only means a repeat, so it need not wait for the disk. This side also
            # folds the journal in, early, so that the events thread need not.
            self._db = connect(self._path, synchronous="NORMAL", checkpoint_pages=500)
        return self._db

    def _rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]] | None:
        """Run a query, on both tables if it says `{table}`. None: it failed, which is logged."""
        rows: list[tuple[Any, ...]] = []
        try:
            for statement in _on_both(query):
                rows += self._connection().execute(statement, values).fetchall()
        except sqlite3.Error as exc:
            self._report("read", exc)
            return None
        return rows

    def _write(self, statement: str, values: list[tuple[object, ...]]) -> bool:
        """Run a statement for each of the values in one transaction, on both tables if it says `{table}`."""
        if not values:
            return True
        try:
            db = self._connection()
            db.execute("BEGIN IMMEDIATE")
            try:
                for one in _on_both(statement):
                    db.executemany(one, values)
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise
        except sqlite3.Error as exc:
            self._report("written", exc)
            return False
        self._reported = None
        return True

    def _report(self, action: str, error: sqlite3.Error) -> None:
        """Log an error once per change of state; the file's own faults are mended at the next start."""
        if self._reported == str(error):
            return
        self._reported = str(error)
        hint = ""
        if is_damage(error):
            hint = "; restart to begin a new file, with what is readable carried over"
        elif is_full(error):
            hint = "; asked again each second"
        log.error("the outbox can't be %s: %s%s", action, error, hint)


def _on_both(statement: str) -> list[str]:
    if "{table}" not in statement:
        return [statement]
    return [statement.format(table=table) for table in OUTBOX_TABLES]
