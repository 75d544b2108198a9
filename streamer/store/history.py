"""What happened: a reader of the store for `streamer events`, also while `run` is running."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from streamer.core.errors import StoreError

from .database import FILE_NAME
from .rows import DecisionRow, EventRow

if TYPE_CHECKING:
    from pathlib import Path

_BUSY_S = 3.0
_COLUMNS = "id, camera, rule, class, started, ended, end_reason, seq, top_score, last_seen, payload, changed"
_DECISION_COLUMNS = "camera, item, verdict, reason, late, decided, payload, id"


class History:
    """A read-only connection of its own; whoever opens it closes it (`contextlib.closing`)."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def query(
        self, *, camera: str | None = None, since_utc_ns: int = 0, after: int = 0, limit: int = 1_000
    ) -> list[EventRow]:
        """Return events in the order of their last message.

        Args:
            camera: only of this camera.
            since_utc_ns: only those that were going on at or after this time.
            after: only those with a message behind this one: the `changed` of the last row of the call before. So
                one goes through a long history in steps, and follows a running one.
            limit: at most so many.

        Raises:
            StoreError: the store can't be read.
        """
        query = f"""
            SELECT {_COLUMNS} FROM events
            WHERE changed > :after AND (:camera IS NULL OR camera = :camera) AND (ended IS NULL OR ended >= :since)
            ORDER BY changed LIMIT :limit"""  # noqa: S608  own names
        values: dict[str, object] = {"after": after, "camera": camera, "since": since_utc_ns, "limit": limit}
        return [_event_row(row) for row in self._rows(query, values)]

    def decisions(
        self,
        *,
        camera: str | None = None,
        since_utc_ns: int = 0,
        after: int = 0,
        limit: int = 1_000,
        newest: bool = False,
    ) -> list[DecisionRow]:
        """Return a factory's decisions in the order in which they were stored.

        Args:
            camera: only of this camera.
            since_utc_ns: only those that were made at or after this time.
            after: only those behind this one: the `changed` of the last row of the call before.
            limit: at most so many.
            newest: the last of them; else the first.

        Raises:
            StoreError: the store can't be read.
        """
        if not self._rows("SELECT 1 FROM sqlite_master WHERE name = 'decisions'", {}):
            return []  # an older Streamer has written it: the next run gives it the table
        query = f"""
            SELECT {_DECISION_COLUMNS} FROM decisions
            WHERE id > :after AND decided >= :since AND (:camera IS NULL OR camera = :camera)
            ORDER BY id {"DESC" if newest else "ASC"} LIMIT :limit"""  # noqa: S608  own names
        values: dict[str, object] = {"after": after, "camera": camera, "since": since_utc_ns, "limit": limit}
        rows = [_decision_row(row) for row in self._rows(query, values)]
        return rows[::-1] if newest else rows

    def last(self) -> int:
        """Return the `changed` of the newest message, 0 if there is none: where following what is new begins.

        Raises:
            StoreError: the store can't be read.
        """
        ((changed,),) = self._rows("SELECT coalesce(max(changed), 0) FROM events", {})
        return int(changed)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._db.close()

    def _rows(self, query: str, values: dict[str, object]) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(query, values).fetchall()
        except sqlite3.Error as exc:
            raise StoreError(f"the event store can't be read: {exc}") from exc


def open_history(data_dir: Path) -> History:
    """Open the store of a data directory for reading.

    Raises:
        StoreError: there is none, or it can't be read.
    """
    path = data_dir / FILE_NAME
    if not path.is_file():
        raise StoreError(f"no events yet: {path} does not exist (`streamer run` makes it)")
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, isolation_level=None)
    except sqlite3.Error as exc:
        raise StoreError(f"{path} can't be opened: {exc}") from exc
    try:
        db.execute("SELECT 1 FROM events LIMIT 1").fetchall()
    except sqlite3.Error as exc:
        db.close()
        raise StoreError(f"{path} can't be read: {exc}") from exc
    return History(db)


def _event_row(row: tuple[Any, ...]) -> EventRow:
    return EventRow(
        id=row[0],
        camera=row[1],
        rule=row[2],
        class_name=row[3],
        started_utc_ns=row[4],
        ended_utc_ns=row[5],
        end_reason=row[6],
        seq=row[7],
        top_score=row[8],
        last_seen_utc_ns=row[9],
        payload=row[10],
        changed=row[11],
    )


def _decision_row(row: tuple[Any, ...]) -> DecisionRow:
    return DecisionRow(
        camera=row[0],
        item=row[1],
        verdict=row[2],
        reason=row[3],
        late=bool(row[4]),
        decided_utc_ns=row[5],
        payload=row[6],
        changed=row[7],
    )
