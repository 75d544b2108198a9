"""What happened: a reader of the store for `streamer events`, also while `run` is running."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

from streamer.core.errors import StoreError

from .database import FILE_NAME
from .rows import EventRow

if TYPE_CHECKING:
    from pathlib import Path

_BUSY_S = 3.0
_COLUMNS = "id, camera, rule, class, started, ended, end_reason, seq, top_score, last_seen, payload, changed"


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
        values = {"after": after, "camera": camera, "since": since_utc_ns, "limit": limit}
        try:
            return [_event_row(row) for row in self._db.execute(query, values)]
        except sqlite3.Error as exc:
            raise StoreError(f"the event store can't be read: {exc}") from exc

    def last(self) -> int:
        """Return the `changed` of the newest message, 0 if there is none: where following what is new begins.

        Raises:
            StoreError: the store can't be read.
        """
        try:
            (changed,) = self._db.execute("SELECT coalesce(max(changed), 0) FROM events").fetchone()
        except sqlite3.Error as exc:
            raise StoreError(f"the event store can't be read: {exc}") from exc
        return int(changed)

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self._db.close()


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
