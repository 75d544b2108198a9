"""The SQLite file: its schema, how it is opened, and what happens when it is damaged."""

from __future__ import annotations

import logging
import shutil
import sqlite3
from typing import TYPE_CHECKING

from streamer.core.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = logging.getLogger(__name__)

FILE_NAME = "events.db"
_VERSION = 3  # PRAGMA user_version
_BUSY_S = 5.0  # the limit of every wait for another connection's transaction
_CHECKED_BYTES = 64 << 20  # a file up to this size is checked at each start (0.1 s), a larger one after a crash only
_JOURNAL_BYTES = 16 << 20  # what the journal keeps of the disk between checkpoints

# Two tables of one form: `updates` has the messages of type update, the first to go when space runs short. Mixed with
# the others, their deletion would leave holes in every page and free none.
_OUTBOX = """
CREATE TABLE {table} (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- rises over both tables
    event TEXT NOT NULL,
    topic TEXT NOT NULL,
    payload BLOB NOT NULL,
    qos INTEGER NOT NULL,
    refusals INTEGER NOT NULL DEFAULT 0,
    reason TEXT,                           -- of the last refusal
    parked INTEGER NOT NULL DEFAULT 0
, {sink});
CREATE INDEX {table}_event ON {table} (event);
{by_sink}
"""
_SINK = "sink TEXT NOT NULL DEFAULT ''"  # who it is for, '' the broker; it stands where ALTER TABLE puts it
# Each sink's rows are found and counted without a look at those of another, of which there may be a great many.
_BY_SINK = """
CREATE INDEX {table}_sink ON {table} (sink);
CREATE INDEX {table}_parked ON {table} (sink) WHERE parked;
"""
OUTBOX_TABLES = ("outbox", "updates")
_DECISIONS = """
CREATE TABLE decisions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- rises over this and the tables of the outbox
    camera TEXT NOT NULL,
    number INTEGER NOT NULL,
    item TEXT NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT,
    late INTEGER NOT NULL,
    decided INTEGER NOT NULL,              -- ns since 1970
    payload BLOB NOT NULL
);
CREATE INDEX decisions_decided ON decisions (decided);
"""

_SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE events (
    id TEXT PRIMARY KEY,
    camera TEXT NOT NULL,
    rule TEXT NOT NULL,
    class TEXT NOT NULL,
    started INTEGER NOT NULL,      -- ns since 1970, as all times here
    ended INTEGER,
    end_reason TEXT,
    seq INTEGER NOT NULL,
    top_score REAL NOT NULL,
    last_seen INTEGER NOT NULL,
    payload BLOB NOT NULL,
    changed INTEGER NOT NULL       -- id of the outbox row of the last message
);
CREATE INDEX events_changed ON events (changed);
CREATE INDEX events_started ON events (started);
CREATE INDEX events_open ON events (id) WHERE ended IS NULL;
{_OUTBOX.format(table="outbox", sink=_SINK, by_sink=_BY_SINK.format(table="outbox"))}
{_OUTBOX.format(table="updates", sink=_SINK, by_sink=_BY_SINK.format(table="updates"))}
{_DECISIONS}
CREATE TABLE retained (topic TEXT PRIMARY KEY);   -- every topic with a retained message of ours at the broker
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
PRAGMA user_version = {_VERSION};
COMMIT;
"""
# Version -> what makes the next one of it. Each is one transaction: a power cut leaves the old one or the new one.
_ADD_SINK = f"ALTER TABLE {{table}} ADD COLUMN {_SINK}; DROP INDEX {{table}}_parked; {_BY_SINK}"
_MIGRATIONS = {
    1: f"BEGIN IMMEDIATE; {_DECISIONS} PRAGMA user_version = 2; COMMIT;",
    2: f"BEGIN IMMEDIATE; {''.join(_ADD_SINK.format(table=t) for t in OUTBOX_TABLES)} PRAGMA user_version = 3; COMMIT;",
}

INSERT_ROW = "INSERT OR IGNORE INTO {table} (id, event, topic, payload, qos, sink) VALUES (?, ?, ?, ?, ?, ?)"
UPSERT_EVENT = """
INSERT INTO events (id, camera, rule, class, started, ended, end_reason, seq, top_score, last_seen, payload, changed)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET ended = excluded.ended, end_reason = excluded.end_reason, seq = excluded.seq,
    top_score = excluded.top_score, last_seen = max(last_seen, excluded.last_seen), payload = excluded.payload,
    changed = excluded.changed
WHERE excluded.seq > seq
"""
_SALVAGED = {
    "outbox": ("id", "event", "topic", "payload", "qos", "refusals", "reason", "parked", "sink"),
    "updates": ("id", "event", "topic", "payload", "qos", "refusals", "reason", "parked", "sink"),
    "events": (
        *("id", "camera", "rule", "class", "started", "ended"),
        *("end_reason", "seq", "top_score", "last_seen", "payload", "changed"),
    ),
    "retained": ("topic",),
    "decisions": ("id", "camera", "number", "item", "verdict", "reason", "late", "decided", "payload"),
}


def is_full(error: sqlite3.Error) -> bool:
    """Whether an error means that the disk has no space (its journal reports that as an I/O error)."""
    text = str(error)
    return "disk is full" in text or "disk I/O error" in text


def is_damage(error: sqlite3.Error) -> bool:
    """Whether an error means that the file itself is broken."""
    text = str(error)
    return "malformed" in text or "not a database" in text or text.startswith("damaged:")


def connect(path: Path, *, synchronous: str, checkpoint_pages: int) -> sqlite3.Connection:
    """Open a connection that writes.

    Args:
        path: the database file.
        synchronous: `FULL`: a commit is on the disk when it returns; `NORMAL`: it is when the journal is folded in.
        checkpoint_pages: pages in the journal from which a commit on this connection folds them into the file.

    Raises:
        sqlite3.Error: it can't be opened.
        StoreError: the file system can't do what is needed.
    """
    connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute(f"PRAGMA wal_autocheckpoint = {checkpoint_pages}")
        connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_BYTES}")
    except BaseException:
        connection.close()
        raise
    if mode != "wal":
        connection.close()
        raise StoreError(f"{path}: this file system has no shared memory for SQLite; put data_dir on a local disk")
    return connection


def open_database(path: Path, *, stamp: str, make_room: Callable[[], bool]) -> sqlite3.Connection:
    """Open or make the event database; a damaged one is moved aside and what is readable is carried over.

    Args:
        path: the database file.
        stamp: goes into the name of a damaged file.
        make_room: frees space that was put by; False if there is none.

    Raises:
        StoreError: it can't be opened, or a newer Streamer has written it.
    """
    try:
        return _open_with_room(path, make_room)
    except sqlite3.Error as exc:
        if not is_damage(exc):
            raise StoreError(f"can't open the event store {path}: {exc}") from exc
        damage = str(exc)
    aside = _move_aside(path, stamp)
    log.error("the event store %s is damaged (%s): kept as %s, a new one is begun", path, damage, aside)
    if shutil.disk_usage(aside.parent).free < aside.stat().st_size:  # a second copy of its rows would not fit
        make_room()
    try:
        connection = _open_with_room(path, make_room)
        _salvage(aside, connection)
    except sqlite3.Error as exc:
        raise StoreError(f"can't begin a new event store {path}: {exc}") from exc
    return connection


def _open_with_room(path: Path, make_room: Callable[[], bool]) -> sqlite3.Connection:
    """Open the file; if the disk has no space for what SQLite writes when it opens one, make room and try again."""
    try:
        return _open_sound(path)
    except sqlite3.Error as exc:
        if not is_full(exc) or not make_room():
            raise
    return _open_sound(path)


def _open_sound(path: Path) -> sqlite3.Connection:
    connection = connect(path, synchronous="FULL", checkpoint_pages=4_000)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > _VERSION:
        raise StoreError(f"{path} was written by a newer Streamer (schema {version}, known here: {_VERSION})")
    if version == 0:
        connection.executescript(_SCHEMA)
        version = _VERSION
    clean = connection.execute("SELECT value FROM meta WHERE key = 'clean'").fetchone()
    if path.stat().st_size <= _CHECKED_BYTES or clean != ("1",):
        (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if finding != "ok":
            raise sqlite3.DatabaseError(f"damaged: {finding}")
    while version < _VERSION:  # a sound file only: a damaged one is carried over into a new one
        connection.executescript(_MIGRATIONS[version])
        version += 1


def mark_clean(connection: sqlite3.Connection, *, clean: bool) -> None:
    """Note whether the run that owns the database has ended as it should."""
    connection.execute("INSERT OR REPLACE INTO meta (key, value) VALUES ('clean', ?)", ("1" if clean else "0",))


def _move_aside(path: Path, stamp: str) -> Path:
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    try:
        path.rename(aside)
        journal = path.with_name(f"{path.name}-wal")
        if journal.exists():
            journal.rename(aside.with_name(f"{aside.name}-wal"))
        path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    except OSError as exc:
        raise StoreError(f"the event store {path} is damaged and can't be moved aside: {exc}") from exc
    return aside


def _salvage(aside: Path, connection: sqlite3.Connection) -> None:
    """Carry over every row that can still be read, from both ends of each table."""
    carried = dict.fromkeys(_SALVAGED, 0)
    connection.execute("BEGIN IMMEDIATE")
    for table in _SALVAGED:
        for direction in ("ASC", "DESC"):
            carried[table] += _carry(aside, connection, table=table, direction=direction)
    connection.execute("COMMIT")
    log.warning("carried over from the damaged store: %s", ", ".join(f"{n} {table}" for table, n in carried.items()))


def _carry(aside: Path, connection: sqlite3.Connection, *, table: str, direction: str) -> int:
    carried = 0
    source = sqlite3.connect(aside, isolation_level=None)
    try:
        there = {name for _, name, *_ in source.execute(f"PRAGMA table_info({table})")}
        columns = [name for name in _SALVAGED[table] if name in there]
        if not columns:
            return 0  # an older Streamer's file has no such table, or fewer columns
        insert = f"INSERT OR IGNORE INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608  own names
        select = f"SELECT {', '.join(columns)} FROM {table} NOT INDEXED ORDER BY rowid {direction}"  # noqa: S608  own names
        for row in source.execute(select):
            carried += connection.execute(insert, row).rowcount
    except sqlite3.DatabaseError as exc:
        log.warning("the damaged store can be read no further: %s", exc)
    finally:
        source.close()
    return carried
